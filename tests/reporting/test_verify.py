"""A recount agrees with the rollups; a planted wrong number is found and mended, also while events come in."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events.marking import Mark, mark_in
from mailhub.events.service import Event, append_in
from mailhub.reporting import partitions, retention
from mailhub.reporting.verify import ALL, cut_days_again, repair_project, verify

NOW = datetime.now(UTC).replace(hour=12)
TYPES = ("SENT", "OPENED", "OPENED", "REDIRECTED", "SOFTBOUNCED", "UNSUBSCRIBED", "COMPLAINED", "QUEUED")
KINDS = ("campaign", "campaign", "campaign", "transactional", "test", "service")
ACTORS = ("", "human", "proxy_open", "machine_open", "scanner", "unknown")
AGENTS = ("", "Mozilla/5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "barracuda")
DOMAINS = ("gmail.com", "mail.ru", "hotmail.de", "m.test")


def some_events(dice: random.Random, campaigns: list[tuple[int, int]], how_many: int) -> list[Event]:
    """Events of the campaigns (project, id): five days of them, out of order."""
    made = []
    for _n in range(how_many):
        project_id, campaign_id = dice.choice(campaigns)
        made.append(
            Event(
                dice.choice(TYPES), project_id, dice.choice(KINDS), NOW - timedelta(minutes=dice.randrange(60 * 120)),
                campaign_id=campaign_id, subscriber_id=dice.choice((None, 1, 2, 3, 4)),
                link_id=dice.choice((None, 1, 2)), email_domain=dice.choice(DOMAINS), user_agent=dice.choice(AGENTS),
            )
        )  # fmt: skip
    return made


def mark_some(session: Any, dice: random.Random, how_many: int) -> None:
    """Mark random hits with random actors, some for the second time."""
    keys = session.execute(
        text(
            "SELECT project_id, position, id, at FROM message_event WHERE type IN ('OPENED', 'REDIRECTED') ORDER BY id"
        )
    ).all()
    chosen = dice.sample(keys, min(how_many, len(keys)))
    mark_in(session, [Mark(*key, dice.choice(ACTORS), "dice") for key in chosen])


@pytest.fixture
def busy(live: Any) -> Any:
    """A database with two projects' worth of events and marks, in batches and out of order."""
    # Half an hour off the others, and a zone whose clocks have just been changed for the winter.
    projects = [live.build.project(time_zone=zone) for zone in ("Asia/Kolkata", "America/New_York")]
    live.campaigns = [
        (project.id, live.build.campaign(project, started_at=NOW - timedelta(hours=100), created_at=NOW - age).id)
        for project in projects
        for age in (timedelta(hours=101), timedelta(hours=102))
    ]
    live.campaigns.append((projects[0].id, live.build.campaign(projects[0]).id))
    dice = random.Random(5)
    for _batch in range(12):
        append_in(live.session, some_events(dice, live.campaigns, 40))
        live.session.commit()
        mark_some(live.session, dice, 30)
        live.session.commit()
    return live


def run(live: Any, *statements: str) -> None:
    with live.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_rollups_agree_with_a_recount(busy: Any) -> None:
    assert verify(busy.engine) == []
    with busy.engine.connect() as connection:
        for rollup in ALL.values():
            found = connection.execute(text(f"SELECT sum(machine_redirected) FROM {rollup.table}")).scalar_one()
            assert found > 0, rollup.table


WRONG = [
    ("UPDATE project_day SET sent = sent + 7", "project_days"),
    ("UPDATE project_day SET machine_opened = machine_opened - 1", "project_days"),
    ("UPDATE project_provider_day SET redirected = 0", "provider_days"),
    ("DELETE FROM project_provider_day WHERE provider = 'gmail'", "provider_days"),
    ("UPDATE campaign_stats SET unique_opened = unique_opened - 1", "campaigns"),
    ("UPDATE campaign_stats SET unique_machine_redirected = unique_machine_redirected + 2", "campaigns"),
    ("DELETE FROM campaign_stats", "campaigns"),
    ("UPDATE campaign_day SET opened = 0", "campaign_days"),
    ("UPDATE campaign_hour SET sent = sent - 1, opened = 0 WHERE hour % 2 = 0", "campaign_hours"),
    ("DELETE FROM campaign_device WHERE client = 'Firefox'", "devices"),
    ("DELETE FROM campaign_domain", "domains"),
    (
        "INSERT INTO campaign_link_stats SELECT project_id, id, id + 98, 5, 5 FROM campaign ON CONFLICT DO NOTHING",
        "links",
    ),
    ("UPDATE campaign_link_stats SET unique_machine_redirected = 9", "links"),
    ("UPDATE campaign_reaction SET redirected = redirected + 1", "reactions"),
    ("UPDATE campaign_reaction SET machine_opened = opened", "reactions"),
    ("UPDATE campaign_reaction SET unsubscribed_at = NULL WHERE subscriber_id = 2", "reactions"),
    ("UPDATE campaign_reaction SET unsubscribed_at = now() WHERE unsubscribed_at IS NULL", "reactions"),
    ("DELETE FROM campaign_reaction", "reactions"),
    ("DELETE FROM campaign_link_reaction WHERE subscriber_id = 1", "link_reactions"),
]


def test_a_wrong_rollup_is_found_and_mended(busy: Any) -> None:
    for statement, rollup in WRONG:
        run(busy, statement)
        found = verify(busy.engine)
        assert {difference.rollup for difference in found} == {rollup}, statement
        assert "recounted" in str(found[0])
        assert ": " in str(found[0])
        assert verify(busy.engine, repair=True) == found, statement
        assert verify(busy.engine) == [], statement
    assert {rollup for _statement, rollup in WRONG} == set(ALL)


