"""What was exported comes back as it was: the same people, fields, tags and consents, and nobody who has left."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mailhub.exports import service
from mailhub.exports.wanted import checked
from mailhub.imports.head import look
from mailhub.lists.fields import fields_of
from mailhub.models import FieldType, SubscriberField
from tests.imports.books import xlsx_members, zipped

WIDE = 60
GONE = ("q1@mail.test", "q2@mail.test")
NAMES = ("=1+1", "'=so", "''", "Юля\nПетрова", "+7 912", "a, \"b\"; c")
PEOPLE = text("SELECT email, name, fields FROM subscriber WHERE project_id = :project ORDER BY email_key")
TAGS = text(
    "SELECT p.email, t.name FROM subscriber_tag AS m JOIN tag AS t ON t.id = m.tag_id"
    " JOIN subscriber AS p ON p.id = m.subscriber_id WHERE m.project_id = :project ORDER BY 1, 2"
)


@pytest.fixture
def filled(importer):
    """People with every type of field, sixty more fields, names that look like formulas; two of them have left."""
    build, session, project = importer.live.build, importer.session, importer.project
    kinds = {"age": FieldType.NUMBER, "born": FieldType.DATE, "vip": FieldType.BOOLEAN, "size": FieldType.CHOICE}
    for place, (name, kind) in enumerate([*kinds.items(), *((f"f{n}", FieldType.TEXT) for n in range(WIDE))]):
        choices = ["S", "M"] if kind == FieldType.CHOICE else []
        session.add(SubscriberField(project_id=project.id, name=name, type=kind, choices=choices, position=place))
    for n, name in enumerate(NAMES):
        build.subscriber(
            project, f"p{n}@mail.test", lists=[importer.list], name=" ".join(name.split()),
            fields={"age": n + 0.5, "born": "1985-02-03", "vip": n % 2 == 0, "size": "M", f"f{n}": f"-{n}", "f59": "x"},
        )  # fmt: skip
    for email, status in zip(GONE, ("bounced", "unsubscribed"), strict=True):
        build.subscriber(project, email, lists=[importer.list], status="unsubscribed").status = status
    session.commit()
    importer("email,tags\np0@mail.test,one;two\np1@mail.test,=tag\n")
    return importer


@pytest.mark.parametrize(("what", "format_"), [("subscribers", "csv"), ("list", "xlsx")])
def test_an_export_brings_the_same_people_into_another_project(filled, what, format_):
    build, session, here = filled.live.build, filled.session, filled.project
    small = service.at_once(session, here, checked(what, format_, of=filled.list.id))
    again = filled(small.content)
    assert (again.rows_created, again.rows_updated, again.rows_unchanged) == (0, len(NAMES), len(NAMES))
    people, tags = (session.execute(query, {"project": here.id}).all() for query in (PEOPLE, TAGS))
    filled.project = build.project(build.user())
    filled.list = build.list(filled.project)
    for one in fields_of(session, here.id):
        session.add(SubscriberField(project_id=filled.project.id, name=one.name, type=one.type, choices=one.choices))
    session.commit()
    row = filled(small.content)
    assert [reason for _line, reason in filled.rejected(row)] == ["gone_bounced", "gone_unsubscribed"]
    assert row.rows_created == len(NAMES)
    values = {"project": filled.project.id}
    assert session.execute(PEOPLE, values).all() == [one for one in people if one.email not in GONE]
    assert session.execute(TAGS, values).all() == tags
    assert len(fields_of(session, filled.project.id)) == WIDE + 4, "columns of the export itself are nobody's field"


def test_a_workbook_of_several_sheets_is_read_where_the_people_are(tmp_path):
    people = "".join(f'<row><c t="inlineStr"><is><t>{one}</t></is></c></row>' for one in ("email", "a@b.ru"))
    path = tmp_path / "several.xlsx"
    path.write_bytes(zipped(xlsx_members({"Cover": "", "People": people, "More": people})))
    head = look(path)
    assert (head.sheets, head.reading.sheet) == (("Cover", "People", "More"), "People")
