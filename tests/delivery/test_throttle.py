"""The limits as a process sees them, and where they come from."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from mailhub.delivery import buckets
from mailhub.delivery.throttle import (
    UNLIMITED,
    Throttle,
    campaign_key,
    kind_key,
    lane_key,
    project_key,
    relay_key,
    set_rate,
    sync_rates,
)
from mailhub.models import CampaignCount, Project
from mailhub.settings import Settings, read_settings
from tests.delivery.brakes import connect, passed, threads, value

Database = psycopg.Connection[Any]
KEYS = (relay_key("default"), project_key(1), campaign_key(1, 1))


def made(**changes: str) -> Settings:
    return read_settings({name.replace("__", "."): given for name, given in changes.items()}, {})


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(made())


class Counted:
    """A connection that counts its statements."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self.statements = 0

    def execute(self, *args: Any) -> Any:
        self.statements += 1
        return self._connection.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_work_without_limits_costs_a_statement_a_second(database: Database, throttle: Throttle) -> None:
    counted: Any = Counted(database)
    allowance = throttle.allowance(*KEYS)
    assert allowance.at_hand(100.0) == 0, "nothing is known yet"
    assert allowance.refill(counted, 10, 100.0) == UNLIMITED
    for n in range(50):
        assert allowance.at_hand(100.0 + n / 60) == UNLIMITED
        allowance.spend()
    assert counted.statements == 1
    assert allowance.at_hand(101.5) == 0, "what was known is old"
    throttle.refresh(counted, 101.5)
    assert allowance.at_hand(102.0) == UNLIMITED
    assert counted.statements == 2


def test_letters_are_taken_some_at_a_time(database: Database, throttle: Throttle) -> None:
    set_rate(database, KEYS[0], 200)
    counted: Any = Counted(database)
    allowance = throttle.allowance(*KEYS)
    assert allowance.refill(counted, 500, 5.0) == 20, "a tenth of a second's worth"
    for left in range(19, -1, -1):
        allowance.spend()
        assert allowance.at_hand(5.0) == left
    assert counted.statements == 2
    assert allowance.refill(counted, 3, 5.0) == 3, "no more than there is work for"
    allowance.give_back(counted)
    assert allowance.at_hand(5.0) == 0
    assert value(database, "SELECT tokens FROM rate_bucket") > 29


def test_an_empty_bucket_is_not_asked_again_too_soon(database: Database, throttle: Throttle) -> None:
    set_rate(database, KEYS[1], 0.5)
    counted: Any = Counted(database)
    allowance = throttle.allowance(*KEYS)
    assert allowance.refill(counted, 5, 5.0) == 1
    allowance.spend()
    assert allowance.refill(counted, 5, 5.0) == 0
    assert 6.5 < allowance.wait_until <= 7.0
    assert allowance.waits_for == KEYS[1]
    asked = counted.statements
    assert allowance.refill(counted, 5, 5.5) == 0
    assert counted.statements == asked
    passed(database, "rate_bucket", 2)
    assert allowance.refill(counted, 5, 7.0) == 1
    assert allowance.waits_for == ""


def test_a_limit_that_is_lifted_ends_the_wait(database: Database, throttle: Throttle) -> None:
    set_rate(database, KEYS[2], 1 / 3600)
    allowance = throttle.allowance(*KEYS)
    assert allowance.refill(database, 5, 5.0) == 1
    allowance.spend()
    assert allowance.refill(database, 5, 5.0) == 0
    assert allowance.wait_until > 3000
    set_rate(database, KEYS[2], 100)
    passed(database, "rate_bucket", 10)
    assert allowance.refill(database, 5, 6.5) == 5
    set_rate(database, KEYS[2], None)
    assert allowance.refill(database, 5, 8.0) == UNLIMITED


def test_the_same_keys_share_an_allowance(throttle: Throttle) -> None:
    one = throttle.allowance("relay:a", "project:1")
    assert throttle.allowance("project:1", "relay:a") is one
    assert throttle.allowance("project:1", "relay:a", ahead=True) is not one
    assert throttle.allowance("project:1") is not one


def test_letters_that_lay_unused_are_not_sent_in_a_burst(database: Database, throttle: Throttle) -> None:
    set_rate(database, KEYS[0], 200)
    allowance = throttle.allowance(*KEYS)
    assert allowance.refill(database, 20, 5.0) == 20
    assert allowance.at_hand(9.0) == 20
    assert allowance.at_hand(11.0) == 1


