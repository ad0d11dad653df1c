"""`mailhub doctor`: every check that an operator would do by hand, each with what it found."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import psycopg
from kombu import Connection as BrokerConnection
from kombu.exceptions import OperationalError
from psycopg.rows import dict_row
from sqlalchemy.exc import SQLAlchemyError

from mailhub import migrations
from mailhub.broker import EMBEDDED, broker_options, conninfo
from mailhub.db import make_engine
from mailhub.delivery.greeting import RelayDown, greet
from mailhub.events.classifier import CLASSIFY, READER
from mailhub.reporting.feed import positions
from mailhub.reporting.hits import seconds_overdue
from mailhub.reporting.spools import spools
from mailhub.settings import Relay, Settings
from mailhub.tracking import spool
from mailhub.tracking.waiting import waiting

OLDEST_POSTGRESQL = 15
MIN_FREE_BYTES = 1_000_000_000
MAX_CLOCK_DIFFERENCE_SECONDS = 2.0
MIN_PARTITION_DAYS = 14
MAX_SILENT_SECONDS = 30
MAX_LATE_SECONDS = 60
MAX_HIT_SECONDS = 300
QUEUES = ("transactional", "bulk", "celery")


@dataclass(frozen=True)
class Finding:
    """One check and its result; `detail` says what was found, and what to do when it is wrong."""

    name: str
    is_ok: bool
    detail: str


class _Wrong(Exception):
    """What a check found to be wrong."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Runs the checks one after the other. One that can't be made is wrong, and does not stop the others."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("home", lambda: _home(settings)),
        ("disk", lambda: _disk(settings)),
        ("database", lambda: _database(settings.database_url)),
        ("reports database", lambda: _database(settings.reports_database_url)),
        ("schema", lambda: _schema(settings)),
        ("clock", lambda: _clock(settings)),
        ("partitions", lambda: _partitions(settings)),
        ("feed", lambda: _feed(settings)),
        ("hits", lambda: _hits(settings)),
        ("broker", lambda: _broker(settings)),
        ("workers", lambda: _workers(settings)),
        ("periodic tasks", lambda: _periodic(settings)),
        ("single letters", lambda: _late(settings)),
        ("spools of hits", lambda: _spools(settings)),
    ]
    checks += [(f"relay {relay.name}", partial(_relay, relay)) for relay in settings.relays.values()]
    for name, check in checks:
        try:
            yield Finding(name, True, check())
        except (_Wrong, psycopg.Error, SQLAlchemyError, OSError, RelayDown, OperationalError) as error:
            yield Finding(name, False, " ".join(str(error).split()) or type(error).__name__)


def _home(settings: Settings) -> str:
    with tempfile.TemporaryFile(dir=settings.home):
        pass
    if settings.home.stat().st_mode & 0o006:
        raise _Wrong(f"{settings.home} is open to every user of the machine: chmod o= {settings.home}")
    return f"{settings.home} can be written"


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.home).free
    if free < MIN_FREE_BYTES:
        raise _Wrong(f"only {free // 1_000_000} MB free in {settings.home}")
    return f"{free / 1e9:.0f} GB free"


def _database(url: str) -> str:
    with psycopg.connect(conninfo(url), connect_timeout=5) as connection:
        version = connection.info.server_version // 10000
    if version < OLDEST_POSTGRESQL:
        raise _Wrong(f"PostgreSQL {version} is too old: {OLDEST_POSTGRESQL} is the oldest that works")
    return f"PostgreSQL {version} answers"


def _schema(settings: Settings) -> str:
    current, head = migrations.current(settings.database_url), migrations.head()
    if current != head:
        raise _Wrong(f"the database is at revision {current or 'none'}, the code at {head}: run `mailhub init`")
    return f"at revision {head}"


