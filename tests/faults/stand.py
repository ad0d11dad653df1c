"""What a fire drill is held on: PostgreSQL, a broker, relays, the site and real Celery workers, all of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from mailhub.broker import conninfo
from mailhub.embedded.postgres import Postgres, hold_lock
from mailhub.tasks.publisher import Publisher
from tests.client import ApiClient
from tests.conftest import Live, migrate, raw_settings
from tests.faults.broker import Broker, Embedded, RabbitMQ
from tests.faults.relay import Relay
from tests.faults.workers import Supervisor, Worker

#: Long enough that a busy machine does not make a living worker look dead.
LEASE_SECONDS = 10


class Stand(contextlib.ExitStack):
    """Use as a context manager: whatever was started is ended.

    `relays` are names, or name → URL for relays that are there already. `url` is a migrated database; without it the
    stand has a server of its own, which can be restarted. The wake-ups of its site really go to the broker.
    """

    def __init__(
        self,
        folder: Path,
        *,
        url: str = "",
        broker: str = "embedded",
        relays: Sequence[str] | Mapping[str, str] = ("default",),
        relay_options: Mapping[str, Any] | None = None,
        connections: int = 10,
        environ: Mapping[str, str] | None = None,
        durable: bool = True,
        database_via: Callable[[str], str] | None = None,
        **settings: str,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.connections = connections
        #: How often a drill kills, and how many people it writes to.
        self.turns, self.people = 3, 1000
        #: How long a speed is measured.
        self.window_seconds = 6.0
        self._asked: Counter[str] = Counter()
        self._url, self._broker, self._relays = url, broker, relays
        self._relay_options = relay_options or {}
        self.environ = environ or {}
        self._durable = durable
        self._database_via = database_via
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None
        self._apis: dict[int, ApiClient] = {}
        self.postgres: Postgres | None = None
        self.relays: dict[str, Relay] = {}

    def __enter__(self) -> Stand:
        with contextlib.ExitStack() as stack:
            self._set_up(stack)
            self.push(stack.pop_all())
        return self

    def _set_up(self, stack: contextlib.ExitStack) -> None:
        if not self._url:
            (self.folder / "pg").mkdir(exist_ok=True)
            lock = hold_lock(self.folder / "pg")
            assert lock is not None
            stack.enter_context(lock)
            self.postgres = Postgres(self.folder / "pg", durable=self._durable)
            self._url = self.postgres.start().url
            stack.callback(self.postgres.stop)
            migrate(self._url)
        urls = dict(self._relays) if isinstance(self._relays, Mapping) else {}
        for name in self._relays if not urls else ():
            self.relays[name] = stack.enter_context(Relay(self.folder, name, **self._relay_options))
            urls[name] = self.relays[name].url
        self.broker: Broker = Embedded(self.query, self.stop_database, self.start_database)
        if self._broker == "rabbitmq":
            self.broker = stack.enter_context(RabbitMQ(self.folder / "rabbitmq"))
        changes = {
            "celery.broker_url": self.broker.url,
            "mailhub.delivery.lease_seconds": str(LEASE_SECONDS),
            "mailhub.delivery.sweep_seconds": "1",
            "mailhub.delivery.retry_schedule": "1s 1s 2s 2s 3s 3s 3s 3s",
        }
        for name, url in urls.items():
            changes[f"mailhub.relay.{name}.url"] = url
            changes[f"mailhub.relay.{name}.max_connections"] = str(self.connections)
        changes |= self._settings
        quiet = {"mailhub.log.level": "error"}
        self.live = Live(self._url, self.folder, **changes, **quiet)
        stack.callback(self.live.close)
        self.live.registry.publisher = Publisher(self.live.registry)
        stack.callback(self.live.registry.publisher.close)
        workers_url = self._database_via(self._url) if self._database_via else self._url
        raw = raw_settings(self._url, self.folder) | changes | {"sqlalchemy.url": workers_url}
        self.ini = self.folder / "stand.ini"
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in raw.items()]
        self.ini.write_text("[app:main]\nuse = egg:mailhub#main\n" + "\n".join(lines) + "\n")
        self.log = self.folder / "workers.log"
        self.supervisor = stack.enter_context(Supervisor())
        stack.callback(self._hang_up)

    # Relays and workers

    @property
    def relay(self) -> Relay:
        return self.relays["default"]

    @property
    def ports(self) -> list[int]:
        return [relay.port for relay in self.relays.values()]

    @property
    def workers(self) -> list[Worker]:
        return self.supervisor.workers

    def worker(self, queue: str, processes: int = 2) -> Worker:
        """A worker whose whole pool has said that it is there: one of an earlier drill, else a new one.

        Campaigns are fanned out on the queue `celery`: with the first bulk worker comes one for that.
        """
        number = self._asked[queue]
        self._asked[queue] += 1
        mine = [worker for worker in self.workers if worker.queue == queue]
        if number < len(mine):
            self.until(lambda: self.is_ready(mine[number]), 90, f"worker {queue}")
            return mine[number]
        worker = Worker(self._command(queue, processes), queue, processes, self.log, self.environ)
        with self.supervisor.lock:
            self.workers.append(worker)
        self.until(lambda: self.is_ready(worker), 90, f"worker {queue}")
        if queue == "bulk" and all(other.queue != "celery" for other in self.workers):
            self.worker("celery", 1)
        return worker

    def _command(self, queue: str, processes: int) -> list[str]:
        # As `mailhub up` starts them: the embedded broker has no fanout, which Celery's heartbeats want.
        quiet = ["--without-heartbeat"] if self._broker == "embedded" else []
        return [
            sys.executable, "-m", "celery", "-A", "mailhub.worker", "worker", "--ini", str(self.ini), "-Q", queue,
            "-c", str(processes), "--without-gossip", "--without-mingle", *quiet, "-n",
        ]  # fmt: skip

    def is_ready(self, worker: Worker) -> bool:
        """Whether every process of its pool beats."""
        children = worker.children()
        statement = "SELECT count(DISTINCT pid) FROM worker_heartbeat WHERE role = 'pool' AND pid = ANY(%s)"
        return len(children) == worker.processes and self.query(statement, [children])[0][0] == len(children)

    def pids(self) -> list[int]:
        """All processes of all workers."""
        return [pid for worker in self.workers for pid in worker.pids()]

    def reset(self, delay: float = 0) -> None:
        """Ready for the next drill: the relays forget and behave, projects and campaigns are gone, workers stay."""
        for relay in self.relays.values():
            relay.order(rules=[], delay=delay)
            relay.forget()
        self._asked.clear()
        self._apis.clear()
        self.live.session.rollback()
        self.live.session.expunge_all()
        # Ids go on: what an earlier drill's letters are called must not be a later one's.
        self.query("TRUNCATE project, message, message_content, message_event CASCADE")

    # The database and the site

    def query(self, statement: str, binds: Any = None) -> list[Any]:
        """The rows of a statement that commits by itself; waits for a server that is away."""
        deadline = time.monotonic() + 90
        while True:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(conninfo(self._url), autocommit=True, connect_timeout=10)
                cursor = self._connection.execute(statement, binds)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self._hang_up()
                self._connection = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def stop_database(self) -> None:
        """PostgreSQL goes without a word to anybody, as with `pg_ctl stop -m immediate`."""
        assert self.postgres is not None
        assert self.postgres.process is not None
        self.postgres.process.send_signal(signal.SIGQUIT)
        self.postgres.process.wait(60)

    def start_database(self) -> None:
        """It comes back, and repairs its files first. From the main thread."""
        assert self.postgres is not None
        self.postgres.start()

    def restart_database(self) -> None:
        self.stop_database()
        self.start_database()

    def api(self, project_id: int) -> ApiClient:
        """The project's JSON API."""
        if project_id not in self._apis:
            self._apis[project_id] = self.live.client.api(self.live.session, project_id)
        return self._apis[project_id]

    # Waiting

    def until(self, is_so: Callable[[], Any], seconds: float, what: str, *, pause: float = 0.05) -> float:
        """Wait until something is so; gives how long it took. Fails with the workers' log."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{what}: not within {seconds} s\n{self.last_lines()}")
            time.sleep(pause)
        return time.monotonic() - began

    def last_lines(self, size: int = 3000) -> str:
        """The end of the workers' log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""
