"""The reports process on the test's connection, beside the site."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import sessionmaker

import mailhub.admin
from mailhub.accounts import service
from mailhub.models import ProjectDay
from mailhub.security import passwords
from tests.client import ApiClient, Client
from tests.conftest import RecordingPublisher, raw_settings

PASSWORD = "four small grey clouds"


@pytest.fixture(scope="session")
def shared_reports(shared_database, tmp_path_factory):
    app = mailhub.admin.configure(raw_settings(shared_database, tmp_path_factory.mktemp("home"))).make_wsgi_app()
    app.registry.publisher = RecordingPublisher()
    app.registry.publisher.registry = app.registry
    yield app
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


@pytest.fixture
def reports_app(shared_reports, connection, monkeypatch) -> Any:
    factory = sessionmaker(bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
    monkeypatch.setattr(shared_reports.registry, "session_factory", factory)
    monkeypatch.setattr(shared_reports.registry, "reading_session_factory", factory)
    shared_reports.registry.publisher.sent.clear()
    return shared_reports


@pytest.fixture(scope="session")
def stored():
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def root(build, stored):
    return build.user("root@people.test", name="Root", is_admin=True, password_hash=stored)


@pytest.fixture
def visitor(reports_app) -> Client:
    """A signed-out browser at the reports process."""
    return Client(reports_app)


@pytest.fixture
def admin(visitor, root) -> Client:
    return visitor.sign_in(root, app="reports")


@pytest.fixture
def admin_api(reports_app, dbsession, root) -> ApiClient:
    issued = service.create_admin_token(dbsession, user=root, name="watcher")
    dbsession.commit()
    return ApiClient(reports_app, issued.shown)


@pytest.fixture
def today(dbsession) -> date:
    return dbsession.scalar(text("SELECT CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)"))


@pytest.fixture
def volumes(build, dbsession, today):
    """Two projects: the bakery sent 40 letters in three days, the other nothing."""
    bakery = build.project(slug="bakery", name="Corner Bakery", domain="bakery.test")
    build.project(slug="quiet", name="=Quiet & Co", domain="quiet.test")
    for ago, sent in ((0, 10), (1, 25), (6, 5), (29, 100), (89, 1000)):
        dbsession.add(
            ProjectDay(
                project_id=bakery.id,
                day=today - timedelta(days=ago),
                sent=sent,
                opened=sent // 2,
                redirected=sent // 5,
                hardbounced=1,
                softbounced=1,
                unsubscribed=2,
            )
        )
    dbsession.commit()
    return bakery


@pytest.fixture
def queries(connection):
    """`with queries() as seen`: the statements of that time, without savepoints."""

    @contextmanager
    def watching():
        seen: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            if "SAVEPOINT" not in statement:
                seen.append(statement)

        event.listen(connection, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(connection, "before_cursor_execute", note)

    return watching
