"""The database's door: engines, the request's session, short transactions of one's own, advisory locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker


class Lock(IntEnum):
    """Keys of `pg_advisory_lock`, all in one place so that no two rooms share one. Alembic's is in its env.py."""

    SWEEP = 7_301_600_010
    PARTITIONS = 7_301_600_011
    RETENTION = 7_301_600_012
    DEMO = 7_301_600_013
    RATES = 7_301_600_014
    SLOTS = 7_301_600_015
    CLASSIFIER = 7_301_600_018
    RECLASSIFIER = 7_301_600_019
    ACTIVITY = 7_301_600_020
    ENGAGEMENT = 7_301_600_021
    HEAVY_1 = 7_301_600_030
    HEAVY_2 = 7_301_600_031
    REPORT_JOBS = 7_301_600_032


def make_engine(
    url: str,
    *,
    name: str,
    pool_size: int = 8,
    statement_timeout_seconds: float = 30,
    read_only: bool = False,
) -> Engine:
    """An engine whose sessions carry time-outs and a name that `pg_stat_activity` shows.

    `pool_pre_ping` makes a restart of PostgreSQL cost one failed statement at most, never a restart of ours.
    """
    options = [
        f"-c statement_timeout={int(statement_timeout_seconds * 1000)}",
        "-c lock_timeout=10000",
        "-c idle_in_transaction_session_timeout=60000",
        "-c timezone=UTC",
    ]
    if read_only:
        options.append("-c default_transaction_read_only=on")
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"options": " ".join(options), "application_name": f"mailhub {name}"[:63], "connect_timeout": 10},
    )


def session_of(request: Request) -> Session:
    """The request's session: opened on first use, committed or rolled back by pyramid_tm.

    `initial_state="changed"`: without it raw SQL is rolled back silently (zope.sqlalchemy#88).
    """
    session: Session = request.registry.session_factory(info={"request": request})
    zope.sqlalchemy.register(session, transaction_manager=request.tm, initial_state="changed")
    return session


@contextmanager
def side_transaction(registry: Any) -> Iterator[Session]:
    """A short transaction of its own, for what must stay although the request is refused (rate limits, last use)."""
    with registry.session_factory() as session:
        yield session
        session.commit()


@contextmanager
def reading(registry: Any) -> Iterator[Session]:
    """A read-only session for the reports: the replica or the read-only role where one is set."""
    with registry.reading_session_factory() as session:
        yield session
        session.rollback()


def try_lock(session: Session, lock: Lock) -> bool:
    """Take an advisory lock for this transaction, or say that somebody else has it."""
    return bool(session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": int(lock)}).scalar_one())


def includeme(config: Configurator) -> None:
    settings = config.registry.mailhub
    name = config.registry.settings.get("mailhub.process", "site")
    engine = make_engine(settings.database_url, name=name)
    config.registry.engine = engine
    config.registry.session_factory = sessionmaker(bind=engine, expire_on_commit=False)
    reports_url = settings.reports_database_url or settings.database_url
    reading_engine = make_engine(
        reports_url, name=f"{name} reading", pool_size=settings.reports_pool_size, read_only=True
    )
    config.registry.reading_engine = reading_engine
    config.registry.reading_session_factory = sessionmaker(bind=reading_engine)
    config.add_request_method(session_of, "dbsession", reify=True)
