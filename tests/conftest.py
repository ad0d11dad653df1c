"""Fixtures: a real PostgreSQL, a rolled-back connection for most tests, a database of one's own for the rest.

`app` and `dbsession` share one connection inside an outer transaction: views commit into savepoints, after-commit
hooks fire, and nothing reaches the tables (house.md, trap 5). What needs real commits, threads or workers takes
`live`, which clones the migrated template database in about 20 ms.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from jinja2.bccache import Bucket, BytecodeCache
from psycopg import sql
from sqlalchemy import Connection, make_url
from sqlalchemy.orm import Session, sessionmaker

import mailhub
from mailhub.settings import Settings
from mailhub.tasks import TASKS, run
from tests.build import Builder
from tests.client import Client
from tests.places import quick_folder
from tests.running import Running, started

ROOT = Path(__file__).resolve().parent.parent


class RecordingPublisher:
    """Stands for the broker: keeps the wake-ups; `run_all` does what workers would do with them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[Any, ...], str]] = []
        self.registry: Any = None

    def publish(self, name: str, args: tuple[Any, ...], queue_name: str) -> None:
        self.sent.append((name, args, queue_name))

    def close(self) -> None:
        pass

    def names(self) -> list[str]:
        return [name for name, _args, _queue in self.sent]

    def run_all(self, limit: int = 100) -> None:
        """Run the wake-ups, and those that they cause, in order."""
        for _turn in range(limit):
            if not self.sent:
                return
            name, args, _queue = self.sent.pop(0)
            run(self.registry, TASKS[name], args)
        raise AssertionError(f"still waking up after {limit} tasks: {self.names()[:5]}")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A SQLAlchemy URL of a server's maintenance database; MAILHUB_TEST_POSTGRES names one that runs already."""
    given = os.environ.get("MAILHUB_TEST_POSTGRES")
    if given:
        yield given
        return
    from mailhub.embedded import postgres

    with quick_folder() as folder, postgres.running_server(folder, durable=False) as running:
        yield make_url(running.url).set(database="postgres").render_as_string(hide_password=False)


#: A copy of files takes a third of the time of a copy by way of the log, which is PostgreSQL's default.
CLONE = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"


def _maintain(server: str, statement: str, *names: str) -> None:
    url = make_url(server)
    host = url.host or url.query.get("host")
    given = {"host": host, "port": url.port, "user": url.username, "password": url.password}
    composed = sql.SQL(statement).format(*map(sql.Identifier, names))
    with psycopg.connect(dbname=url.database, autocommit=True, **{k: v for k, v in given.items() if v}) as connection:
        for turn in itertools.count():
            try:
                connection.execute(composed)
                return
            except psycopg.errors.InsufficientPrivilege:
                # Autovacuum is at work in the database, as a superuser, who can not be told to go.
                if turn == 100:
                    raise
                time.sleep(0.1)


