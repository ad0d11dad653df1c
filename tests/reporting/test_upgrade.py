"""A database that has sent already is brought up to date: its events stay, their numbers agree after one repair."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from mailhub.events.classifier import step
from mailhub.mail.classify import Places
from mailhub.reporting.verify import verify
from tests.conftest import ROOT, _database, _maintain

#: The last revision before events had a position, an actor and a device.
BEFORE = "0009"
#: Tables that have millions of rows.
LARGE = ("message_event", "message", "campaign_reaction", "campaign_link_reaction", "subscription")


@pytest.fixture
def old(server: str) -> Any:
    """The configuration and the URL of a database at BEFORE."""
    name = f"mh_old_{secrets.token_hex(4)}"
    _maintain(server, "CREATE DATABASE {}", name)
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url = _database(server, name)
    command.upgrade(config, BEFORE)
    yield config, url
    _maintain(server, "DROP DATABASE {} WITH (FORCE)", name)


def test_events_of_before_stay_and_count_after_a_repair(old: Any) -> None:
    config, url = old
    engine = create_engine(url)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        add = "INSERT INTO project (slug, name, domain) VALUES ('p', 'P', 'p.test') RETURNING id"
        project = connection.execute(text(add)).scalar_one()
        add = "INSERT INTO campaign (project_id, name, state, started_at) VALUES (:p, 'C', 'sent', :at) RETURNING id"
        campaign = connection.execute(text(add), {"p": project, "at": now - timedelta(minutes=30)}).scalar_one()
        add = (
            "INSERT INTO message_event (project_id, at, type, kind, campaign_id, subscriber_id, email_domain)"
            " SELECT :p, :at, t, 'campaign', :c, n, 'gmail.com'"
            " FROM unnest(ARRAY['SENT', 'OPENED', 'REDIRECTED']) AS t, generate_series(1, 5) AS n"
        )
        connection.execute(text(add), {"p": project, "c": campaign, "at": now - timedelta(minutes=10)})
    command.upgrade(config, "head")
    assert {one.rollup for one in verify(engine, repair=True)} >= {"campaigns", "campaign_hours", "provider_days"}
    assert verify(engine) == []
    with engine.begin() as connection:
        counts = "SELECT sent, opened, redirected, unique_opened, machine_opened FROM campaign_stats"
        assert tuple(connection.execute(text(counts)).one()) == (5, 5, 5, 5, 0)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert step(driver, Places()).hits == 0, "what was there is for `mailhub stats reclassify`"
    engine.dispose()


def test_what_reads_a_large_table_has_no_time_out() -> None:
    """A statement of a migration ends after five seconds unless it says otherwise: ten million events need more."""
    reads = re.compile(rf'(?:create_index|create_primary_key|create_check_constraint)\([^)]*"(?:{"|".join(LARGE)})"')
    short = [
        path.name
        for path in sorted(Path(ROOT / "alembic" / "versions").glob("*.py"))
        if path.name > BEFORE + "~"
        and reads.search(path.read_text())
        and "statement_timeout = 0" not in path.read_text()
    ]
    assert short == []
