"""What a fire drill is held on: a database, a sink for a relay, and real Celery workers that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from mailhub.models import Campaign
from tests.conftest import Live, raw_settings
from tests.delivery.conftest import Office
from tests.sink import Sink

LEASE_SECONDS = 5


class Worker:
    """A `celery -A mailhub.worker worker` in a process group of its own."""

    def __init__(self, ini: Path, queue: str, processes: int, log: Path) -> None:
        self.queue = queue
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "mailhub.worker", "worker", "--ini", str(ini), "-Q", queue,
                 "-c", str(processes), "-n", f"{queue}{os.urandom(3).hex()}@%h", "--without-gossip",
                 "--without-mingle"],
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def children(self) -> list[int]:
        """The pids of the pool's processes."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return []

    def kill(self) -> None:
        """kill -9 of the main process; its children die with it."""
        self.process.kill()
        self.process.wait(10)

    def kill_child(self) -> None:
        """kill -9 of one process of the pool."""
        children = self.children()
        if children:
            os.kill(children[-1], signal.SIGKILL)

    def stop(self, seconds: float = 60) -> float:
        """SIGTERM to the main process; gives how long it took to end."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(seconds)
        return time.monotonic() - began

    def end(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


class Stand:
    """Use as a context manager: whatever was started is ended."""

    def __init__(self, live: Live, sink: Sink, *, broker_url: str = "embedded", **settings: str) -> None:
        self.live = live
        self.sink = sink
        self.office = Office(live, sink)
        self.workers: list[Worker] = []
        #: How often a drill kills.
        self.turns = 3
        raw = raw_settings(live.url, live.home) | {
            "celery.broker_url": broker_url,
            "mailhub.delivery.lease_seconds": str(LEASE_SECONDS),
            "mailhub.delivery.sweep_seconds": "1",
            "mailhub.relay.default.url": sink.url,
            **settings,
        }
        self.ini = live.home / "stand.ini"
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in raw.items()]
        self.ini.write_text("[app:main]\nuse = egg:mailhub#main\n" + "\n".join(lines) + "\n")
        self.log = live.home / "workers.log"

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self.workers:
            worker.end()

    def worker(self, queue: str, processes: int = 2) -> Worker:
        """Start a worker and wait until its pool has said that it is there."""
        worker = Worker(self.ini, queue, processes, self.log)
        self.workers.append(worker)
        self.until(lambda: self._alive(worker) == processes, 90, f"worker {queue}")
        return worker

    def _alive(self, worker: Worker) -> int:
        children = worker.children()
        with self.live.registry.session_factory() as session:
            return session.scalar(
                text("SELECT count(*) FROM worker_heartbeat WHERE role = 'pool' AND pid = ANY(:pids)"),
                {"pids": children},
            )

    def until(self, is_so: Callable[[], Any], seconds: float, what: str) -> float:
        """Wait until something is so; gives how long it took. Fails with the workers' log."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                tail = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
                raise AssertionError(f"{what}: not within {seconds} s\n{tail}")
            time.sleep(0.05)
        return time.monotonic() - began

    def until_sent(self, campaign: Campaign, seconds: float) -> float:
        return self.until(lambda: self.office.state(campaign) == "sent", seconds, f"campaign {campaign.id} sent")

    def figures(self, campaign: Campaign) -> dict[str, int]:
        """The ledger, and what the sink says about it: lost, duplicates, ghosts."""
        parts = self.office.count(campaign).parts()
        got = self.sink.recipients()
        rows = {message.email: message.state for message in self.office.messages(campaign)}
        sent = {address for address, state in rows.items() if state == "sent"}
        doubtful = {address for address, state in rows.items() if state == "unknown"}
        return parts | {
            "rows": len(rows),
            "lost": len(sent - set(got)),
            "duplicates": sum(got.values()) - len(got),
            "ghosts": len(set(got) - sent - doubtful),
            "unaccounted": parts["audience"] - len(rows),
        }


@contextlib.contextmanager
def database_of_its_own(folder: Path) -> Iterator[str]:
    """The URL of a migrated, empty database: on MAILHUB_TEST_POSTGRES, else on a server that lives for the drill."""
    from tests.conftest import _database, _maintain, migrate

    name = f"mh_drill_{os.urandom(4).hex()}"
    with contextlib.ExitStack() as stack:
        server = os.environ.get("MAILHUB_TEST_POSTGRES")
        if not server:
            from sqlalchemy import make_url

            from mailhub.embedded.postgres import running_server

            running = stack.enter_context(running_server(folder / "pg"))
            server = make_url(running.url).set(database="postgres").render_as_string(hide_password=False)
        _maintain(server, "CREATE DATABASE {}", name)
        stack.callback(_drop, server, name)
        url = _database(server, name)
        migrate(url)
        yield url


def _drop(server: str, name: str) -> None:
    """Drop the database; an autovacuum of the server's owner may be in it for a moment, and cannot be ended."""
    from tests.conftest import _maintain

    for turn in range(20):
        try:
            return _maintain(server, "DROP DATABASE {} WITH (FORCE)", name)
        except psycopg.Error:
            if turn == 19:
                raise
            time.sleep(0.5)
    return None
