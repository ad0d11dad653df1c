"""The import's pages: upload, columns, progress, result."""

import csv
import io

import pytest

from mailhub.imports.service import folder
from mailhub.models import AuditEntry, ImportRejectedRow, Subscriber, SubscriberField, SubscriberImport

CSV = "email;имя;город\na@b.ru;Анна;Уфа\nnobody;X;Y\na@b.ru;again;\n=cmd;;\n".encode("cp1251")


def upload(page, cast, data=CSV, name="people.csv", list_id=None, status=303):
    fields = [("list_id", str(list_id or cast.list.id)), ("csrf_token", page.csrf_token())]
    return page.post(f"{cast.base}/imports/new", fields, upload_files=[("file", name, data)], status=status)


@pytest.fixture
def waiting(cast, page, dbsession):
    upload(page, cast)
    return dbsession.query(SubscriberImport).one()


def choices(**changes):
    fields = {
        "encoding": "cp1251", "delimiter": ";", "existing": "update", "consent": "1", "action": "start",
        "column_0": "email", "column_1": "name", "column_2": "field:город",
    }  # fmt: skip
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def start(page, cast, row, status=303, **changes):
    fields = choices(list_id=str(cast.list.id)) | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    return page.post_form(f"{cast.base}/imports/{row.id}/columns", fields, status=status)


def test_upload_shows_how_the_file_is_read(cast, page, waiting):
    answer = page.get(f"{cast.base}/imports/{waiting.id}/columns")
    assert "Windows-1251" in answer.html.find(id="reading").text
    assert "Анна" in answer.text
    chosen = [option["value"] for option in answer.html.select("#mapping option[selected]")]
    assert chosen == ["email", "name", "field:город"]
    assert page.get(f"{cast.base}/imports/{waiting.id}", status=303).location.endswith("/columns")


def test_another_reading_is_shown_and_nothing_starts(cast, page, waiting, dbsession, publisher):
    answer = start(page, cast, waiting, status=200, action="look", encoding="koi8-r")
    assert "KOI8-R" in answer.html.find(id="reading").text
    assert "Анна" not in answer.text
    start(page, cast, waiting, status=422, encoding="cp1251")
    dbsession.expire_all()
    assert waiting.mapping == {}
    assert publisher.names() == []


def test_whole_import(cast, page, waiting, dbsession, publisher):
    there = start(page, cast, waiting)
    assert publisher.names() == ["mailhub.imports.run_import"]
    entry = dbsession.query(AuditEntry).filter_by(action="import.started").one()
    assert "agreed" in entry.detail["consent"]
    assert page.get(there.location).html.find(id="import-progress").has_attr("data-live")
    publisher.run_all()
    answer = page.get(there.location)
    assert not answer.html.find(id="import-progress").has_attr("data-live")
    rows = [[cell.text.strip() for cell in row.find_all("td")] for row in answer.html.select("#rejected tbody tr")]
    assert [row[0] for row in rows] == ["3", "4", "5"]
    assert "line 2" in rows[1][1]
    person = dbsession.query(Subscriber).one()
    assert (person.name, person.fields, person.source) == ("Анна", {"город": "Уфа"}, f"import:{waiting.id}")
    assert dbsession.query(SubscriberField).one().label == "город"
    listed = page.get(f"{there.location}/rejected.csv")
    assert listed.headers["Content-Disposition"].startswith("attachment")
    table = list(csv.reader(io.StringIO(listed.body.decode("utf-8-sig"))))
    assert [row[:2] for row in table[1:]] == [["3", "no_at"], ["4", "duplicate"], ["5", "no_at"]]
    assert table[3][3].startswith("'=cmd")
    assert "people.csv" in page.get(f"{cast.base}/imports").text
    assert "people.csv" in page.get(f"{cast.base}/subscribers/{person.id}").text


