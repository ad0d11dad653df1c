"""`mailhub up`: starts everything on this machine, watches it, and stops it in order.

PostgreSQL, then `mailhub init`, the site, the reports and the mailbox, then the workers and beat. Each child has a
session of its own and is killed by the kernel when we are. A child that ends by itself is started again, after a
growing pause.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

import psycopg

from mailhub.broker import conninfo
from mailhub.embedded import with_server
from mailhub.embedded.postgres import Postgres, PostgresError, find_server, hold_lock
from mailhub.embedded.watched import Output, Watched, ended_how
from mailhub.settings import Settings, environment_name, make_home

__all__ = ["UpError", "up"]

_READY_SECONDS = 120.0
_TRIES_BEFORE_READY = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UpError(Exception):
    """`mailhub up` can't start or go on; the text is one clear line."""


def up(settings: Settings, ini: str, stream: IO[str] | None = None) -> int:
    """Runs until it is told to stop (0). Raises UpError when it can't start or something doesn't come up."""
    if settings.environment == "production":
        raise UpError(
            "`mailhub up` is for one machine at home; in production start the processes of docs/operations.md"
        )
    make_home(settings.home)
    with _sole(settings.home):
        _check_ports(settings)
        return _Supervisor(settings, ini, Output(stream or sys.stdout)).run()


