"""A plain connection to the database of a test, and time that has passed for the brakes' tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import make_url

TABLES = ("rate_bucket", "connection_slot", "relay_lane", "relay_health", "project_turn", "canary")


def connect(live: Any) -> psycopg.Connection[Any]:
    url = make_url(live.url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def passed(connection: psycopg.Connection[Any], table: str, seconds: float) -> None:
    """Let so many seconds have passed for every time in a table."""
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND data_type LIKE 'timestamp%%'",
        (table,),
    ).fetchall()
    changes = ", ".join(f"{name} = {name} - make_interval(secs => {float(seconds)})" for (name,) in columns)
    connection.execute(f"UPDATE {table} SET {changes}")


def value(connection: psycopg.Connection[Any], statement: str, *binds: Any) -> Any:
    row = connection.execute(statement, binds).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def threads(*bodies: Callable[[], None]) -> Iterator[list[BaseException]]:
    """Run the bodies at once, until the end of the block; gives their failures."""
    failures: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as failure:
            failures.append(failure)

    running = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for one in running:
        one.start()
    yield failures
    for one in running:
        one.join()
