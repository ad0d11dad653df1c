"""A history put into a database: the plan, narrow rows, then week by week the events with their indexes, the rollups.

A week is a table of its own until it is finished: written and indexed in the transaction that makes it, so that with
`wal_level=minimal` nothing goes to the log, and attached at the end.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.history.bulk import bare, indexes_of
from bench.history.fill import store_plan
from bench.history.plan import Plan, make
from bench.history.store import Connection, connect
from mailhub.reporting.named import load as load_sql

FOLDER = Path(__file__).parent
SQL = load_sql(FOLDER / "sql")
WEEK = timedelta(weeks=1)
#: Letters have a row of `message` only of the last days, or when they were not taken: the events' size is what counts,
#: and the disk is finite.
LETTERS_KEPT, MOST_LETTERS = timedelta(days=6), 2_000_000
MEMORY = (
    "SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'; "
    "SET max_parallel_workers_per_gather = 0; SET enable_nestloop = off"
)
#: By rollup: the statements that fill it, in this order.
ROLLUPS = {
    "project_day": "project_days",
    "project_provider_day": "provider_days",
    "campaign_day": "campaign_days",
    "campaign_hour": "campaign_hours",
    "campaign_domain": "campaign_domains",
    "campaign_device": "campaign_devices",
    "campaign_stats": "campaign_totals",
    "campaign_link_stats": "campaign_links",
    "campaign_count": "campaign_counts",
}


@dataclass(frozen=True)
class Loaded:
    """What was made, and how long it took."""

    events: int
    seconds: float
    seconds_by_step: dict[str, float]


def build(url: str, events: int, until: datetime, *, jobs: int = 2, say: Callable[[str], None] = print) -> Loaded:
    """Fill a migrated, empty database with a history of about `events` events that ends at `until`."""
    loading = _Loading(url, make(events, until), jobs, say)
    return loading.run()


class _Loading:
    def __init__(self, url: str, plan: Plan, jobs: int, say: Callable[[str], None]) -> None:
        self.url, self.plan, self.jobs, self.say = url, plan, jobs, say
        self.began = time.monotonic()
        self.steps: dict[str, float] = {}

    def run(self) -> Loaded:
        with self.step("plan"), self.connection() as connection:
            store_plan(connection, self.plan)
            weeks = _weeks(self.plan)
            for week in weeks:
                connection.execute(_SQL_RAW_WEEK.format(_raw(week), week, week + WEEK))
        projects = [project.id for project in self.plan.projects]
        with self.step("hits"):
            self.each("projects", projects, self.narrow_rows)
        with self.step("reactions"):
            self.each("of people", ["react", "react_to_links"], self.reactions)
        counts = self.weekly_counts(weeks)
        before = [sum(counts[:place]) for place in range(len(counts))]
        with self.step("events"):
            self.each("weeks", list(zip(weeks, before, strict=True)), self.week)
        with self.step("rollups"):
            self.each("rollups", list(ROLLUPS), self.rollup)
        with self.step("people"):
            self.each("tables", ["subscriber", "subscription"], self.people, one_by_one=True)
        with self.step("letters"):
            self.letters()
        with self.step("analyze"), self.connection() as connection:
            _finish(connection, sum(counts), self.plan.until)
        return Loaded(sum(counts), time.monotonic() - self.began, self.steps)

    # The steps

    def narrow_rows(self, connection: Connection, project: int) -> None:
        for name in ("outcomes", "waits", "opens", "clicks", "leavings"):
            connection.execute(SQL[name].psycopg, {"project_id": project, "until": self.plan.until})

    def weekly_counts(self, weeks: Sequence[datetime]) -> list[int]:
        with self.connection() as connection:
            return [
                _one(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_raw(week)))) for week in weeks
            ]

    def reactions(self, connection: Connection, name: str) -> None:
        table = {"react": "campaign_reaction", "react_to_links": "campaign_link_reaction"}[name]
        with bare(connection, table, keys=True):
            connection.execute(SQL[name].psycopg, {})

    def week(self, connection: Connection, what: tuple[datetime, int]) -> None:
        week, before = what
        raw, name = _raw(week), f"message_event_{week:%Y%m%d}"
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
        with connection.transaction():
            made = "CREATE TABLE {week} (LIKE message_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            bounds = "ALTER TABLE {week} ADD CONSTRAINT in_week CHECK (at >= {since} AND at < {until})"
            names = {"week": sql.Identifier(name), "raw": raw, "since": week, "until": week + WEEK}
            connection.execute(sql.SQL(made).format(**names))
            connection.execute(sql.SQL(bounds).format(**names))
            connection.execute(sql.SQL(SQL["expand"].psycopg).format(**names), {"before": before})
            for statement in indexes_of(connection, "message_event", name):
                connection.execute(statement)
        with connection.transaction():
            attach = "ALTER TABLE message_event ATTACH PARTITION {week} FOR VALUES FROM ({since}) TO ({until})"
            connection.execute(sql.SQL(attach).format(**names))
            connection.execute(sql.SQL("ALTER TABLE {week} DROP CONSTRAINT in_week").format(**names))
        for counting in ("count_hours", "count_domains", "count_devices"):
            connection.execute(sql.SQL(SQL[counting].psycopg).format(raw=raw), {})
        connection.execute(sql.SQL("DROP TABLE {}").format(raw))

    def rollup(self, connection: Connection, table: str) -> None:
        with bare(connection, table):
            connection.execute(SQL[ROLLUPS[table]].psycopg, {})

    def people(self, connection: Connection, table: str) -> None:
        name = {"subscriber": "people", "subscription": "subscriptions"}[table]
        with bare(connection, table):
            for project in self.plan.projects:
                connection.execute(SQL[name].psycopg, {"project_id": project.id})
        if table == "subscription":
            for name in ("forget_list_days", "list_days"):
                connection.execute(SQL[name].psycopg, {})

    def letters(self) -> None:
        """The last days' letters, of fewer days where they would be too many, and those that were not taken."""
        since, plan = self.plan.until - LETTERS_KEPT, self.plan
        recent = sum(one.audience for one in plan.letters if one.campaign_id is not None and one.started_at >= since)
        if recent > MOST_LETTERS:
            since = plan.until - LETTERS_KEPT * (MOST_LETTERS / recent)
        with self.connection() as connection:
            ensure = "SELECT ensure_partitions('message', 'created_at', %s, %s)"
            connection.execute(ensure, [plan.since, plan.until])
            connection.execute(SQL["letters"].psycopg, {"since": since, "until": plan.until})

    # How they are done

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.steps[name] = round(time.monotonic() - began, 1)
        self.say(f"  {name}: {self.steps[name]} s")

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        with connect(self.url) as connection:
            connection.execute(MEMORY)
            yield connection

    def each(
        self, title: str, things: Sequence[Any], do: Callable[[Connection, Any], None], *, one_by_one: bool = False
    ) -> None:
        """Do it with every one, `jobs` at a time, each in a connection of its own; says how far it has come."""

        def one(thing: Any) -> None:
            with self.connection() as connection:
                do(connection, thing)

        done, said_at = 0, time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1 if one_by_one else self.jobs) as pool:
            for future in concurrent.futures.as_completed([pool.submit(one, thing) for thing in things]):
                future.result()
                done += 1
                if time.monotonic() - said_at > 15:
                    said_at = time.monotonic()
                    self.say(f"    {title} {done} of {len(things)}")


