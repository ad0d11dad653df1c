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

from bench.history.plan import LINKS, Plan, PlannedLetters, make
from bench.history.store import connect
from mailhub.mail.lane import LANES, lanes_of_domains
from mailhub.reporting.named import load as load_sql

FOLDER = Path(__file__).parent
SQL = load_sql(FOLDER / "sql")
Connection = psycopg.Connection[Any]
WEEK = timedelta(weeks=1)
#: Letters have a row of `message` only of the last days: the events' size is what counts, and the disk is finite.
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
            _store_plan(connection, self.plan)
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
        with _bare(connection, table, keys=True):
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
            for statement in _indexes_of(connection, "message_event", name):
                connection.execute(statement)
        with connection.transaction():
            attach = "ALTER TABLE message_event ATTACH PARTITION {week} FOR VALUES FROM ({since}) TO ({until})"
            connection.execute(sql.SQL(attach).format(**names))
            connection.execute(sql.SQL("ALTER TABLE {week} DROP CONSTRAINT in_week").format(**names))
        for counting in ("count_hours", "count_domains", "count_devices"):
            connection.execute(sql.SQL(SQL[counting].psycopg).format(raw=raw), {})
        connection.execute(sql.SQL("DROP TABLE {}").format(raw))

    def rollup(self, connection: Connection, table: str) -> None:
        with _bare(connection, table):
            connection.execute(SQL[ROLLUPS[table]].psycopg, {})

    def people(self, connection: Connection, table: str) -> None:
        name = {"subscriber": "people", "subscription": "subscriptions"}[table]
        with _bare(connection, table):
            for project in self.plan.projects:
                connection.execute(SQL[name].psycopg, {"project_id": project.id})

    def letters(self) -> None:
        """The last days' letters, fewer days where they would be too many."""
        since, plan = self.plan.until - LETTERS_KEPT, self.plan
        recent = sum(one.audience for one in plan.letters if one.campaign_id is not None and one.started_at >= since)
        if recent > MOST_LETTERS:
            since = plan.until - LETTERS_KEPT * (MOST_LETTERS / recent)
        with self.connection() as connection:
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


def _store_plan(connection: Connection, plan: Plan) -> None:
    connection.execute((FOLDER / "schema.sql").read_text(encoding="utf-8"))
    projects = {project.id: project for project in plan.projects}
    campaigns = [one for one in plan.letters if one.campaign_id is not None]
    _copy(connection, "project", ("id", "slug", "name", "domain", "time_zone", "created_at"), (
        (one.id, one.slug, one.name, one.domain, one.time_zone, one.created_at) for one in plan.projects
    ))  # fmt: skip
    _copy(connection, "sender", ("project_id", "id", "email", "name", "is_default"), (
        (one.id, one.id, f"news@{one.domain}", one.name, True) for one in plan.projects
    ))  # fmt: skip
    _copy(connection, "mailing_list", ("project_id", "id", "name", "created_at"), (
        (one.id, one.id * 2 - odd, "Customers" if odd else "Newsletter", one.created_at)
        for one in plan.projects for odd in (0, 1)
    ))  # fmt: skip
    names = ("project_id", "id", "name", "state", "subject", "sender_id", "html", "version", "fanned_out_at",
             "started_at", "finished_at", "created_at")  # fmt: skip
    _copy(connection, "campaign", names, (
        (one.project_id, one.campaign_id, one.campaign_name, "sent", one.campaign_name, one.project_id, _letter(one),
         1, one.started_at, one.started_at, _ended(one), one.started_at - timedelta(minutes=30)) for one in campaigns
    ))  # fmt: skip
    _copy(connection, "campaign_list", ("project_id", "campaign_id", "list_id"), (
        (one.project_id, one.campaign_id, one.list_id) for one in campaigns
    ))  # fmt: skip
    names = ("project_id", "campaign_id", "version", "name", "subject", "preheader", "from_email", "from_name",
             "reply_to", "html", "text", "language", "project_name", "project_domain", "postal_address", "list_id",
             "list_name", "created_at")  # fmt: skip
    _copy(connection, "campaign_version", names, (
        (one.project_id, one.campaign_id, 1, one.campaign_name, one.campaign_name, "",
         f"news@{projects[one.project_id].domain}", projects[one.project_id].name, "", _letter(one), "", "en",
         projects[one.project_id].name, projects[one.project_id].domain, "", one.list_id, one.list_name, one.started_at)
        for one in campaigns
    ))  # fmt: skip
    _copy(connection, "link", ("project_id", "id", "campaign_id", "position", "url", "label", "created_at"), (
        (one.project_id, one.id * LINKS + place, one.campaign_id, place, _url(one, place), f"Offer {place + 1}",
         one.started_at) for one in campaigns for place in range(LINKS)
    ))  # fmt: skip
    _copy(connection, "history.link", ("campaign_id", "position", "link_id", "url"), (
        (one.campaign_id, place, one.id * LINKS + place, _url(one, place))
        for one in campaigns for place in range(LINKS)
    ))  # fmt: skip
    names = ("id", "project_id", "project_domain", "kind", "campaign_id", "campaign_name", "list_id", "list_name",
             "started_at", "started_ms", "microseconds_per_letter", "audience", "time_zone", "first_subscriber",
             "population", "first_member", "seed", "hard", "soft", "complained")  # fmt: skip
    _copy(connection, "history.plan", names, (_plan_row(one, projects[one.project_id]) for one in plan.letters))
    lanes = ((domain, LANES[lane]) for domain, lane in lanes_of_domains().items())
    _copy(connection, "history.provider", ("domain", "provider"), lanes)
    connection.execute("ANALYZE")


