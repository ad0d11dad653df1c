"""Start, schedule, pause, resume, cancel: each state moves once, and refusals say why."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from mailhub.campaigns import control, service, tasks
from mailhub.mail.lane import LANES
from mailhub.models import (
    AuditEntry,
    Campaign,
    CampaignChunk,
    CampaignCount,
    CampaignList,
    CampaignState,
    CampaignVersion,
    Link,
    RateBucket,
    RelayHealth,
    RelayLane,
    Sender,
    Suppression,
)
from mailhub.tasks import TASKS, run, run_sweeps
from tests.campaigns.arrange import Cast, make_cast, start_now


def reread(dbsession, cast: Cast) -> Campaign:
    dbsession.expire_all()
    return dbsession.get(Campaign, (cast.project.id, cast.campaign.id))


def start(dbsession, cast: Cast, **kw) -> Campaign:
    return service.start(dbsession, cast.project, cast.campaign, now=datetime.now(UTC), **kw)


def test_start_freezes_the_letter_and_its_links(cast: Cast, client, dbsession, publisher):
    client.sign_in(cast.bob)
    start_now(client, cast)
    row = reread(dbsession, cast)
    assert (row.state, row.version, row.send_at) == (CampaignState.SENDING, 1, None)
    assert row.started_at is not None
    version = dbsession.get(CampaignVersion, (cast.project.id, cast.campaign.id, 1))
    assert (version.subject, version.from_email, version.list_id, version.list_name) == (
        cast.campaign.subject, cast.sender.email, cast.list.id, "Readers",
    )  # fmt: skip
    links = dbsession.scalars(select(Link).where(Link.campaign_id == cast.campaign.id)).all()
    assert [(link.position, link.url, link.label) for link in links] == [(0, "https://example.com/shop", "look")]
    assert publisher.sent == [("mailhub.campaigns.fan_out", (cast.project.id, cast.campaign.id), "celery")]
    entries = select(AuditEntry.action).where(AuditEntry.object_id == str(cast.campaign.id)).order_by(AuditEntry.id)
    assert dbsession.scalars(entries).all() == ["campaign.scheduled", "campaign.started"]


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
    assert "scheduled already" in client.get(cast.path())
    assert publisher.sent == []
    client.post_form(cast.path("/send-now"), {}, status=303)
    client.post_form(cast.path("/send-now"), {}, status=303)
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

    start(dbsession, cast)
    now = datetime.now(UTC)
    count = dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id))
    count.audience = 1020
    count.mark_at = count.before_at = now - timedelta(seconds=10)
    dbsession.flush()
    count.sent, count.updated_at = 20, now
    dbsession.flush()
    moving = progress_of(dbsession, cast.campaign, now=now)
    assert (moving.rate, moving.seconds_left, moving.done) == (2.0, 500.0, 20)
    later = progress_of(dbsession, cast.campaign, now=now + timedelta(minutes=5))
    assert (later.rate, later.seconds_left) == (None, None)


def test_the_marks_of_the_ledger_trail_behind_and_start_afresh_after_a_silence(cast: Cast, dbsession):
    start(dbsession, cast)
    count = dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id))

    def settle(n: int, seconds_ago: float) -> tuple[int, int]:
        """So many more were sent while the newest mark was so old; the two marks afterwards."""
        dbsession.execute(
            update(CampaignCount).values(mark_at=func.clock_timestamp() - timedelta(seconds=seconds_ago))
        )
        dbsession.execute(update(CampaignCount).values(sent=CampaignCount.sent + n))
        dbsession.refresh(count)
        return count.before_done, count.mark_done

    assert settle(100, 1) == (0, 0)
    assert settle(100, 6) == (0, 200)
    assert settle(100, 2) == (0, 200)
    assert settle(100, 7) == (200, 400)
    assert settle(1, 60) == (401, 401), "the campaign was paused"
    assert settle(-1, 1) == (400, 400), "a letter goes back to be sent again"


def test_pages_of_a_started_campaign_cost_few_statements(cast: Cast, client, dbsession, count_statements):
    start(dbsession, cast)
    dbsession.commit()
    client.sign_in(cast.bob)
    for page, most in (("", 18), ("/people", 14), ("/preview", 16)):
        client.get(cast.path(page))
        with count_statements() as seen:
            client.get(cast.path(page))
        assert len(seen) <= most, (page, len(seen), seen)


def test_a_campaign_started_from_its_page_waits_a_minute_and_can_be_undone(cast: Cast, client, dbsession, publisher):
    client.sign_in(cast.bob)
    began = datetime.now(UTC)
    client.post_form(cast.path("/start"), {"when": "now"}, status=303)
    row = reread(dbsession, cast)
    assert row.state == CampaignState.SCHEDULED
    assert timedelta(seconds=59) < row.send_at - began < timedelta(seconds=90)
    page = client.get(cast.path())
    assert "Will go out at" in page, "for who has no script"
    assert "data-countdown=" in page
    assert "data-live" in client.fragment(cast.path(), "campaign-progress")
    client.post_form(cast.path("/cancel"), {}, status=303)
    row = reread(dbsession, cast)
    assert (row.state, row.send_at, row.version) == (CampaignState.DRAFT, None, None)
    assert publisher.sent == []
    assert "due, but not ready" not in client.get(cast.path("/edit/review"))


def test_the_last_seconds_of_the_grace_are_said_as_they_are(cast: Cast, client, dbsession):
    start(dbsession, cast, grace_seconds=60)
    client.sign_in(cast.analyst)
    cast.campaign.send_at = datetime.now(UTC) - timedelta(seconds=1)
    dbsession.commit()
    page = client.fragment(cast.path(), "campaign-progress")
    assert "It is going out now" in page
    assert "data-countdown" not in page
    cast.campaign.send_at = datetime.now(UTC) + timedelta(days=1)
    dbsession.commit()
    far = client.fragment(cast.path(), "campaign-progress")
    assert "Starts " in far
    assert "/send-now" not in far, "an analyst has no buttons"


def test_a_start_that_is_due_before_the_next_sweep_gets_its_wake_up_at_its_moment(live):
    own = make_cast(live.build)
    service.start(live.session, own.project, own.campaign, now=datetime.now(UTC), grace_seconds=1)
    live.session.commit()
    run_sweeps(live.registry)
    deadline = time.monotonic() + 30
    while not live.publisher.sent and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.publisher.names() == ["mailhub.campaigns.start_due"]
    assert datetime.now(UTC) >= own.campaign.send_at
    name, args, _queue = live.publisher.sent.pop()
    run(live.registry, TASKS[name], args)
    live.session.expire_all()
    assert live.session.get(Campaign, (own.project.id, own.campaign.id)).state == CampaignState.SENDING


def test_send_now_needs_a_campaign_that_is_still_ready(cast: Cast, client, dbsession, publisher):
    start(dbsession, cast, grace_seconds=60)
    dbsession.query(CampaignList).filter_by(campaign_id=cast.campaign.id).delete()
    dbsession.commit()
    client.sign_in(cast.bob)
    client.post_form(cast.path("/send-now"), {}, status=303)
    assert "nobody would get the letter" in client.get(cast.path())
    assert reread(dbsession, cast).state == CampaignState.SCHEDULED
    assert publisher.sent == []


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({}, 0), ({"spread": "4"}, 14_400), ({"spread": "own", "spread_hours": "0,5"}, 1800),
     ({"spread": "own", "spread_hours": "168"}, 604_800), ({"spread": "0", "spread_hours": "7"}, 0)],
)  # fmt: skip
def test_letters_are_spread_over_the_chosen_hours(cast: Cast, client, dbsession, given, seconds):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/start"), {"when": "now", **given}, status=303)
    assert reread(dbsession, cast).spread_seconds == (seconds or None)
    assert ("Spread over" in client.get(cast.path())) == bool(seconds)
    client.post_form(cast.path("/cancel"), {}, status=303)
    assert client.get(cast.path("/edit/review")).forms["send-form"]["spread"].value == (
        "own" if seconds not in (0, 14_400) else str(seconds // 3600)
    ), "an undone campaign keeps the choice"


@pytest.mark.parametrize(
    "given",
    [{"spread": "169"}, {"spread": "-1"}, {"spread": "own"}, {"spread": "own", "spread_hours": "0"},
     {"spread": "own", "spread_hours": "nan"}, {"spread": "own", "spread_hours": "1e400"},
     {"spread": "own", "spread_hours": "168.1"}],
)  # fmt: skip
def test_a_spread_that_is_none_is_refused(cast: Cast, client, dbsession, given):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/start"), {"when": "now", **given}, status=422)
    assert reread(dbsession, cast).state == CampaignState.DRAFT


def test_the_end_of_a_spread_moves_with_what_is_left(cast: Cast, dbsession):
    from mailhub.campaigns.progress import progress_of

    start(dbsession, cast, spread_seconds=3600)
    count = dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id))
    count.audience, count.skipped, count.sent = 110, 10, 25
    dbsession.flush()
    now = datetime.now(UTC)
    assert progress_of(dbsession, cast.campaign, now=now).spread_ends_at == now + timedelta(seconds=2700)
    cast.campaign.state = CampaignState.PAUSED
    assert progress_of(dbsession, cast.campaign, now=now).spread_ends_at is None


def on_its_way(dbsession, cast: Cast, registry) -> None:
    start(dbsession, cast)
    dbsession.commit()
    run(registry, tasks.fan_out.spec, (cast.project.id, cast.campaign.id))
    dbsession.expire_all()


def test_lanes_and_their_limits_are_on_the_page(cast: Cast, client, dbsession, registry):
    on_its_way(dbsession, cast, registry)
    dbsession.add(RelayLane(relay="default", lane=LANES[0], rate=0.5, reason="ratelimit", last_code=421,
                            last_reply="<script>alert(1)</script>", slowed_at=datetime.now(UTC)))  # fmt: skip
    dbsession.add(RelayLane(relay="default", lane="other", rate=0.5, reason="ratelimit", last_code=421,
                            last_reply="<script>alert(1)</script>", slowed_at=datetime.now(UTC)))  # fmt: skip
    dbsession.add(RateBucket(key="relay:default", rate=7.5, burst=1.0, tokens=1.0))
    dbsession.commit()
    client.sign_in(cast.analyst)
    page = client.fragment(cast.path(), "campaign-progress")
    assert "All recipients" in page
    assert "0 of 3" in page
    assert "Slowed down by the provider" in page
    assert "too many letters at once" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "At most 7.5 letters per second: the limit of the mail server." in page
    cast.campaign.state = CampaignState.SENT
    dbsession.commit()
    assert "All recipients" not in client.fragment(cast.path(), "campaign-progress")


def test_a_mail_server_that_is_down_is_said_in_a_sentence(cast: Cast, client, dbsession, registry):
    on_its_way(dbsession, cast, registry)
    now = datetime.now(UTC)
    dbsession.add(RelayHealth(relay="default", state="down", reason="<b>Connection refused", since=now,
                              probe_at=now + timedelta(seconds=30)))  # fmt: skip
    dbsession.commit()
    client.sign_in(cast.bob)
    page = client.fragment(cast.path(), "campaign-progress")
    assert "The mail server takes no letters since" in page
    assert "&lt;b&gt;Connection refused" in page
    assert "3 letters wait." in page
    assert "The server is tried again at" in page
    cast.campaign.state = CampaignState.PAUSED
    dbsession.commit()
    assert "takes no letters" not in client.fragment(cast.path(), "campaign-progress")


def test_a_poll_of_a_moving_campaign_costs_few_statements_and_no_letters(cast: Cast, client, dbsession, registry,
                                                                         count_statements):  # fmt: skip
    on_its_way(dbsession, cast, registry)
    client.sign_in(cast.bob)
    asked = {"HX-Request": "true", "HX-Target": "section#campaign-progress"}
    first = client.get(cast.path(), headers=asked)
    with count_statements() as seen:
        client.get(cast.path(), headers=asked | {"HX-PTag": first.headers["HX-PTag"]}, status=304)
    assert len(seen) <= 13, seen
    assert not [one for one in seen if re.search(r"\bmessage(_event)?\b", one)]
