"""A changed name is followed by its copies in letters and events, slice by slice, however it is interrupted."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.campaigns import service as campaigns
from mailhub.events import renames
from mailhub.events.service import Event, append_in
from mailhub.events.tasks import go_on_renaming, rename
from mailhub.lists.service import update_list
from mailhub.models import Message, RenameJob, RenameKind, RenameState
from mailhub.projects.service import update_project
from mailhub.reporting import partitions, verify
from mailhub.reporting import renames as sql

NOW = datetime.now(UTC)
COLUMNS = ("project_domain", "campaign_name", "list_name")


@pytest.fixture
def dbsession(live: Any) -> Session:
    """Of a database of its own: what is not committed is above the horizon."""
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(days=70))
    return live.session


@pytest.fixture
def build(live: Any, dbsession: Session) -> Any:
    return live.build


@pytest.fixture
def client(live: Any) -> Any:
    return live.client


@pytest.fixture
def sent(build: Any) -> Any:
    """A campaign that was sent to a list, and another project's rows with the same numbers of everything."""
    project, foreign = build.project(domain="old.test"), build.project(domain="old.test")
    mailing_list = build.list(project, "Old list")
    campaign = build.started_campaign(project, lists=[mailing_list], name="Old campaign")
    write(build.session, project, campaign, mailing_list, days=60)
    write(build.session, foreign, campaign, mailing_list, days=2)
    write(build.session, project, None, None, days=2)
    return project, foreign, campaign, mailing_list


def write(session: Session, project: Any, campaign: Any, mailing_list: Any, *, days: int) -> None:
    names = {"project_id": project.id, "project_domain": "old.test"}
    if campaign is not None:
        names |= {"campaign_id": campaign.id, "campaign_name": "Old campaign", "list_id": mailing_list.id,
                  "list_name": "Old list"}  # fmt: skip
    kind = "campaign" if campaign is not None else "transactional"
    for day in range(0, days, 2):
        at = NOW - timedelta(days=day)
        rest = {"kind": kind, "queue": "bulk", "state": "sent", "email": "a@b.test", "email_domain": "b.test"}
        session.add(Message(**names, **rest, created_at=at))
        append_in(session, [Event("SENT", at=at, kind=kind, **names), Event("OPENED", at=at, kind=kind, **names)])
    session.commit()


def copies(session: Session, project: Any, table: str, column: str) -> dict[str, int]:
    assert table in ("message", "message_event")
    assert column in COLUMNS
    sql = f"SELECT {column}, count(*) FROM {table} WHERE project_id = :id GROUP BY 1"
    return dict(tuple(row) for row in session.execute(text(sql), {"id": project.id}))


def both(session: Session, project: Any, column: str) -> list[dict[str, int]]:
    return [copies(session, project, table, column) for table in ("message", "message_event")]


def run_to_the_end(session: Session, job: RenameJob, *, most: int = 7) -> int:
    for turn in itertools.count(1):
        more = renames.step(session, job.project_id, job.id, most=most)
        session.commit()
        if not more:
            return turn
    raise AssertionError


def test_a_domain_is_followed_everywhere_in_its_project_alone(dbsession: Session, sent: Any) -> None:
    project, foreign, *_rest = sent
    update_project(dbsession, project, name=project.name, domain="new.test", time_zone="UTC", language="en")
    job = dbsession.query(RenameJob).one()
    assert run_to_the_end(dbsession, job) > 10
    assert both(dbsession, project, "project_domain") == [{"new.test": 31}, {"new.test": 62}]
    assert both(dbsession, foreign, "project_domain") == [{"old.test": 1}, {"old.test": 2}]
    assert both(dbsession, project, "campaign_name") == [{"Old campaign": 30, "": 1}, {"Old campaign": 60, "": 2}]
    assert (job.state, job.rows_changed) == (RenameState.FOLLOWING, 93)


