"""Counts of segments over a large audience: rules about activity, campaigns, links, fields, lists; the follower's cost.

    python -m bench.segments --people 1000000 --events 20000000 --json figures.json
    python -m bench.segments --people 1000000 --events 20000000 --home /data/segments

People, subscriptions, forty campaigns over 90 days with their letters, hits, reactions and chunks are made by SQL. Each
question is asked as a page asks it, four times; told are the first time and the median of the others. Exit 1: a rule of
two activities took more than two seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from bench.history import store
from mailhub.events import activity
from mailhub.reporting import partitions
from mailhub.security import address_hash
from mailhub.segments import engagement, service

CAMPAIGNS, DAYS, LISTS, CHUNK = 40, 90, 2, 500
#: Of a hundred events so many are letters, the rest opens and clicks; every tenth hit is a machine's.
SENT, OPENED = 70, 25
LIMIT_MS = 2_000

PEOPLE = """
    INSERT INTO subscriber (project_id, id, email, email_key, email_domain, name, fields, source, created_at)
    SELECT 1, n, 'p' || n || '@d' || n % 997 || '.test', 'p' || n || '@d' || n % 997 || '.test',
        'd' || n % 997 || '.test', 'Person ' || n,
        jsonb_build_object('city', (ARRAY['Moscow', 'Kazan', 'Perm', 'Omsk'])[1 + n % 4], 'age', n % 90),
        'import:' || n % 7, now() - n % 700 * interval '1 day'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
"""
SUBSCRIPTIONS = """
    INSERT INTO subscription (project_id, list_id, subscriber_id, created_at, status)
    SELECT 1, :list, n, now() - n % 400 * interval '1 day', CASE n % 20 WHEN 0 THEN 'unsubscribed' ELSE 'subscribed' END
    FROM generate_series(CAST(1 AS bigint), CAST(:people AS bigint)) AS n
"""
# The letters of a campaign go to people in a row; every campaign begins elsewhere.
EVENTS = """
    INSERT INTO message_event (project_id, type, kind, campaign_id, subscriber_id, at, link_id, actor, position)
    SELECT 1, :type, 'campaign', :campaign, 1 + (:campaign * 7919 + n) % :people,
        CAST(:at AS timestamptz) + n * interval '1 millisecond', :link,
        CASE WHEN :type = 'SENT' THEN '' WHEN n % 10 = 0 THEN 'scanner' ELSE 'human' END, :position
    FROM generate_series(CAST(1 AS bigint), CAST(:number AS bigint)) AS n
"""
REACTIONS = """
    INSERT INTO campaign_reaction (
        project_id, campaign_id, subscriber_id, opened, machine_opened, redirected, machine_redirected,
        first_opened_at, first_redirected_at
    )
    SELECT 1, :campaign, 1 + (:campaign * 7919 + n) % :people, 1, CASE n % 10 WHEN 0 THEN 1 ELSE 0 END,
        CASE WHEN n <= :clicks THEN 1 ELSE 0 END, CASE WHEN n <= :clicks AND n % 10 = 0 THEN 1 ELSE 0 END,
        CAST(:at AS timestamptz), CASE WHEN n <= :clicks THEN CAST(:at AS timestamptz) END
    FROM generate_series(CAST(1 AS bigint), CAST(:opens AS bigint)) AS n
"""
CLICKS = """
    INSERT INTO campaign_link_reaction (project_id, campaign_id, link_id, subscriber_id, redirected)
    SELECT 1, :campaign, :link, 1 + (:campaign * 7919 + n) % :people, 1
    FROM generate_series(CAST(1 AS bigint), CAST(:clicks AS bigint)) AS n
"""
CHUNKS = """
    WITH chunk AS (
        INSERT INTO campaign_chunk (project_id, campaign_id, lane, seq, n, ids)
        SELECT 1, :campaign, 0, n / :size, count(*), array_agg(1 + (:campaign * 7919 + n) % :people)
        FROM generate_series(CAST(1 AS bigint), CAST(:letters AS bigint)) AS n
        GROUP BY n / :size
        RETURNING seq, n
    )
    INSERT INTO chunk_lease (project_id, campaign_id, lane, seq, state, pos, flushed, owner, lease_until)
    SELECT 1, :campaign, 0, c.seq, 'done', c.n, c.n, 'bench', now() FROM chunk AS c