def _plan_row(one: PlannedLetters, project: Any) -> Sequence[Any]:
    return (
        one.id, one.project_id, project.domain, "transactional" if one.campaign_id is None else "campaign",
        one.campaign_id, one.campaign_name, one.list_id, one.list_name, one.started_at,
        int(one.started_at.timestamp() * 1000), one.microseconds_per_letter, one.audience, project.time_zone,
        project.first_subscriber, project.population, one.first_member, one.seed, one.hard, one.soft, one.complained,
    )  # fmt: skip


def _ended(one: PlannedLetters) -> datetime:
    return one.started_at + timedelta(microseconds=one.microseconds_per_letter * one.audience)


def _url(one: PlannedLetters, place: int) -> str:
    return f"https://www.shop-{one.project_id}.example/offers/{one.campaign_id}/{place}"


def _letter(one: PlannedLetters) -> str:
    offers = "".join(
        f'<tr><td style="padding:12px"><h2>Offer {place + 1}</h2><p>Only this week, and only here.</p>'
        f'<p><a href="{_url(one, place)}">Offer {place + 1}</a></p></td></tr>'
        for place in range(LINKS)
    )
    return f"<html><body><h1>{one.campaign_name}</h1><table>{offers}</table></body></html>"


def _copy(connection: Connection, table: str, names: Sequence[str], rows: Any) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextlib.contextmanager
def _bare(connection: Connection, table: str, *, keys: bool = False) -> Iterator[None]:
    """One transaction in which the table has no index and no foreign key (with `keys` no primary key either)."""
    kinds = ["f", "p"] if keys else ["f"]
    with connection.transaction():
        again = []
        for name, definition in connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = CAST(%s AS regclass) AND contype = ANY(%s) ORDER BY contype DESC",
            [table, kinds],
        ).fetchall():
            values = {"table": sql.Identifier(table), "name": sql.Identifier(name), "rest": sql.SQL(definition)}
            connection.execute(sql.SQL("ALTER TABLE {table} DROP CONSTRAINT {name}").format(**values))
            again.append(sql.SQL("ALTER TABLE {table} ADD CONSTRAINT {name} {rest}").format(**values))
        for name, definition in connection.execute(
            "SELECT CAST(i.indexrelid AS regclass), pg_get_indexdef(i.indexrelid) FROM pg_index AS i"
            " WHERE i.indrelid = CAST(%s AS regclass)"
            " AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)",
            [table],
        ).fetchall():
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
            again.append(sql.SQL(definition))
        yield
        for statement in again:
            connection.execute(statement)


def _indexes_of(connection: Connection, parent: str, child: str) -> list[sql.Composed]:
    """The statements that give a table the indexes of a partitioned one, so that attaching it finds them there."""
    found = []
    rows = connection.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisprimary, pg_get_constraintdef(k.oid)"
        " FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype = 'p'"
        " WHERE i.indrelid = CAST(%s AS regclass)",
        [parent],
    ).fetchall()
    for name, definition, is_primary, key in rows:
        own = name.replace(parent, child)[:63]
        if is_primary:
            found.append(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                sql.Identifier(child), sql.Identifier(own), sql.SQL(key)))  # fmt: skip
        else:
            rest = definition.partition(" USING ")[2]
            unique = sql.SQL("UNIQUE " if definition.startswith("CREATE UNIQUE") else "")
            found.append(sql.SQL("CREATE {}INDEX {} ON {} USING {}").format(
                unique, sql.Identifier(own), sql.Identifier(child), sql.SQL(rest)))  # fmt: skip
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
    connection.execute("VACUUM (ANALYZE)")


def _one(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])
