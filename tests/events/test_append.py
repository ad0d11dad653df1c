"""Events are stored once, and every rollup moves with them."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append, append_in
from mailhub.models import Campaign, Project

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
COUNTED = ["SENT", "OPENED", "REDIRECTED", "HARDBOUNCED", "SOFTBOUNCED", "UNSUBSCRIBED", "COMPLAINED", "BLOCKED"]
TYPES = [*COUNTED, "QUEUED"]


@pytest.fixture
def project(build: Any) -> Project:
    return build.project(time_zone="Europe/Moscow")


@pytest.fixture
def campaign(build: Any, project: Project) -> Campaign:
    return build.campaign(project)


@pytest.fixture
def happen(project: Project, campaign: Campaign) -> Callable[..., Event]:
    """An event of the campaign."""

    def make(type_: str, subscriber_id: int | None = 1, **columns: Any) -> Event:
        values = {"kind": "campaign", "campaign_id": campaign.id, "at": NOON, "email_domain": "mail.test"} | columns
        return Event(type_, project.id, subscriber_id=subscriber_id, **values)

    return make


def rows(dbsession: Session, sql: str, **binds: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in dbsession.execute(text(sql), binds)]


def test_every_rollup_moves(dbsession: Session, campaign: Campaign, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [
        happen("SENT", 1), happen("SENT", 2, email_domain="other.test"), happen("OPENED", 1),
        happen("OPENED", 1, at=NOON + timedelta(minutes=1)), happen("REDIRECTED", 1, link_id=7),
        happen("REDIRECTED", 2, link_id=7, email_domain="other.test"), happen("REDIRECTED", 2, link_id=7),
        happen("HARDBOUNCED", 3, code=550), happen("QUEUED", 4),
    ])  # fmt: skip
    columns = "sent, opened, redirected, hardbounced, unique_opened, unique_redirected, last_event_at"
    wanted = (2, 2, 3, 1, 1, 2, NOON + timedelta(minutes=1))
    assert rows(dbsession, f"SELECT {columns} FROM campaign_stats") == [wanted]
    assert rows(dbsession, "SELECT day, sent, opened FROM campaign_day") == [(date(2026, 11, 20), 2, 2)]
    assert rows(dbsession, "SELECT email_domain, sent, redirected FROM campaign_domain ORDER BY 1") == [
        ("mail.test", 1, 2), ("other.test", 1, 1)
    ]  # fmt: skip
    assert rows(dbsession, "SELECT link_id, redirected, unique_redirected FROM campaign_link_stats") == [(7, 3, 2)]
    assert rows(dbsession, "SELECT day, sent, opened, redirected FROM project_day") == [(date(2026, 11, 20), 2, 2, 3)]
    assert rows(dbsession, "SELECT count(*) FROM message_event") == [(9,)]
    assert rows(dbsession, "SELECT subscriber_id, opened, redirected, first_opened_at FROM campaign_reaction"
                " ORDER BY 1") == [(1, 2, 1, NOON), (2, 0, 2, None)]  # fmt: skip


def test_a_first_open_counts_once_over_batches(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("OPENED")])
    append_in(dbsession, [happen("OPENED", at=NOON - timedelta(days=1)), happen("OPENED", 2)])
    assert rows(dbsession, "SELECT opened, unique_opened FROM campaign_stats") == [(3, 2)]
    assert rows(dbsession, "SELECT first_opened_at FROM campaign_reaction WHERE subscriber_id = 1") == [
        (NOON - timedelta(days=1),)
    ]


def test_a_day_is_cut_in_the_projects_zone(dbsession: Session, happen: Callable[..., Event]) -> None:
    before, after = datetime(2026, 11, 20, 20, 59, 59, tzinfo=UTC), datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    append_in(dbsession, [happen("SENT", at=before), happen("SENT", at=after.astimezone(ZoneInfo("Asia/Kathmandu")))])
    assert rows(dbsession, "SELECT day, sent FROM project_day ORDER BY 1") == [
        (date(2026, 11, 20), 1), (date(2026, 11, 21), 1)
    ]  # fmt: skip


def test_leaving_counts_once_a_person_and_campaign(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("UNSUBSCRIBED"), happen("UNSUBSCRIBED", at=NOON + timedelta(hours=1))])
    append_in(dbsession, [happen("UNSUBSCRIBED"), happen("UNSUBSCRIBED", 2)])
    assert rows(dbsession, "SELECT unsubscribed FROM campaign_stats") == [(2,)]
    assert rows(dbsession, "SELECT unsubscribed FROM project_day") == [(2,)]
    assert rows(dbsession, "SELECT count(*) FROM message_event") == [(2,)]
    assert rows(dbsession, "SELECT unsubscribed_at FROM campaign_reaction WHERE subscriber_id = 1") == [(NOON,)]


def test_tests_and_service_letters_are_stored_and_count_nowhere(
    dbsession: Session, happen: Callable[..., Event]
) -> None:
    append_in(dbsession, [happen("SENT", kind="test"), happen("SENT", kind="service", campaign_id=None)])
    assert rows(dbsession, "SELECT count(*) FROM message_event") == [(2,)]
    assert rows(dbsession, "SELECT count(*) FROM project_day") == [(0,)]
    assert rows(dbsession, "SELECT count(*) FROM campaign_stats") == [(0,)]


def test_single_letters_count_in_the_projects_day_only(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("SENT", kind="transactional"), happen("REDIRECTED", kind="transactional", link_id=1)])
    assert rows(dbsession, "SELECT sent, redirected FROM project_day") == [(1, 1)]
    assert rows(dbsession, "SELECT count(*) FROM campaign_stats") == [(0,)]


def test_another_projects_campaign_is_not_touched(
    dbsession: Session, build: Any, campaign: Campaign, happen: Callable[..., Event]
) -> None:
    stranger = build.project()
    append_in(dbsession, [Event("OPENED", stranger.id, "campaign", NOON, campaign_id=campaign.id, subscriber_id=1)])
    assert rows(dbsession, "SELECT count(*) FROM campaign_stats") == [(0,)]
    assert rows(dbsession, "SELECT project_id, opened FROM project_day") == [(stranger.id, 1)]


def test_hostile_values_are_stored_harmless(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [
        happen("OPENED", user_agent="a\0b\\N\t\n\udcff", ip="unknown"),
        happen("OPENED", user_agent="x" * 5000, ip="fe80::1%eth0"),
    ])  # fmt: skip
    found = rows(dbsession, "SELECT user_agent, CAST(ip AS text) FROM message_event ORDER BY id")
    assert found[0] == ("ab\\N\t\n?", None)
    assert (len(found[1][0]), found[1][1]) == (1000, "fe80::1/128")


def test_without_a_moment_the_databases_clock_counts(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("OPENED", at=None)])
    [(at, now)] = rows(dbsession, "SELECT at, clock_timestamp() FROM message_event")
    assert timedelta(0) <= now - at < timedelta(seconds=30)


def test_a_clock_that_is_ahead_is_not_believed(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("OPENED", at=datetime.now(UTC) + timedelta(days=30))])
    [(at, now)] = rows(dbsession, "SELECT at, clock_timestamp() FROM message_event")
    assert at <= now + timedelta(seconds=5)


def test_the_first_hours_since_the_start_are_counted_one_by_one(
    dbsession: Session, build: Any, project: Project, happen: Callable[..., Event]
) -> None:
    start = NOON - timedelta(minutes=20)
    started = build.campaign(project, started_at=start).id
    moments = [
        start - timedelta(microseconds=1), start, start + timedelta(minutes=59, seconds=59), start + timedelta(hours=1),
        start + timedelta(hours=72) - timedelta(microseconds=1), start + timedelta(hours=72),
    ]  # fmt: skip
    append_in(dbsession, [happen("OPENED", at=at, campaign_id=started) for at in moments] + [happen("OPENED")])
    assert rows(dbsession, "SELECT campaign_id, hour, opened FROM campaign_hour ORDER BY hour") == [
        (started, 0, 2), (started, 1, 1), (started, 71, 1)
    ]  # fmt: skip


def test_hits_are_counted_by_what_they_were_made_with(dbsession: Session, happen: Callable[..., Event]) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    gmail = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    append_in(dbsession, [
        happen("OPENED", user_agent=gmail), happen("OPENED", user_agent=firefox),
        happen("REDIRECTED", user_agent=firefox), happen("UNSUBSCRIBED", user_agent=firefox), happen("OPENED"),
        happen("OPENED", user_agent=firefox, kind="transactional"),
    ])  # fmt: skip
    assert rows(dbsession, "SELECT device, client, opened, redirected FROM campaign_device ORDER BY 1, 2") == [
        ("", "", 1, 0), ("desktop", "Firefox", 1, 1), ("proxy", "Gmail", 1, 0)
    ]  # fmt: skip
    stored = "SELECT type, kind, device, client FROM message_event WHERE device <> '' OR client <> '' ORDER BY id"
    assert rows(dbsession, stored) == [
        ("OPENED", "campaign", "proxy", "Gmail"), ("OPENED", "campaign", "desktop", "Firefox"),
        ("REDIRECTED", "campaign", "desktop", "Firefox"), ("OPENED", "transactional", "desktop", "Firefox"),
    ]  # fmt: skip


def test_a_day_is_counted_by_the_recipients_provider(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [
        happen("SENT", email_domain="gmail.com"), happen("SENT", email_domain="googlemail.com", kind="transactional"),
        happen("SENT", email_domain="bk.ru"), happen("COMPLAINED", email_domain="bk.ru"), happen("SENT"),
        happen("SENT", email_domain="gmail.com", kind="test"),
    ])  # fmt: skip
    assert rows(dbsession, "SELECT day, provider, sent, complained FROM project_provider_day ORDER BY provider") == [
        (date(2026, 11, 20), "gmail", 2, 0), (date(2026, 11, 20), "mailru", 1, 1), (date(2026, 11, 20), "other", 1, 0)
    ]  # fmt: skip


def test_outside_a_transaction_nothing_is_stored(live: Any) -> None:
    url = live.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(RuntimeError):
        append(connection, [Event("SENT", 1, "service", NOON)])


def recounted(stored: list[Event]) -> dict[str, Counter[Any]]:
    """What the rollups should say, counted the slow way."""
    found: dict[str, Counter[Any]] = {"project": Counter(), "campaign": Counter(), "day": Counter(), "link": Counter()}
    opened, clicked, link_clicked, left = set(), set(), set(), set()
    for event in stored:
        day = event.at.astimezone(ZoneInfo("Europe/Moscow")).date()  # type: ignore[union-attr]
        name = event.type.lower()
        if event.type == "UNSUBSCRIBED" and event.kind == "campaign" and event.subscriber_id:
            if event.subscriber_id in left:
                continue
            left.add(event.subscriber_id)
        if event.type == "QUEUED" or event.kind in ("test", "service"):
            continue
        found["project"][(day, name)] += 1
        if event.kind != "campaign":
            continue
        found["campaign"][name] += 1
        found["day"][(day, name)] += 1
        if event.type == "OPENED" and event.subscriber_id:
            opened.add(event.subscriber_id)
        if event.type == "REDIRECTED":
            if event.subscriber_id:
                clicked.add(event.subscriber_id)
            if event.link_id:
                found["link"][(event.link_id, "redirected")] += 1
                if event.subscriber_id:
                    link_clicked.add((event.link_id, event.subscriber_id))
    found["campaign"]["unique_opened"] += len(opened)
    found["campaign"]["unique_redirected"] += len(clicked)
    for link, _person in link_clicked:
        found["link"][(link, "unique")] += 1
    return {name: +counter for name, counter in found.items()}


def rolled_up(dbsession: Session) -> dict[str, Counter[Any]]:
    names = [name.lower() for name in COUNTED]
    columns = ", ".join(names)
    found: dict[str, Counter[Any]] = {"project": Counter(), "campaign": Counter(), "day": Counter(), "link": Counter()}
    for key, table in (("project", "project_day"), ("day", "campaign_day")):
        for day, *values in rows(dbsession, f"SELECT day, {columns} FROM {table}"):
            found[key].update({(day, name): value for name, value in zip(names, values, strict=True)})
    for row in rows(dbsession, f"SELECT {columns}, unique_opened, unique_redirected FROM campaign_stats"):
        found["campaign"].update(dict(zip([*names, "unique_opened", "unique_redirected"], row, strict=True)))
    for link, hits, unique in rows(dbsession, "SELECT link_id, redirected, unique_redirected FROM campaign_link_stats"):
        found["link"].update({(link, "redirected"): hits, (link, "unique"): unique})
    return {name: +counter for name, counter in found.items()}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(TYPES), st.sampled_from((None, 1, 2, 3)), st.sampled_from((None, 10, 11)),
        st.integers(0, 60 * 24 * 3), st.sampled_from(("campaign",) * 6 + ("transactional", "test")),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(drawn=EVENTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_any_events_in_any_batches_agree_with_a_recount(
    dbsession: Session, happen: Callable[..., Event], drawn: list[Any], cuts: list[int]
) -> None:
    events = [
        happen(type_, person, link_id=link, at=NOON + timedelta(minutes=minute), kind=kind)
        for type_, person, link, minute, kind in drawn
    ]
    with dbsession.begin_nested() as nested:
        bounds = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
        for start, end in itertools.pairwise(bounds):
            # Inside a batch the earliest leaving is the one that counts.
            append_in(dbsession, sorted(events[start:end], key=lambda event: event.at or NOON))
        in_order = [e for s, t in itertools.pairwise(bounds)
                    for e in sorted(events[s:t], key=lambda event: event.at or NOON)]  # fmt: skip
        assert rolled_up(dbsession) == recounted(in_order)
        nested.rollback()


def test_concurrent_appends_neither_lock_in_a_circle_nor_lose_a_count(live: Any) -> None:
    project = live.build.project(time_zone="Europe/Moscow")
    campaigns = [live.build.campaign(project) for _n in range(3)]
    project_id, ids = project.id, [campaign.id for campaign in campaigns]
    failures: list[BaseException] = []
    made: list[list[Event]] = []
    for seed in range(6):
        dice = random.Random(seed)
        made.append([
            Event(
                dice.choice(TYPES), project_id, "campaign", NOON + timedelta(hours=dice.randrange(48)),
                campaign_id=dice.choice(ids), subscriber_id=dice.randrange(1, 30), link_id=dice.randrange(1, 5),
                email_domain=dice.choice(("a.test", "b.test", "c.test")),
            )
            for _n in range(400)
        ])  # fmt: skip

    def work(events: list[Event]) -> None:
        try:
            for start in range(0, len(events), 20):
                with live.registry.session_factory() as session:
                    append_in(session, events[start : start + 20])
                    session.commit()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(events,)) for events in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    everything = [event for events in made for event in events]
    with live.registry.session_factory() as session:
        for campaign_id in ids:
            mine = [event for event in everything if event.campaign_id == campaign_id]
            people = {event.subscriber_id for event in mine if event.type == "OPENED"}
            leavers = {event.subscriber_id for event in mine if event.type == "UNSUBSCRIBED"}
            wanted = (sum(event.type == "OPENED" for event in mine), len(people), len(leavers))
            sql = "SELECT opened, unique_opened, unsubscribed FROM campaign_stats WHERE campaign_id = :id"
            assert rows(session, sql, id=campaign_id) == [wanted]