"""

#: name → tree. Campaign 40 is the latest.
QUESTIONS: dict[str, dict[str, Any]] = {
    "two_activities": {"match": "all", "rules": [
        {"field": "opened", "op": "did", "days": 30}, {"field": "clicked", "op": "did_not", "days": 90}]},
    "any_of_two_activities": {"match": "any", "rules": [
        {"field": "opened", "op": "did", "days": 7}, {"field": "clicked", "op": "did", "days": 30}]},
    "two_campaigns": {"match": "all", "rules": [
        {"field": "opened", "op": "did", "campaigns": ["39"]},
        {"field": "clicked", "op": "did_not", "campaigns": ["40"]}]},
    "sent_and_not_opened_last_three": {"match": "all", "rules": [
        {"field": "sent", "op": "did", "last": 3}, {"field": "opened", "op": "did_not", "last": 3}]},
    "campaign_in_last_days": {"match": "all", "rules": [
        {"field": "opened", "op": "did", "campaigns": ["40"], "days": 30},
        {"field": "clicked", "op": "did_not", "days": 30}]},
    "link": {"match": "all", "rules": [{"field": "clicked", "op": "did", "link": "40"}]},
    "fields": {"match": "all", "rules": [
        {"field": "fields.city", "op": "contains", "value": "kaz"},
        {"field": "fields.age", "op": "between", "value": [30, 40]}]},
    "lists": {"match": "all", "rules": [
        {"field": "list", "op": "subscribed", "value": ["1"], "days": 90},
        {"field": "list", "op": "not_in", "value": ["2"]}]},
    "engagement": {"match": "all", "rules": [{"field": "engagement", "op": "any", "value": ["asleep", "never"]}]},
    "groups": {"match": "all", "rules": [
        {"match": "any", "rules": [{"field": "domain", "op": "is", "value": "d7.test"},
            {"field": "opened", "op": "did", "days": 30}]},
        {"match": "any", "not": True, "rules": [{"field": "list", "op": "unsubscribed"},
            {"field": "suppressed", "op": "is", "value": True}]}]},
}  # fmt: skip
#: Those that must stay below LIMIT_MS.
BOUND = ("two_activities", "any_of_two_activities", "two_campaigns")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.segments", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="keep the database there, and use one that is there already")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    address_hash.configure(["a key of the benchmark, which is long enough"])
    figures: dict[str, Any] = {"people": given.people, "events": given.events}
    with contextlib.ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        server = stack.enter_context(store.opened(home.resolve()))
        name = f"segments_{given.people}_{given.events}"
        url = server.database(name)
        engine = stack.enter_context(contextlib.closing(_Engine(url)))
        if not store.has_history(server, name):
            fill(server, name, given.people, given.events, figures)
        with Session(engine.engine) as dbsession:
            measure(dbsession, figures)
    for key, value in figures.items():
        print(f"  {key:<44} {value:>14,}")
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if any(figures[f"{name}_ms"] > LIMIT_MS for name in BOUND) else 0


class _Engine:
    """An engine that can be closed."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, connect_args={"options": "-c timezone=UTC"})

    def close(self) -> None:
        self.engine.dispose()