def test_a_campaign_and_a_list_are_followed(dbsession: Session, sent: Any) -> None:
    project, _foreign, campaign, mailing_list = sent
    campaigns.rename(dbsession, campaign, "New campaign")
    update_list(dbsession, mailing_list, name="New list")
    for job in dbsession.query(RenameJob).all():
        run_to_the_end(dbsession, job, most=1000)
    assert both(dbsession, project, "campaign_name") == [{"New campaign": 30, "": 1}, {"New campaign": 60, "": 2}]
    assert both(dbsession, project, "list_name") == [{"New list": 30, "": 1}, {"New list": 60, "": 2}]
    assert both(dbsession, project, "project_domain") == [{"old.test": 31}, {"old.test": 62}]


def test_a_draft_has_no_copies(dbsession: Session, build: Any) -> None:
    campaigns.rename(dbsession, build.campaign(build.project()), "Another name")
    assert dbsession.query(RenameJob).count() == 0


def test_a_second_name_begins_anew(dbsession: Session, sent: Any) -> None:
    project, _foreign, campaign, _list = sent
    campaigns.rename(dbsession, campaign, "Second")
    job = dbsession.query(RenameJob).one()
    for _turn in range(3):
        renames.step(dbsession, project.id, job.id, most=9)
    campaigns.rename(dbsession, campaign, "Third")
    assert (job.state, job.letter_at, job.rows_seen) == (RenameState.PENDING, None, 0)
    run_to_the_end(dbsession, job)
    assert both(dbsession, project, "campaign_name") == [{"Third": 30, "": 1}, {"Third": 60, "": 2}]


def test_it_ends_when_nobody_can_write_the_old_name(dbsession: Session, sent: Any) -> None:
    project, _foreign, campaign, mailing_list = sent
    campaigns.rename(dbsession, campaign, "New campaign")
    job = dbsession.query(RenameJob).one()
    run_to_the_end(dbsession, job)
    # A worker had the old name in its hand.
    write(dbsession, project, campaign, mailing_list, days=2)
    job.requested_at = datetime.now(UTC) - 2 * renames.UNDER_WAY
    campaign.state = "sending"
    run_to_the_end(dbsession, job)
    assert job.state == RenameState.FOLLOWING
    assert both(dbsession, project, "campaign_name") == [{"New campaign": 31, "": 1}, {"New campaign": 62, "": 2}]
    campaign.state = "sent"
    run_to_the_end(dbsession, job)
    assert job.state == RenameState.DONE
    assert job.finished_at is not None


def test_what_is_gone_keeps_its_name(dbsession: Session, sent: Any) -> None:
    project, *_rest = sent
    job = renames.request_rename(dbsession, RenameKind.LIST_NAME, project_id=project.id, object_id=987_654)
    assert not renames.step(dbsession, project.id, job.id)
    assert job.state == RenameState.DONE


def test_the_task_can_be_lost_and_run_twice(live: Any, build: Any, dbsession: Session) -> None:
    session = dbsession
    project = build.project(domain="old.test", created_at=NOW - timedelta(days=40))
    campaign = build.started_campaign(project, name="Old campaign", state="sent", created_at=NOW - timedelta(days=40))
    write(session, project, campaign, build.list(project), days=30)
    campaigns.rename(session, campaign, "New campaign")
    session.commit()
    job = session.query(RenameJob).one()
    session.execute(text("UPDATE rename_job SET touched_at = now() - interval '1 minute'"))
    session.commit()
    from mailhub.tasks import task_request

    request = task_request(live.registry)
    with request.tm:
        go_on_renaming(request)
    assert live.publisher.names() == ["mailhub.events.rename"]
    # Two at once: whoever finds the job taken leaves it to the other.
    both_at_once = [
        threading.Thread(target=rename, args=(task_request(live.registry), project.id, job.id)) for _turn in range(2)
    ]
    for thread in both_at_once:
        thread.start()
    for thread in both_at_once:
        thread.join()
    rename(task_request(live.registry), project.id, job.id)
    assert both(session, project, "campaign_name") == [{"New campaign": 15}, {"New campaign": 30}]
    # Somebody who began before the change is still at it: the horizon stays below, and the job does not end.
    with psycopg.connect(live.url.replace("postgresql+psycopg://", "postgresql://")) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        session.execute(text("UPDATE rename_job SET changed_position = feed_position(), requested_at = '2020-01-01'"))
        session.commit()
        rename(task_request(live.registry), project.id, job.id)
        session.expire_all()
        assert session.get(RenameJob, (project.id, job.id)).state == RenameState.FOLLOWING
    rename(task_request(live.registry), project.id, job.id)
    session.expire_all()
    assert session.get(RenameJob, (project.id, job.id)).state == RenameState.DONE
    assert verify.verify(live.engine) == []


