"""From spools to events: each line exactly once, because a spool's place moves in the transaction of its events.

One process of a home does it at a time (the flock of `spool/ingest.lock`), for all files of the home: also for those of
processes that were killed. While the database is away the files grow; when it is back, they are stored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from mailhub import logs, metrics
from mailhub.events import service as events
from mailhub.reporting import spools as facts
from mailhub.tracking import spool
from mailhub.tracking.facts import events_of
from mailhub.tracking.hit import BadHit, Hit, decode
from mailhub.tracking.waiting import Waiting, waiting

log = logs.get(__name__)

#: Hits in one transaction.
BATCH = 1000
#: How long the row of a file that is gone is remembered.
REMEMBERED = timedelta(days=90)
#: Errors of the server, the line to it or the schema: nothing is wrong with the hits, and all is tried again.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.ProgrammingError, psycopg.InternalError)

_stored = metrics.counter("mailhub_hits_stored_total", "Hits that this process took from spools into events.")
_bad = metrics.counter("mailhub_hits_bad_total", "Lines of spools that could not be stored, set aside in .bad files.")


@dataclass(frozen=True, slots=True)
class _Record:
    """A line and the offset behind it."""

    line: bytes
    end: int


class Ingest:
    """Stores the spools of a folder; `writer` is the spool of this process."""

    def __init__(self, folder: Path, writer: spool.Spool | None = None) -> None:
        self.folder = folder
        self._writer = writer
        #: What the database has said, so that a file with nothing new costs no question.
        self._stored: dict[str, int] = {}
        self._aside: Path | None = None

    def store_all(self, connection: psycopg.Connection[Any]) -> int:
        """Store what there is, a batch of each file; delete files that are done. Gives how many lines were read."""
        done = 0
        for path in spool.files(self.folder):
            try:
                done += self._store_some(connection, path)
            except FileNotFoundError:  # somebody else has done with it
                self._stored.pop(path.name, None)
        return done

    def waiting(self) -> Waiting:
        """As far as is known without asking the database."""
        return waiting(self.folder, self._stored)

    def forget_old(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        """Delete the rows of files that have long been gone."""
        names = [path.name for path in spool.files(self.folder)]
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            facts.forget_spools(cursor, before=now - REMEMBERED, but=names)

    def _store_some(self, connection: psycopg.Connection[Any], path: Path) -> int:
        stored = self._stored.get(path.name)
        end = self._writer.durable(path) if self._writer is not None else None
        if stored is None or (path.stat().st_size if end is None else end) > stored:
            if stored is None:
                stored = self._stored_bytes(connection, path.name)
            lines, _end = spool.read_lines(path, stored, end=end, most=BATCH)
            if lines:
                self._store(connection, path, stored, _records(stored, lines))
                return len(lines)
        with spool.without_writer(path) as ours:
            if ours:
                self._finish(path, self._stored_bytes(connection, path.name))
        return 0

    def _stored_bytes(self, connection: psycopg.Connection[Any], name: str) -> int:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            stored = facts.spools(cursor, [name]).get(name, 0)
        self._stored[name] = stored
        return stored

    def _store(
        self, connection: psycopg.Connection[Any], path: Path, start: int, records: Sequence[_Record], tries: int = 2
    ) -> None:
        """Store records; what can't be is found by halving, and set aside."""
        try:
            self._store_together(connection, path, start, records)
        except AWAY:
            raise
        except Exception as failure:
            if len(records) > 1:
                half = len(records) // 2
                self._store(connection, path, start, records[:half])
                self._store(connection, path, records[half - 1].end, records[half:])
            elif tries > 1:  # it may have met somebody who was deleting the project
                self._store(connection, path, start, records, tries - 1)
            else:
                log.exception("hits.refused", spool=path.name, error=type(failure).__name__)
                self._store_together(connection, path, start, records, aside=True)

    def _store_together(
        self,
        connection: psycopg.Connection[Any],
        path: Path,
        start: int,
        records: Sequence[_Record],
        *,
        aside: bool = False,
    ) -> None:
        hits, bad = ([], [record.line for record in records]) if aside else _read(records)
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            stored = facts.lock_spool(cursor, path.name)
            if stored != start:  # somebody else has been here
                self._stored[path.name] = stored
                return
            if bad:
                self._set_aside(bad)
            if hits:
                events.append(connection, events_of(cursor, hits))
            facts.move_spool(cursor, path.name, records[-1].end)
        self._stored[path.name] = records[-1].end
        _stored.add(len(hits))
        if bad:
            _bad.add(len(bad))
            log.error("hits.set_aside", spool=path.name, lines=len(bad))

    def _set_aside(self, lines: Sequence[bytes]) -> None:
        """Append lines to a .bad file and wait for the disk. One that has been taken away is not begun again."""
        if self._aside is None or not self._aside.exists():
            self._aside = self.folder / (spool.new_name("set-aside") + spool.BAD_ENDING)
        with self._aside.open("ab") as file:
            file.writelines(line + b"\n" for line in lines)
            file.flush()
            os.fdatasync(file.fileno())

    def _finish(self, path: Path, stored: int) -> None:
        """Delete a file without a writer, if all its lines are stored; what has no line feed was never acknowledged."""
        lines, _end = spool.read_lines(path, stored, most=1)
        if lines:
            return
        if torn := path.stat().st_size - stored:
            log.info("hits.torn_line", spool=path.name, bytes=torn)
        path.unlink()
        self._stored.pop(path.name, None)


def _records(start: int, lines: Sequence[bytes]) -> list[_Record]:
    records = []
    for line in lines:
        start += len(line) + 1
        records.append(_Record(line, start))
    return records


def _read(records: Sequence[_Record]) -> tuple[list[Hit], list[bytes]]:
    hits, bad = [], []
    for record in records:
        try:
            hits.append(decode(record.line))
        except BadHit:
            bad.append(record.line)
    return hits, bad