def test_progress_is_polled_until_it_is_over(cast, page, waiting, publisher):
    url = start(page, cast, waiting).location
    first = page.fragment(url, "import-progress")
    tag = first.headers["HX-PTag"]
    headers = {"HX-Request": "true", "HX-Target": "section#import-progress", "HX-PTag": tag}
    page.get(url, headers=headers, status=304)
    publisher.run_all()
    assert page.get(url, headers=headers, status=204).headers["HX-Redirect"].endswith(f"/imports/{waiting.id}")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"consent": None}, "consent"),
        ({"list_id": "0"}, "list_id"),
        ({"column_0": ""}, ""),
        ({"column_1": "email"}, "column_1"),
        ({"existing": "burn"}, "existing"),
        ({"rows_total": "7"}, "rows_total"),
    ],
)
def test_bad_decision_starts_nothing(cast, page, waiting, dbsession, publisher, changes, field):
    answer = start(page, cast, waiting, status=422, **changes)
    assert answer.html.find(id="form-errors")
    dbsession.expire_all()
    assert waiting.mapping == {}
    assert publisher.names() == []
    assert dbsession.query(SubscriberField).count() == 0


def test_started_twice_runs_once(cast, page, waiting, publisher):
    start(page, cast, waiting)
    start(page, cast, waiting)
    assert publisher.names() == ["mailhub.imports.run_import"]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 30, b"name\nAnna\n"])
def test_what_is_no_list_is_refused_with_a_sentence_and_nothing_changes(cast, page, dbsession, settings, data):
    before = set(folder(settings).iterdir())
    answer = upload(page, cast, data, status=422)
    assert answer.html.find(id="f-file-e").text.strip()
    assert dbsession.query(SubscriberImport).count() == 0
    assert set(folder(settings).iterdir()) == before


def test_upload_without_file_or_with_a_foreign_list(cast, page, build, dbsession):
    page.post_form(f"{cast.base}/imports/new", {"list_id": cast.list.id}, status=422)
    foreign = build.list(cast.other)
    upload(page, cast, list_id=foreign.id, status=422)
    assert dbsession.query(SubscriberImport).count() == 0


def test_thrown_away(cast, page, waiting, dbsession, settings):
    path = folder(settings) / waiting.stored_name
    assert path.exists()
    start(page, cast, waiting, action="discard")
    assert not path.exists()
    assert dbsession.query(SubscriberImport).count() == 0


def test_file_name_is_text_and_never_a_path(cast, page, dbsession):
    upload(page, cast, name="../../<em>evil.csv")
    row = dbsession.query(SubscriberImport).one()
    assert "/" not in row.stored_name
    assert row.file_name == "<em>evil.csv"
    assert "<em>" not in page.get(f"{cast.base}/imports").text


@pytest.mark.parametrize("path", ["", "/columns", "/rejected.csv"])
def test_who_may_see_an_import(cast, page, waiting, client, path):
    url = f"{cast.base}/imports/{waiting.id}{path}"
    cast.as_(cast.charlie).get(url, status=404)
    cast.as_(cast.ann).get(url, status=403)
    assert "/sign-in" in client.get(url, status=303).location
    cast.as_(cast.charlie).get(f"/projects/{cast.other.slug}/imports/{waiting.id}{path}", status=404)


def test_rejected_rows_come_in_pages(cast, page, waiting, dbsession):
    waiting.state, waiting.rows_rejected = "done", 120
    waiting.mapping = {"email": "email"}
    dbsession.add_all(
        ImportRejectedRow(project_id=waiting.project_id, import_id=waiting.id, line=n, reason="no_at", raw="<x>")
        for n in range(2, 122)
    )
    dbsession.commit()
    url, lines = f"{cast.base}/imports/{waiting.id}", []
    while url:
        answer = page.get(url)
        lines += [int(cell.text) for cell in answer.html.select("#rejected td.num")]
        link = answer.html.find(id="page-next")
        url = link["href"] if link else None
    assert lines == list(range(2, 122))
    assert len(page.get(f"{cast.base}/imports/{waiting.id}/rejected.csv").text.splitlines()) == 121
