"""What pages cost, apart from waiting: processor time of the server and of its database sessions, and statements.

On a busy machine a page's time says how busy the machine is; these say what the page itself takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.history import store


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor milliseconds since the processes began, and statements since the server counts them.

    None: the database is on another machine; it does not count.
    """

    server_ms: float
    database_ms: float | None
    statements: int | None


class Meter:
    """Reads the cost of a process and of its sessions in one database, again and again.

    `connection` is to a database of the server that has the extension pg_stat_statements: the embedded one's own has.
    """

    def __init__(self, connection: store.Connection, database: str, pid: int, application: str) -> None:
        self._connection, self._database_name = connection, database
        self._pid, self._application = pid, application

    def read(self) -> Cost:
        threads = [_milliseconds(one / "schedstat") for one in Path(f"/proc/{self._pid}/task").iterdir()]
        return Cost(sum(one for one in threads if one is not None), self._database(), self._statements())

    def _database(self) -> float | None:
        pids = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND datname = %s",
            [self._application + "%", self._database_name],
        ).fetchall()
        taken = [_milliseconds(Path(f"/proc/{pid}/schedstat")) for (pid,) in pids]
        known = [one for one in taken if one is not None]
        return sum(known) if len(known) == len(taken) else None

    def _statements(self) -> int | None:
        try:
            row = self._connection.execute(
                "SELECT sum(calls) FROM pg_stat_statements WHERE query <> 'SELECT $1'"
                " AND dbid = (SELECT oid FROM pg_database WHERE datname = %s)",
                [self._database_name],
            ).fetchone()
        except psycopg.Error:
            return None
        return int(row[0]) if row is not None and row[0] is not None else None


def _milliseconds(file: Path) -> float | None:
    """The time on a processor, which the kernel tells in nanoseconds; None where there is no such process here."""
    try:
        return int(file.read_text().split()[0]) / 1e6
    except OSError:
        return None
