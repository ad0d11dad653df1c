"""The brokers that a drill can hurt: the queue in PostgreSQL, and a RabbitMQ of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.embedded.test_supervisor import free_port

RABBITMQ = Path("/usr/lib/rabbitmq/bin")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
QUEUES = ("bulk", "transactional", "celery")


class Broker(Protocol):
    """What a drill does with it. `url` is the setting `celery.broker_url`."""

    url: str

    def kill(self) -> None: ...
    def start(self) -> None: ...
    def purge(self) -> None: ...
    def delete_queues(self) -> None: ...


class Embedded:
    """pgmq in the database: it lives and dies with PostgreSQL."""

    url = "embedded"

    def __init__(self, query: Callable[..., list[Any]], stop: Callable[[], None], start: Callable[[], None]) -> None:
        self._query, self._stop, self._start = query, stop, start

    def kill(self) -> None:
        """kill -9 of a server process makes PostgreSQL restart all; what is left to us is `-m immediate`."""
        self._stop()

    def start(self) -> None:
        self._start()

    def purge(self) -> None:
        self._query("SELECT pgmq.purge_queue(queue_name) FROM pgmq.list_queues()")

    def delete_queues(self) -> None:
        """Not done here: an operator who drops the tables of a schema has broken the database, not the broker."""
        self.purge()


class RabbitMQ:
    """A node with its own name, ports and folders; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._environ = {
            "PATH": SYSTEM,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"drill-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "LC_ALL": "C.UTF-8",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RabbitMQ:
        self._folder.mkdir(exist_ok=True)
        (self._folder / "plugins").write_text("[].")
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        epmd = shutil.which("epmd", path=SYSTEM)
        if epmd:
            subprocess.run([epmd, "-kill"], env=self._environ, capture_output=True)

    def start(self) -> None:
        """Start the node, with what it had stored, and wait until it takes connections."""
        with (self._folder / "rabbitmq.log").open("ab") as log:
            self._process = subprocess.Popen(
                [RABBITMQ / "rabbitmq-server"], env=self._environ, stdout=log, stderr=log, cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError("RabbitMQ did not start:\n" + (self._folder / "rabbitmq.log").read_text()[-2000:])
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the node."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def purge(self) -> None:
        self._each("queue_purge")

    def delete_queues(self) -> None:
        """With everything in them: their consumers are told so by the broker."""
        self._each("queue_delete")

    def _each(self, method: str) -> None:
        from amqp.exceptions import NotFound

        for name in QUEUES:
            # A queue is there when a worker has asked for it; the broker closes the channel over one that is not.
            with contextlib.suppress(NotFound), self._channel() as channel:
                getattr(channel, method)(name)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        from kombu import Connection

        with Connection(self.url, connect_timeout=5) as connection:
            yield connection.channel()

    def _answers(self) -> bool:
        try:
            with self._channel():
                return True
        except Exception:
            return False


def rabbitmq_is_installed() -> bool:
    return RABBITMQ.exists()
