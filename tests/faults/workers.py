"""Real Celery workers that can be killed, frozen and restarted, and what a service manager does for them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mailhub.embedded import child

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A `celery -A mailhub.worker worker` in a process group of its own, started again by `Supervisor` when it ends."""

    def __init__(
        self, command: Sequence[str], queue: str, processes: int, log: Path, environ: Mapping[str, str]
    ) -> None:
        """`command` lacks only the worker's name."""
        self.queue = queue
        self.processes = processes
        self.wanted = True
        self.starts = 0
        self._log = log
        self._environ = {**os.environ, **environ}
        self._command = command
        self.start()

    def start(self) -> None:
        self.starts += 1
        name = f"{self.queue}{os.urandom(3).hex()}@%h"
        with self._log.open("ab") as output:
            self.process = child.start(
                [*self._command, name], death_signal=signal.SIGKILL, environ=self._environ, cwd=ROOT, output=output
            )

    def children(self) -> list[int]:
        """The pids of the pool's living processes; one that replaces a dead one is the child of another thread."""
        found: list[int] = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in path.read_text().split()]
        return sorted(pid for pid in found if not _is_dead(pid))

    def pids(self) -> list[int]:
        return [self.process.pid, *self.children()]

    def kill(self, ports: Sequence[int] = ()) -> int:
        """kill -9 of the main process, its children die with it; gives how many connections to `ports` they had."""
        return self._killed(self.process.pid, self.pids(), ports)

    def kill_child(self, ports: Sequence[int] = ()) -> int:
        """kill -9 of one process of the pool; gives how many connections to `ports` it had."""
        children = self.children()
        if not children:
            return 0
        pid = random.choice(children)
        return self._killed(pid, [pid], ports)

    def _killed(self, victim: int, pids: Sequence[int], ports: Sequence[int]) -> int:
        # Counted twice: a connection that has just been closed can have left a letter in doubt too. Then stopped:
        # between the count and the kill no further one can be opened.
        before = connections(pids, ports)
        time.sleep(0.02)
        for pid in pids:
            send_signal(pid, signal.SIGSTOP)
        n = max(before, connections(pids, ports))
        send_signal(victim, signal.SIGKILL)
        if victim == self.process.pid:
            self.process.wait(30)
        return n

    def stop(self, seconds: float = 60) -> float:
        """SIGTERM to the main process; gives how long it took to end."""
        process, began = self.process, time.monotonic()
        process.terminate()
        process.wait(seconds)
        return time.monotonic() - began

    def end(self) -> None:
        self.wanted = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class Supervisor(threading.Thread):
    """Starts again what has ended, as systemd does with `Restart=always`. Use as a context manager."""

    def __init__(self) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.workers: list[Worker] = []
        self.lock = threading.Lock()
        self._stop_asked = threading.Event()

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self.lock:
            for worker in self.workers:
                worker.end()
        # Last: the kernel kills what this thread has started as soon as it ends.
        self._stop_asked.set()
        self.join(10)

    def run(self) -> None:
        while not self._stop_asked.wait(0.1):
            with self.lock:
                for worker in self.workers:
                    if worker.wanted and worker.process.poll() is not None:
                        worker.start()


def _is_dead(pid: int) -> bool:
    """Gone, or a zombie that nobody has buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def send_signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def connections(pids: Sequence[int], ports: Sequence[int]) -> int:
    """How many TCP connections these processes have to these local ports."""
    wanted = {f"{port:04X}" for port in ports}
    sockets = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[2].rpartition(":")[2] in wanted:
                    sockets.add(f"socket:[{fields[9]}]")
    n = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    n += str(link.readlink()) in sockets
    return n


def peak_rss_bytes(pids: Sequence[int]) -> int:
    """The largest of the processes, as the kernel has seen it at its peak."""
    peak = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
    return peak