def fill(server: store.Store, name: str, people: int, events: int, figures: dict[str, Any]) -> None:
    """Make the database: the project 1 with everything in it."""
    url, begun = store.make_database(server, name), time.monotonic()
    engine = create_engine(url)
    partitions.ensure(engine, now=datetime.now(UTC), since=datetime.now(UTC) - _days(DAYS + 1))
    engine.dispose()
    letters, opens, clicks = (events * share // 100 // CAMPAIGNS for share in (SENT, OPENED, 100 - SENT - OPENED))
    with contextlib.closing(_Engine(url)) as filler, Session(filler.engine) as dbsession:
        run = _runner(
            dbsession, {"people": people, "letters": letters, "opens": opens, "clicks": clicks, "size": CHUNK}
        )
        # What looks at every row that comes in would take most of the time.
        for table in ("subscription", "campaign_reaction", "campaign_link_reaction"):
            _let_in(dbsession, table)
        run("INSERT INTO project (id, slug, name, domain) VALUES (1, 'bench', 'Bench', 'bench.test')")
        for field, kind in (("city", "text"), ("age", "number")):
            run(
                "INSERT INTO subscriber_field (project_id, name, type) VALUES (1, :field, :kind)",
                field=field,
                kind=kind,
            )
        for first in range(1, people + 1, 200_000):
            run(PEOPLE, first=first, last=min(people, first + 199_999))
        for number in range(1, LISTS + 1):
            run("INSERT INTO mailing_list (project_id, id, name) VALUES (1, :list, 'List ' || :list)", list=number)
            run(SUBSCRIPTIONS, list=number)
        for number in range(1, CAMPAIGNS + 1):
            at = datetime.now(UTC) - _days(DAYS * (CAMPAIGNS - number + 1) / (CAMPAIGNS + 1))
            about = {"campaign": number, "at": at, "link": number}
            run("INSERT INTO campaign (project_id, id, name, state, started_at)"
                " VALUES (1, :campaign, 'Campaign ' || :campaign, 'sent', :at)", **about)  # fmt: skip
            run(
                "INSERT INTO link (project_id, id, campaign_id, url) VALUES (1, :link, :campaign, 'https://x.test')",
                **about,
            )
            for place, (type_, count) in enumerate((("SENT", letters), ("OPENED", opens), ("REDIRECTED", clicks))):
                link = number if type_ == "REDIRECTED" else None
                run(EVENTS, **about | {"type": type_, "number": count, "link": link, "position": 3 * number + place})
            run(REACTIONS, **about)
            run(CLICKS, **about)
            run(CHUNKS, **about)
        figures["filled_seconds"] = round(time.monotonic() - begun)
        begun = time.monotonic()
        activity.rebuild(dbsession, 1)
        dbsession.commit()
        figures["rebuild_seconds"] = round(time.monotonic() - begun, 1)
    with store.connect(url) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CREATE SCHEMA history; CREATE TABLE history.built AS SELECT 1 AS events")


def measure(dbsession: Session, figures: dict[str, Any]) -> None:
    """Ask every question, then follow letters, then count the bands."""
    for name, definition in QUESTIONS.items():
        tree = service.read(dbsession, 1, definition)
        counted = service.count(dbsession, 1, tree, 600)
        assert counted is not None
        first = counted.milliseconds
        again = [service.count(dbsession, 1, tree, 600) for _turn in range(3)]
        figures[f"{name}_people"] = counted.people
        figures[f"{name}_first_ms"], figures[f"{name}_ms"] = (
            first,
            statistics.median(one.milliseconds for one in again if one),
        )
        figures[f"{name}_sample_ms"] = _milliseconds(partial(service.sample, dbsession, 1, tree, 600))
        figures[f"{name}_explain_ms"] = _milliseconds(partial(service.explain, dbsession, 1, tree, 77))
    dbsession.rollback()
    _follow(dbsession, figures)
    figures["bands_ms"] = _milliseconds(lambda: engagement.refresh(dbsession, 1))
    dbsession.rollback()


def _follow(dbsession: Session, figures: dict[str, Any]) -> None:
    """Forty slices of letters as the task takes them; nothing of it stays."""
    dbsession.execute(text("UPDATE activity_place SET position = 0, id = 0"))
    seen, begun = 0, time.monotonic()
    for _turn in range(40):
        seen += activity.follow_letters(dbsession, 1).events
    figures["followed_events"] = seen
    figures["followed_microseconds_per_event"] = round((time.monotonic() - begun) / max(seen, 1) * 1e6, 1)
    dbsession.rollback()
    figures["look_around_ms"] = _milliseconds(lambda: activity.projects(dbsession))
    dbsession.rollback()


def _let_in(dbsession: Session, table: str) -> None:
    """Take the foreign keys and the triggers of a table away; the database is for nothing else."""
    driver: Any = dbsession.connection().connection.driver_connection
    keys = driver.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = CAST(%s AS regclass) AND contype = 'f'", [table]
    ).fetchall()
    for (name,) in keys:
        driver.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name)))
    driver.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
    dbsession.commit()


def _runner(dbsession: Session, always: dict[str, Any]) -> Callable[..., None]:
    """Runs a statement with its binds, each in a transaction of its own."""

    def run(statement: str, **binds: Any) -> None:
        begun = time.monotonic()
        dbsession.execute(text("SET LOCAL statement_timeout = 0"))
        dbsession.execute(text(statement), always | binds)
        dbsession.commit()
        if time.monotonic() - begun > 5:
            print(f"  {' '.join(statement.split())[:60]}: {time.monotonic() - begun:.0f} s", flush=True)

    return run


def _milliseconds(deed: Callable[[], object]) -> float:
    begun = time.perf_counter()
    deed()
    return round((time.perf_counter() - begun) * 1000, 1)


def _days(number: float) -> timedelta:
    return timedelta(days=number)


if __name__ == "__main__":
    raise SystemExit(main())
