"""The real tracking server on a stand, and sent letters whose links it serves."""

from __future__ import annotations

import configparser
import contextlib
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from mailhub.models import Link
from tests.conftest import ROOT
from tests.embedded.test_supervisor import free_port
from tests.faults.stand import Stand

LINKS, CAMPAIGNS = 5, 4
#: The part of the hits that are clicks.
CLICKS = 0.2
_PEOPLE = """
    INSERT INTO subscriber (project_id, email, email_key, email_domain)
    SELECT %s, 'reader' || n || '@' || domain, 'reader' || n || '@' || domain, domain
    FROM generate_series(1, %s) AS n,
        LATERAL (SELECT (ARRAY['gmail.com', 'yahoo.com', 'mail.ru', 'example.org'])[1 + n %% 4] AS domain) AS d
    RETURNING id
"""
_EVENTS = """
    SELECT type, campaign_id, subscriber_id, coalesce(link_id, 0), count(*) FROM message_event
    WHERE type IN ('OPENED', 'REDIRECTED') GROUP BY 1, 2, 3, 4
"""

#: Type, campaign, person, link (0 for an open).
Key = tuple[str, int, int, int]


@dataclass(frozen=True)
class Letters:
    """Paths that readers ask for, and what each is an event of."""

    paths: list[str]
    keys: list[Key]

    def events(self, times: Counter[int]) -> Counter[Key]:
        """How often each event, when path number so-and-so was asked for so many times."""
        found: Counter[Key] = Counter()
        for path, n in times.items():
            found[self.keys[path]] += n
        return found


def sent_letters(stand: Stand, n: int) -> Letters:
    """`n` letters of a few campaigns, a hit of each in no order, then a second one of each in another."""
    build = stand.live.build
    project = build.project(name="Shop")
    project_id = project.id
    campaigns = [build.started_campaign(project, links=_urls(number)).id for number in range(CAMPAIGNS)]
    links: dict[int, list[int]] = {campaign: [] for campaign in campaigns}
    for link in stand.live.session.scalars(select(Link).where(Link.campaign_id.in_(links)).order_by(Link.position)):
        assert link.campaign_id is not None
        links[link.campaign_id].append(link.id)
    stand.live.session.rollback()  # its connection will not survive the database
    people = [row[0] for row in stand.query(_PEOPLE, [project_id, -(-n // CAMPAIGNS)])]
    stand.query("ANALYZE subscriber")
    sign = stand.live.registry.signer.sign
    chance = random.Random(4)
    hits: list[tuple[str, Key]] = []
    for _round in range(2):
        asked = []
        for number in range(n):
            campaign, person = campaigns[number % CAMPAIGNS], people[number // CAMPAIGNS]
            ids = {"project": project_id, "campaign": campaign, "subscriber": person}
            if chance.random() < CLICKS:
                link_id = chance.choice(links[campaign])
                asked.append((f"/t/c/{sign('click', **ids, link=link_id)}", ("REDIRECTED", campaign, person, link_id)))
            else:
                asked.append((f"/t/o/{sign('open', **ids)}", ("OPENED", campaign, person, 0)))
        chance.shuffle(asked)
        hits += asked
    return Letters([path for path, _key in hits], [key for _path, key in hits])


def events(stand: Stand) -> Counter[Key]:
    """The opens and clicks that are events."""
    return Counter({tuple(row[:4]): row[4] for row in stand.query(_EVENTS)})


class TrackingServer:
    """`pserve … --app-name=tracking --server-name=tracking`, with the server section of production.ini."""

    def __init__(self, stand: Stand, number: int = 0, *, port: int = 0, threads: int = 0) -> None:
        self._stand = stand
        self.port, self.metrics_port = port or free_port(), free_port()
        self.log = stand.folder / f"tracking-{number}.log"
        self._ini = stand.folder / f"tracking-{number}.ini"
        self._ini.write_text(self._configuration(threads))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TrackingServer:
        self.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and come back when it answers."""
        command = [Path(sys.executable).with_name("pserve"), "-q", self._ini, "--app-name=tracking"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--server-name=tracking"],
                cwd=ROOT, stdout=log, stderr=log, env=os.environ | {"MAILHUB_METRICS_PORT": str(self.metrics_port)},
            )  # fmt: skip
        self._stand.until(self.answers, 90, "the tracking server")

    def answers(self) -> bool:
        """Whether it says that it lives."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        address = f"http://127.0.0.1:{self.port}/__lbheartbeat__"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """kill -9."""
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def metric(self, name: str) -> float:
        """One of its counters or gauges, over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    def _configuration(self, threads: int) -> str:
        mine, production = (configparser.RawConfigParser() for _turn in range(2))
        mine.read(self._stand.ini, encoding="utf-8")
        production.read(ROOT / "production.ini", encoding="utf-8")
        settings = dict(mine["app:main"]) | {"use": "egg:mailhub#tracking", "mailhub.log.level": "warning"}
        server = {name: value for name, value in production["server:tracking"].items() if "." not in name}
        server["listen"] = f"127.0.0.1:{self.port}"
        if threads:
            server["threads"] = str(threads)
        lines = ["[app:tracking]", *(f"{name} = {value}" for name, value in settings.items())]
        lines += ["[server:tracking]", *(f"{name} = {value}" for name, value in server.items())]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def frozen_database(stand: Stand) -> Iterator[None]:
    """Every process of PostgreSQL stands still: it takes connections, and answers nobody."""
    assert stand.postgres is not None
    process = stand.postgres.process
    assert process is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pids = [process.pid, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _urls(campaign: int) -> list[str]:
    return [f"https://shop.example.com/campaign/{campaign}/product/{number}?utm_source=mail" for number in range(LINKS)]
