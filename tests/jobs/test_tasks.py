"""Jobs from the first slice to the file, with real commits: progress, kill, cancel, the end of a file."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text, update

from mailhub.db import Lock
from mailhub.events.service import Event, append_in
from mailhub.jobs import files, heavy, kinds, running, service, tasks
from mailhub.models import JobState, ProjectDay, ReportJob
from mailhub.reporting import verify
from mailhub.tasks import task_request
from tests.jobs.conftest import FIRST, LAST, ask, lines, make, path, row


def test_events_are_counted_by_the_projects_own_days(live, two):
    job_id = ask(live, "events")
    make(live, job_id)
    job = row(live, job_id)
    assert (job.state, job.slices_done, job.slices_total, job.rows, job.error) == ("done", 3, 3, 5, "")
    assert lines(live, job) == [
        "2026-11-02,near,SENT,mail.test,2,1",
        "2026-11-02,far,SENT,mail.test,1,1",
        "2026-11-03,far,SENT,mail.test,2,1",
        "2026-11-03,near,HARDBOUNCED,other.test,2,1",
        "2026-11-03,near,OPENED,mail.test,1,1",
    ]
    assert path(live, job).stat().st_mode & 0o777 == 0o600
    assert job.file_bytes == path(live, job).stat().st_size
    assert timedelta(days=6) < job.expires_at - job.finished_at <= timedelta(days=7)


def test_refusals_are_grouped_by_their_words_without_addresses(live, two):
    job_id = ask(live, "reasons")
    make(live, job_id)
    found = lines(live, row(live, job_id))
    assert found == ["2026-11-03,near,HARDBOUNCED,550,5.1.1,5.1.1 <address>: no such user #,2,1"]


def test_recipients_of_a_project(live, two):
    near, _far = two
    job_id = ask(live, "recipients", project_ids=[near.id])
    make(live, job_id)
    found = lines(live, row(live, job_id))
    assert found == [
        "2026-11-02,near,anna@mail.test,mail.test,,,2,0,0,0,0,0",
        "2026-11-03,near,gone@other.test,other.test,,,0,2,0,0,0,0",
    ]


def test_a_recount_finds_what_a_rollup_says_wrongly(live, two):
    near, _far = two
    now = datetime.now(UTC)
    append_in(live.session, [Event("SENT", near.id, "transactional", at=now, email_domain="mail.test")])
    live.session.execute(
        update(ProjectDay).where(ProjectDay.project_id == near.id, ProjectDay.day == now.date()).values(sent=7)
    )
    live.session.commit()
    job_id = ask(live, "recount")
    make(live, job_id)
    job = row(live, job_id)
    assert (job.state, job.slices_total) == ("done", 2)
    assert [line for line in lines(live, job) if line.startswith("project_days")] == [
        f"project_days,project {near.id} day {now.date()},sent,7,1"
    ]


def test_a_job_asked_for_twice_is_one(live, two):
    assert ask(live, "events") == ask(live, "events")
    assert ask(live, "events", project_ids=[two[0].id]) != ask(live, "events")


class Killed(BaseException):
    """Nothing catches it: what follows does not happen. The drill `reports` kills a real process."""


def test_a_killed_worker_leaves_whole_slices_and_another_goes_on(live, two, monkeypatch):
    job_id = ask(live, "events")
    write, seen = files.Sheet.write, []

    def killed(sheet, rows):
        seen.append(write(sheet, rows))
        if len(seen) == 2:
            sheet._file.flush()
            raise Killed
        return seen[-1]

    with monkeypatch.context() as patched:
        patched.setattr(files.Sheet, "write", killed)
        with pytest.raises(Killed):
            make(live, job_id)
    job = row(live, job_id)
    assert (job.state, job.slices_done, job.rows) == ("running", 1, 2)
    assert path(live, job).stat().st_size > job.file_bytes
    make(live, job_id)
    assert row(live, job_id).state == "running", "its lease has not run out"
    live.session.execute(text("UPDATE report_job SET lease_until = clock_timestamp() - interval '1 second'"))
    live.session.commit()
    request = task_request(live.registry)
    with request.tm:
        tasks.resume_reports(request)
    live.publisher.run_all()
    job = row(live, job_id)
    assert (job.state, job.slices_done, job.rows) == ("done", 3, 5)
    assert len(lines(live, job)) == 5
    assert path(live, job).stat().st_size == job.file_bytes


def test_a_running_job_is_cancelled_in_the_middle_of_its_statement(live, two, monkeypatch):
    monkeypatch.setattr(running, "LOOK_SECONDS", 0.05)
    job_id = ask(live, "events")

    def slow(session, wanted, piece):
        with live.registry.session_factory() as other:
            assert service.cancel(other, job_id)
            other.commit()
        session.execute(text("SELECT pg_sleep(60)"))
        yield ()

    monkeypatch.setattr(kinds, "rows", slow)
    began = time.monotonic()
    make(live, job_id)
    assert time.monotonic() - began < 30
    job = row(live, job_id)
    assert (job.state, job.file, job.error) == ("cancelled", "", "")
    assert list(files.folder(live.registry.mailhub).iterdir()) == []
    assert not service.cancel(live.session, job_id)


def test_a_running_recount_is_cancelled_too(live, two, monkeypatch):
    monkeypatch.setattr(running, "LOOK_SECONDS", 0.05)
    job_id = ask(live, "recount")

    def slow(connection, projects):
        with live.registry.session_factory() as other:
            assert service.cancel(other, job_id)
            other.commit()
        return connection.execute(text("SELECT pg_sleep(60)")).all()

    monkeypatch.setattr(verify, "_recount", slow)
    began = time.monotonic()
    make(live, job_id)
    assert time.monotonic() - began < 30
    assert (row(live, job_id).state, row(live, job_id).error) == ("cancelled", "")


def test_a_worker_that_was_held_up_keeps_its_file_to_itself(live, two):
    """Its lease has run out, and it has not noticed: the next one must not write into the same file."""
    job_id = ask(live, "events")
    name = files.new_name()
    live.session.execute(text("UPDATE report_job SET file = :file"), {"file": name})
    live.session.commit()
    wanted = kinds.check("events", since=FIRST, until=LAST)
    late = running.Job(job_id, "late", wanted, (), 0, name, 0, False)
    request = task_request(live.registry)
    sheet = files.Sheet(files.path_of(live.registry.mailhub, name), ("x",), 0)
    make(live, job_id)
    assert row(live, job_id).state == "pending"
    sheet.close()
    make(live, job_id)
    assert len(lines(live, row(live, job_id))) == 5
    tasks._finish(request, late, JobState.FAILED, "disk")
    assert row(live, job_id).state == "done"
    assert len(lines(live, row(live, job_id))) == 5


def test_a_file_that_is_made_while_strays_are_looked_for_stays(live, two, monkeypatch):
    job_id = ask(live, "events")
    folder, made = files.folder, []

    def looked(settings):
        found = folder(settings)
        if not made:
            made.append(job_id)
            make(live, job_id)
        return found

    monkeypatch.setattr(files, "folder", looked)
    request = task_request(live.registry)
    with request.tm:
        request.dbsession.execute(text("SELECT 1"))
        service.forget_expired(request.dbsession, live.registry.mailhub)
    assert path(live, row(live, job_id)).is_file()


def test_a_waiting_job_is_cancelled_at_once(live, two):
    job_id = ask(live, "events")
    assert service.cancel(live.session, job_id)
    live.session.commit()
    make(live, job_id)
    assert row(live, job_id).state == "cancelled"


def test_a_slice_that_takes_too_long_fails_the_job(live, two, monkeypatch):
    job_id = ask(live, "events")

    def slow(session, wanted, piece):
        session.execute(text("SELECT set_config('statement_timeout', '50ms', true)"))
        session.execute(text("SELECT pg_sleep(60)"))
        yield ()

    monkeypatch.setattr(kinds, "rows", slow)
    make(live, job_id)
    assert (row(live, job_id).state, row(live, job_id).error) == ("failed", "too_slow")


def test_a_worker_that_ends_gives_its_job_back(live, two, monkeypatch):
    monkeypatch.setattr(running, "LOOK_SECONDS", 0.05)
    live.registry.stop_flag = bytearray(1)
    job_id = ask(live, "events")

    def slow(session, wanted, piece):
        live.registry.stop_flag[0] = 1
        session.execute(text("SELECT pg_sleep(60)"))
        yield ()

    with monkeypatch.context() as patched:
        patched.setattr(kinds, "rows", slow)
        make(live, job_id)
    assert row(live, job_id).state == "pending"
    live.registry.stop_flag[0] = 0
    make(live, job_id)
    assert row(live, job_id).state == "done"


def test_one_job_runs_at_a_time_and_wakes_the_next(live, two):
    first, second = ask(live, "events"), ask(live, "reasons")
    live.session.execute(
        text(
            "UPDATE report_job SET state = 'running', lease_owner = 'x',"
            " lease_until = clock_timestamp() + interval '1 minute' WHERE id = :id"
        ),
        {"id": first},
    )
    live.session.commit()
    make(live, second)
    assert row(live, second).state == "pending"
    live.session.execute(text("UPDATE report_job SET state = 'pending', lease_until = NULL"))
    live.session.commit()
    make(live, first)
    assert live.publisher.sent[-1] == ("mailhub.jobs.run_report", (second,), "celery")


def test_a_job_waits_for_its_place_and_takes_no_other(live, two, monkeypatch):
    monkeypatch.setattr(heavy, "WAIT_SECONDS", 0.0)
    job_id = ask(live, "events")
    waited = []
    with live.engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": int(Lock.HEAVY_2)})
        take = heavy.take

        def watched(session, **options):
            waited.append(options["places"])
            if len(waited) == 3:
                holder.rollback()
            take(session, **options)

        monkeypatch.setattr(heavy, "take", watched)
        make(live, job_id)
    assert row(live, job_id).state == "done"
    assert set(waited) == {(Lock.HEAVY_2,)}


def test_files_go_after_a_week_and_strays_with_them(live, two):
    job_id = ask(live, "events")
    make(live, job_id)
    stray = files.folder(live.registry.mailhub) / files.new_name()
    stray.write_text("x")
    request = task_request(live.registry)
    with request.tm:
        tasks.forget_reports(request)
    assert not stray.exists()
    assert path(live, row(live, job_id)).is_file()
    gone = path(live, row(live, job_id))
    live.session.execute(update(ReportJob).values(expires_at=text("now() - interval '1 second'")))
    live.session.commit()
    request = task_request(live.registry)
    with request.tm:
        tasks.forget_reports(request)
    assert not gone.exists()
    assert service.count(live.session) == 0


def test_a_file_that_is_gone_in_the_middle_is_begun_again(live, two):
    job_id = ask(live, "events")
    live.session.execute(
        text("UPDATE report_job SET slices_done = 2, rows = 99, file_bytes = 500, file = :file"),
        {"file": files.new_name()},
    )
    live.session.commit()
    make(live, job_id)
    job = row(live, job_id)
    assert (job.state, job.slices_done, job.rows, len(lines(live, job))) == ("done", 3, 5, 5)


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"kind": "x"}, "kind", "unknown"),
        ({"kind": "events"}, "since", "missing"),
        ({"kind": "events", "since": FIRST, "until": FIRST}, "since", "range"),
        ({"kind": "events", "since": FIRST, "until": FIRST + timedelta(days=367)}, "since", "range"),
        ({"kind": "recipients", "since": FIRST, "until": FIRST + timedelta(days=1)}, "project_ids", "missing"),
        (
            {"kind": "events", "since": FIRST, "until": FIRST + timedelta(days=1), "project_ids": range(101)},
            "project_ids",
            "too_many",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(given, field, reason):
    with pytest.raises(kinds.JobRefused) as refused:
        kinds.check(given.pop("kind"), **given)
    assert (refused.value.field, refused.value.reason) == (field, reason)


@pytest.mark.parametrize("name", ["../secret.csv", "x.csv", "/etc/passwd", "a" * 31 + "/.csv", ""])
def test_no_other_file_is_ever_opened(tmp_path: Path, name):
    with pytest.raises(ValueError, match="ours"):
        files.path_of(SimpleNamespace(home=tmp_path), name)