@contextlib.contextmanager
def _sole(home: Path) -> Iterator[None]:
    """Holds the home: a second `mailhub up` on it is refused. The lock ends with the process, however it ends."""
    with (home / "up.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UpError(f"{home} is in use by pid {file.read().strip() or '?'} (another `mailhub up`)") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_ports(settings: Settings) -> None:
    ports = [("mailhub.port", settings.port), ("mailhub.reports_port", settings.reports_port)]
    if _catches_letters(settings):
        ports.append(("mailhub.mailbox_port", settings.mailbox_port))
    seen: dict[int, str] = {}
    for name, port in ports:
        if port in seen:
            raise UpError(f"{name} and {seen[port]} are both {port}")
        seen[port] = name
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no obstacle
            try:
                sock.bind(("127.0.0.1", port))
            except OSError as error:
                raise UpError(
                    f"port {port} cannot be used: {error.strerror}; "
                    f"stop what listens there, or choose another: {environment_name(name)}={port + 1000} make run"
                ) from None


def _catches_letters(settings: Settings) -> bool:
    relay = settings.relays["default"]
    return relay.host in ("127.0.0.1", "localhost", "::1") and relay.port == settings.mailbox_port


#: How far the reports process stands back behind the others: admins can wait, the site's visitors should not.
REPORTS_NICE = 10


class _Stopped(Exception):
    """Somebody asked us to stop."""


class _Supervisor:
    def __init__(self, settings: Settings, ini: str, output: Output) -> None:
        self.settings, self.ini, self.output = settings, ini, output
        self.selector = selectors.DefaultSelector()
        self.children: list[Watched] = []
        self.postgres: Postgres | None = None
        self.asked_to_stop = 0
        self.stopping = False
        self.up = False

    def run(self) -> int:
        with self._signals(), contextlib.ExitStack() as stack:
            try:
                if self.settings.database_url == "embedded":
                    self._say("starting PostgreSQL")
                    self._start_postgres(stack)
                self._start_children()
                self._say_ready()
                while True:
                    self._turn(1.0)
            except _Stopped:
                self._say("stopping")
                return 0
            except PostgresError as error:
                raise UpError(str(error)) from error
            finally:
                self.stopping = True
                self._stop_children()
                if self.postgres is not None:
                    self.postgres.stop()
                if self.up:
                    self._say("stopped")

    def _start_postgres(self, stack: contextlib.ExitStack) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        said = False
        while (lock := hold_lock(self.settings.home)) is None:
            if not said:
                other = find_server(self.settings.home)
                self._say(f"waiting for another command that runs PostgreSQL (process {other.pid if other else '?'})")
                said = True
            if time.monotonic() > deadline:
                raise UpError(f"another command still runs the PostgreSQL of {self.settings.home}; stop it first")
            self._turn(0.2)
        stack.enter_context(lock)
        self.postgres = Postgres(self.settings.home)
        self.settings = with_server(self.settings, self.postgres.start())

    def _start_children(self) -> None:
        """The site boots while the database is prepared; the workers need it prepared; beat can wait for all."""
        init = Watched("init", self._mailhub("init", "--demo"), self._environ(), once=True)
        first, then = self._plan()
        self._start(init, *first)
        while init.running:
            self._turn(0.2)
        self._turn(0.0)
        self.children.remove(init)
        if init.process is None or init.process.returncode != 0:
            raise UpError("the database could not be prepared; the lines of `init` above say why")
        self._start(*then)
        deadline = time.monotonic() + _READY_SECONDS
        while waiting := [each for each in self.children if not self._is_ready(each)]:
            if time.monotonic() > deadline:
                names = ", ".join(each.name for each in waiting)
                raise UpError(f"not ready after {_READY_SECONDS:.0f} s: {names}; the lines above say why")
            self._turn(0.1)
        self._start(self._beat())
        self.up = True

    def _start(self, *children: Watched) -> None:
        for each in children:
            each.start(self.selector)
            self.children.append(each)

    def _plan(self) -> tuple[list[Watched], list[Watched]]:
        """What is started at once, and what when the database is prepared."""
        settings, environ = self.settings, self._environ()
        bin_folder = Path(sys.executable).parent
        pserve = [str(bin_folder / "pserve"), "-q", "--server-name", "up", "--app-name"]
        first = [
            Watched(
                "site",
                [*pserve, "main", self.ini, f"up.port={settings.port}"],
                environ,
                stop_signal=signal.SIGINT,  # it drains open requests; SIGTERM cuts them
                ready=lambda: _answers(settings.port),
            ),
            Watched(
                "reports",
                ["nice", "-n", str(REPORTS_NICE), *pserve, "reports", self.ini, f"up.port={settings.reports_port}"],
                environ,
                stop_signal=signal.SIGINT,
                ready=lambda: _answers(settings.reports_port),
            ),
        ]
        if _catches_letters(settings):
            command = [
                *(sys.executable, "-m", "mailhub.embedded.mailbox"),
                *(str(settings.mailbox_port), str(settings.home / "mailbox.sqlite")),
            ]
            first.insert(0, Watched("mailbox", command, environ, ready=lambda: _listens(settings.mailbox_port)))
        celery = [str(bin_folder / "celery"), "--quiet", "-A", "mailhub.worker"]
        then = []
        for queue, processes in (
            ("transactional", settings.workers_transactional),
            ("bulk", settings.workers_bulk),
            ("celery", settings.workers_celery),
        ):
            options = ["-Q", queue, "-n", f"{queue}@%h", "-c", str(processes), "-O", "fair"]
            options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            worker = Watched(queue, [*celery, "worker", "--ini", self.ini, *options], environ)
            worker.ready = lambda worker=worker: self._consumes(worker)  # type: ignore[misc]
            then.append(worker)
        return first, then

    def _beat(self) -> Watched:
        celery = [str(Path(sys.executable).parent / "celery"), "--quiet", "-A", "mailhub.worker"]
        options = ["--ini", self.ini, "--schedule", str(self.settings.home / "beat-schedule"), "--pidfile="]
        return Watched("beat", [*celery, "beat", *options], self._environ())

    def _mailhub(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mailhub.cli", "-c", self.ini, *arguments]

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "SQLALCHEMY_URL": self.settings.database_url,
            "SQLALCHEMY_REPORTS_URL": self.settings.reports_database_url,
            "CELERY_BROKER_URL": self.settings.broker_url,
            "MAILHUB_HOME": str(self.settings.home),
            "MAILHUB_METRICS_PORT": "0",
            "PYTHONUNBUFFERED": "1",
            # Celery warns a root user about pickle, which we don't accept.
            "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore::UserWarning:celery.platforms"),
        }

    def _turn(self, seconds: float) -> None:
        """Waits for output, a child's end or a signal, at most so long, and does what is due."""
        for key, _events in self.selector.select(seconds):
            if isinstance(key.data, Watched):
                key.data.pump(key.fileobj, self.selector, self.output)  # type: ignore[arg-type]
            else:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(4096)  # type: ignore[union-attr]
        if self.stopping:
            return
        if self.asked_to_stop:
            raise _Stopped
        self._watch_postgres()
        now = time.monotonic()
        for each in self.children:
            if each.restart_at is not None:
                if now >= each.restart_at:
                    each.start(self.selector)
            elif not each.running and not each.once:
                self._note_crash(each)

    def _note_crash(self, each: Watched) -> None:
        assert each.process is not None
        how = ended_how(each.process.returncode)
        if not self.up and each.crashes >= _TRIES_BEFORE_READY:
            raise UpError(f"{each.name} {how} again and again; its lines above say why")
        pause = each.crashed()
        each.is_ready = False
        self._say(f"{each.name} (process {each.pid}) {how}; starting it again in {pause:g} s")

    def _watch_postgres(self) -> None:
        if self.postgres is None or self.postgres.process is None or self.postgres.process.poll() is None:
            return
        self._say(f"PostgreSQL {ended_how(self.postgres.process.returncode)}; starting it again")
        deadline = time.monotonic() + 30
        while True:
            try:
                self.postgres.start()
                break
            except PostgresError:
                # Its orphaned children may still hold the shared memory for a moment.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _is_ready(self, each: Watched) -> bool:
        if not each.is_ready and each.running:
            each.is_ready = each.ready()
        return each.is_ready

    def _consumes(self, worker: Watched) -> bool:
        """Whether the worker has said that it takes tasks: its heartbeat's row."""
        try:
            with psycopg.connect(conninfo(self.settings.database_url), connect_timeout=2) as connection:
                sql = "SELECT FROM worker_heartbeat WHERE pid = %s AND role = 'main' AND queue = %s"
                return connection.execute(sql, (worker.pid, worker.name)).fetchone() is not None
        except psycopg.Error:
            return False

    def _stop_children(self) -> None:
        """First who takes or makes work, then the mailbox, into which they may still be sending."""
        mailbox = [each for each in self.children if each.name == "mailbox"]
        others = [each for each in self.children if each.name != "mailbox"]
        for group in (others, mailbox):
            for each in group:
                each.signal(each.stop_signal)
            started = time.monotonic()
            while running := [each for each in group if each.running]:
                self._turn(0.05)
                for each in running:
                    # Asked twice: no more patience.
                    if time.monotonic() - started > (each.patience if self.asked_to_stop < 2 else 0):
                        self._say(f"{each.name} does not end; killing it")
                        each.signal(signal.SIGKILL)
        self._turn(0.0)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP stop us; they and SIGCHLD wake the loop."""
        receiver, sender = socket.socketpair()
        for end in (receiver, sender):
            end.setblocking(False)
        self.selector.register(receiver, selectors.EVENT_READ)

        def stop(_number: int, _frame: FrameType | None) -> None:
            # Only noted here: an exception could come in the middle of starting a child.
            self.asked_to_stop += 1

        before = {number: signal.signal(number, stop) for number in _SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.selector.close()
            receiver.close()
            sender.close()

    def _say(self, text: str) -> None:
        self.output.line("mailhub", text)

    def _say_ready(self) -> None:
        settings = self.settings
        lines = [
            "",
            f"  Site       {settings.public_url}",
            f"  Reports    {settings.reports_url}",
        ]
        if _catches_letters(settings):
            lines.append(f"  Mailbox    {settings.public_url}/_mailbox  (SMTP on port {settings.mailbox_port})")
        password = settings.home / "demo_password"
        if password.exists():
            lines.append(f"  Sign in    owner@demo.test, password {password.read_text(encoding='utf-8').strip()}")
        lines += [f"  Data       {settings.home}", "", "  Ctrl-C stops everything.", "", "ready"]
        for line in lines:
            self.output.plain(line)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(port: int) -> bool:
    """Whether a web server answers there, with any status: a page that fails shows in the log, not by waiting."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.settimeout(5)
            sock.sendall(f"GET /__lbheartbeat__ HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            return sock.recv(12).startswith(b"HTTP/1.")
    except OSError:
        return False
