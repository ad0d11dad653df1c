"""What hits are measured on: PostgreSQL that waits for its disk, sent campaigns, and the real tracking server."""

from __future__ import annotations

import configparser
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from mailhub.broker import conninfo
from mailhub.embedded.postgres import Postgres, hold_lock
from mailhub.mail.tokens import Signer
from mailhub.models import Link
from tests.build import Builder
from tests.conftest import ROOT, migrate, raw_settings

LINKS = 5
CAMPAIGNS = 4
#: The part of the hits that are clicks.
CLICKS = 0.2
PEOPLE = """
    INSERT INTO subscriber (project_id, email, email_key, email_domain)
    SELECT %s, 'reader' || n || '@' || domain, 'reader' || n || '@' || domain, domain
    FROM generate_series(1, %s) AS n,
        LATERAL (SELECT (ARRAY['gmail.com', 'yahoo.com', 'mail.ru', 'example.org'])[1 + n %% 4] AS domain) AS d
    RETURNING id
"""


class Place:
    """A home with a database of its own, and one or more tracking servers on it. End it with `close`."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = folder
        (folder / "pg").mkdir(parents=True)
        lock = hold_lock(folder / "pg")
        assert lock is not None
        self._stack.enter_context(lock)
        self.postgres = Postgres(folder / "pg", durable=durable)
        self.url = self.postgres.start().url
        self._stack.callback(self.postgres.stop)
        migrate(self.url)
        self.raw = raw_settings(self.url, folder / "home") | {"mailhub.log.level": "warning"}
        self.metrics_port = free_port()
        self.raw["mailhub.metrics_port"] = str(self.metrics_port)
        (folder / "home").mkdir()
        self.server: subprocess.Popen[bytes] | None = None
        self.port = 0

    def close(self) -> None:
        self.stop_server()
        self._stack.close()

    # Letters

    def letters(self, n: int) -> list[str]:
        """Paths of opens and clicks, two for each of `n` letters of a few campaigns, in no order."""
        from sqlalchemy import create_engine

        engine = create_engine(self.url)
        with Session(engine) as session:
            build = Builder(session)
            project = build.project(name="Shop")
            campaigns = [build.started_campaign(project, links=_urls(number)) for number in range(CAMPAIGNS)]
            links: dict[int, list[int]] = {campaign.id: [] for campaign in campaigns}
            for link in session.query(Link).order_by(Link.campaign_id, Link.position):
                links[link.campaign_id].append(link.id)
            project_id = project.id
        engine.dispose()
        with psycopg.connect(conninfo(self.url)) as connection:
            people = [row[0] for row in connection.execute(PEOPLE, (project_id, -(-n // CAMPAIGNS)))]
        signer = Signer([self.raw["mailhub.secret_key"].encode()])
        chance = random.Random(4)
        paths = []
        for number in range(n):
            campaign = list(links)[number % CAMPAIGNS]
            ids = {"project": project_id, "campaign": campaign, "subscriber": people[number // CAMPAIGNS]}
            for _hit in range(2):
                if chance.random() < CLICKS:
                    paths.append(f"/t/c/{signer.sign('click', **ids, link=chance.choice(links[campaign]))}")
                else:
                    paths.append(f"/t/o/{signer.sign('open', **ids)}")
        chance.shuffle(paths)
        self.until(lambda: self.query("ANALYZE") == [], 30)
        return paths

    # The server

    def start_server(self, *, port: int = 0, threads: int = 0) -> None:
        """`pserve … --app-name=tracking --server-name=tracking`, with the server section of production.ini."""
        production = configparser.RawConfigParser()
        production.read(ROOT / "production.ini", encoding="utf-8")
        server = dict(production["server:tracking"])
        self.port = port or self.port or free_port()
        server["listen"] = f"127.0.0.1:{self.port}"
        if threads:
            server["threads"] = str(threads)
        ini = self.folder / "tracking.ini"
        for name in production["DEFAULT"]:
            server.pop(name, None)
        lines = ["[app:tracking]", "use = egg:mailhub#tracking"]
        lines += [f"{name} = {value.replace('%', '%%')}" for name, value in self.raw.items()]
        lines += ["[server:tracking]", *(f"{name} = {value}" for name, value in server.items())]
        ini.write_text("\n".join(lines) + "\n")
        command = [Path(sys.executable).with_name("pserve"), "-q", ini, "--app-name=tracking", "--server-name=tracking"]
        with (self.folder / "tracking.log").open("ab") as log:
            self.server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.until(self.answers, 60)

    def answers(self) -> bool:
        """Whether the server says that it lives."""
        assert self.server is not None
        assert self.server.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__lbheartbeat__", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metric(self, name: str) -> float:
        """What the server says of one of its counters or gauges, over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].split()[0] == name)

    def stop_server(self, number: int = signal.SIGINT) -> None:
        if self.server is not None:
            self.server.send_signal(number)
            self.server.wait(30)
            self.server = None

    def log(self) -> str:
        path = self.folder / "tracking.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-20:]) if path.exists() else ""

    # The database

    def query(self, statement: str, *binds: Any) -> list[Any]:
        with psycopg.connect(conninfo(self.url), autocommit=True) as connection:
            found = connection.execute(statement, binds or None)
            return found.fetchall() if found.description else []

    def hits(self) -> int:
        """Opens and clicks that are events."""
        found = self.query("SELECT count(*) FROM message_event WHERE type IN ('OPENED', 'REDIRECTED')")
        return int(found[0][0])

    @contextlib.contextmanager
    def frozen_database(self) -> Iterator[None]:
        """Every process of the server stands still: it accepts connections, and answers nobody."""
        pids = self._server_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill_database(self) -> None:
        """As with -m immediate: no farewell, and recovery at the next start."""
        process = self.postgres.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def start_database(self) -> None:
        self.postgres.start()

    def _server_pids(self) -> list[int]:
        process = self.postgres.process
        assert process is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [process.pid, *map(int, children)]

    def until(self, right: Callable[[], bool], seconds: float) -> float:
        """Wait until it is so; gives how long it took."""
        began = time.monotonic()
        while not right():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds} s\n{self.log()}")
            time.sleep(0.05)
        return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _urls(campaign: int) -> list[str]:
    return [f"https://shop.example.com/campaign/{campaign}/product/{number}?utm_source=mail" for number in range(LINKS)]
