"""mailhub.embedded.views: the mailbox's pages, in development only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailhub.embedded.letters import Letter, LetterWriter, Mailbox
from mailhub.embedded.views import FRAME_POLICY, opening_new_tabs
from tests.client import Client
from tests.conftest import build_app

HTML = (
    b"Subject: Hello <b>\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.org\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain <script>text</script>\r\n"
    b'--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><head></head><body><a href="http://x/">link</a></body></html>'
    b"\r\n--b--\r\n"
)
PLAIN = b"Subject: Only text\r\n\r\njust text\r\n"


def fill(path: Path, *raws: bytes) -> None:
    loop = asyncio.new_event_loop()
    writer = LetterWriter(path, loop)
    for number, raw in enumerate(raws):
        writer.put(Letter("sender@example.org", (f"r{number}@example.org",), raw), lambda _letter_id: None)
    writer.close()
    loop.close()


@pytest.fixture(scope="module")
def site(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = build_app(shared_database, tmp_path_factory.mktemp("home"), **{"mailhub.environment": "development"})
    fill(app.registry.mailhub.home / "mailbox.sqlite", HTML, PLAIN)
    yield app
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


@pytest.fixture
def visitor(site: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A signed-out browser of the development site, on the test's rolled-back connection."""
    monkeypatch.setattr(site.registry, "session_factory", app.registry.session_factory)
    monkeypatch.setattr(site.registry, "reading_session_factory", app.registry.session_factory)
    return Client(site)


@pytest.fixture
def reader(visitor: Client, build: Any) -> Client:
    return visitor.sign_in(build.user())


def test_it_is_not_there_outside_development(client: Client, build: Any) -> None:
    client.sign_in(build.user()).get("/_mailbox", status=404)


@pytest.mark.parametrize("path", ["", "/1", "/1/frame", "/1/letter.eml"])
def test_signed_out_people_see_nothing(visitor: Client, path: str) -> None:
    response = visitor.get(f"/_mailbox{path}", expect_errors=True)
    assert response.status_int in (302, 303, 401, 403)
    assert "sign-in" in response.headers.get("Location", "sign-in")
    assert b"alice" not in response.body


def test_the_list_shows_the_newest_first(reader: Client) -> None:
    page = reader.get("/_mailbox", status=200)
    assert page.text.index("Only text") < page.text.index("Hello &lt;b&gt;")


def test_search_is_a_fragment_too(reader: Client) -> None:
    assert "Only text" not in reader.get("/_mailbox?q=alice").text
    fragment = reader.fragment("/_mailbox?q=alice", "letter-rows")
    assert fragment.text.lstrip().startswith('<div id="letter-rows"')
    assert "Only text" not in fragment.text
    assert "Nothing matches" in reader.get("/_mailbox?q=nobody").text


@pytest.mark.parametrize("query", ["?after=nonsense", "?after=WyJ4Il0", "?q=" + "x" * 5000, "?view=x"])
def test_bad_input_shows_the_first_page(reader: Client, query: str) -> None:
    reader.get(f"/_mailbox{query}", status=200)


def test_a_letter_has_four_views(reader: Client) -> None:
    assert "/_mailbox/1/frame" in reader.get("/_mailbox/1").text
    assert "plain &lt;script&gt;text" in reader.get("/_mailbox/1?view=text").text
    assert "multipart/alternative" in reader.get("/_mailbox/1?view=headers").text
    assert "boundary=" in reader.get("/_mailbox/1?view=source").text


def test_a_letter_without_html_shows_its_text(reader: Client) -> None:
    page = reader.get("/_mailbox/2")
    assert "just text" in page.text
    assert "iframe" not in page.text


def test_the_frame_is_sandboxed_by_its_own_policy(reader: Client) -> None:
    frame = reader.get("/_mailbox/1/frame")
    assert frame.headers["Content-Security-Policy"] == FRAME_POLICY
    assert "allow-scripts" not in FRAME_POLICY
    assert "allow-same-origin" not in FRAME_POLICY
    assert frame.headers["Referrer-Policy"] == "no-referrer"
    assert '<head><base target="_blank">' in frame.text


def test_the_download_is_the_letter_itself(reader: Client) -> None:
    response = reader.get("/_mailbox/1/letter.eml")
    assert response.body == HTML
    assert response.headers["Content-Disposition"] == 'attachment; filename="letter-1.eml"'


@pytest.mark.parametrize("path", ["/999", "/0", "/99999999999999999999", "/x", "/1/other"])
def test_a_letter_that_is_not_there_is_404(reader: Client, path: str) -> None:
    reader.get(f"/_mailbox{path}", status=404)


def test_clear_needs_the_token(reader: Client, site: Any) -> None:
    response = reader.post("/_mailbox/clear", expect_errors=True)
    assert response.status_int in (400, 403)
    assert Mailbox(site.registry.mailhub.home / "mailbox.sqlite").count() == 2


def test_clear_empties_the_mailbox(reader: Client, site: Any) -> None:
    path = site.registry.mailhub.home / "mailbox.sqlite"
    reader.post_form("/_mailbox/clear", status=303)
    assert Mailbox(path).count() == 0
    assert "No letters yet" in reader.get("/_mailbox").text
    path.unlink()
    fill(path, HTML, PLAIN)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>x</p>", '<base target="_blank"><p>x</p>'),
        ("<!DOCTYPE html><p>x</p>", '<!DOCTYPE html><base target="_blank"><p>x</p>'),
        ('<html lang="ru"><p>x</p></html>', '<html lang="ru"><base target="_blank"><p>x</p></html>'),
        ("<HEAD profile='x'><title>x</title>", "<HEAD profile='x'><base target=\"_blank\"><title>x</title>"),
        ("<header>x</header>", '<base target="_blank"><header>x</header>'),
        ('<a target=_self href="x">y</a>', '<base target="_blank"><a href="x">y</a>'),
        ('<a href="x" target="_top" rel="z">y</a>', '<base target="_blank"><a href="x" rel="z">y</a>'),
        ("", '<base target="_blank">'),
    ],
)
def test_links_open_in_a_new_tab(html: str, expected: str) -> None:
    assert opening_new_tabs(html) == expected