def _database(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def migrate(url: str) -> None:
    """Bring a database up to the newest revision."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated, empty database that others are cloned from."""
    name = f"mh_template_{secrets.token_hex(4)}"
    _maintain(server, "CREATE DATABASE {}", name)
    migrate(_database(server, name))
    yield name
    _maintain(server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def shared_database(server: str, template: str) -> Iterator[str]:
    name = f"mh_shared_{secrets.token_hex(4)}"
    _maintain(server, CLONE, name, template)
    yield _database(server, name)
    _maintain(server, "DROP DATABASE {} WITH (FORCE)", name)


def raw_settings(database_url: str, home: Path) -> dict[str, str]:
    """What a test's ini would say."""
    return {
        "mailhub.environment": "test",
        "mailhub.sign_up.views_seconds": "0",
        "mailhub.home": str(home),
        "mailhub.secret_key": "a secret of the tests, which is long enough",
        "mailhub.public_url": "http://localhost",
        "mailhub.tracking_url": "http://localhost",
        "mailhub.usercontent_url": "http://localhost",
        "mailhub.reports_url": "http://localhost:6544",
        "sqlalchemy.url": database_url,
        "sqlalchemy.reports.url": database_url,
        "celery.broker_url": "memory://",
    }


class _Compiled(BytecodeCache):
    """Templates are compiled once a process, not once for each app that a test makes for itself."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get(bucket.key):
            bucket.bytecode_from_string(code)  # which looks whether the source is the same

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def build_app(database_url: str, home: Path, **changes: str) -> Any:
    """The site's WSGI application on a database, with the recording publisher."""
    raw = {**raw_settings(database_url, home), **changes}
    config = mailhub.configure(raw)
    app = config.make_wsgi_app()
    config.get_jinja2_environment(".html").bytecode_cache = _COMPILED
    app.registry.publisher = RecordingPublisher()
    app.registry.publisher.registry = app.registry
    app.registry.heartbeat = None
    return app


@pytest.fixture(scope="session")
def shared_app(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = build_app(shared_database, tmp_path_factory.mktemp("home"))
    yield app
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


@pytest.fixture
def connection(shared_app: Any) -> Iterator[Connection]:
    """A connection inside a transaction that is rolled back at the end."""
    with shared_app.registry.engine.connect() as connection:
        outer = connection.begin()
        yield connection
        outer.rollback()


@pytest.fixture
def app(shared_app: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The site, on the rolled-back connection."""
    factory = sessionmaker(bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
    monkeypatch.setattr(shared_app.registry, "session_factory", factory)
    monkeypatch.setattr(shared_app.registry, "reading_session_factory", factory)
    shared_app.registry.publisher.sent.clear()
    return shared_app


@pytest.fixture
def registry(app: Any) -> Any:
    return app.registry


@pytest.fixture
def settings(app: Any) -> Settings:
    return app.registry.mailhub


@pytest.fixture
def publisher(app: Any) -> RecordingPublisher:
    return app.registry.publisher


@pytest.fixture
def dbsession(app: Any) -> Iterator[Session]:
    """A session on the test's connection. `commit()` what a view should see: it goes into a savepoint."""
    with app.registry.session_factory() as session:
        yield session


@pytest.fixture
def build(dbsession: Session) -> Builder:
    """Makes people, projects, lists, campaigns; each call is committed into a savepoint."""
    return Builder(dbsession)


@pytest.fixture
def client(app: Any) -> Client:
    """A signed-out browser; `client.sign_in(user)` signs in, `client.new()` is another browser."""
    return Client(app)


@pytest.fixture
def task_request(app: Any) -> Iterator[Any]:
    """A request as a task has it, inside an open transaction."""
    from mailhub.tasks import task_request as make

    request = make(app.registry)
    with request.tm:
        yield request


class Live:
    """A database of one's own with real commits, and the site on it."""

    def __init__(self, url: str, home: Path, **changes: str) -> None:
        self.url = url
        self.home = home
        self.app = build_app(url, home, **changes)
        self.registry = self.app.registry
        self.engine = self.registry.engine
        self.publisher: RecordingPublisher = self.registry.publisher
        self.session: Session = self.registry.session_factory()
        self.build = Builder(self.session)
        self.client = Client(self.app)

    def close(self) -> None:
        self.session.close()
        self.registry.engine.dispose()
        self.registry.reading_engine.dispose()


@pytest.fixture
def live(server: str, template: str, tmp_path: Path) -> Iterator[Live]:
    name = f"mh_live_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        _maintain(server, CLONE, name, template)
        stack.callback(_maintain, server, "DROP DATABASE {} WITH (FORCE)", name)
        database = Live(_database(server, name), tmp_path)
        stack.callback(database.close)
        yield database


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real `mailhub up`: all processes, the embedded database, the mailbox."""
    with started(tmp_path_factory.mktemp("running")) as service:
        yield service
