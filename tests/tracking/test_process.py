"""The tracking process: the URLs of letters, and no other door of the house."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from mailhub import tracking
from tests.conftest import raw_settings


@pytest.fixture
def process(shared_database: str, tmp_path: Any) -> Any:
    app = tracking.main({}, **raw_settings(shared_database, tmp_path))
    yield TestApp(app, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


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


def test_without_a_database_a_mail_client_is_asked_to_come_again(tmp_path: Any) -> None:
    nowhere = f"postgresql+psycopg://nobody@/nothing?host={tmp_path}"
    app = tracking.main({}, **raw_settings(nowhere, tmp_path))
    away = TestApp(app, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})
    signer = app.registry.signer
    ids = {"project": 1, "campaign": 1, "subscriber": 1}
    for path in (f"/u/{signer.sign('unsubscribe', **ids)}", f"/v/{signer.sign('web_version', **ids)}"):
        assert away.get(path, status=503).headers["Retry-After"]
    away.post(f"/u/{signer.sign('unsubscribe', **ids)}", {"List-Unsubscribe": "One-Click"}, status=503)
    assert len(away.get(f"/t/o/{signer.sign('open', **ids)}", status=200).body) == 43
    away.get(f"/t/c/{signer.sign('click', link=1, **ids)}", status=503)
