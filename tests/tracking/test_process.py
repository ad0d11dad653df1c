"""The tracking process: the URLs of letters, and no other door of the house."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from webtest import TestApp

from mailhub import tracking
from mailhub.models import Link
from mailhub.tracking import spool
from mailhub.tracking.desk import desk_of
from mailhub.tracking.hit import Hit, encode
from tests.conftest import raw_settings


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TestApp]]:
    """Starts the tracking process's application on a database."""
    with ExitStack() as stack:

        def make(database_url: str, **changes: str) -> TestApp:
            app = tracking.main({}, **raw_settings(database_url, tmp_path), **changes)
            stack.callback(app.registry.reading_engine.dispose)
            stack.callback(app.registry.engine.dispose)
            stack.callback(desk_of(app.registry).close)
            return TestApp(app, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})

        yield make


@pytest.fixture
def process(start: Callable[..., TestApp], shared_database: str) -> TestApp:
    return start(shared_database)


def test_it_serves_letters_without_a_cookie(process: Any) -> None:
    pixel = process.get("/t/o/forged")
    assert (len(pixel.body), pixel.content_type) == (43, "image/gif")
    for path in ("/t/c/forged", "/u/forged", "/v/forged"):
        page = process.get(path, status=404)
        assert "This link does not work" in page.text
        assert "href=\"/\"" not in page.text
        assert "Set-Cookie" not in page.headers
    process.post("/u/forged", {"List-Unsubscribe": "One-Click"}, status=404)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/projects", "/api/v1/lists"])
def test_it_has_no_other_door(process: Any, path: str) -> None:
    process.get(path, status=404)


def test_it_says_that_it_lives(process: Any) -> None:
    process.get("/__lbheartbeat__", status=200)


def test_without_a_database_a_mail_client_is_asked_to_come_again(start: Any, tmp_path: Path) -> None:
    away = start(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")
    signer = away.app.registry.signer
    ids = {"project": 1, "campaign": 1, "subscriber": 1}
    for path in (f"/u/{signer.sign('unsubscribe', **ids)}", f"/v/{signer.sign('web_version', **ids)}"):
        assert away.get(path, status=503).headers["Retry-After"]
    away.post(f"/u/{signer.sign('unsubscribe', **ids)}", {"List-Unsubscribe": "One-Click"}, status=503)
    assert len(away.get(f"/t/o/{signer.sign('open', **ids)}", status=200).body) == 43
    away.get(f"/t/c/{signer.sign('click', link=1, **ids)}", status=503)


def test_a_hit_of_an_outage_is_stored_by_the_next_process(start: Any, live: Any, tmp_path: Path) -> None:
    """The database is away from the start on; a link is known by the copy that an earlier process has left."""
    project = live.build.project()
    campaign = live.build.started_campaign(project)
    link = live.session.scalars(select(Link)).one()
    ids = {"project": project.id, "campaign": campaign.id}
    before = start(live.url)
    sign = before.app.registry.signer.sign
    until(lambda: desk_of(before.app.registry).links.get(project.id, link.id))
    desk_of(before.app.registry).close()
    away = start(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")
    away.get(f"/t/o/{sign('open', **ids)}", status=200)
    assert away.get(f"/t/c/{sign('click', **ids, link=link.id)}", status=302).headers["Location"] == link.url
    desk_of(away.app.registry).close()
    start(live.url)
    stored = "SELECT count(*) FROM message_event WHERE type IN ('OPENED', 'REDIRECTED')"
    until(lambda: live.session.execute(text(stored)).scalar() == 2)
    until(lambda: not spool.files(spool.folder_of(tmp_path)))


def test_its_heartbeat_says_what_waits(start: Any, live: Any, tmp_path: Path) -> None:
    old = encode(Hit("OPENED", datetime.now(UTC) - timedelta(minutes=5), 1, 2, 3))
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "hits-1.spool").write_bytes(old)
    away = start(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")
    said = away.get("/__heartbeat__", status=503).json["hits"]
    assert (said["waiting_bytes"], said["oldest_seconds"] >= 300) == (len(old), True)
    desk_of(away.app.registry).close()
    there = start(live.url)
    until(lambda: there.get("/__heartbeat__", status=503).json["hits"]["waiting_bytes"] == 0)


def test_a_hit_is_an_event_soon(start: Any, live: Any) -> None:
    project = live.build.project()
    campaign = live.build.started_campaign(project)
    app = start(live.url)
    token = app.app.registry.signer.sign("open", project=project.id, campaign=campaign.id)
    app.get(f"/t/o/{token}", status=200)
    until(lambda: live.session.execute(text("SELECT count(*) FROM message_event")).scalar() == 1)


def until(right: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not right():
        assert time.monotonic() < deadline
        time.sleep(0.02)
