"""The import's pages: upload, columns, progress, result."""

import csv
import io
from datetime import UTC, datetime

import pytest

from mailhub.imports.service import folder
from mailhub.models import AuditEntry, ImportRejectedRow, Subscriber, SubscriberField, SubscriberImport

CSV = "email;имя;город\na@b.ru;Анна;Уфа\nnobody;X;Y\na@b.ru;again;\n=cmd;;\n".encode("cp1251")


def upload(page, cast, data=CSV, name="people.csv", status=303, **more):
    fields = [*more.items(), ("csrf_token", page.csrf_token())]
    return page.post(f"{cast.base}/imports/new", fields, upload_files=[("file", name, data)], status=status)


@pytest.fixture
def waiting(cast, page, dbsession):
    upload(page, cast)
    return dbsession.query(SubscriberImport).one()


def step(page, cast, row, name, expect=303, **fields):
    fields = {key: value for key, value in fields.items() if value is not None}
    return page.post_form(f"{cast.base}/imports/{row.id}/{name}", fields, status=expect)


COLUMNS = {"column_0": "email", "column_1": "name", "column_2": "new:text"}


def rules(cast, **changes):
    return {"lists": str(cast.list.id), "status": "subscribed", "existing": "update", "bad_values": "reject",
            "consent": "1"} | changes  # fmt: skip


def decide(page, cast, row):
    """All steps up to the check."""
    step(page, cast, row, "reading", encoding="cp1251", delimiter=";", action="next")
    step(page, cast, row, "columns", **COLUMNS)
    return step(page, cast, row, "rules", **rules(cast))


def test_upload_shows_how_the_file_is_read(cast, page, waiting):
    assert page.get(f"{cast.base}/imports/{waiting.id}", status=303).location.endswith("/reading")
    answer = page.get(f"{cast.base}/imports/{waiting.id}/reading")
    assert [one["value"] for one in answer.html.select("#reading option[selected]")] == ["cp1251", ";"]
    assert "Анна" in answer.html.find(id="first-rows").text
    answer = page.get(f"{cast.base}/imports/{waiting.id}/columns")
    chosen = [option["value"] for option in answer.html.select("#mapping option[selected]")]
    assert chosen == ["email", "name", "new:text"]


def test_another_reading_is_shown_and_kept(cast, page, waiting, publisher):
    there = step(page, cast, waiting, "reading", encoding="koi8-r", delimiter=";", action="look").location
    assert there.endswith("/reading")
    assert "Анна" not in page.get(there).html.find(id="first-rows").text
    step(page, cast, waiting, "reading", encoding="cp1251", delimiter="tab", action="look")
    assert page.get(there).html.find("th", string="email;имя;город") is not None
    assert publisher.names() == []


def test_whole_import_without_a_script(cast, page, waiting, dbsession, publisher):
    check = decide(page, cast, waiting).location
    assert publisher.names() == ["mailhub.background.run_job"]
    assert page.get(check).html.find(id="import-check").has_attr("data-live")
    publisher.run_all()
    answer = page.get(check)
    assert not answer.html.find(id="import-check").has_attr("data-live")
    assert [tile.text.strip() for tile in answer.html.select("#import-check .tile-v")] == ["1", "0", "0", "0", "3"]
    assert "1 person" in answer.html.find(id="decide").text
    assert dbsession.query(Subscriber).count() == 0
    there = step(page, cast, waiting, "check", action="start")
    assert publisher.names()[-1] == "mailhub.imports.run_import"
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
    assert "people.csv" in page.get(f"{cast.base}/imports").text
    assert "people.csv" in page.get(f"{cast.base}/subscribers/{person.id}").text


def test_rejected_rows_come_in_the_words_of_the_upload(cast, page, waiting, publisher):
    decide(page, cast, waiting)
    publisher.run_all()
    listed = page.get(f"{cast.base}/imports/{waiting.id}/rejected.csv")
    assert listed.headers["Content-Disposition"].startswith("attachment")
    table = list(csv.reader(io.StringIO(listed.body.decode("utf-8-sig"))))
    assert table[0] == ["line", "reason", "explanation", "email", "имя", "город"]
    assert [row[:2] + row[3:] for row in table[1:]] == [
        ["3", "no_at", "nobody", "X", "Y"], ["4", "duplicate", "a@b.ru", "again", ""], ["5", "no_at", "'=cmd", "", ""]
    ]  # fmt: skip
    # Mended, it can be imported again: our own columns are nobody's fields.
    upload(page, cast, listed.body.replace(b"nobody", b"c@d.ru"), name="mended.csv")
    row_id = waiting.id + 1
    chosen = page.get(f"{cast.base}/imports/{row_id}/columns").html.select("#mapping option[selected]")
    assert [option["value"] for option in chosen] == ["email", "name", "new:boolean"]


