"""Where a history lies: a database of the embedded server, or one that the environment names; its size, its disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from mailhub import migrations
from mailhub.embedded.postgres import running_server

Connection = psycopg.Connection[Any]

#: What a finished history takes on the disk, whatever its size, and for each event: 0.11 GB were measured at 0.1 M
#: events, 1.23 GB at 2 M. Besides, while it is made: sorting, and the narrow rows of the weeks at hand.
BYTES, BYTES_PER_EVENT, BYTES_PER_EVENT_WHILE_MADE = 100_000_000, 560, 40
#: The seed's tables, for each of their events.
SEED_BYTES_PER_EVENT = 700
SPARE_BYTES = 2_000_000_000


class NoRoom(Exception):
    """The disk is too small; the text says what is needed and what is there."""


@dataclass(frozen=True)
class Store:
    """A server on which databases can be made. `folder` is where its files are, None for somebody else's server."""

    url: str
    folder: Path | None

    def database(self, name: str) -> str:
        """The URL of one of its databases."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Store]:
    """The server of $BENCH_DATABASE_URL, or an embedded one with its files in `home` for as long as the block lasts.

    The embedded one does not wait for the disk: what is measured is reading.
    """
    if url := os.environ.get("BENCH_DATABASE_URL"):
        yield Store(url, None)
        return
    home.mkdir(parents=True, exist_ok=True)
    with running_server(home, durable=False) as server:
        yield Store(server.url, home)


def connect(url: str) -> Connection:
    """A connection that commits by itself."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, options="-c statement_timeout=0 -c lock_timeout=0 -c timezone=UTC")


def make_database(store: Store, name: str) -> str:
    """A new, migrated database of that name; one that is there already goes."""
    with connect(store.url) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = store.database(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        migrations.upgrade(url)
    return url


def has_history(store: Store, name: str) -> bool:
    """Whether a database of this name holds a finished history."""
    with connect(store.url) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            return False
    with connect(store.database(name)) as connection:
        row = connection.execute("SELECT to_regclass('history.built') IS NOT NULL").fetchone()
        return row is not None and bool(row[0])


def events_of(url: str) -> int:
    """How many events a finished history has."""
    with connect(url) as connection:
        row = connection.execute("SELECT events FROM history.built").fetchone()
    assert row is not None
    return int(row[0])


def has_schema(url: str, name: str) -> bool:
    with connect(url) as connection:
        return connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [name]).fetchone() is not None


def disk_bytes(url: str) -> int:
    """What the database takes on the disk, tables and indexes."""
    with connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def make_room(store: Store, sizes: list[int], seed_events: int) -> str:
    """A sentence about the disk that histories of these sizes need. Raises NoRoom where it is not there."""
    kept = sum(BYTES + size * BYTES_PER_EVENT for size in sizes) + seed_events * SEED_BYTES_PER_EVENT
    needed = kept + max(sizes, default=0) * BYTES_PER_EVENT_WHILE_MADE + SPARE_BYTES
    text = f"needs {gigabytes(needed)} of disk while it is made, {gigabytes(kept)} when it is there"
    if store.folder is None:
        return f"{text}; how much the server has is not known here"
    free = shutil.disk_usage(store.folder).free
    if free < needed:
        raise NoRoom(f"{text}; {store.folder} has {gigabytes(free)} free: choose fewer events, or another --home")
    return f"{text}; {gigabytes(free)} are free in {store.folder}"


def gigabytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB"
