"""Files of tables: whole, safe, typed; small ones at once, large ones by a worker that may be killed."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from mailhub.background import service as background
from mailhub.background.tasks import run_job
from mailhub.events.service import Event, append_in
from mailhub.exports import rows, service, writing, xlsx
from mailhub.exports.tasks import clean
from mailhub.exports.wanted import WantedRefused, checked, wanted_of
from mailhub.models import AuditEntry, Message, ProjectJob, Segment, SubscriberField, Suppression
from mailhub.tasks import run, task_request
from mailhub.web import spreadsheet

SPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def csv_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def sheet_of(content: bytes, number: int = 1) -> list[list[object]]:
    """The cells of a sheet: texts, numbers as float, truths as bool; dates by their style as `("date", days)`."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    tree = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
    found: list[list[object]] = []
    for row in tree.iterfind(".//m:row", SPACE):
        cells: list[object] = []
        for cell in row:
            value, kind = cell.find("m:v", SPACE), cell.get("t")
            if kind == "inlineStr":
                raw = cell.find(".//m:t", SPACE).text or ""
                cells.append(re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), raw))
            elif value is None:
                cells.append("")
            elif kind == "b":
                cells.append(value.text == "1")
            elif cell.get("s"):
                cells.append(("date", float(value.text)))
            else:
                cells.append(float(value.text))
        found.append(cells)
    return found


@pytest.fixture
def people(cast, build, dbsession):
    """Two people of a list with typed fields, one outside."""
    dbsession.add_all(
        [
            SubscriberField(project_id=cast.project.id, name="age", type="number", position=1),
            SubscriberField(project_id=cast.project.id, name="born", type="date", position=2),
            SubscriberField(project_id=cast.project.id, name="vip", type="boolean", position=3),
            SubscriberField(project_id=cast.project.id, name="motto", position=4),
        ]
    )
    dbsession.commit()
    one = build.subscriber(cast.project, "one@mail.test", lists=[cast.list], name="=1+1",
                           fields={"age": 41, "born": "1985-02-03", "vip": True, "motto": "'=so"})  # fmt: skip
    two = build.subscriber(cast.project, "two@mail.test", lists=[cast.list], name="Юля\nПетрова")
    out = build.subscriber(cast.project, "out@mail.test", name="Out")
    build.subscriber(cast.other, "theirs@mail.test")
    return [one, two, out]


def made(dbsession, project, **wanted):
    found = service.at_once(dbsession, project, checked(**wanted))
    assert found is not None
    return found


def test_people_are_a_row_each_with_their_fields_lists_and_tags(cast, dbsession, people):
    small = made(dbsession, cast.project, what="subscribers", format_="csv")
    found = csv_of(small.content)
    assert [row["email"] for row in found] == ["one@mail.test", "two@mail.test", "out@mail.test"]
    assert small.rows == 3
    assert (found[0]["name"], found[0]["motto"]) == ("'=1+1", "''=so")
    assert (found[0]["age"], found[0]["born"], found[0]["vip"], found[0]["lists"]) == (
        "41",
        "1985-02-03",
        "true",
        "News",
    )
    assert found[1]["name"] == "Юля\nПетрова"


def test_a_spreadsheet_gets_numbers_dates_and_truths_with_their_types(cast, dbsession, people):
    head, one, *_others = sheet_of(made(dbsession, cast.project, what="subscribers", format_="xlsx").content)
    cells = dict(zip(head, one, strict=True))
    assert (cells["age"], cells["vip"], cells["name"], cells["motto"]) == (41.0, True, "=1+1", "''=so")
    assert cells["born"] == ("date", float((date(1985, 2, 3) - date(1899, 12, 30)).days))


def test_the_table_is_narrowed_as_its_page_is(cast, dbsession, people):
    for filters, wanted in (
        ({"q": "out"}, ["out@mail.test"]),
        ({"list": str(cast.list.id)}, ["one@mail.test", "two@mail.test"]),
        ({"status": "bounced"}, []),
    ):
        small = made(dbsession, cast.project, what="subscribers", format_="csv", filters=filters)
        assert [row["email"] for row in csv_of(small.content)] == wanted