def test_number_of_queries_of_each_page(cast, page, waiting, publisher, statements):
    """The person, the project and the import are three of them, the choice of projects one."""
    decide(page, cast, waiting)
    publisher.run_all()
    base = f"{cast.base}/imports"
    most = {"": 5, "/new": 5}
    most |= {f"/{waiting.id}/{name}": n for name, n in (("reading", 6), ("columns", 6), ("rules", 8), ("check", 10))}
    for path, limit in most.items():
        with statements() as seen:
            page.get(base + path)
        assert len(seen) <= limit, (path, seen)
    url = step(page, cast, waiting, "check", action="start").location
    publisher.run_all()
    with statements() as seen:
        page.get(url)
    assert len(seen) <= 11, seen


def test_progress_is_polled_until_it_is_over(cast, page, waiting, publisher):
    url = decide(page, cast, waiting).location
    for part, name in (("import-check", "check"), ("import-progress", "")):
        if not name:
            url = step(page, cast, waiting, "check", action="start").location
        tag = page.fragment(url, part).headers["HX-PTag"]
        headers = {"HX-Request": "true", "HX-Target": f"section#{part}", "HX-PTag": tag}
        page.get(url, headers=headers, status=304)
        publisher.run_all()
        assert page.get(url, headers=headers, status=204).headers["HX-Redirect"].endswith(url.rpartition("/")[2])


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("rules", {"consent": None}, "consent"),
        ("rules", {"lists": "0"}, "lists"),
        ("rules", {"lists": None}, "lists"),
        ("rules", {"existing": "burn"}, "existing"),
        ("rules", {"rows_total": "7"}, "rows_total"),
        ("columns", {"column_0": ""}, ""),
        ("columns", {"column_1": "email"}, "column_1"),
        ("reading", {"action": "burn"}, "action"),
    ],
)
def test_bad_decision_changes_nothing(cast, page, waiting, dbsession, publisher, name, changes, field):
    given = {"rules": rules(cast), "columns": dict(COLUMNS), "reading": {"encoding": "cp1251"}}[name]
    answer = step(page, cast, waiting, name, expect=422, **given | changes)
    assert answer.html.find(id="form-errors")
    dbsession.expire_all()
    assert (waiting.mapping, waiting.rules, waiting.state) == ({}, {}, "draft")
    assert publisher.names() == []


def test_steps_lead_back_and_a_change_asks_for_another_check(cast, page, waiting, dbsession, publisher):
    check = decide(page, cast, waiting).location
    publisher.run_all()
    links = [link["href"].rpartition("/")[2] for link in page.get(check).html.select(".steps a")]
    assert links == [f"new?instead={waiting.id}", "reading", "columns", "rules", "check"]
    step(page, cast, waiting, "columns", **COLUMNS | {"column_2": ""})
    answer = page.get(check)
    assert answer.html.find(id="import-check").find("progress") is None
    assert answer.html.select_one('button[value="again"]')
    step(page, cast, waiting, "check", action="again")
    publisher.run_all()
    assert page.get(check).html.select_one("#plan")


def test_steps_that_are_not_through_lead_to_the_first_of_them(cast, page, waiting):
    assert page.get(f"{cast.base}/imports/{waiting.id}/check", status=303).location.endswith("/columns")
    step(page, cast, waiting, "columns", **COLUMNS)
    assert step(page, cast, waiting, "check", action="start").location.endswith("/rules")


def test_another_file_takes_the_place_of_the_first(cast, page, waiting, dbsession, settings):
    old = waiting.stored_name
    decide(page, cast, waiting)
    step(page, cast, waiting, "columns", **COLUMNS | {"column_2": "new:date"})
    step(page, cast, waiting, "reading", encoding="cp1251", delimiter=";", action="next")
    upload(page, cast, CSV.replace(b"a@b", b"z@b"), instead=str(waiting.id))
    dbsession.expire_all()
    row = dbsession.query(SubscriberImport).one()
    assert row.stored_name != old
    # What was decided for the first holds for the second, as its columns have the same names.
    assert (row.list_id, row.rules["status"]) == (cast.list.id, "subscribed")
    assert row.consent_text_id is not None
    assert (row.mapping["город"], row.reading["new"]["город"]["type"]) == ("город", "date")
    assert page.get(f"{cast.base}/imports/{row.id}/check").html.select_one('button[value="again"]')
    assert not (folder(settings) / old).exists()


def test_started_twice_runs_once(cast, page, waiting, publisher):
    decide(page, cast, waiting)
    step(page, cast, waiting, "check", action="start")
    step(page, cast, waiting, "check", action="start")
    assert publisher.names().count("mailhub.imports.run_import") == 1


def test_stopped_and_taken_back_by_buttons(cast, page, waiting, dbsession, publisher):
    decide(page, cast, waiting)
    url = step(page, cast, waiting, "check", action="start").location
    assert page.get(url).html.find(id="cancel")
    step(page, cast, waiting, "cancel")
    answer = page.get(url)
    assert answer.html.find(id="retry")
    step(page, cast, waiting, "retry")
    publisher.run_all()
    assert dbsession.query(Subscriber).count() == 1
    assert page.get(url).html.find(id="rollback")
    step(page, cast, waiting, "rollback")
    assert page.get(url).html.find(id="import-progress").has_attr("data-live")
    publisher.run_all()
    dbsession.expire_all()
    assert (waiting.state, dbsession.query(Subscriber).count()) == ("rolled_back", 0)
    assert "Rolled back" in page.get(url).text
    actions = [row.action for row in dbsession.query(AuditEntry).filter(AuditEntry.action.startswith("import."))]
    assert sorted(actions) == ["import.cancelled", "import.retried", "import.rolled_back", "import.started"]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 30, b"name\nAnna\n"])
