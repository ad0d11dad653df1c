"""`mailhub up`: everything comes up, a crashed child comes back, a second start is refused, the end is clean."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailhub.embedded.postgres import find_server
from tests.embedded.test_watched import running

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("site", "reports", "mailbox", "transactional", "bulk", "celery", "beat")


def free_port() -> int:
    """A port where nothing listens, below those that the kernel gives to connections while nobody holds it yet."""
    first_of_the_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, max(first_of_the_kernel, 20_000))
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


class Up:
    """A `mailhub up` on a home of its own, and its log."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.port, self.reports_port, self.mailbox_port = free_port(), free_port(), free_port()
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MAILHUB_")},
            "MAILHUB_HOME": str(home),
            "MAILHUB_PORT": str(self.port),
            "MAILHUB_REPORTS_PORT": str(self.reports_port),
            "MAILHUB_MAILBOX_PORT": str(self.mailbox_port),
            **environ,
        }
        self.lines: list[str] = []

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mailhub.cli", "-c", "development.ini", "up"],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines.clear()
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line.rstrip("\n"))

    def wait_line(self, pattern: str, seconds: float = 60, after: int = 0) -> str:
        found = wait(lambda: next((line for line in self.lines[after:] if re.search(pattern, line)), None), seconds)
        assert found, "\n".join([f"no line like {pattern!r} in {seconds} s:", *self.lines[-60:]])
        return found

    def pid_of(self, name: str) -> int:
        """The pid of a direct child, by what stands in its command line."""
        marks = {
            "site": "--app-name main",
            "reports": "--app-name reports",
            "mailbox": "mailhub.embedded.mailbox",
            "beat": " beat ",
            "postgres": "postgres -D",
        }
        mark = marks.get(name, f"-Q {name} ")
        for pid in children(self.process.pid):
            # One that ends while we look is not the one that runs.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if mark in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                    return pid
        raise AssertionError(f"{name} does not run")

    def get(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return int(answer.status)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def wait(condition: Callable[[], object], seconds: float) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    return condition()


def children(pid: int) -> list[int]:
    """The pids of a process's children; none if it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid: int) -> list[int]:
    """All processes below this one, as far as they live while we look."""
    found = []
    for each in children(pid):
        found += [each, *family(each)]
    return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"))
    up.start()
    try:
        up.wait_line("^ready$", 150)
        yield up
    finally:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()


def test_everything_runs_and_the_urls_are_printed(up: Up) -> None:
    for name in NAMES:
        up.pid_of(name)
    text = "\n".join(up.lines)
    assert f"http://127.0.0.1:{up.port}" in text
    assert f"http://127.0.0.1:{up.reports_port}" in text
    assert "/_mailbox" in text
    assert up.get("/__lbheartbeat__") == 200


def test_a_second_start_on_the_same_home_is_refused(up: Up) -> None:
    second = Up(up.home)
    second.start()
    assert second.process.wait(60) == 1
    second.wait_line(f"in use by pid {up.process.pid}")
    assert len(second.lines) == 1


def test_a_port_in_use_is_one_clear_line(up: Up, tmp_path: Path) -> None:
    other = Up(tmp_path, MAILHUB_PORT=str(up.port))
    other.start()
    assert other.process.wait(60) == 1
    other.wait_line(rf"port {up.port} cannot be used.*MAILHUB_PORT=")
    assert len(other.lines) == 1


def test_other_commands_use_the_running_server(up: Up) -> None:
    server = find_server(up.home)
    assert server is not None
    command = [sys.executable, "-m", "mailhub.cli", "-c", "development.ini", "init"]
    done = subprocess.run(command, cwd=ROOT, env=up.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert find_server(up.home) == server


@pytest.mark.parametrize("name", ["bulk", "site", "mailbox"])
def test_a_killed_child_comes_back(up: Up, name: str) -> None:
    before, seen = up.pid_of(name), len(up.lines)
    os.kill(before, signal.SIGKILL)
    line = up.wait_line(rf"{name} \(process {before}\) was killed by SIGKILL; starting it again", after=seen)
    assert line.startswith("mailhub ")
    assert wait(lambda: before not in children(up.process.pid) and _has(up, name), 60)
    if name == "site":
        assert wait(lambda: _answers(up), 60)


def test_a_killed_database_comes_back(up: Up) -> None:
    pid, seen = up.pid_of("postgres"), len(up.lines)
    os.kill(pid, signal.SIGKILL)
    up.wait_line("PostgreSQL was killed by SIGKILL; starting it again", after=seen)
    assert wait(lambda: find_server(up.home), 60)


def test_the_end_is_clean_and_leaves_nothing(up: Up) -> None:
    everybody = family(up.process.pid)
    assert len(everybody) > len(NAMES)
    assert up.stop() == 0
    assert wait(lambda: up.lines[-1].endswith("stopped"), 10)
    # Grandchildren go with their parents, but the kernel tells them a moment later.
    assert wait(lambda: not [pid for pid in everybody if running(pid)], 10)
    assert not (up.home / "postgres" / "postmaster.pid").exists()


def test_the_next_start_is_quick_and_keeps_the_data_and_a_kill_leaves_nothing(up: Up) -> None:
    if up.process.poll() is None:  # the test before this one has failed
        up.stop()
    secret = (up.home / "secret_key").read_text()
    up.start()
    up.wait_line("^ready$", 150)
    assert (up.home / "secret_key").read_text() == secret
    everybody = family(up.process.pid)
    up.process.kill()
    up.process.wait()
    assert wait(lambda: not [pid for pid in everybody if running(pid)], 60)


def _has(up: Up, name: str) -> bool:
    try:
        return bool(up.pid_of(name))
    except AssertionError:
        return False


def _answers(up: Up) -> bool:
    try:
        return up.get("/__lbheartbeat__") == 200
    except OSError:
        return False