def test_everything_lost_comes_back_with_its_moments(busy: Any) -> None:
    moments = text(
        "SELECT campaign_id, subscriber_id, first_opened_at, first_redirected_at, unsubscribed_at, c.last_event_at"
        " FROM campaign_reaction JOIN campaign_stats AS c USING (project_id, campaign_id) ORDER BY 1, 2"
    )
    with busy.engine.connect() as connection:
        before = connection.execute(moments).all()
    run(busy, *(f"DELETE FROM {rollup.table}" for rollup in ALL.values()))
    assert verify(busy.engine, repair=True)
    assert verify(busy.engine) == []
    with busy.engine.connect() as connection:
        assert connection.execute(moments).all() == before


def test_one_project_is_looked_at_and_mended_alone(busy: Any) -> None:
    one, other = sorted({project_id for project_id, _id in busy.campaigns})
    run(busy, "UPDATE project_day SET sent = sent + 1")
    assert {difference.project_id for difference in verify(busy.engine, project_id=one)} == {one}
    verify(busy.engine, project_id=one, repair=True)
    assert {difference.project_id for difference in verify(busy.engine)} == {other}


def test_numbers_are_right_after_a_retention_drop(busy: Any) -> None:
    old = NOW - timedelta(days=60)
    project = busy.build.project()
    campaign = busy.build.campaign(project, created_at=old, started_at=old)
    partitions.ensure(busy.engine, now=NOW, since=old)
    for days in range(0, 60, 3):
        hit = Event(
            "OPENED", project.id, "campaign", old + timedelta(days=days), campaign_id=campaign.id, subscriber_id=1
        )
        append_in(busy.session, [hit])
    busy.session.commit()
    assert verify(busy.engine) == []
    assert retention.purge(busy.engine, now=NOW, retention_days=30).partitions
    assert verify(busy.engine) == []
    run(busy, "UPDATE campaign_stats SET opened = opened + 1", "UPDATE project_day SET opened = opened + 1")
    found = verify(busy.engine, project_id=project.id)
    # The campaign is older than what is left of the raw events; so are the first days.
    assert {difference.rollup for difference in found} == {"project_days"}
    assert 5 < len(found) < 20


def test_another_time_zone_cuts_the_days_again(busy: Any) -> None:
    project_id = busy.campaigns[0][0]
    # An event an hour after midnight in India is one of the day before in New York.
    at = NOW.replace(hour=20, minute=0) - timedelta(days=4)
    append_in(busy.session, [Event("SENT", project_id, "transactional", at)])
    busy.session.commit()
    run(busy, f"UPDATE project SET time_zone = 'America/New_York' WHERE id = {project_id}")
    found = cut_days_again(busy.engine, project_id)
    assert {difference.rollup for difference in found} == {"project_days", "provider_days", "campaign_days"}
    assert verify(busy.engine) == []
    with busy.engine.connect() as connection:
        for table in ("project_day", "project_provider_day", "campaign_day"):
            empty = f"SELECT count(*) FROM {table} WHERE sent + opened + redirected + softbounced + unsubscribed = 0"
            assert connection.execute(text(f"{empty} AND complained = 0")).scalar_one() == 0, table


def test_any_zones_days_are_cut_alike_in_both_ways(live: Any) -> None:
    """A year with its changes of clocks, in the default partition but for its first week."""
    first = datetime(2024, 1, 1, tzinfo=UTC)
    partitions.ensure(live.engine, now=first - partitions.AHEAD + timedelta(days=1), since=first)
    dice = random.Random(3)
    for zone in ("America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Africa/Cairo"):
        project = live.build.project(time_zone=zone)
        campaign = live.build.campaign(project, created_at=first)
        moments = [first + timedelta(days=7, seconds=dice.randrange(31_000_000)) for _n in range(500)]
        append_in(live.session, [Event("SENT", project.id, "campaign", at, campaign_id=campaign.id) for at in moments])
    live.session.commit()
    assert verify(live.engine) == []


def test_repairs_and_marks_beside_appends_leave_nothing_wrong(busy: Any) -> None:
    """Planted wrong numbers are mended while three threads store hits of the same people and one marks them."""
    failures: list[BaseException] = []

    def work(step: Callable[[Any, random.Random], None], seed: int, turns: int) -> None:
        dice = random.Random(seed)
        try:
            for _turn in range(turns):
                with busy.registry.session_factory() as session:
                    step(session, dice)
                    session.commit()
        except BaseException as failure:
            failures.append(failure)

    def store(session: Any, dice: random.Random) -> None:
        append_in(session, some_events(dice, busy.campaigns, 12))

    def judge(session: Any, dice: random.Random) -> None:
        mark_some(session, dice, 25)

    threads = [threading.Thread(target=work, args=(store, seed, 15)) for seed in range(3)]
    threads.append(threading.Thread(target=work, args=(judge, 7, 15)))
    projects = sorted({project_id for project_id, _id in busy.campaigns})
    for thread in threads:
        thread.start()
    wrong = iter([statement for statement, _rollup in WRONG] * 10)
    while any(thread.is_alive() for thread in threads):
        run(busy, next(wrong))
        for project_id in projects:
            repair_project(busy.engine, project_id)
    for thread in threads:
        thread.join()
    assert failures == []
    assert verify(busy.engine) == []
