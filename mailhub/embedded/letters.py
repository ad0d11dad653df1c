"""The letters of the development mailbox, in an SQLite file: written by one thread, read by the pages and by tests."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import queue
import re
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from pathlib import Path
from typing import Any

__all__ = ["LETTERS_KEPT", "Letter", "LetterWriter", "Mailbox", "StoredLetter"]

LETTERS_KEPT = 50_000
_TRIM_EVERY = 500
_BATCH = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    from_header TEXT NOT NULL, subject TEXT NOT NULL, size INTEGER NOT NULL, search TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS letter_raw (letter_id INTEGER PRIMARY KEY, raw BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Letter:
    """What came over SMTP: the envelope and the bytes."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes


@dataclass(frozen=True)
class StoredLetter:
    """A row of the mailbox. `raw` is empty in lists."""

    id: int
    received_at: datetime
    sender: str
    recipients: str
    from_header: str
    subject: str
    size: int
    raw: bytes = field(default=b"", repr=False)

    @property
    def message(self) -> Message:
        """The parsed letter; the parser of the standard library takes any bytes."""
        return email.message_from_bytes(self.raw, policy=email.policy.compat32)

    @property
    def html(self) -> str:
        return self._part("text/html")

    @property
    def text(self) -> str:
        return self._part("text/plain")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and decoded values in their order, unfolded."""
        return [(name, _decoded(str(value))) for name, value in self.message.items()]

    @property
    def attachments(self) -> list[tuple[str, str, int]]:
        """(name, content type, bytes) of each part that is not one of the two bodies."""
        found = []
        for part in self.message.walk():
            if not part.is_multipart() and (part.get_filename() or part.get_content_maintype() != "text"):
                payload = part.get_payload(decode=True)
                size = len(payload) if isinstance(payload, bytes) else 0
                found.append((_decoded(str(part.get_filename() or "")), part.get_content_type(), size))
        return found

    def _part(self, content_type: str) -> str:
        for part in self.message.walk():
            if part.get_content_type() == content_type and not part.get_filename():
                payload = part.get_payload(decode=True)
                if isinstance(payload, bytes):
                    return _text(payload, part.get_content_charset() or "utf-8")
        return ""


class LetterWriter:
    """Writes letters in the order they come, as many in one commit as have come meanwhile.

    `put` is called in the event loop; its callback is called there with the letter's id when the letter is on the disk,
    or with None when it could not be written.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Letter, Callable[[int | None], None]] | None] = queue.SimpleQueue()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)
        self._since_trim = _TRIM_EVERY
        self._thread = threading.Thread(target=self._run, name="letters", daemon=True)
        self._thread.start()

    def put(self, letter: Letter, stored: Callable[[int | None], None]) -> None:
        self._queue.put((letter, stored))

    def close(self) -> None:
        """Writes what is waiting and closes the file."""
        self._queue.put(None)
        self._thread.join(10)
        self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, last = [first], False
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    item = self._queue.get_nowait()
                    if item is None:
                        last = True
                        break
                    batch.append(item)
            ids = self._write([letter for letter, _stored in batch])
            answers = list(zip([stored for _letter, stored in batch], ids, strict=True))
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
                self._loop.call_soon_threadsafe(_tell, answers)
            if last:
                return

    def _write(self, letters: list[Letter]) -> list[int] | list[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            ids = [self._insert(letter) for letter in letters]
            self._trim(len(letters))
            self._connection.execute("COMMIT")
            return ids
        except sqlite3.Error as error:
            print(f"mailbox.cannot_store error={error}", flush=True)  # noqa: T201 (its log)
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            return [None] * len(letters)

    def _insert(self, letter: Letter) -> int:
        recipients = ", ".join(_clean(address) for address in letter.recipients)
        sender = _clean(letter.sender)
        subject, from_header = _header(letter.raw, b"Subject"), _header(letter.raw, b"From")
        search = " ".join((recipients, subject, from_header, sender)).casefold()
        cursor = self._connection.execute(
            "INSERT INTO letter (received_at, sender, recipients, from_header, subject, size, search) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), sender, recipients, from_header, subject, len(letter.raw), search),
        )
        letter_id = cursor.lastrowid
        assert letter_id is not None
        raw = zlib.compress(letter.raw, 1)
        self._connection.execute("INSERT INTO letter_raw (letter_id, raw) VALUES (?, ?)", (letter_id, raw))
        return letter_id

    def _trim(self, added: int) -> None:
        self._since_trim += added
        if self._since_trim >= _TRIM_EVERY:
            self._since_trim = 0
            oldest = "(SELECT max(id) FROM letter) - ?"
            for statement in (
                f"DELETE FROM letter_raw WHERE letter_id <= {oldest}",  # noqa: S608 (a constant)
                f"DELETE FROM letter WHERE id <= {oldest}",  # noqa: S608
            ):
                self._connection.execute(statement, (LETTERS_KEPT,))


class Mailbox:
    """Reads the letters. The file need not exist yet; reading never waits for the writer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self, q: str | None = None, *, before: int | None = None, limit: int = 50) -> list[StoredLetter]:
        """The newest letters first, those with an id below `before`; `q` is looked for in addresses and the subject."""
        condition, values = _condition(q)
        sql = f"SELECT {_COLUMNS} FROM letter WHERE id < ? AND {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608
        rows: list[tuple[Any, ...]] = []
        with self._connection() as connection:
            if connection is not None:
                rows = connection.execute(sql, (before or 1 << 62, *values, limit)).fetchall()
        return [_stored(row) for row in rows]

    def get(self, letter_id: int) -> StoredLetter | None:
        """One letter with its bytes, or None."""
        sql = f"SELECT {_COLUMNS}, raw FROM letter JOIN letter_raw ON letter_id = id WHERE id = ?"  # noqa: S608
        row = None
        with self._connection() as connection:
            if connection is not None:
                row = connection.execute(sql, (letter_id,)).fetchone()
        return _stored(row) if row else None

    def count(self, q: str | None = None) -> int:
        condition, values = _condition(q)
        count = 0
        with self._connection() as connection:
            if connection is not None:
                sql = f"SELECT count(*) FROM letter WHERE {condition}"  # noqa: S608 (made of constants)
                count = connection.execute(sql, values).fetchone()[0]
        return count

    def clear(self) -> None:
        with self._connection() as connection:
            if connection is not None:
                connection.execute("DELETE FROM letter_raw")
                connection.execute("DELETE FROM letter")
                connection.commit()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        if not self.path.exists():
            yield None
            return
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # the writer is just making the file
                raise
        finally:
            connection.close()


_COLUMNS = "id, received_at, sender, recipients, from_header, subject, size"


def _condition(q: str | None) -> tuple[str, tuple[str, ...]]:
    words = (q or "").casefold().split()
    return " AND ".join(["instr(search, ?) > 0"] * len(words)) or "1", tuple(words)


def _stored(row: tuple[Any, ...]) -> StoredLetter:
    return StoredLetter(
        id=row[0],
        received_at=datetime.fromtimestamp(row[1], UTC),
        sender=row[2],
        recipients=row[3],
        from_header=row[4],
        subject=row[5],
        size=row[6],
        raw=zlib.decompress(row[7]) if len(row) > 7 else b"",
    )


def _tell(answers: list[tuple[Callable[[int | None], None], int | None]]) -> None:
    for stored, letter_id in answers:
        stored(letter_id)


def _header(raw: bytes, name: bytes) -> str:
    """A header's decoded text, found without parsing the whole letter."""
    head = raw[: max(0, raw.find(b"\r\n\r\n")) or 65536]
    found = re.search(rb"(?:^|\r?\n)" + name + rb":((?:[^\n]|\n[ \t])*)", head, re.IGNORECASE)
    return _decoded(found[1].decode("utf-8", "replace").strip()) if found else ""


def _decoded(value: str) -> str:
    """A header for reading: encoded words decoded, on one line. What can't be decoded is shown as it is."""
    unfolded = re.sub(r"\r?\n[ \t]*", " ", value)
    try:
        parts = decode_header(unfolded)
    except (ValueError, AssertionError):  # HeaderParseError is a ValueError
        return _clean(unfolded)
    texts = (part if isinstance(part, str) else _text(part, charset or "ascii") for part, charset in parts)
    return _clean("".join(texts))


def _text(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset, "replace")
    except LookupError:
        return payload.decode("utf-8", "replace")


def _clean(value: str) -> str:
    """Text that SQLite and a page can take: no lone surrogates, no NUL."""
    return value.encode("utf-8", "replace").decode().replace("\0", "")