def test_who_goes_ahead_does_not_wait_for_bulk(database: Database, throttle: Throttle) -> None:
    set_rate(database, relay_key("default"), 2)
    bulk = throttle.allowance(relay_key("default"), kind_key("default", "bulk"))
    single = throttle.allowance(relay_key("default"), kind_key("default", "transactional"), ahead=True)
    assert bulk.refill(database, 50, 5.0) == 1
    bulk.spend()
    assert bulk.refill(database, 50, 5.0) == 0
    assert single.refill(database, 1, 5.0) == 1


def test_a_limit_holds_over_several_processes(live: Any, database: Database) -> None:
    """Eight throttles with connections of their own: no more than the burst and what has flowed in by the database."""
    set_rate(database, KEYS[0], 400)
    began = value(database, "SELECT updated_at FROM rate_bucket")
    spent = [0] * 8

    def sender(place: int) -> None:
        allowance = Throttle(made()).allowance(*KEYS)
        with connect(live) as mine:
            until = time.monotonic() + 1.2
            while (now := time.monotonic()) < until:
                if allowance.at_hand(now) or allowance.refill(mine, 50, now):
                    allowance.spend()
                    spent[place] += 1
                else:
                    time.sleep(max(0.0, min(allowance.wait_until, until) - now))
            allowance.give_back(mine)

    with threads(*(lambda place=place: sender(place) for place in range(8))) as failures:
        pass
    assert failures == []
    seconds = (value(database, "SELECT clock_timestamp()") - began).total_seconds()
    assert 100 < sum(spent) <= 100 + 400 * seconds


def rates(connection: Database) -> dict[str, float]:
    return dict(connection.execute("SELECT key, rate FROM rate_bucket ORDER BY key").fetchall())


def test_rates_of_the_settings(database: Database) -> None:
    settings = made(
        mailhub__relay__default__messages_per_second="50",
        mailhub__relay__default__bulk_per_second="40",
        mailhub__relay__mta__url="smtp://mta.test",
        mailhub__relay__mta__lanes="true",
        mailhub__lane__gmail__messages_per_second="7",
        mailhub__lane__yahoo__messages_per_second="0",
    )
    assert sync_rates(database, settings) > 0
    found = rates(database)
    assert found[relay_key("default")] == 50
    assert found[kind_key("default", "bulk")] == 40
    assert found[lane_key("mta", "gmail")] == 7
    assert not {lane_key("mta", "yahoo"), lane_key("mta", "other"), lane_key("default", "gmail")} & found.keys()
    assert value(database, "SELECT base_connections FROM relay_lane WHERE lane = 'gmail'") == 5
    assert sync_rates(database, settings) == 0
    assert buckets.take(database, [relay_key("default")], 5).n == 5
    assert sync_rates(database, made()) == len(found)
    assert rates(database) == {}
    assert value(database, "SELECT count(*) FROM relay_lane WHERE base_rate IS NOT NULL") == 0


def test_rates_of_projects_and_campaigns(live: Any, database: Database) -> None:
    settings = made()
    project: Project = live.build.project()
    project.messages_per_second = 2.5
    spread = live.build.campaign(project, state="sending", spread_seconds=3600)
    spread.fanned_out_at = live.session.scalar(text("SELECT now()"))
    other = live.build.campaign(project, state="sending")
    live.session.add(CampaignCount(project_id=project.id, campaign_id=spread.id, audience=7200))
    live.session.commit()
    set_rate(database, campaign_key(project.id, other.id), 3)
    sync_rates(database, settings)
    assert rates(database) == {
        project_key(project.id): 2.5,
        campaign_key(project.id, spread.id): 2.0,
        campaign_key(project.id, other.id): 3.0,
    }
    set_rate(database, campaign_key(project.id, spread.id), 1)
    assert sync_rates(database, settings) == 0, "what fan-out has set stays"
    spread.state, other.state, project.messages_per_second = "sent", "cancelled", None
    live.session.commit()
    assert sync_rates(database, settings) == 3
    assert rates(database) == {}


def test_a_slowed_lane_keeps_its_rate(database: Database) -> None:
    settings = made(mailhub__relay__mta__url="smtp://mta.test", mailhub__relay__mta__lanes="true")
    sync_rates(database, settings)
    database.execute("UPDATE relay_lane SET rate = 0.5 WHERE lane = 'gmail'")
    database.execute("INSERT INTO relay_lane (relay, lane, rate) VALUES ('default', 'other', 4)")
    sync_rates(database, settings)
    found = rates(database)
    assert (found[lane_key("mta", "gmail")], found[lane_key("default", "other")]) == (0.5, 4)


def test_the_sweep_keeps_the_limits(office: Any, database: Database) -> None:
    relays = made(mailhub__relay__default__messages_per_second="9").relays
    office.settings(relays=relays)
    office.sweep()
    assert rates(database) == {relay_key("default"): 9}
