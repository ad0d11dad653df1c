"""What the planner makes of every statement that reads letters or events: by which index, and in which weeks alone.

A small set in six weekly partitions, with sequential scans made dear: a statement that still needs one has no index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from mailhub.reporting.named import SQL

_TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
#: The Mondays of the set; a week's partition is there because the migration makes some ahead.
WEEKS = [_TODAY - timedelta(days=_TODAY.weekday()) + timedelta(weeks=n) for n in range(1, 7)]
SINCE, UNTIL = WEEKS[2], WEEKS[3]
_ROW = re.compile(r"^(message|message_event)_(\d{8})$")

#: A bind's value by its name and type.
VALUES: dict[tuple[str, str], Any] = {
    ("project_id", "bigint"): 1,
    ("project_id", "bigint[]"): [1],
    ("project_ids", "bigint[]"): [1],
    ("ids", "bigint[]"): [1],
    ("campaign_id", "bigint"): 1,
    ("campaign_id", "bigint[]"): [1],
    ("subscriber_id", "bigint"): 7,
    ("subscriber_id", "bigint[]"): [7],
    ("message_id", "uuid"): UUID(int=7),
    ("message_id", "uuid[]"): [UUID(int=7)],
    ("id", "uuid[]"): [UUID(int=7)],
    ("addresses", "text[]"): ["p7@a.test"],
    ("ip", "inet[]"): ["10.0.0.7"],
    ("email_domain", "text[]"): ["a.test"],
    ("since", "date"): SINCE.date(),
    ("until", "date"): UNTIL.date(),
    ("since", "timestamptz"): SINCE,
    ("since_at", "timestamptz"): SINCE,
    ("until", "timestamptz"): UNTIL,
    ("until_at", "timestamptz"): UNTIL,
    ("before_at", "timestamptz"): UNTIL,
    ("first", "timestamptz"): SINCE,
    ("last", "timestamptz"): UNTIL - timedelta(seconds=1),
    ("since", "timestamptz[]"): [SINCE],
    ("until", "timestamptz[]"): [UNTIL],
    ("at", "timestamptz[]"): [SINCE],
    ("after_at", "timestamptz"): SINCE,
    ("after_id", "uuid"): UUID(int=0),
    ("after_id", "bigint"): 0,
    ("after_position", "bigint"): 0,
    ("before_id", "bigint"): 10**9,
    ("position", "bigint"): 0,
    ("position", "bigint[]"): [1],
    ("id", "bigint"): 0,
    ("winner_id", "bigint"): 7,
    ("loser_id", "bigint"): 8,
    ("campaign_ids", "bigint[]"): [1],
    ("id", "bigint[]"): [1],
    ("last_position", "bigint"): 10**9,
    ("last_id", "bigint"): 10**9,
    ("object_id", "bigint"): 1,
    ("kind", "text"): "campaign_name",
    ("value", "text"): "New name",
    ("name", "text"): "reader",
    ("reader", "text"): "reader",
    ("classifier", "text"): "classifier",
    ("task", "text"): "task",
    ("actor", "text[]"): ["human"],
    ("actor_cause", "text[]"): ["plain"],
    ("most", "integer"): 10,
    ("most", "bigint"): 10,
    ("kinds", "integer"): 10,
}


@dataclass(frozen=True)
class Expected:
    """`index` (of the parent table; "": any will do) and the weeks that may be read, from the first on to the last."""

    index: str = ""
    weeks: tuple[int, int] = (0, 5)


_WINDOW, _FROM = (2, 2), (2, 5)
#: Every statement that reads letters or events and is not meant to read all of them.
EXPECTED = {
    "subscriber_timeline": Expected("ix_message_event_subscriber", (2, 3)),
    "message_timeline": Expected("ix_message_event_message", _FROM),
    "admin_waiting": Expected("ix_message_due"),
    "admin_later": Expected("ix_message_due"),
    "campaign_refusals": Expected("ix_message_campaign", _FROM),
    "suspect_unknown": Expected("ix_message_campaign", _FROM),
    "raw_events": Expected("", _WINDOW),
    "raw_reasons": Expected("", _WINDOW),
    "raw_recipients": Expected("", _WINDOW),
    # PostgreSQL 15 takes another index of the project for a week that is empty.
    "rename_letters": Expected("", _FROM),
    "rename_events": Expected("pk_message_event"),
    "marked_events": Expected("pk_message_event", _WINDOW),
    "mark_events": Expected("pk_message_event", _WINDOW),
    "events_after": Expected("pk_message_event"),
    "feed_state": Expected(),
    "next_hits": Expected("ix_message_event_hits"),
    "kept_hits": Expected("ix_message_event_hits", _FROM),
    "overdue_hit": Expected("ix_message_event_hits"),
    "around_letters_of_people": Expected("ix_message_event_subscriber", _WINDOW),
    "around_single_letters": Expected("ix_message_event_message", _WINDOW),
    "clicks_of_addresses": Expected("", _WINDOW),
    "letters_of_hits": Expected("", _WINDOW),
    "activity_projects": Expected("pk_message_event"),
    "follow_letters": Expected("pk_message_event"),
    "follow_reactions": Expected("ix_message_event_hits"),
    "recount_reactions": Expected("ix_message_event_subscriber"),
    "activity_as_of": Expected(),
    "person_addresses": Expected(),
    "letters_to": Expected(),
    "erase_letters": Expected("", _WINDOW),
    "erase_events": Expected(),
    "old_letters": Expected("", _WINDOW),
    "old_events": Expected("", _WINDOW),
    "still_flying": Expected("ix_message_in_flight"),
    "movable_campaigns": Expected(),
    "has_news": Expected(),
    "move_events": Expected(),
    "move_messages": Expected(),
}
#: A recount reads everything, by its nature; the others take a lock, or make partitions.
_READS_ALL = re.compile(
    r"^(verify_\w+|repair_\w+|rebuild_activity|lock_rollups|stop_positions|keep_partitions|ensure_partitions)$"
)


@pytest.fixture(scope="module")
def rows(shared_app: Any) -> Iterator[Connection]:
    """A connection in whose transaction six weeks have 300 letters and 600 events each."""
    with shared_app.registry.engine.connect() as connection:
        outer = connection.begin()
        for number, week in enumerate(WEEKS):
            binds = {"week": week, "number": number}
            connection.execute(text(LETTERS), binds)
            connection.execute(text(EVENTS), binds)
        connection.execute(text("ANALYZE message, message_event"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        yield connection
        outer.rollback()


LETTERS = """
    INSERT INTO message (
        project_id, created_at, id, kind, queue, state, campaign_id, subscriber_id, email, email_domain, due_at
    )
    SELECT
        1 + n % 3, CAST(:week AS timestamptz) + n * interval '20 minutes', gen_random_uuid(), 'campaign', 'bulk',
        CASE n % 10 WHEN 0 THEN 'failed' WHEN 1 THEN 'deferred' ELSE 'sent' END, 1 + n % 5, n, 'p@a.test', 'a.test',
        CASE n % 10 WHEN 1 THEN CAST(:week AS timestamptz) END
    FROM generate_series(1, 300) AS n