def test_a_list_and_a_segment_and_the_stop_list(cast, dbsession, people):
    found = csv_of(made(dbsession, cast.project, what="list", format_="csv", of=cast.list.id).content)
    assert [(row["email"], row["list_status"]) for row in found] == [
        ("one@mail.test", "subscribed"), ("two@mail.test", "subscribed"),
    ]  # fmt: skip
    rules = [{"field": "email", "op": "starts", "value": "two@"}]
    segment = Segment(project_id=cast.project.id, name="Two", definition={"match": "all", "rules": rules})
    broken = Segment(project_id=cast.project.id, name="Gone", definition={"match": "all", "rules": [{"field": "x"}]})
    dbsession.add_all([segment, broken])
    dbsession.add(Suppression(project_id=cast.project.id, email_key="bad@mail.test", reason="manual"))
    dbsession.add(Suppression(project_id=cast.project.id, email_hash=b"x" * 32, reason="erased"))
    dbsession.commit()
    found = csv_of(made(dbsession, cast.project, what="segment", format_="csv", of=segment.id).content)
    assert [row["email"] for row in found] == ["two@mail.test"]
    with pytest.raises(WantedRefused, match="broken"):
        service.at_once(dbsession, cast.project, checked("segment", "csv", of=broken.id))
    stopped = csv_of(made(dbsession, cast.project, what="suppressions", format_="csv").content)
    assert [(row["email"], row["reason"]) for row in stopped] == [("bad@mail.test", "manual")]


def test_a_campaigns_recipients_say_what_became_of_their_letter(cast, build, dbsession, people):
    campaign = build.started_campaign(cast.project, lists=[cast.list])
    now = datetime.now(UTC)
    for person, state in zip(people[:2], ("sent", "failed"), strict=True):
        dbsession.add(Message(
            project_id=cast.project.id, created_at=now, kind="campaign", queue="bulk", state=state, email=person.email,
            email_domain="mail.test", campaign_id=campaign.id, subscriber_id=person.id, smtp_code=250, settled_at=now,
        ))  # fmt: skip
    facts = {"campaign_id": campaign.id, "subscriber_id": people[0].id, "email_domain": "mail.test"}
    append_in(dbsession, [Event("OPENED", cast.project.id, "campaign", at=now, **facts)])
    dbsession.commit()
    found = csv_of(made(dbsession, cast.project, what="recipients", format_="csv", of=campaign.id).content)
    assert [(row["email"], row["state"], row["opened"]) for row in found] == [
        ("one@mail.test", "sent", "1"), ("two@mail.test", "failed", "0"),
    ]  # fmt: skip


def test_what_another_project_has_is_refused(cast, build, dbsession, people):
    theirs = build.list(cast.other)
    for what, of in (("list", theirs.id), ("segment", 999), ("recipients", 999)):
        with pytest.raises(WantedRefused):
            service.at_once(dbsession, cast.project, checked(what, "csv", of=of))
    for values in ({"what": "passwords", "format_": "csv"}, {"what": "tags", "format_": "pdf"},
                   {"what": "list", "format_": "csv"}):  # fmt: skip
        with pytest.raises(WantedRefused):
            checked(**values)
    wish = checked("events", "xlsx", since=date(2026, 1, 1), until=date(2026, 2, 1))
    assert wanted_of(wish.parameters()) == wish


SIGNS = "=+-@|%'\"\t\r\n ,;<&]>_x0041aЯ＝\x01\ufeff😀"
TEXTS = st.text(st.sampled_from(SIGNS), max_size=12)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_a_text_comes_back_as_it_was_from_csv_and_xlsx(pairs):
    content = writing.small("csv", ["a", "b"], pairs, "x")
    back = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [tuple(map(spreadsheet.plain, row)) for row in back[1:]] == pairs
    for row in back[1:]:
        assert not any(cell[:1] in spreadsheet.FORMULA and cell for cell in row)
    content = writing.small("xlsx", ["a", "b"], pairs, "x")
    back = sheet_of(content)[1:]
    assert [tuple(map(spreadsheet.plain, row)) for row in back] == pairs
    assert all(cell == text for row, pair in zip(back, pairs, strict=True) for cell, text in zip(row, pair, strict=True)
               if text[:1] != "'"), "a workbook's texts are as they are"  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.integers(-(10**14), 10**14), st.floats(allow_nan=False, allow_infinity=False, width=32), st.booleans())
)
def test_a_number_stays_one(value):
    (cell,) = sheet_of(writing.small("xlsx", ["n"], [[value]], "x"))[1]
    assert cell == value or (isinstance(value, float) and abs(value) >= 10**15)