_SQL_RAW_WEEK = sql.SQL("CREATE UNLOGGED TABLE {} PARTITION OF history.raw FOR VALUES FROM ({}) TO ({})")


def _raw(week: datetime) -> sql.Identifier:
    return sql.Identifier("history", f"raw_{week:%Y%m%d}")


def _weeks(plan: Plan) -> list[datetime]:
    """The Mondays of the plan, as `ensure_partitions` cuts them."""
    day = plan.since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    week, found = day - timedelta(days=day.weekday()), []
    while week < plan.until:
        found.append(week)
        week += WEEK
    return found


def _finish(connection: Connection, events: int, until: datetime) -> None:
    """Sequences and positions beyond what is there, the partitions to come, statistics for the planner."""
    for table in ("project", "sender", "mailing_list", "campaign", "link", "subscriber", "message_event"):
        connection.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), greatest((SELECT max(id) FROM " + table + "), 1))", [table]
        )
    # As after a restore into another cluster: transactions are counted on from the last position.
    last = _one(connection.execute("SELECT max(position) FROM message_event"))
    for name, counted in (
        ("feed_position", "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
        ("feed_horizon", "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"),
    ):
        kind = "VOLATILE" if name == "feed_position" else "STABLE"
        connection.execute(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS bigint LANGUAGE sql {kind} AS $$ SELECT {counted} + {last} $$"
        )
    connection.execute(
        "CREATE TABLE history.built AS SELECT CAST(%s AS bigint) AS events, CAST(%s AS timestamptz) AS until",
        [events, until],
    )
    for table in ("by_hour", "by_domain", "by_device", "raw"):
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("history", table)))
    connection.execute("VACUUM (ANALYZE)")


def _one(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])
