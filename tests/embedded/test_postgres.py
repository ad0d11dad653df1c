"""mailhub.embedded.postgres: one server for one home, which goes when its starter goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mailhub.embedded import resolve
from mailhub.embedded.postgres import (
    PostgresError,
    Server,
    create_database,
    drop_database,
    find_server,
    hold_lock,
    running_server,
)
from mailhub.settings import read_settings

STARTER = """
import sys, time
from pathlib import Path
from mailhub.embedded.postgres import running_server
with running_server(Path(sys.argv[1]), durable=False) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A space, a quote and a depth at which a socket's path would be too long.
    return tmp_path_factory.mktemp("it's a home") / ("deep" * 25)


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with running_server(home, durable=False) as running:
        yield running


def gone(pid: int, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def started_elsewhere(home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that runs the home's server, and the server's pid."""
    process = subprocess.Popen([sys.executable, "-c", STARTER, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_knows_russian_and_is_no_superuser(server: Server) -> None:
    with psycopg.connect(server.conninfo) as connection:
        row = connection.execute(
            "SELECT lower('ПРИВЁТ'), current_setting('server_encoding'), current_setting('is_superuser'), "
            "current_setting('listen_addresses')"
        ).fetchone()
    assert row == ("привёт", "UTF8", "off", "")


def test_the_socket_is_private(server: Server) -> None:
    assert server.socket_folder.stat().st_mode & 0o077 == 0


def test_a_second_user_of_the_home_finds_the_server(server: Server, home: Path) -> None:
    assert find_server(home) == server
    with running_server(home) as second:
        assert second == server
    assert find_server(home) == server


def test_resolve_gives_real_urls(server: Server, home: Path) -> None:
    settings = read_settings({"mailhub.home": str(home), "mailhub.secret_key": "x"}, {})
    with resolve(settings) as resolved:
        assert resolved.database_url == resolved.reports_database_url == server.url
        assert resolved.broker_url == "pgmq://embedded"


def test_resolve_leaves_other_servers_alone(tmp_path: Path) -> None:
    raw = {"mailhub.home": str(tmp_path), "sqlalchemy.url": "postgresql://db/x", "celery.broker_url": "amqp://mq"}
    settings = read_settings(raw, {})
    with resolve(settings) as resolved:
        assert resolved == settings


def test_databases_are_cloned_and_dropped(server: Server) -> None:
    template = create_database(server, "a template")
    with psycopg.connect(template.conninfo) as connection:
        connection.execute("CREATE TABLE one (n int)")
    clone = create_database(server, "a clone", template="a template")
    with contextlib.closing(psycopg.connect(clone.conninfo)) as connection:
        connection.execute("SELECT n FROM one")
        drop_database(server, "a clone")  # while somebody is connected
    drop_database(server, "a template")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(clone.conninfo)


def test_no_server_no_find(tmp_path: Path) -> None:
    assert find_server(tmp_path) is None


def test_data_outlive_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, durable=False) as server, psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    assert find_server(tmp_path) is None
    assert gone(server.pid)
    assert not server.socket_folder.exists()
    with running_server(tmp_path, durable=False) as server, psycopg.connect(server.conninfo) as connection:
        connection.execute("SELECT n FROM kept")


def test_the_server_goes_when_its_starter_is_killed_and_a_new_one_comes_at_once(tmp_path: Path) -> None:
    with started_elsewhere(tmp_path) as (process, pid):
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Not waiting until it is gone: the next start has to cope with one that is just stopping.
        with running_server(tmp_path, durable=False) as server:
            assert server.pid != pid
            assert gone(pid)
            with psycopg.connect(server.conninfo) as connection:
                connection.execute("SELECT 1")


def test_a_killed_server_is_started_again_on_its_files(tmp_path: Path) -> None:
    with started_elsewhere(tmp_path) as (_process, pid):
        os.kill(pid, signal.SIGKILL)
    with running_server(tmp_path, durable=False) as server:
        assert server.pid != pid


def test_a_home_whose_holder_has_no_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = hold_lock(tmp_path)
    assert lock is not None
    monkeypatch.setattr("mailhub.embedded.postgres.WAIT_SECONDS", 0.2)
    with lock, pytest.raises(PostgresError, match="does not answer"), running_server(tmp_path):
        pass


def test_files_of_another_version_are_refused(tmp_path: Path) -> None:
    with running_server(tmp_path, durable=False):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match="made by PostgreSQL 14"), running_server(tmp_path, durable=False):
        pass


def test_a_folder_that_was_put_in_the_sockets_place_is_refused(tmp_path: Path) -> None:
    with running_server(tmp_path, durable=False) as server:
        folder = server.socket_folder
    folder.mkdir(mode=0o755)
    folder.chmod(0o777)
    try:
        with pytest.raises(PostgresError, match="not a private folder"), running_server(tmp_path, durable=False):
            pass
    finally:
        folder.rmdir()