def test_what_is_no_list_is_refused_with_a_sentence_and_nothing_changes(cast, page, dbsession, settings, data):
    before = set(folder(settings).iterdir())
    answer = upload(page, cast, data, status=422)
    assert answer.html.find(id="f-file-e").text.strip()
    assert dbsession.query(SubscriberImport).count() == 0
    assert set(folder(settings).iterdir()) == before


def test_upload_without_file_or_with_a_foreign_list(cast, page, build, dbsession, waiting):
    page.post_form(f"{cast.base}/imports/new", {}, status=422)
    foreign = build.list(cast.other)
    upload(page, cast, list_id=str(foreign.id), status=422)
    step(page, cast, waiting, "rules", expect=422, **rules(cast, lists=str(foreign.id)))
    assert dbsession.query(SubscriberImport).count() == 1


def test_thrown_away(cast, page, waiting, dbsession, settings):
    path = folder(settings) / waiting.stored_name
    assert path.exists()
    step(page, cast, waiting, "discard")
    assert not path.exists()
    assert dbsession.query(SubscriberImport).count() == 0


def test_file_name_is_text_and_never_a_path(cast, page, dbsession):
    upload(page, cast, name="../../<em>evil.csv")
    row = dbsession.query(SubscriberImport).one()
    assert "/" not in row.stored_name
    assert row.file_name == "<em>evil.csv"
    assert "<em>" not in page.get(f"{cast.base}/imports").text


@pytest.mark.parametrize("path", ["", "/reading", "/columns", "/rules", "/check", "/rejected.csv"])
def test_who_may_see_an_import(cast, page, waiting, client, path):
    url = f"{cast.base}/imports/{waiting.id}{path}"
    cast.as_(cast.charlie).get(url, status=404)
    cast.as_(cast.ann).get(url, status=403)
    assert "/sign-in" in client.get(url, status=303).location
    cast.as_(cast.charlie).get(f"/projects/{cast.other.slug}/imports/{waiting.id}{path}", status=404)


@pytest.mark.parametrize("action", ["discard", "cancel", "retry", "rollback"])
def test_who_may_do_something_to_an_import(cast, page, waiting, action, dbsession):
    url = f"{cast.base}/imports/{waiting.id}/{action}"
    cast.as_(cast.charlie).post_form(url, {}, status=404)
    cast.as_(cast.ann).post_form(url, {}, status=403)
    dbsession.expire_all()
    assert waiting.state == "draft"
    cast.as_(cast.bob).post_form(url, {}, status=303)


def test_rejected_rows_come_in_pages(cast, page, waiting, dbsession):
    waiting.state, waiting.rows_rejected = "done", 120
    waiting.mapping, waiting.started_at = {"email": "email"}, None
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


def test_fields_for_which_there_is_no_room_are_refused_before_the_check(cast, page, waiting, monkeypatch):
    monkeypatch.setattr("mailhub.lists.fields.MAX_FIELDS", 0)
    answer = step(page, cast, waiting, "columns", expect=422, **COLUMNS)
    assert "too many fields" in answer.text
    step(page, cast, waiting, "columns", **COLUMNS | {"column_2": ""})


def test_numbers_stay_when_the_rows_that_were_left_out_are_forgotten(cast, page, waiting, dbsession, publisher):
    decide(page, cast, waiting)
    url = step(page, cast, waiting, "check", action="start").location
    publisher.run_all()
    reasons = page.get(url).html.find(id="reasons")
    assert reasons.find("a", href=f"{cast.base}/imports/{waiting.id}/rejected.csv") is not None
    numbers = [one.text for one in reasons.select("li b")]
    dbsession.query(ImportRejectedRow).delete()
    waiting.finished_at = datetime(2020, 1, 1, tzinfo=UTC)
    dbsession.commit()
    reasons = page.get(url).html.find(id="reasons")
    assert [one.text for one in reasons.select("li b")] == numbers == ["2", "1"]
    assert reasons.find("a") is None


def test_a_file_that_an_erasure_took_is_explained_and_another_takes_its_place(cast, page, waiting, dbsession, settings):
    (folder(settings) / waiting.stored_name).unlink()
    waiting.error = "erased"
    dbsession.commit()
    assert "somebody in it has been erased" in page.get(f"{cast.base}/imports").text
    there = page.get(f"{cast.base}/imports/{waiting.id}/columns", status=303).location
    assert there.endswith(f"new?instead={waiting.id}")
    assert "Somebody in this file has been erased" in page.get(there).text