"""
EVENTS = """
    INSERT INTO message_event (
        project_id, position, at, type, kind, message_id, campaign_id, subscriber_id, email_domain, ip
    )
    SELECT
        1 + n % 3, :number * 100 + n / 10, CAST(:week AS timestamptz) + n * interval '10 minutes',
        CASE n % 4 WHEN 0 THEN 'OPENED' WHEN 1 THEN 'REDIRECTED' ELSE 'SENT' END, 'campaign', gen_random_uuid(),
        1 + n % 5, n, 'a.test', CAST('10.0.0.0' AS inet) + n % 200
    FROM generate_series(1, 600) AS n
"""


def test_every_statement_that_reads_letters_or_events_is_looked_at() -> None:
    readers = {name for name, one in SQL.items() if {"message", "message_event"} & set(one.tables)}
    assert {name for name in readers if not _READS_ALL.match(name)} <= EXPECTED.keys()


@pytest.mark.parametrize("name", [name for name in EXPECTED if name in SQL])
def test_it_reads_its_weeks_by_its_index(rows: Connection, name: str) -> None:
    statement, expected = SQL[name], EXPECTED[name]
    binds = {bind: VALUES[bind, type_] for bind, type_ in statement.binds.items()}
    with rows.begin_nested() as savepoint:
        found = rows.execute(text("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.sql), binds).scalar_one()
        savepoint.rollback()
    planned = list(_scans(found[0]["Plan"]))
    assert planned, "it reads no letter and no event"
    # Partitions can be left out while it runs, too. What has nothing to look for in this set is judged by its plan.
    scans = [one for one in planned if one.ran] or planned
    first, last = expected.weeks
    allowed = {f"{week:%Y%m%d}" for week in WEEKS[first : last + 1]}
    others = {f"{week:%Y%m%d}" for week in WEEKS} - allowed
    assert not {one.week for one in scans} & others, f"weeks that it need not read: {sorted(others)}"
    if expected.weeks != (0, 5):
        earlier = {one.week for one in scans if one.week and one.week < min(allowed)}
        assert earlier == set(), "older weeks than it has to"
    assert [one for one in scans if one.node == "Seq Scan" and one.week in allowed] == []
    if expected.index:
        parents = {_parent(rows, one.index) for one in scans if one.week in allowed and one.index}
        assert parents == {expected.index}


@dataclass(frozen=True)
class Scan:
    """A node of a plan that reads a partition: its week, "" for the default one and for the index of a bitmap."""

    node: str
    week: str
    index: str
    ran: bool


def _scans(plan: dict[str, Any], week: str = "") -> Iterator[Scan]:
    """The scans of letters and events; a bitmap's index is taken for its heap's week."""
    named = _ROW.match(plan.get("Relation Name", ""))
    week = named[2] if named else week if plan["Node Type"].startswith("Bitmap") else ""
    if named or (plan["Node Type"] == "Bitmap Index Scan" and week):
        yield Scan(plan["Node Type"], week, plan.get("Index Name", ""), plan["Actual Loops"] > 0)
    inner = week if plan["Node Type"].startswith("Bitmap") else ""
    for child in plan.get("Plans", []):
        yield from _scans(child, inner)


def _parent(connection: Connection, index: str) -> str:
    """The name of the partitioned index to which a partition's index belongs."""
    found = connection.execute(
        text("SELECT CAST(inhparent AS regclass)::text FROM pg_inherits WHERE inhrelid = CAST(:name AS regclass)"),
        {"name": f'"{index}"'},
    ).scalar_one()
    return str(found)


def test_the_weeks_of_the_set_have_partitions_of_their_own(rows: Connection) -> None:
    names = {f"message_event_{week:%Y%m%d}" for week in WEEKS} | {f"message_{week:%Y%m%d}" for week in WEEKS}
    found = rows.execute(text("SELECT relname FROM pg_class WHERE relname = ANY(:names)"), {"names": list(names)})
    assert set(found.scalars()) == names
