"""Start, schedule, pause, resume, cancel: each state moves once, and refusals say why."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.campaigns import control, service, tasks
from mailhub.models import (
    AuditEntry,
    Campaign,
    CampaignChunk,
    CampaignCount,
    CampaignList,
    CampaignState,
    CampaignVersion,
    Link,
    Sender,
    Suppression,
)
from mailhub.tasks import TASKS, run, run_sweeps
from tests.campaigns.arrange import Cast, make_cast


def reread(dbsession, cast: Cast) -> Campaign:
    dbsession.expire_all()
    return dbsession.get(Campaign, (cast.project.id, cast.campaign.id))


def start(dbsession, cast: Cast, **kw) -> Campaign:
    return service.start(dbsession, cast.project, cast.campaign, now=datetime.now(UTC), **kw)


def test_start_freezes_the_letter_and_its_links(cast: Cast, client, dbsession, publisher):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/start"), {"when": "now"}, status=303)
    row = reread(dbsession, cast)
    assert (row.state, row.version, row.send_at) == (CampaignState.SENDING, 1, None)
    assert row.started_at is not None
    version = dbsession.get(CampaignVersion, (cast.project.id, cast.campaign.id, 1))
    assert (version.subject, version.from_email, version.list_id, version.list_name) == (
        cast.campaign.subject, cast.sender.email, cast.list.id, "Readers",
    )  # fmt: skip
    links = dbsession.scalars(select(Link).where(Link.campaign_id == cast.campaign.id)).all()
    assert [(link.position, link.url, link.label) for link in links] == [(0, "https://example.com/shop", "look")]
    assert publisher.sent == [("mailhub.campaigns.fan_out", (cast.project.id, cast.campaign.id), "bulk")]
    assert dbsession.scalar(select(AuditEntry.action).where(AuditEntry.object_id == str(cast.campaign.id))) == (
        "campaign.started"
    )


def test_fan_out_puts_the_audience_into_the_ledger(cast: Cast, client, build, dbsession, registry):
    gone = build.subscriber(cast.project, lists=[cast.list])
    dbsession.add(Suppression(project_id=cast.project.id, email_key=gone.email_key, reason="manual"))
    dbsession.commit()
    start(dbsession, cast)
    dbsession.commit()
    run(registry, tasks.fan_out.spec, (cast.project.id, cast.campaign.id))
    run(registry, tasks.fan_out.spec, (cast.project.id, cast.campaign.id))
    count = dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id), populate_existing=True)
    assert count.parts() == {
        "audience": 4, "queued": 3, "deferred": 0, "sent": 0, "failed": 0, "unknown": 0, "skipped": 1,
    }  # fmt: skip
    chunks = dbsession.scalars(select(CampaignChunk).where(CampaignChunk.campaign_id == cast.campaign.id)).all()
    assert sorted(chunks[0].ids) == sorted(person.id for person in cast.people)


def test_fan_out_of_a_campaign_that_is_gone_or_paused_does_nothing(cast: Cast, dbsession, registry):
    run(registry, tasks.fan_out.spec, (cast.project.id, 999999))
    run(registry, tasks.fan_out.spec, (cast.project.id, cast.campaign.id))
    assert reread(dbsession, cast).fanned_out_at is None


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda cast, s: s.query(CampaignList).filter_by(campaign_id=cast.campaign.id).delete(), "recipients"),
        (lambda cast, s: [setattr(person, "status", "bounced") for person in cast.people], "recipients"),
        (lambda cast, s: setattr(cast.campaign, "sender_id", None), "sender"),
        (lambda cast, s: setattr(cast.campaign, "subject", "  "), "subject_empty"),
        (lambda cast, s: setattr(cast.campaign, "html", ""), "body_empty"),
        (lambda cast, s: setattr(cast.campaign, "html", "{{ nickname }}"), "unknown_field"),
        (lambda cast, s: setattr(cast.campaign, "html", "{% for a in range(9) %}{% endfor %}"), "loop_source"),
        (lambda cast, s: setattr(cast.campaign, "html", "{{ name.upper() }}"), "call_not_allowed"),
    ],
)
def test_start_is_refused_with_its_reason_and_changes_nothing(cast: Cast, client, dbsession, publisher, spoil, code):
    spoil(cast, dbsession)
    dbsession.commit()
    with pytest.raises(service.CampaignNotReady) as refusal:
        start(dbsession, cast)
    assert code in {check.code for check in refusal.value.reasons}
    dbsession.rollback()
    client.sign_in(cast.bob)
    answer = client.post_form(cast.path("/start"), {"when": "now"}, status=422)
    assert "was not started" in answer
    assert "Must be mended" in answer
    row = reread(dbsession, cast)
    assert (row.state, row.version, row.started_at) == (CampaignState.DRAFT, None, None)
    assert publisher.sent == []


def test_a_second_start_is_refused_in_words(cast: Cast, client, dbsession, publisher):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/start"), {}, status=303)
    client.post_form(cast.path("/start"), {}, status=303)
    assert "being sent already" in client.get(cast.path())
    assert len(publisher.sent) == 1


def test_two_starts_at_the_same_time_start_one_send(live):
    cast = make_cast(live.build)
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def press() -> None:
        with live.registry.session_factory() as session:
            campaign = session.get(Campaign, (cast.project.id, cast.campaign.id))
            barrier.wait()
            try:
                service.start(session, cast.project, campaign, now=datetime.now(UTC))
                session.commit()
                outcomes.append("started")
            except service.StateForbids:
                outcomes.append("refused")

    threads = [threading.Thread(target=press) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "started"]
    assert live.session.scalars(select(CampaignVersion.version)).all() == [1]


def test_grace_schedules_and_the_sweep_starts_it(cast: Cast, dbsession, publisher, registry):
    now = datetime.now(UTC)
    campaign = start(dbsession, cast, grace_seconds=60)
    assert campaign.state == CampaignState.SCHEDULED
    assert now + timedelta(seconds=59) < campaign.send_at < now + timedelta(seconds=70)
    dbsession.commit()
    run_sweeps(registry)
    assert publisher.names() == []
    campaign.send_at = now - timedelta(seconds=1)
    dbsession.commit()
    run_sweeps(registry)
    assert "mailhub.campaigns.start_due" in publisher.names()
    name, args, _queue = publisher.sent.pop()
    run(registry, TASKS[name], args)
    run(registry, TASKS[name], args)
    assert reread(dbsession, cast).state == CampaignState.SENDING
    assert publisher.names() == ["mailhub.campaigns.fan_out"]


def test_what_is_due_but_no_longer_ready_goes_back_to_the_drafts(cast: Cast, client, dbsession):
    campaign = start(dbsession, cast, grace_seconds=60)
    dbsession.query(CampaignList).filter_by(campaign_id=campaign.id).delete()
    campaign.send_at = datetime.now(UTC) - timedelta(seconds=1)
    dbsession.commit()
    control.start_due(dbsession, cast.project, campaign, now=datetime.now(UTC))
    dbsession.commit()
    assert reread(dbsession, cast).state == CampaignState.DRAFT
    client.sign_in(cast.bob)
    assert "was due, but not ready" in client.get(cast.path("/edit/review"))


def test_send_later_is_meant_in_the_projects_zone(cast: Cast, client, dbsession):
    cast.project.time_zone = "Europe/Moscow"
    dbsession.commit()
    client.sign_in(cast.bob)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    client.post_form(cast.path("/start"), {"when": "later", "send_at": f"{tomorrow}T10:00"}, status=303)
    row = reread(dbsession, cast)
    assert row.send_at.isoformat() == f"{tomorrow}T07:00:00+00:00"
    page = client.get(cast.path())
    assert "Scheduled" in page
    assert "Take it back" in page
    client.post_form(cast.path("/cancel"), {}, status=303)
    row = reread(dbsession, cast)
    assert (row.state, row.send_at) == (CampaignState.DRAFT, None)


@pytest.mark.parametrize("moment", ["", "soon", "2020-01-01T10:00", "2026-13-01T10:00", "9999-01-01T10:00"])
def test_a_bad_moment_is_refused(cast: Cast, client, dbsession, moment):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/start"), {"when": "later", "send_at": moment}, status=422)
    assert reread(dbsession, cast).state == CampaignState.DRAFT


def test_a_time_that_the_clocks_skip_is_refused():
    from zoneinfo import ZoneInfo

    from mailhub.campaigns.forms import local_moment
    from mailhub.web.forms import Invalid

    with pytest.raises(Invalid, match="clocks"):
        local_moment("2027-03-28T02:30", ZoneInfo("Europe/Berlin"), datetime(2027, 3, 1, tzinfo=UTC))


def test_pause_resume_cancel(cast: Cast, client, dbsession, publisher):
    start(dbsession, cast)
    dbsession.commit()
    client.sign_in(cast.bob)
    versions = [reread(dbsession, cast).control_version]
    for action, state in (("pause", "paused"), ("resume", "sending"), ("pause", "paused"), ("cancel", "cancelled")):
        client.post_form(cast.path(f"/{action}"), {}, status=303)
        row = reread(dbsession, cast)
        assert row.state == state
        versions.append(row.control_version)
    assert versions == sorted(set(versions)), "pumps see every change"
    assert row.finished_at is not None
    assert "mailhub.campaigns.fan_out" in publisher.names()


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("draft", "pause"), ("draft", "resume"), ("draft", "cancel"), ("paused", "pause"), ("sending", "resume"),
        ("sent", "cancel"), ("sent", "pause"), ("cancelled", "resume"), ("cancelled", "cancel"), ("paused", "start"),
    ],
)  # fmt: skip
def test_what_the_state_forbids_is_refused(cast: Cast, client, dbsession, publisher, state, action):
    cast.campaign.state = state
    dbsession.commit()
    client.sign_in(cast.bob)
    client.post_form(cast.path(f"/{action}"), {}, status=303)
    assert reread(dbsession, cast).state == state
    assert publisher.sent == []


def test_a_letter_that_was_frozen_does_not_change_with_its_sender(cast: Cast, client, dbsession):
    start(dbsession, cast)
    sender = dbsession.get(Sender, (cast.project.id, cast.sender.id))
    sender.name = "Changed"
    dbsession.commit()
    client.sign_in(cast.bob)
    page = client.get(cast.path("/preview"))
    assert "Changed" not in page


def test_sweep_finds_a_start_whose_wake_up_was_lost(cast: Cast, dbsession, publisher, registry):
    start(dbsession, cast)
    dbsession.commit()
    assert publisher.names() == []
    run_sweeps(registry)
    assert "mailhub.campaigns.fan_out" in publisher.names()


def test_progress_polls_while_it_may_change_and_says_304_in_between(cast: Cast, client, dbsession):
    start(dbsession, cast)
    dbsession.commit()
    client.sign_in(cast.analyst)
    asked = {"HX-Request": "true", "HX-Target": "section#campaign-progress"}
    answer = client.get(cast.path(), headers=asked)
    assert "data-live" in answer
    assert "<html" not in answer
    assert "/pause" not in answer, "an analyst has no buttons"
    again = client.get(cast.path(), headers=asked | {"HX-PTag": answer.headers["HX-PTag"]}, status=304)
    assert again.body == b""
    dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id)).audience = 5
    dbsession.commit()
    changed = client.get(cast.path(), headers=asked | {"HX-PTag": answer.headers["HX-PTag"]})
    assert "0 of 5" in changed
    cast.campaign.state = CampaignState.SENT
    dbsession.commit()
    assert "data-live" not in client.get(cast.path(), headers=asked)


def test_rate_and_time_left_come_from_the_last_seconds(cast: Cast, dbsession):
    from mailhub.campaigns.progress import progress_of
    from mailhub.models import Message

    start(dbsession, cast)
    now = datetime.now(UTC)
    cast.campaign.started_at = now - timedelta(minutes=5)
    dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id)).audience = 1020
    dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id)).sent = 20
    for n in range(20):
        dbsession.add(Message(project_id=cast.project.id, kind="campaign", queue="bulk", state="sent",
                              campaign_id=cast.campaign.id, email=f"a{n}@b.test", email_domain="b.test"))  # fmt: skip
    dbsession.flush()
    moving = progress_of(dbsession, cast.campaign, now=datetime.now(UTC))
    assert (moving.rate, moving.seconds_left, moving.done) == (2.0, 500.0, 20)
    later = progress_of(dbsession, cast.campaign, now=now + timedelta(minutes=5))
    assert (later.rate, later.seconds_left) == (None, None)


def test_pages_of_a_started_campaign_cost_few_statements(cast: Cast, client, dbsession, count_statements):
    start(dbsession, cast)
    dbsession.commit()
    client.sign_in(cast.bob)
    for page, most in (("", 18), ("/people", 14), ("/preview", 16)):
        client.get(cast.path(page))
        with count_statements() as seen:
            client.get(cast.path(page))
        assert len(seen) <= most, (page, len(seen), seen)