def _clock(settings: Settings) -> str:
    before = time.time()
    row = _row(settings, "SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    difference = abs(float(str(row["now"])) - (before + time.time()) / 2)
    if difference > MAX_CLOCK_DIFFERENCE_SECONDS:
        raise _Wrong(f"this machine and the database differ by {difference:.1f} s")
    return "this machine and the database agree"


def _partitions(settings: Settings) -> str:
    row = _row(
        settings,
        """
        SELECT min(ahead) AS ahead FROM (
            SELECT max(to_date(right(child.relname, 8), 'YYYYMMDD')) + 7 - current_date AS ahead
            FROM pg_inherits
            JOIN pg_class AS child ON child.oid = inhrelid
            WHERE inhparent IN ('message'::regclass, 'message_content'::regclass, 'message_event'::regclass)
              AND child.relname ~ '_[0-9]{8}$'
            GROUP BY inhparent
        ) AS parents
        """,
    )
    ahead = int(str(row["ahead"] or 0))
    if ahead < MIN_PARTITION_DAYS:
        raise _Wrong(f"there are partitions for {ahead} days only: run `mailhub partitions`, and see that beat runs")
    return f"for {ahead} days ahead"


def _feed(settings: Settings) -> str:
    engine = make_engine(settings.database_url, name="doctor")
    try:
        behind = positions(engine).behind
    finally:
        engine.dispose()
    if behind:
        raise _Wrong(
            "new events would stand before stored ones: the database was restored into another cluster; stop everything"
            " and run `mailhub init`"
        )
    return "new events come after the stored ones"


def _hits(settings: Settings) -> str:
    engine = make_engine(settings.database_url, name="doctor")
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            seconds = int(seconds_overdue(driver, READER, CLASSIFY))
    finally:
        engine.dispose()
    if seconds > MAX_HIT_SECONDS:
        raise _Wrong(
            f"opens and clicks wait since {seconds} s for the classifier: see that beat and a worker of the `celery`"
            " queue run"
        )
    return "people and machines are told apart"


def _broker(settings: Settings) -> str:
    if settings.broker_url == EMBEDDED:
        row = _row(settings, "SELECT to_regclass('pgmq.meta') IS NOT NULL AS found")
        if not row["found"]:
            raise _Wrong("the queue is not installed in the database: run `mailhub init`")
        return "the embedded queue is there"
    with BrokerConnection(settings.broker_url, transport_options=broker_options(settings), connect_timeout=5) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        return f"{broker.transport.driver_type} answers"


def _workers(settings: Settings) -> str:
    rows = _rows(
        settings,
        "SELECT queue, extract(epoch FROM clock_timestamp() - max(last_seen_at))::int AS silent "
        "FROM worker_heartbeat WHERE role = 'main' GROUP BY queue",
    )
    served = {
        name for row in rows if int(str(row["silent"])) <= MAX_SILENT_SECONDS for name in str(row["queue"]).split(",")
    }
    missing = [queue for queue in QUEUES if queue not in served]
    if missing:
        raise _Wrong(f"no worker for {', '.join(missing)}: celery -A mailhub.worker worker --ini … -Q {missing[0]}")
    return "every queue has a worker"


def _periodic(settings: Settings) -> str:
    failing = _rows(settings, "SELECT name, error FROM periodic_run WHERE error <> '' ORDER BY name")
    if failing:
        raise _Wrong("; ".join(f"{row['name']}: {row['error']}" for row in failing))
    return "no failure"


def _late(settings: Settings) -> str:
    row = _row(
        settings,
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::int AS late FROM message "
        "WHERE queue = 'transactional' AND state IN ('queued', 'deferred') AND due_at < clock_timestamp()",
    )
    late = int(str(row["late"]))
    if late > MAX_LATE_SECONDS:
        raise _Wrong(f"one has been due for {late} s")
    return "none is late"


def _spools(settings: Settings) -> str:
    folder = spool.folder_of(settings.home)
    if not folder.is_dir():
        return "none waits"
    with tempfile.TemporaryFile(dir=folder):
        pass
    if bad := spool.bad_files(folder):
        raise _Wrong(f"some could not be stored: look into {bad[0]}, and rename it to {spool.ENDING} to try again")
    names = [path.name for path in spool.files(folder)]
    with psycopg.connect(conninfo(settings.database_url), connect_timeout=5) as connection:
        waits = waiting(folder, spools(connection.cursor(), names))
    age = waits.age_seconds(datetime.now(UTC))
    if age > MAX_LATE_SECONDS:
        raise _Wrong(f"{waits.bytes} bytes wait in {folder}, the oldest for {age:.0f} s: see that tracking runs")
    return f"{waits.bytes} bytes wait" if waits.bytes else "none waits"


def _relay(relay: Relay) -> str:
    encryption = greet(relay)
    return f"{relay.url} answers" + (f", {encryption}" if encryption else "")


def _rows(settings: Settings, query: str) -> list[dict[str, object]]:
    info = conninfo(settings.database_url)
    with psycopg.connect(info, connect_timeout=5, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def _row(settings: Settings, query: str) -> dict[str, object]:
    return _rows(settings, query)[0]