def form_with(page: Any, field: str) -> Any:
    return next(form for form in page.forms.values() if field in form.fields)


def test_the_pages_say_how_far_it_is(build: Any, client: Any, dbsession: Session) -> None:
    alice = build.user()
    project = build.project(alice, domain="old.test", created_at=NOW - timedelta(days=100))
    mailing_list = build.list(project, "Old list")
    campaign = build.started_campaign(project, lists=[mailing_list], name="Old campaign")
    write(dbsession, project, campaign, mailing_list, days=60)
    browser = client.sign_in(alice)
    path = f"/projects/{project.slug}/campaigns/{campaign.id}/rename"
    page = browser.get(path)
    assert "progress-box" not in page.text
    form = form_with(page, "name")
    form["name"] = " "
    form.submit(status=422)
    form["name"] = "New campaign"
    assert form.submit().status_int == 303
    assert "progress-box" in browser.get(path).text
    run_to_the_end(dbsession, dbsession.query(RenameJob).one(), most=1000)
    assert "follows within minutes" in browser.get(path).text
    settings = browser.get(f"/projects/{project.slug}/settings")
    assert "progress-box" not in settings.text
    form = form_with(settings, "domain")
    form["domain"] = "new.test"
    form.submit()
    assert "progress-box" in browser.get(f"/projects/{project.slug}/settings").text
    client.new().sign_in(build.user()).get(path, status=404)


def test_a_slice_locks_its_events_in_the_order_in_which_marks_do(sent: Any, live: Any, dbsession: Session) -> None:
    """The later event of the two was made earlier and lies in an older partition: read as it lies, it comes first."""
    project, _foreign, campaign, _mailing_list = sent
    names = {"project_id": project.id, "kind": "campaign", "campaign_id": campaign.id, "campaign_name": "Old campaign"}
    keys = []
    for days in (1, 30):
        append_in(dbsession, [Event("OPENED", at=NOW - timedelta(days=days, minutes=7), **names)])
        dbsession.commit()
        last = "SELECT position, id FROM message_event WHERE project_id = :id ORDER BY position DESC, id DESC LIMIT 1"
        keys.append(tuple(dbsession.execute(text(last), {"id": project.id}).one()))
    dbsession.execute(text("ANALYZE message_event"))
    dbsession.commit()
    lock = "SELECT at FROM message_event WHERE position = %s AND id = %s FOR NO KEY UPDATE NOWAIT"
    url = live.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def slice_of_events() -> None:
        with live.registry.session_factory() as session:
            after = (keys[0][0], keys[0][1] - 1)
            sql.events(session, "campaign_name", project.id, campaign.id, "New", after=after, most=100)
            session.commit()

    with psycopg.connect(url) as marks:
        marks.execute(lock, keys[0])
        thread = threading.Thread(target=slice_of_events)
        thread.start()
        try:
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                         " AND wait_event_type = 'Lock' AND query LIKE '%is_old%'")  # fmt: skip
            until = time.monotonic() + 60
            while dbsession.execute(waits).scalar_one() != 1:
                assert time.monotonic() < until, "the slice does not wait for the first event"
                dbsession.commit()  # a transaction sees the same activity from its first look on
                time.sleep(0.02)
            marks.execute(lock, keys[1])
        finally:
            marks.rollback()
            thread.join()