def test_more_rows_than_a_sheet_holds_go_on_in_another(monkeypatch):
    monkeypatch.setattr(xlsx, "MAX_ROWS", 4)
    content = writing.small("xlsx", ["n"], [[number] for number in range(7)], "Rows")
    assert sheet_of(content, 1) == [["n"], [0.0], [1.0], [2.0]]
    assert sheet_of(content, 3) == [["n"], [6.0]]


class Maker:
    """Asks for large exports and makes them, with real commits."""

    def __init__(self, live, monkeypatch) -> None:
        monkeypatch.setattr(rows, "SLICE", 10)
        self.live, self.session = live, live.session
        self.project = live.build.project(live.build.user())
        self.list = live.build.list(self.project)
        self.settings = live.registry.mailhub
        self.session.execute(
            text(
                "INSERT INTO subscriber (project_id, email, email_key, email_domain, name)"
                " SELECT :project, 'p' || n || '@m.test', 'p' || n || '@m.test', 'm.test', 'Person ' || n"
                " FROM generate_series(1, 95) AS n"
            ),
            {"project": self.project.id},
        )
        self.session.commit()

    def ask(self, what="subscribers", format_="csv", **of) -> None:
        request = task_request(self.live.registry)
        with request.tm:
            job, _new = service.ask(request, self.project, checked(what, format_, **of), user_id=None)
            self.id = job.id

    def run(self) -> None:
        run(self.live.registry, run_job.spec, (self.project.id, self.id))

    @property
    def job(self) -> ProjectJob:
        self.session.expire_all()
        return self.session.get(ProjectJob, (self.project.id, self.id))

    @property
    def content(self) -> bytes:
        return background.path_of(self.settings, self.job.file).read_bytes()

    def parts(self) -> list[str]:
        return [path.name for path in (background.folder(self.settings) / "parts").iterdir()]


@pytest.fixture
def maker(live, monkeypatch):
    return Maker(live, monkeypatch)


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_a_killed_worker_loses_and_repeats_no_row(maker, monkeypatch, format_):
    whole, done = rows.step, []

    def die(*given):
        done.append(1)
        if len(done) == 7:
            raise SystemExit
        return whole(*given)

    maker.ask(format_=format_)
    monkeypatch.setattr(rows, "step", die)
    with pytest.raises(SystemExit):
        maker.run()
    assert (maker.job.state, maker.job.done, maker.job.total) == ("running", 50, 95)
    (part,) = (background.folder(maker.settings) / "parts").glob("*.rows")
    with part.open("ab") as file:
        file.write(b"half a row that no commit knows of")
    # Who comes meanwhile is not in the file; who goes is not either.
    maker.live.build.subscriber(maker.project, "late@m.test")
    maker.session.execute(text("DELETE FROM subscriber WHERE email = 'p90@m.test'"))
    maker.session.execute(text("UPDATE project_job SET lease_until = now() - interval '1 second'"))
    maker.session.commit()
    maker.run()
    job = maker.job
    assert (job.state, job.done, job.result) == ("done", 94, {"rows": 94})
    if format_ == "csv":
        emails = [row["email"] for row in csv_of(maker.content)]
    else:
        emails = [row[0] for row in sheet_of(maker.content)[1:]]
    assert emails == [f"p{n}@m.test" for n in range(1, 96) if n != 90]
    assert job.file_bytes == len(maker.content)
    assert maker.parts() == []


def test_events_and_letters_are_walked_to_the_moment_of_the_wish(maker, monkeypatch):
    now = datetime.now(UTC)
    some = [Event("SENT", maker.project.id, "transactional", at=now + timedelta(microseconds=n), email_domain="m.test")
            for n in range(25)]  # fmt: skip
    append_in(maker.session, some)
    for n in range(25):
        letter = Message(project_id=maker.project.id, created_at=now, kind=("service", "transactional")[n % 2],
                         queue="transactional", state="sent", email=f"m{n}@m.test", email_domain="m.test")  # fmt: skip
        maker.session.add(letter)
    maker.session.commit()
    for what in ("events", "messages"):
        maker.ask(what)
        maker.run()
        found = csv_of(maker.content)
        assert (maker.job.state, len(found), len({row["id"] for row in found})) == ("done", 25, 25)
    maker.ask("events", since=date(2001, 1, 1), until=date(2001, 1, 2))
    maker.run()
    assert csv_of(maker.content) == []


