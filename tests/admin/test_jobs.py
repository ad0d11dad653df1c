"""Jobs on their page and in the API: asking, progress, cancelling, the file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.jobs import files, service
from mailhub.models import AuditEntry, JobState, ReportJob

ASKED = {"kind": "events", "since": "2026-11-01", "until": "2026-11-08"}


@pytest.fixture
def done(dbsession, reports_app, root):
    """A job that was made, with its file."""
    name = files.new_name()
    files.path_of(reports_app.registry.mailhub, name).write_text("\ufeffday,project\r\n2026-11-01,bakery\r\n")
    now = datetime.now(UTC)
    job = ReportJob(
        kind="events", parameters={"since": "2026-11-01", "until": "2026-11-02"}, state="done", slices_done=1,
        slices_total=1, rows=1, file=name, file_bytes=37, requested_by=root.id, started_at=now - timedelta(seconds=5),
        finished_at=now, expires_at=now + timedelta(days=7),
    )  # fmt: skip
    dbsession.add(job)
    dbsession.commit()
    return job


def job(dbsession, **columns):
    row = ReportJob(**({"kind": "events", "parameters": {"since": "2026-11-01", "until": "2026-11-08"}} | columns))
    dbsession.add(row)
    dbsession.commit()
    return row


def actions(dbsession):
    return list(dbsession.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_a_job_is_asked_for_once_and_a_worker_is_woken(admin, dbsession, reports_app, root, build):
    build.project(slug="bakery")
    form = admin.get("/admin/jobs").forms
    answer = admin.post_form("/admin/jobs", ASKED | {"project": "bakery"}, status=303)
    row = dbsession.scalars(select(ReportJob)).one()
    assert answer.location == f"http://localhost/admin/jobs#job-{row.id}"
    assert (row.kind, row.state, row.requested_by) == ("events", "pending", root.id)
    assert row.parameters["since"] == "2026-11-01"
    assert reports_app.registry.publisher.sent == [("mailhub.jobs.run_report", (row.id,), "celery")]
    admin.post_form("/admin/jobs", ASKED | {"project": "bakery"}, status=303)
    assert "This report is being made already." in admin.get("/admin/jobs").text
    assert dbsession.query(ReportJob).count() == 1
    assert actions(dbsession) == ["report_job.asked"]
    assert form


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": ""}, "There is no such report."),
        ({"kind": "everything"}, "There is no such report."),
        ({"since": ""}, "Say from which day to which."),
        ({"until": "2026-11-01"}, "Ask for 1 to 366 days."),
        ({"since": "soon"}, "This must be a date like"),
        ({"project": "nobody"}, "There is no project nobody."),
        ({"kind": "recipients"}, "Name a project."),
    ],
)
def test_what_makes_no_sense_is_told_in_the_form(admin, dbsession, given, sentence):
    filled = {name: value for name, value in (ASKED | given).items() if value or name == "kind"}
    assert sentence in admin.post_form("/admin/jobs", filled, status=422).text
    assert dbsession.query(ReportJob).count() == 0


def test_twenty_jobs_wait_at_most(admin, dbsession):
    for n in range(service.MOST_OPEN):
        dbsession.add(ReportJob(kind="events", parameters={"n": n}))
    dbsession.commit()
    assert "Too many reports are waiting." in admin.post_form("/admin/jobs", ASKED, status=422).text


def test_the_list_polls_while_something_is_made_and_then_stops(admin, dbsession):
    row = job(dbsession, state="running", slices_done=3, slices_total=7, rows=1234)
    page = admin.get("/admin/jobs")
    assert "data-live" in page.text
    assert "3 parts are done" in page.text
    answer = admin.fragment("/admin/jobs", "job-rows")
    assert answer.text.lstrip().startswith("<section")
    headers = {"HX-Request": "true", "HX-Target": "section#job-rows", "HX-PTag": answer.headers["HX-PTag"]}
    admin.get("/admin/jobs", headers=headers, status=304)
    row.slices_done, row.rows = 4, 2345
    dbsession.commit()
    assert "2,345" in admin.get("/admin/jobs", headers=headers, status=200).text
    row.state, row.finished_at, row.error = "failed", datetime.now(UTC), "too_slow"
    dbsession.commit()
    last = admin.get("/admin/jobs", headers=headers, status=200).text
    assert "data-live" not in last
    assert "One part of it took too long." in last


def test_a_job_is_cancelled_and_forgotten(admin, dbsession):
    row = job(dbsession)
    admin.post_form(f"/admin/jobs/{row.id}/forget", status=303)
    assert "The report is still being made." in admin.get("/admin/jobs").text
    admin.post_form(f"/admin/jobs/{row.id}/cancel", status=303)
    dbsession.refresh(row)
    assert row.state == JobState.CANCELLED
    admin.post_form(f"/admin/jobs/{row.id}/cancel", status=303)
    assert "The report has ended already." in admin.get("/admin/jobs").text
    admin.post_form(f"/admin/jobs/{row.id}/forget", status=303)
    assert dbsession.query(ReportJob).count() == 0
    assert actions(dbsession) == ["report_job.cancelled", "report_job.forgotten"]


def test_the_file_is_downloaded_and_noted(admin, dbsession, done, reports_app):
    answer = admin.get(f"/admin/jobs/{done.id}.csv")
    assert answer.content_type == "text/csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="events-{done.id}.csv"'
    assert answer.body.decode("utf-8-sig").splitlines()[1] == "2026-11-01,bakery"
    assert actions(dbsession) == ["report_job.downloaded"]
    admin.post_form(f"/admin/jobs/{done.id}/forget", status=303)
    assert not files.path_of(reports_app.registry.mailhub, done.file).exists()


def test_a_job_without_a_file_has_none_to_download(admin, dbsession, done, reports_app):
    admin.get(f"/admin/jobs/{job(dbsession).id}.csv", status=404)
    admin.get("/admin/jobs/999999.csv", status=404)
    files.path_of(reports_app.registry.mailhub, done.file).unlink()
    admin.get(f"/admin/jobs/{done.id}.csv", status=404)


def test_the_list_goes_on_after_fifty(admin, dbsession):
    now = datetime.now(UTC)
    for _n in range(51):
        dbsession.add(ReportJob(kind="recount", state="cancelled", finished_at=now))
    dbsession.commit()
    page = admin.get("/admin/jobs")
    following = page.text.split('rel="next" href="')[1].split('"')[0]
    assert admin.get(following.replace("&amp;", "&")).text.count('<tr id="job-') == 1


def test_jobs_of_a_program(admin_api, dbsession, done, reports_app, root):
    made = admin_api.post_json("/api/v1/reports/jobs", {"kind": "recount"}, status=202).json
    assert (made["state"], made["progress"], made["requested_by"], made["file"]) == ("pending", 0, root.email, None)
    listed = admin_api.get("/api/v1/reports/jobs").json
    assert (listed["count"], [one["kind"] for one in listed["results"]]) == (2, ["recount", "events"])
    following = admin_api.get("/api/v1/reports/jobs?limit=1").json["next"]
    assert admin_api.get(following.removeprefix("http://localhost:6544")).json["results"][0]["id"] == str(done.id)
    assert admin_api.get("/api/v1/reports/jobs?state=done").json["count"] == 1
    one = admin_api.get(f"/api/v1/reports/jobs/{done.id}").json
    assert (one["progress"], one["rows"]) == (1.0, 1)
    assert "bakery" in admin_api.get(one["file"].removeprefix("http://localhost:6544")).text
    for number in (made["id"], str(done.id)):
        admin_api.delete(f"/api/v1/reports/jobs/{number}", status=204)
    states = {row.id: row.state for row in dbsession.scalars(select(ReportJob))}
    assert states == {int(made["id"]): "cancelled"}
    admin_api.get("/api/v1/reports/jobs/999999", status=404)
    refused = admin_api.post_json("/api/v1/reports/jobs", {"kind": "recipients", **_days()}, status=422).json
    assert refused["errors"] == [{"field": "projects", "message": "Name a project."}]


def _days():
    return {"since": "2026-11-01", "until": "2026-11-02"}


@pytest.mark.parametrize("projects", [["x" * 5000], [f"{n:040}" for n in range(100)], ["a\0b"]])
def test_projects_that_there_cannot_be_are_a_422(admin_api, projects):
    given = {"kind": "recipients", "since": "2026-11-01", "until": "2026-11-08", "projects": projects}
    refused = admin_api.post_json("/api/v1/reports/jobs", given, status=422).json
    assert [one["field"] for one in refused["errors"]] == ["projects"]


@pytest.mark.parametrize("year", ["0001", "9998"])
def test_days_before_or_after_all_calendars_are_a_422(admin_api, year):
    given = {"kind": "events", "since": f"{year}-01-01", "until": f"{year}-01-02"}
    assert admin_api.post_json("/api/v1/reports/jobs", given, status=422).json["errors"][0]["field"] == "since"
