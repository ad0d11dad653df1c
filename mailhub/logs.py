"""Log lines: a constant event name and fields, as text for people or JSON for machines; secrets and addresses hidden.

    log = logs.get(__name__)
    log.info("campaign.started", campaign_id=7)

Fields are ids, numbers and short texts. Whatever looks like an e-mail address is shown as `a***#1f3c9a2b@example.org`,
where the middle is a keyed hash: the same person is the same text within a deployment; nobody else can tell who it is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

__all__ = ["Log", "configure", "context", "get", "hidden"]

_SECRET_FIELD = re.compile(
    r"passw|secret|token|authorization|cookie|api_?key|private|credential|signature", re.IGNORECASE
)
# The parts are bounded, and a match can't start inside a run of such characters: a long text takes linear time.
_ADDRESS = re.compile(
    r"(?<![^\s<>\"'(),;:\[\]=])[^\s<>\"'(),;:@\[\]=]{1,128}@[^\s<>\"'(),;:@\[\]=.]{1,63}\.[^\s<>\"'(),;:@\[\]=]{1,253}"
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,64}:)[^\s/@]{1,256}(@)")
_BEARER = re.compile(r"\b(Bearer\s+|mh_)[A-Za-z0-9_.~+/=-]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LIMIT = 2000

_context: ContextVar[dict[str, Any] | None] = ContextVar("mailhub_log_context", default=None)
_key = b"mailhub: not configured"


class Log:
    """A named logger whose calls take an event name and fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, fields, exc_info=True)

    def _write(self, level: int, event: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"mailhub_fields": fields}, exc_info=exc_info, stacklevel=3)


def get(name: str) -> Log:
    return Log(name)


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Adds fields (request_id, task_id, …) to every line written inside the block."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure(*, format: str = "text", level: str = "info", secret_key: str = "", stream: TextIO | None = None) -> None:
    """Sends all log lines of this process to `stream` (stderr), and replaces what was configured before."""
    global _key
    if secret_key:
        _key = hmac.digest(secret_key.encode(), b"log lines", "sha256")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("sqlalchemy.engine", "asyncio", "amqp", "celery", "kombu", "mail.log"):  # mail.log is aiosmtpd's
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # It warns of each request that waits for a thread: at a peak that is a line a request, when time is shortest.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def hidden(text: str) -> str:
    """The text with addresses, passwords in URLs and tokens made unreadable, on one line, cut at 2,000 characters."""
    if len(text) > _LIMIT:
        text = text[:_LIMIT] + "…"
    return _CONTROL.sub(_escape, _without_secrets(text))


def _without_secrets(text: str) -> str:
    if "@" in text:
        text = _ADDRESS.sub(_hide_address, _URL_PASSWORD.sub(r"\1***\2", text))
    return _BEARER.sub(r"\1***", text)


def _hide_address(match: re.Match[str]) -> str:
    local, _, domain = match[0].partition("@")
    if local == "***":  # the end of a URL whose password was hidden just now
        return match[0]
    digest = hmac.new(_key, match[0].lower().encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:8]
    return f"{local[0]}***#{digest}@{domain}"


def _escape(match: re.Match[str]) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": " "}.get(match[0], f"\\x{ord(match[0]):02x}")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = {**(_context.get() or {}), **getattr(record, "mailhub_fields", {})}
    return {name: "***" if _SECRET_FIELD.search(name) and value else _value(value) for name, value in given.items()}


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item) for item in list(value)[:50]]
    return hidden(value if isinstance(value, str) else str(value))


def _event(record: logging.LogRecord) -> str:
    try:
        return hidden(record.getMessage())
    except Exception:  # A library's broken log call must not break the work it reports on.
        return hidden(str(record.msg))


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    # A traceback keeps its lines. Messages of exceptions can hold what a user typed, so secrets are hidden in them too.
    text = "".join(traceback.format_exception(*record.exc_info))[-20_000:].rstrip()
    return "\n".join(_CONTROL.sub(_escape, line) for line in _without_secrets(text).split("\n"))


class TextFormatter(logging.Formatter):
    """`12:30:01.204 INFO  mailhub.lists import.done rows=25000`; a traceback follows, each line indented by `  | `."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        head = f"{moment:%H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {record.name} {_event(record)}"
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        trace = "".join(f"\n  | {line}" for line in _trace(record).splitlines())
        return f"{head} {fields}".rstrip() + trace


class JsonFormatter(logging.Formatter):
    """One object a line, with the field names of the Elastic Common Schema where it has one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "event.action": _event(record),
            "process.pid": record.process,
        }
        line.update({f"mailhub.{name}": value for name, value in _fields(record).items()})
        if trace := _trace(record):
            line["error.stack_trace"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


def _quoted(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if text == "" or " " in text or '"' in text or "=" in text else text
