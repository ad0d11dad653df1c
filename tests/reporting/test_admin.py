"""The admins' queries on hand-counted rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from mailhub.models import (
    CampaignChunk,
    CampaignLane,
    CampaignState,
    ChunkLease,
    Message,
    PeriodicRun,
    ProjectDay,
    SubscriberImport,
    WorkerHeartbeat,
)
from mailhub.reporting import admin

D = date(2026, 11, 1)


def days(dbsession, project, **by_day):
    for day, counts in by_day.items():
        dbsession.add(ProjectDay(project_id=project.id, day=D + timedelta(days=int(day[1:])), **counts))
    dbsession.commit()


@pytest.fixture
def two(build, dbsession):
    first = build.project(slug="first", name="First")
    second = build.project(slug="second", name="100% Wool", domain="wool.test")
    days(
        dbsession,
        first,
        d0={"sent": 5, "opened": 3},
        d2={"sent": 7, "hardbounced": 1, "softbounced": 2},
        d9={"sent": 99},
    )
    return first, second


def test_volumes_of_a_range(dbsession, two):
    first, second = admin.project_volumes(dbsession, since=D, until=D + timedelta(days=3))
    assert (first.slug, first.counts.sent, first.counts.opened, first.counts.bounced) == ("first", 12, 3, 3)
    assert first.sent_by_day == (5, 0, 7)
    assert first.days[-1] == D + timedelta(days=2)
    assert (second.counts.sent, second.sent_by_day) == (0, (0, 0, 0))


def test_last_days_end_today_in_the_projects_zone(dbsession, build):
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        build.project(time_zone=zone)
    ahead, behind = admin.project_volumes(dbsession, days=7)
    now = admin.clock(dbsession)
    assert ahead.until == (now + timedelta(hours=14)).date() + timedelta(days=1)
    assert behind.until == (now - timedelta(hours=11)).date() + timedelta(days=1)
    assert len(ahead.sent_by_day) == len(behind.sent_by_day) == 7


def test_filters_and_the_count(dbsession, two):
    first, second = two
    assert [one.id for one in admin.project_volumes(dbsession, project="second")] == [second.id]
    assert [one.id for one in admin.project_volumes(dbsession, text="WOOL")] == [second.id]
    assert [one.id for one in admin.project_volumes(dbsession, text="100%")] == [second.id]
    assert admin.project_volumes(dbsession, text="0_ W") == []
    assert [one.id for one in admin.project_volumes(dbsession, after_id=first.id)] == [second.id]
    assert [one.id for one in admin.project_volumes(dbsession, most=1)] == [first.id]
    assert admin.count_projects(dbsession) == 2
    assert admin.count_projects(dbsession, text="wool") == 1
    assert admin.count_projects(dbsession, project="nothing") == 0


def letter(dbsession, project, queue, minutes, state="queued"):
    now = datetime.now(UTC)
    dbsession.execute(
        insert(Message).values(
            project_id=project.id,
            created_at=now,
            kind="transactional",
            queue=queue,
            state=state,
            email="a@b.test",
            email_domain="b.test",
            due_at=now + timedelta(minutes=minutes),
        )
    )
    dbsession.commit()


def test_waiting_is_what_could_be_done_now(dbsession, build):
    project = build.project()
    for minutes in (-10, -5, 20):
        letter(dbsession, project, "transactional", minutes)
    letter(dbsession, project, "bulk", -1, "deferred")
    letter(dbsession, project, "bulk", -1, "sent")
    started = datetime.now(UTC) - timedelta(hours=1)
    sending = build.campaign(project, state=CampaignState.SENDING, started_at=started, fanned_out_at=started)
    paused = build.campaign(project, state=CampaignState.PAUSED, started_at=started, fanned_out_at=started)
    build.campaign(project, state=CampaignState.SENDING, started_at=started)
    build.campaign(project, state=CampaignState.SCHEDULED, send_at=datetime.now(UTC) + timedelta(hours=1))
    for campaign, next_seq in ((sending, 2), (paused, 0)):
        dbsession.add(
            CampaignLane(project_id=project.id, campaign_id=campaign.id, lane=0, next_seq=next_seq, last_seq=6)
        )
    mailing_list = build.list(project)
    for state, mapping in (("pending", {"E": "email"}), ("draft", {}), ("done", {"E": "email"})):
        dbsession.add(
            SubscriberImport(
                project_id=project.id,
                list_id=mailing_list.id,
                state=state,
                mapping=mapping,
                file_name="a.csv",
                stored_name="x",
                encoding="utf-8",
                delimiter=",",
            )
        )
    dbsession.commit()
    found = {(one.queue, one.what): one for one in admin.waiting(dbsession)}
    assert {key: one.waiting for key, one in found.items()} == {
        ("transactional", "letters"): 2,
        ("bulk", "letters"): 1,
        ("bulk", "chunks"): 5,
        ("bulk", "starts"): 1,
        ("celery", "imports"): 1,
    }
    age = admin.clock(dbsession) - found[("transactional", "letters")].oldest_at
    assert timedelta(minutes=9) < age < timedelta(minutes=11)
    assert found[("bulk", "chunks")].oldest_at == started
    assert [(one.queue, one.later) for one in admin.later(dbsession)] == [("transactional", 1)]


def test_idle_queues_have_no_row(dbsession):
    assert admin.waiting(dbsession) == []
    assert admin.later(dbsession) == []


def test_workers_of_the_last_day(dbsession):
    now = datetime.now(UTC)
    for name, role, silent in (("b", "pool", 3), ("a", "main", 3), ("old", "main", 90000)):
        dbsession.add(
            WorkerHeartbeat(
                name=name,
                host="h",
                pid=1,
                queue="bulk",
                role=role,
                doing="x",
                last_seen_at=now - timedelta(seconds=silent),
            )
        )
    dbsession.commit()
    found = admin.workers(dbsession)
    assert [one.name for one in found] == ["a", "b"]
    assert 2 < found[0].silent_seconds < 60


def test_running_leases_with_their_letters(dbsession, build):
    project = build.project(slug="bakery")
    campaign = build.campaign(project, name="Spring", state=CampaignState.SENDING)
    now = datetime.now(UTC)
    for seq, state, left in ((0, "done", 5), (1, "running", -5), (2, "running", 5)):
        dbsession.add(
            CampaignChunk(project_id=project.id, campaign_id=campaign.id, lane=0, seq=seq, n=50, ids=list(range(50)))
        )
        dbsession.add(
            ChunkLease(
                project_id=project.id,
                campaign_id=campaign.id,
                lane=0,
                seq=seq,
                state=state,
                pos=10 * seq,
                owner="me",
                lease_until=now + timedelta(seconds=left),
            )
        )
    dbsession.commit()
    found = admin.leases(dbsession)
    assert [(one.slug, one.campaign_name, one.seq, one.pos, one.n, one.is_over) for one in found] == [
        ("bakery", "Spring", 1, 10, 50, True),
        ("bakery", "Spring", 2, 20, 50, False),
    ]


def test_periodic_tasks_by_name(dbsession):
    dbsession.add(PeriodicRun(name="b", paused=True))
    dbsession.add(PeriodicRun(name="a", error="ValueError: x"))
    dbsession.commit()
    assert [(one.name, one.paused, one.error) for one in admin.periodic_tasks(dbsession)] == [
        ("a", False, "ValueError: x"),
        ("b", True, ""),
    ]


def test_due_letters_are_found_by_their_index(dbsession):
    dbsession.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(dbsession.scalars(text("EXPLAIN " + admin.SQL["admin_waiting"].sql)))
    assert "message_" in plan
    assert "Index" in plan