def test_a_cancelled_export_leaves_no_file(maker):
    maker.ask()
    maker.session.execute(text("UPDATE project_job SET cancel_requested = true"))
    maker.session.commit()
    maker.run()
    assert maker.job.state == "cancelled"
    assert list(background.folder(maker.settings).glob("*.csv")) == []


def test_what_is_gone_when_the_worker_comes_is_said(maker):
    maker.ask("list", of=maker.list.id)
    maker.list.archived_at = datetime.now(UTC)
    maker.session.commit()
    maker.run()
    assert (maker.job.state, maker.job.error) == ("failed", "list_id_unknown")


def test_stray_halves_are_thrown_away_and_needed_ones_are_not(maker, monkeypatch):
    maker.ask()
    request = task_request(maker.live.registry)
    maker.job.file = "b" * 32 + ".csv"
    maker.session.commit()
    folder = background.folder(maker.settings) / "parts"
    folder.mkdir()
    for stem in ("a" * 32, "b" * 32):
        (folder / f"{stem}.rows").write_text("x")
    monkeypatch.setattr("mailhub.exports.tasks.STRAY_SECONDS", -1)
    with request.tm:
        clean(request)
    assert maker.parts() == ["b" * 32 + ".rows"]


def test_a_small_file_comes_at_once_and_the_journal_knows(cast, page, dbsession, people):
    form = page.get(f"{cast.base}/exports").html.select_one("form[data-download]")
    assert f"list-{cast.list.id}" in [option["value"] for option in form.select("option")]
    answer = page.post_form(f"{cast.base}/exports", {"what": f"list-{cast.list.id}", "format": "csv"})
    assert answer.content_type == "text/csv"
    assert "list-News" in answer.headers["Content-Disposition"]
    assert [row["email"] for row in csv_of(answer.body)] == ["one@mail.test", "two@mail.test"]
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "export.made")).one()
    assert (entry.object_name, entry.detail["rows"]) == ("list", 2)


def test_a_large_one_is_a_job_whose_file_is_taken_and_removed(cast, page, dbsession, people, monkeypatch, publisher):
    monkeypatch.setattr(service, "AT_ONCE", 2)
    assert page.post_form(f"{cast.base}/exports", {"what": "subscribers", "format": "csv"}).status_int == 303
    publisher.run_all()
    shown = page.get(f"{cast.base}/exports")
    assert "-subscribers-" in shown.text
    job = dbsession.scalars(select(ProjectJob).where(ProjectJob.kind == "exports.table")).one()
    answer = page.get(f"{cast.base}/exports/{job.id}/file")
    assert len(csv_of(answer.body)) == 3
    assert dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "export.downloaded")).one()
    for who, status in ((cast.bob, 200), (cast.ann, 403), (cast.charlie, 404)):
        assert cast.as_(who).get(f"{cast.base}/exports/{job.id}/file", status="*").status_int == status
    assert page.post_form(f"{cast.base}/exports/{job.id}/remove").status_int == 303
    assert page.get(f"{cast.base}/exports/{job.id}/file", status="*").status_int == 404


def test_bad_wishes_are_said(cast, page, people):
    for values in (
        {"what": "list"},
        {"what": "list-9999"},
        {"what": "x", "format": "csv"},
        {"what": "tags", "format": "x"},
    ):
        assert page.post_form(f"{cast.base}/exports", values, status="*").status_int == 422


def test_the_page_costs_the_same_for_many(cast, page, statements, dbsession):
    page.get(f"{cast.base}/exports")
    with statements() as one:
        page.get(f"{cast.base}/exports")
    for n in range(5):
        wish = {"what": "tags", "format": "csv", "ids": [n]}
        dbsession.add(ProjectJob(project_id=cast.project.id, kind="exports.table", parameters=wish))
    dbsession.commit()
    with statements() as many:
        page.get(f"{cast.base}/exports")
    assert len(many) == len(one) <= 10
