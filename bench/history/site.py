"""The real site and the real reports process on a history: pserve and waitress, with somebody signed in."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

import mailhub
import mailhub.admin
from mailhub.db import make_engine
from mailhub.models import Membership, Role, User, WebSession
from mailhub.security.secrets import digest, new_token
from tests.conftest import raw_settings

#: From which the tokens of forms are derived.
SECRET_KEY = raw_settings("", Path())["mailhub.secret_key"]
#: Process → the cookie of its sessions.
COOKIES = {"site": "mailhub", "reports": "mailhub-reports"}


@dataclass(frozen=True)
class Process:
    """A running process, with the cookie of somebody who may see everything there."""

    name: str
    port: int
    cookie: str
    pid: int

    def get(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, int]:
        """Status and bytes of a page, read to its end over a connection that is kept."""
        connection.request("GET", path, headers={"Cookie": self.cookie, "Accept": "text/html"})
        answer = connection.getresponse()
        return answer.status, len(answer.read())

    def post(self, connection: http.client.HTTPConnection, path: str, form: dict[str, str]) -> tuple[int, int]:
        """The same for a form, with the token that every form has."""
        token = hmac.new(SECRET_KEY.encode(), b"csrf:" + self.cookie.partition("=")[2].encode(), hashlib.sha256)
        connection.request(
            "POST",
            path,
            urlencode(form | {"csrf_token": token.hexdigest()}),
            {"Cookie": self.cookie, "Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = connection.getresponse()
        return answer.status, len(answer.read())


def settings(url: str, home: Path) -> dict[str, str]:
    """What the ini says, but for the ports."""
    return raw_settings(url, home) | {"mailhub.log.level": "warning"}


def registries(url: str, home: Path) -> dict[str, Any]:
    """The registries of both applications: where their pages are found by introspection."""
    raw = settings(url, home)
    apps = {"site": mailhub.configure(raw), "reports": mailhub.admin.configure(raw)}
    return {name: config.make_wsgi_app().registry for name, config in apps.items()}


@contextlib.contextmanager
def serving(url: str, home: Path, project_id: int) -> Iterator[dict[str, Process]]:
    """Both processes, as long as the block lasts; their log is in the home."""
    home.mkdir(parents=True, exist_ok=True)
    token = {name: new_token() for name in COOKIES}
    _sign_in(url, project_id, token)
    ports = {name: _free_port() for name in COOKIES}
    pids: dict[str, int] = {}
    ini = home / "pages.ini"
    ini.write_text(_ini(settings(url, home), ports), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((home / "pages.log").open("wb"))
        for name in COOKIES:
            section = "main" if name == "site" else name
            child = subprocess.Popen(
                [sys.executable, "-m", "pyramid.scripts.pserve", str(ini), f"--app-name={section}",
                 f"--server-name={section}"],
                stdout=log, stderr=log,
            )  # fmt: skip
            pids[name] = child.pid
            stack.callback(_end, child)
            _until_it_answers(ports[name], child, home / "pages.log")
        yield {name: Process(name, ports[name], f"{COOKIES[name]}={token[name]}", pids[name]) for name in COOKIES}


def _sign_in(url: str, project_id: int, token: dict[str, str]) -> None:
    engine = make_engine(url, name="bench")
    with Session(engine) as session:
        user = session.query(User).filter_by(email="bench@people.test").one_or_none()
        if user is None:
            user = User(email="bench@people.test", name="Bench", is_admin=True)
            session.add(user)
            session.flush()
            session.add(Membership(project_id=project_id, user_id=user.id, role=Role.OWNER))
        for name, secret in token.items():
            ends = datetime.now(UTC) + timedelta(hours=6)
            session.add(WebSession(token_hash=digest(secret), user_id=user.id, app=name, expires_at=ends))
        session.commit()
    engine.dispose()


def _ini(raw: dict[str, str], ports: dict[str, int]) -> str:
    lines = ["[DEFAULT]", *(f"{name} = {value.replace('%', '%%')}" for name, value in raw.items())]
    for name, port in ports.items():
        section, app = ("main", "main") if name == "site" else (name, name)
        lines += [f"[app:{section}]", f"use = egg:mailhub#{app}", f"[server:{section}]", "use = egg:waitress#main",
                  f"listen = 127.0.0.1:{port}", "threads = 4"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until_it_answers(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if child.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"it does not start:\n{log.read_text(errors='replace')[-2000:]}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(20)
        return
    child.kill()
