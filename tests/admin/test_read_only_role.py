"""Every page and every document is read by a role that can only read, and cannot read secrets."""

from __future__ import annotations

import re
from contextlib import closing

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event, make_url

import mailhub.admin
from mailhub.accounts import service
from mailhub.admin.number_views import SPECS
from tests.client import ApiClient, Client
from tests.conftest import RecordingPublisher, raw_settings
from tests.flows.world import doors, make_world
from tests.house import ROOT

#: What a request itself writes, with the main connection: that somebody was seen.
SEEN = re.compile(r"UPDATE (web_session SET last_seen_at|admin_token SET last_used_at)")
SECRETS = re.compile(r"hash|secret|private|sealed")
#: Digests of what is no secret, and of addresses by a key that the role cannot see.
SAYS_NOTHING = {
    ("idempotency_key", "request_hash"), ("suppression", "email_hash"), ("global_suppression", "email_hash")
}  # fmt: skip


def as_superuser(url: str) -> psycopg.Connection:
    parts = make_url(url)
    found = {"host": parts.host or parts.query.get("host"), "port": parts.port, "dbname": parts.database}
    given = {name: value for name, value in found.items() if value}
    return psycopg.connect(user="postgres", autocommit=True, **given)


@pytest.fixture
def role(live):
    """The URL of the role that docs/ops/reports-role.sql makes, in a database of its own."""
    script = (ROOT / "docs" / "ops" / "reports-role.sql").read_text(encoding="utf-8")
    owner = make_url(live.url).username or "mailhub"
    with closing(as_superuser(live.url)) as connection:
        connection.execute(script.replace("FOR ROLE mailhub ", f"FOR ROLE {owner} "))
    yield make_url(live.url).set(username="mailhub_reports").render_as_string(hide_password=False)
    with closing(as_superuser(live.url)) as connection:
        connection.execute(
            sql.SQL("DROP OWNED BY mailhub_reports; DROP ROLE mailhub_reports").as_string(connection)
        )


def test_every_page_and_document_is_read_by_a_role_that_only_reads(live, role, tmp_path):
    app = mailhub.admin.configure(raw_settings(live.url, tmp_path) | {"sqlalchemy.reports.url": role}).make_wsgi_app()
    app.registry.publisher = RecordingPublisher()
    root = live.build.user("root@people.test", is_admin=True)
    world = make_world(live.build, live.registry.mailhub, live.registry.signer, "world")
    token = service.create_admin_token(live.session, user=root, name="watcher").shown
    live.session.commit()
    admin, api = Client(app).sign_in(root, app="reports"), ApiClient(app, token)
    values = world.values | {"project_id": str(world.project.id)}
    del values["job_id"]  # a project's job; the reports have their own
    written: list[str] = []
    event.listen(app.registry.engine, "before_cursor_execute", lambda *given: written.append(given[2]))
    read = 0
    try:
        for door in doors(app.registry):
            if door.method != "GET" or door.route.startswith(("health.", "accounts.")) or door.names - values.keys():
                continue
            if door.route.startswith("api."):
                api.get(door.url(values), status=200)
            elif not door.target:  # a fragment reads what its page reads
                answer = admin.get(door.url(values), expect_errors=True)
                assert answer.status_int == (303 if door.route == "admin.home" else 200), door
            read += 1
        for report in SPECS:
            admin.get(f"/admin/numbers/{report}?run=1&project={world.project.slug}", status=200)
    finally:
        app.registry.engine.dispose()
        app.registry.reading_engine.dispose()
    assert read > 30
    changes = [one for one in written if not one.lstrip().upper().startswith("SELECT") and not SEEN.search(one)]
    assert changes == []


def test_the_role_can_neither_write_nor_read_secrets(live, role):
    with closing(psycopg.connect(role.replace("postgresql+psycopg", "postgresql"), autocommit=True)) as connection:
        columns = connection.execute(
            "SELECT c.table_name, c.column_name, has_column_privilege(c.table_name, c.column_name, 'SELECT'),"
            " has_table_privilege(c.table_name, 'INSERT, UPDATE, DELETE, TRUNCATE')"
            " FROM pg_attribute AS a"
            " JOIN pg_class AS k ON k.oid = a.attrelid AND k.relnamespace = 'public'::regnamespace"
            " CROSS JOIN LATERAL (SELECT k.relname::text AS table_name, a.attname::text AS column_name) AS c"
            " WHERE a.attnum > 0 AND NOT a.attisdropped AND k.relkind IN ('r', 'p')"
        ).fetchall()
        assert len(columns) > 300
        assert [one[:2] for one in columns if one[3]] == []
        secret = {one[:2] for one in columns if SECRETS.search(one[1])} - SAYS_NOTHING
        assert ("user_account", "password_hash") in secret
        assert sorted(one[:2] for one in columns if one[2] and one[:2] in secret) == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT token_hash FROM web_session")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM project")
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM project")


def test_partitions_that_are_made_later_can_be_read(live, role):
    from datetime import UTC, datetime, timedelta

    from mailhub.reporting import partitions

    made = partitions.ensure(live.engine, now=datetime.now(UTC) + timedelta(weeks=9))
    assert made
    newest = [one.name for one in partitions.listed(live.engine) if one.since is not None][-1]
    with closing(psycopg.connect(role.replace("postgresql+psycopg", "postgresql"))) as connection:
        connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(newest)))
