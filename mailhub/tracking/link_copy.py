"""A local copy of the table of links, so that a click needs no database: in an SQLite file that survives a restart.

It follows the table by (feed_position, id). A copy of another database, or of one that was set back to an earlier
state, would lead people to wrong pages: the last link copied must still be there as it was, else all begins anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailhub import logs
from mailhub.tracking.memory import Kept, StoredLink

log = logs.get(__name__)

#: Links that a process keeps in its memory; the others are read from the file (15 µs).
IN_MEMORY = 50_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS link (
    project_id INTEGER NOT NULL, id INTEGER NOT NULL, url TEXT NOT NULL, PRIMARY KEY (project_id, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (
    only INTEGER PRIMARY KEY CHECK (only = 1), source TEXT NOT NULL, position INTEGER NOT NULL, id INTEGER NOT NULL
);
INSERT OR IGNORE INTO place VALUES (1, '', -1, 0);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the copy goes: `source` names the database, the rest is the last link copied."""

    source: str = ""
    position: int = -1
    id: int = 0


class LinkCopy:
    """The copy of a home; its processes share the file. Without a file that can be written it is a memory only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._kept: Kept[StoredLink] = Kept(IN_MEMORY)
        self._complained = False

    def get(self, project: int, link: int) -> StoredLink | None:
        """The stored link, if the copy has it."""
        found = self._kept.get((project, link))
        if found is None:
            try:
                with self._lock:
                    asked = "SELECT url FROM link WHERE project_id = ? AND id = ?"
                    row = self._file().execute(asked, (project, link)).fetchone()
            except (sqlite3.Error, OSError) as failure:
                self._complain(failure)
                return None
            if row is None:
                return None
            found = StoredLink(link, row[0])
            self._kept.put((project, link), found)
        return found

    def keep(self, project: int, link: StoredLink) -> None:
        """One that was asked for before the copy had come so far."""
        self._kept.put((project, link.id), link)
        self._change([("INSERT OR REPLACE INTO link VALUES (?, ?, ?)", [(project, link.id, link.url)])])

    def place(self) -> Place:
        """How far the copy goes."""
        try:
            with self._lock:
                return Place(*self._file().execute("SELECT source, position, id FROM place").fetchone())
        except (sqlite3.Error, OSError, TypeError) as failure:
            self._complain(failure)
            return Place()

    def extend(self, place: Place, links: Sequence[tuple[int, int, str]]) -> bool:
        """Add (project, id, url) rows and move the place; says whether the file has them."""
        return self._change([
            ("INSERT OR REPLACE INTO link VALUES (?, ?, ?)", links),
            ("UPDATE place SET source = ?, position = ?, id = ?", [(place.source, place.position, place.id)]),
        ])  # fmt: skip

    def begin_anew(self, source: str) -> None:
        """Forget everything: this is another database."""
        self._kept.clear()
        self._change([("DELETE FROM link", [()]), ("UPDATE place SET source = ?, position = -1, id = 0", [(source,)])])

    def keep_projects(self, projects: Iterable[int]) -> int:
        """Forget the links of projects that are gone; gives how many projects those were."""
        try:
            with self._lock:
                known = {row[0] for row in self._file().execute("SELECT DISTINCT project_id FROM link")}
        except (sqlite3.Error, OSError) as failure:
            self._complain(failure)
            return 0
        gone = [(project,) for project in known.difference(projects)]
        if gone:
            self._kept.clear()
            self._change([("DELETE FROM link WHERE project_id = ?", gone)])
        return len(gone)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _change(self, statements: Iterable[tuple[str, Sequence[tuple[object, ...]]]]) -> bool:
        try:
            with self._lock, self._file() as connection:  # the connection's block is a transaction
                for statement, rows in statements:
                    connection.executemany(statement, rows)
        except (sqlite3.Error, OSError) as failure:
            self._complain(failure)
            return False
        return True

    def _file(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
            try:
                # After a power cut the copy may lack its last second, which is copied again.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _complain(self, failure: Exception) -> None:
        """The file is of no use: make another one if it is damaged, and go on without it as long as need be."""
        damaged = isinstance(failure, sqlite3.DatabaseError) and not isinstance(failure, sqlite3.OperationalError)
        with self._lock:
            self._drop()
            if damaged:
                for ending in ("", "-wal", "-shm"):
                    with contextlib.suppress(OSError):
                        self.path.with_name(self.path.name + ending).unlink()
        if not self._complained or damaged:
            self._complained = True
            log.warning("links.copy_failed", error=type(failure).__name__, damaged=damaged)
