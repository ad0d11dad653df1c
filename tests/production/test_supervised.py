"""The main job on PostgreSQL 15 and RabbitMQ, started by supervisor from docs/ops/supervisor.conf.

Needs Debian's packages postgresql-15, rabbitmq-server and supervisor.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailhub.embedded.letters import Mailbox
from mailhub.embedded.postgres import running_server
from mailhub.tasks.inspection import ask
from tests.embedded.test_supervisor import free_port, wait

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = Path("/usr/lib/postgresql/15/bin")
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUPERVISORD = shutil.which("supervisord", path=SYSTEM)

pytestmark = [
    pytest.mark.production,
    pytest.mark.skipif(not POSTGRES.exists(), reason="postgresql-15 is not installed"),
    pytest.mark.skipif(not RABBITMQ.exists(), reason="rabbitmq-server is not installed"),
    pytest.mark.skipif(SUPERVISORD is None, reason="supervisor is not installed"),
]


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A broker of our own on free ports; gives its URL."""
    port = free_port()
    environ = {
        "PATH": SYSTEM,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"mailhub-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
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
    (folder / "plugins").write_text("[].")
    with (folder / "rabbitmq.log").open("wb") as log:
        process = subprocess.Popen([RABBITMQ / "rabbitmq-server"], env=environ, stdout=log, stderr=log, cwd=folder)
    control = [str(RABBITMQ / "rabbitmqctl"), "--node", environ["RABBITMQ_NODENAME"]]
    try:
        ready = [*control, "await_startup", "--timeout", "120"]
        wait(lambda: (folder / "pid").exists(), 120)
        done = subprocess.run(ready, env=environ, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr + (folder / "rabbitmq.log").read_text()
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        subprocess.run([*control, "stop"], env=environ, capture_output=True, cwd=folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        epmd = shutil.which("epmd", path=SYSTEM)
        if epmd:
            subprocess.run([epmd, "-kill"], env=environ, capture_output=True)


_EACH = """
import json, sys
from mailhub.cli import main
sys.exit(next((code for words in json.loads(sys.argv[1]) if (code := main(words))), 0))
"""


class Installation:
    """The example's files and folders, moved into one of our own."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("site", "reports", "tracking", "mailbox")}
        for name in ("secrets", "log", "home"):
            (folder / name).mkdir(mode=0o700)
        values = {
            "database_url": database_url,
            "broker_url": broker_url,
            "secret_key": secrets.token_urlsafe(48),
            "relay_url": f"smtp://127.0.0.1:{self.ports['mailbox']}",
        }
        for name, value in values.items():
            (folder / "secrets" / name).write_text(value + "\n")
        self.ini = folder / "production.ini"
        self.ini.write_text(self._ini())
        self.conf = folder / "supervisord.conf"
        self.conf.write_text(self._conf())
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("MAILHUB_")}
        for setting, name in (
            ("SQLALCHEMY_URL", "database_url"),
            ("CELERY_BROKER_URL", "broker_url"),
            ("MAILHUB_SECRET_KEY", "secret_key"),
            ("MAILHUB_RELAY_DEFAULT_URL", "relay_url"),
        ):
            self.environ[setting] = f"file:{folder}/secrets/{name}"

    def _ini(self) -> str:
        text = (ROOT / "production.ini").read_text(encoding="utf-8")
        text = text.replace("%(here)s/alembic", str(ROOT / "alembic")).replace(
            "/var/lib/mailhub", f"{self.folder}/home"
        )
        for name in ("site", "reports", "tracking"):
            text = re.sub(rf"^listen\.{name} = .*$", f"listen.{name} = 127.0.0.1:{self.ports[name]}", text, flags=re.M)
        urls = {"public": "site", "tracking": "tracking", "usercontent": "tracking", "reports": "reports"}
        for setting, name in urls.items():
            # https in the links, as production demands; the test speaks to the port itself, as nginx would.
            url = f"https://127.0.0.1:{self.ports[name]}"
            text = re.sub(rf"^# mailhub\.{setting}_url = .*$", f"mailhub.{setting}_url = {url}", text, flags=re.M)
        return text.replace("# mailhub.return_path_domain", "mailhub.return_path_domain")

    def _conf(self) -> str:
        text = (ROOT / "docs" / "ops" / "supervisor.conf").read_text(encoding="utf-8")
        text = text.replace("/opt/mailhub/.venv/bin", str(Path(sys.executable).parent))
        text = text.replace("/opt/mailhub", str(ROOT)).replace("/etc/mailhub/production.ini", str(self.ini))
        text = text.replace("/etc/mailhub/secrets", f"{self.folder}/secrets").replace(
            "/var/log/mailhub", f"{self.folder}/log"
        )
        text = text.replace("/var/lib/mailhub", f"{self.folder}/home").replace("user=mailhub\n", "")
        python, mailbox = sys.executable, f"{self.ports['mailbox']} {self.folder}/mailbox.sqlite"
        return (
            f"[supervisord]\nlogfile={self.folder}/log/supervisord.log\npidfile={self.folder}/supervisord.pid\n"
            f"childlogdir={self.folder}/log\n"
            f"[unix_http_server]\nfile={self.folder}/sock\n"
            f"[supervisorctl]\nserverurl=unix://{self.folder}/sock\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[program:mailbox]\ncommand={python} -m mailhub.embedded.mailbox {mailbox}\ndirectory={ROOT}\n{text}"
        )

    def mailhub(self, *arguments: str) -> str:
        """What the command prints."""
        return self._python("-m", "mailhub.cli", "-c", str(self.ini), *arguments)

    def mailhub_each(self, *commands: Sequence[str]) -> str:
        """What the commands print, one after the other in one process: most of their time is the start of Python."""
        each = [["-c", str(self.ini), *command] for command in commands]
        return self._python("-c", _EACH, json.dumps(each))

    def _python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environ, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def control(self, *arguments: str) -> str:
        supervisorctl = shutil.which("supervisorctl", path=SYSTEM)
        assert supervisorctl is not None
        command = [supervisorctl, "-c", str(self.conf), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PATH": SYSTEM}).stdout

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        assert SUPERVISORD is not None
        process = subprocess.Popen(
            [SUPERVISORD, "-n", "-c", str(self.conf)], env={"PATH": SYSTEM}, stdout=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        paths = sorted((self.folder / "log").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in paths)

    def get(self, name: str, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[name]}{path}", headers=headers)
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("production")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(folder / "postgresql-15", durable=False, binaries=POSTGRES))
        (folder / "rabbitmq").mkdir()
        broker_url = stack.enter_context(rabbitmq(folder / "rabbitmq"))
        installed = Installation(folder, server.url.replace("+psycopg", ""), broker_url)
        installed.mailhub("init")
        stack.enter_context(installed.supervised())
        is_up = wait(lambda: installed.control("status").count("RUNNING") == 8 and _is_well(installed), 240)
        assert is_up, installed.control("status") + installed.logs()
        yield installed


def _is_well(installation: Installation) -> bool:
    """Whether all web processes answer: one that runs may still be starting."""
    try:
        answers = [installation.get(name, "/__lbheartbeat__")[0] for name in ("reports", "tracking")]
        return [installation.get("site", "/__heartbeat__")[0], *answers] == [200, 200, 200]
    except OSError:
        return False


@pytest.fixture(scope="module")
def key(installation: Installation) -> str:
    printed = installation.mailhub_each(
        ["user", "add", "owner@acme.test"],
        ["project", "add", "acme", "--domain", "acme.test", "--name", "Acme", "--owner", "owner@acme.test"],
        ["sender", "add", "--project", "acme", "news@acme.test", "--name", "Acme News"],
        ["api-key", "create", "--project", "acme", "--name", "test"],
    )
    return printed.splitlines()[-1]


def test_the_doctor_finds_nothing(installation: Installation) -> None:
    report = installation.mailhub("doctor")
    assert "PostgreSQL 15 answers" in report
    assert "broker: py-amqp answers" in report or "amqp answers" in report
    assert "every queue has a worker" in report


def test_each_process_serves_its_own(installation: Installation) -> None:
    assert installation.get("site", "/sign-in")[0] == 200
    assert installation.get("tracking", "/sign-in")[0] == 404
    assert installation.get("reports", "/sign-in")[0] == 200
    assert installation.get("site", "/_mailbox")[0] == 404
    assert installation.get("site", "/_ui")[0] == 404
    assert installation.get("site", "/sign-in", Host="evil.example")[0] == 400


def test_remote_control_answers_on_rabbitmq(installation: Installation) -> None:
    celery = Path(sys.executable).parent / "celery"
    command = [str(celery), "-A", "mailhub.worker", "inspect", "active", "--ini", str(installation.ini), "--json"]
    # With names it waits for them all, and no longer; else a second, and a busy worker may need two.
    names = ",".join(f"{queue}@{socket.gethostname()}" for queue in ("bulk", "celery", "transactional"))
    command += ["--timeout", "60", "--destination", names]
    done = subprocess.run(command, env=installation.environ, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout)
    assert sorted(name.partition("@")[0] for name in answers) == ["bulk", "celery", "transactional"]


def test_the_reports_ask_the_workers_themselves(installation: Installation) -> None:
    """What the queues' page shows, from the same RabbitMQ; a worker that is late once is there another time."""
    broker_url = (installation.folder / "secrets" / "broker_url").read_text().strip()
    settings = SimpleNamespace(broker_url=broker_url, broker_quorum_queues=False, database_url="")
    seen: set[str] = set()
    for _try in range(20):
        answer = ask(settings)
        assert answer.problem != "away"
        seen |= {name.partition("@")[0] for name in answer.workers}
        if len(seen) == 3:
            break
    assert seen == {"bulk", "celery", "transactional"}


def test_the_main_job(installation: Installation, key: str) -> None:
    """The script of the docs: import, campaign, start, wait, numbers. Then links of a letter, and an unsubscribe."""
    url = f"http://127.0.0.1:{installation.ports['site']}"
    command = [
        sys.executable,
        str(ROOT / "docs" / "examples" / "main_job.py"),
        "--url",
        url,
        "--from",
        "news@acme.test",
    ]
    done = subprocess.run(
        [*command, "--key", key, "--seconds", "90"], capture_output=True, text=True, timeout=300, env={"PATH": SYSTEM}
    )
    assert done.returncode == 0, done.stdout + done.stderr + installation.logs()
    mailbox = Mailbox(installation.folder / "mailbox.sqlite")
    assert (mailbox.count("people.test news for"), mailbox.count("people.test")) == (2, 3)  # and one single letter
    listed = mailbox.list("anna@people.test news for")[0]
    letter = mailbox.get(listed.id)
    assert letter is not None
    assert "Hello, Anna" in letter.html
    tracking = f"https://127.0.0.1:{installation.ports['tracking']}"
    links = re.findall(rf"{re.escape(tracking)}(/[tu]/[^\"'<> ]+)", letter.html)
    click = next(link for link in links if link.startswith("/t/c/"))
    pixel = next(link for link in links if link.startswith("/t/o/"))
    assert installation.get("tracking", click)[0] == 302
    assert installation.get("tracking", pixel)[0] == 200

    def opened() -> bool:
        body = json.loads(installation.get("site", "/api/v1/campaigns", Authorization=f"Bearer {key}")[1])
        path = f"/api/v1/campaigns/{body['results'][0]['id']}/stats"
        counts = json.loads(installation.get("site", path, Authorization=f"Bearer {key}")[1])["counts"]
        return bool(counts["opened"] == 1 and counts["redirected"] == 1)

    assert wait(opened, 30)


def test_a_single_letter_goes_at_once(installation: Installation) -> None:
    assert "sent from news@acme.test" in installation.mailhub("send-test", "single@people.test", "--project", "acme")


def test_a_killed_worker_is_started_again(installation: Installation) -> None:
    before = _pid(installation, "mailhub:mailhub-bulk")
    os.kill(before, signal.SIGKILL)
    assert wait(lambda: _pid(installation, "mailhub:mailhub-bulk") not in (0, before), 90)


def test_a_restart_stops_the_workers_in_good_order(installation: Installation) -> None:
    started = time.monotonic()
    installation.control("restart", "mailhub:mailhub-transactional")
    assert time.monotonic() - started < 60
    log = (installation.folder / "log" / "transactional.log").read_text(errors="replace")
    assert "Warm shutdown" in log
    assert "signal 15 (SIGTERM)" not in log  # a child that was killed in the middle of something
    assert wait(lambda: _is_well(installation), 90)


def _pid(installation: Installation, name: str) -> int:
    found = re.search(rf"^{re.escape(name)}\s+RUNNING\s+pid (\d+)", installation.control("status"), re.MULTILINE)
    return int(found[1]) if found else 0
