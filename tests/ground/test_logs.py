"""mailhub.logs: one event a line, with fields; nothing secret, no address, no forged second line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from mailhub import logs
from tests.cpu import cpu_seconds


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


def written(format: str, **fields: object) -> str:
    stream = io.StringIO()
    logs.configure(format=format, secret_key="key of the tests", stream=stream)
    logs.get("mailhub.test").info("thing.done", **fields)
    return stream.getvalue()


def test_text_has_event_and_fields() -> None:
    line = written("text", campaign_id=7, name="two words", rows=[1, 2])
    assert line.endswith('mailhub.test thing.done campaign_id=7 name="two words" rows=[1, 2]\n')


def test_json_is_an_object_a_line() -> None:
    line = json.loads(written("json", campaign_id=7, ok=True))
    assert line["event.action"] == "thing.done"
    assert line["mailhub.campaign_id"] == 7
    assert line["mailhub.ok"] is True
    assert line["log.level"] == "info"


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("value", ["a\r\nINFO forged", "a\nb", "a\u2028b", "a\x85b", "\x1b[31mred"])
def test_a_field_cannot_make_a_second_line_or_colour(format: str, value: str) -> None:
    text = written(format, name=value)
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


@pytest.mark.parametrize("format", ["text", "json"])
def test_addresses_are_keyed_hashes(format: str) -> None:
    text = written(format, who="Alice.Smith@example.org", text="to <bob@example.org>, http://x/?q=carol@example.org")
    for name in ("Smith", "bob@", "carol"):
        assert name not in text
    assert "A***#" in text


def test_the_same_address_is_the_same_text_for_a_key() -> None:
    logs.configure(secret_key="one")
    one = logs.hidden("alice@example.org")
    assert one == logs.hidden("Alice@Example.org").replace("A***", "a***").replace("Example", "example")
    logs.configure(secret_key="two")
    assert logs.hidden("alice@example.org") != one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("api_key", "hunter2"),
        ("url", "postgresql://mailhub:hunter2@db/mailhub"),
        ("header", "Bearer hunter2hunter2hunter2"),
        ("text", "used mh_hunter2hunter2 today"),
    ],
)
def test_secrets_are_hidden(name: str, value: str) -> None:
    assert "hunter2" not in written("text", **{name: value})


def test_a_traceback_hides_addresses_too() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        raise ValueError("bad row: alice@example.org\nINFO forged")
    except ValueError:
        logs.get("x").exception("import.failed", import_id=1)
    lines = stream.getvalue().splitlines()
    assert "alice@" not in stream.getvalue()
    assert all(line.startswith("  | ") for line in lines[1:])


def test_context_is_in_every_line_of_the_block() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    log = logs.get("x")
    with logs.context(request_id="r1"), logs.context(task_id="t1"):
        log.info("inside")
    log.info("outside")
    inside, outside = stream.getvalue().splitlines()
    assert inside.endswith("inside request_id=r1 task_id=t1")
    assert outside.endswith("outside")


def test_levels_are_kept() -> None:
    stream = io.StringIO()
    logs.configure(level="warning", stream=stream)
    logs.get("x").info("quiet")
    logs.get("x").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_library_with_a_broken_log_call_is_survived() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    logging.getLogger("library").warning("%d letters", "many")
    assert "%d letters" in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a@" * 50_000, "://" * 30_000 + "@", "a:" * 50_000 + "@", "mh_" * 30_000]
)
def test_long_hostile_texts_take_no_time(text: str) -> None:
    assert len(logs.hidden(text)) < 10_000
    assert cpu_seconds(lambda: logs.hidden(text)) < 0.5
