"""The thread behind a desk: one of a home's processes brings spools into the database and copies new links.

It has a connection of its own. While the database is away it tries again every second or two; nobody waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from mailhub import logs, metrics
from mailhub.broker import conninfo
from mailhub.tracking import ingest
from mailhub.tracking.ingest import Ingest
from mailhub.tracking.link_copy import LinkCopy
from mailhub.tracking.link_sync import LinkSync
from mailhub.tracking.spool import Spool
from mailhub.tracking.waiting import Waiting

log = logs.get(__name__)

#: Between two looks at the spools when there was nothing.
PAUSE_SECONDS = 0.25
#: Between two tries while the database is away, or while another process has the work.
RETRY_SECONDS = 1.0
UPKEEP_SECONDS = 3600.0
CLOSE_SECONDS = 5.0
#: A server that has gone without a word is noticed after half a minute, so that its successor is asked.
_LIVELY: dict[str, Any] = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000, "application_name": "mailhub tracking hits",
    "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
    " -c timezone=UTC",
}  # fmt: skip

_bytes = metrics.gauge("mailhub_hit_spool_bytes", "Bytes of hits that are on the disk and not in the database yet.")
_age = metrics.gauge("mailhub_hit_spool_oldest_seconds", "Age of the oldest hit that is not in the database yet.")


class BackRoom:
    """Started once a process; does nothing before."""

    def __init__(self, registry: Any, spool: Spool, links: LinkCopy) -> None:
        self._url = registry.mailhub.database_url
        self._spool = spool
        self._ingest = Ingest(spool.folder, spool)
        self._links = LinkSync(links)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._away = False
        self._upkeep_due = 0.0

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    def waiting(self) -> Waiting:
        """What is on the disk and not in the database, as far as this process knows."""
        return self._ingest.waiting()

    def start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tracking hits", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with _sole(self._spool.folder) as mine:
                    if mine:
                        self._work()
                self._stop.wait(RETRY_SECONDS)
            except (psycopg.Error, OSError) as failure:
                self._note_away(failure)
                self._stop.wait(RETRY_SECONDS)
            except Exception:
                log.exception("hits.stuck")
                self._stop.wait(RETRY_SECONDS)

    def _work(self) -> None:
        """As long as it goes well."""
        self._measure()
        with psycopg.connect(conninfo(self._url), autocommit=True, **_LIVELY) as connection:
            while True:
                stopping = self._stop.is_set()
                done = self._ingest.store_all(connection)
                copied = self._links.run_if_due(connection)
                self._note_back()
                self._measure()
                self._keep_up(connection)
                if stopping:
                    return
                if done < ingest.BATCH and not copied:
                    self._stop.wait(PAUSE_SECONDS)

    def _keep_up(self, connection: psycopg.Connection[Any]) -> None:
        self._spool.close_old()
        if time.monotonic() >= self._upkeep_due:
            self._ingest.forget_old(connection, datetime.now(UTC))
            self._upkeep_due = time.monotonic() + UPKEEP_SECONDS

    def _measure(self) -> None:
        waiting = self._ingest.waiting()
        _bytes.set(waiting.bytes)
        _age.set(round(waiting.age_seconds(datetime.now(UTC)), 1))

    def _note_away(self, failure: Exception) -> None:
        if not self._away:
            self._away = True
            log.warning("hits.database_away", error=type(failure).__name__)
        self._measure()

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            log.info("hits.database_back")


@contextlib.contextmanager
def _sole(folder: Path) -> Iterator[bool]:
    """Whether no other process of this home does it; if so, none begins as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "ingest.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
