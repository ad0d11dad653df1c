"""The reports process under heavy questions, beside a site that must not notice: real processes, one PostgreSQL."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

import mailhub.admin
from mailhub.broker import conninfo
from mailhub.embedded import child
from mailhub.embedded.supervisor import REPORTS_NICE
from tests.browser.site import served
from tests.client import Client
from tests.conftest import raw_settings
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

ROOT = Path(__file__).resolve().parents[2]
#: Idle and loaded windows take turns.
ROUNDS = 2
BOUND_MS, BOUND_RATIO = 200, 2
#: Fewer events than this are the short form, on a machine that does other things too: no times are judged.
FULL = 1_000_000

# As many a day, of twenty projects; refusals with words of their own.
_EVENTS = """
    INSERT INTO message_event (project_id, at, type, kind, email, email_domain, subscriber_id, code, detail)
    SELECT (%(projects)s::bigint[])[1 + n %% 20], %(until)s::timestamptz - interval '1 second' * (1 + n %% %(seconds)s),
           CASE n %% 10 WHEN 0 THEN 'HARDBOUNCED' WHEN 1 THEN 'REDIRECTED' WHEN 2 THEN 'OPENED' ELSE 'SENT' END,
           'campaign', 'p' || n %% 100000 || '@d' || n %% 500 || '.test', 'd' || n %% 500 || '.test', n %% 100000,
           CASE n %% 10 WHEN 0 THEN 550 END,
           CASE n %% 10 WHEN 0 THEN '5.1.1 <p' || n || '@d.test>: Recipient address rejected: user unknown' ELSE '' END
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_HEAVY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name LIKE 'mailhub reports%' AND state = 'active'
        AND (query LIKE '%message_event%' OR query LIKE 'FETCH%')
"""
DAYS = 14


@dataclass
class Door:
    """A web process, and a browser that is signed in at it."""

    port: int
    cookie: str
    statuses: Counter[int] = field(default_factory=Counter)

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and text of a page; `form` is posted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            headers = {"Cookie": self.cookie, "Host": "localhost"}
            if form is None:
                connection.request("GET", path, headers=headers)
            else:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                connection.request("POST", path, urlencode(form), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        self.statuses[answer.status] += 1
        return answer.status, text


@drill(people=3_000_000, turns=1, **{"mailhub.reports.statement_timeout_seconds": "60"})
def reports(stand: Stand) -> Figures:
    """Four heavy reports asked for at once: the site stays quick; one too slow becomes a job, which a kill survives."""
    build, session = stand.live.build, stand.live.session
    root = build.user(f"root{time.time_ns()}@people.test", is_admin=True)
    projects = [build.project(root) for _n in range(20)]
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    _seed(stand, [project.id for project in projects], until)
    session.commit()
    site_token, reports_client = Client(stand.live.app).sign_in(root), Client(stand.live.app)
    reports_client.sign_in(root, app="reports")
    since = (until - timedelta(days=DAYS)).date()
    days = {"since": since.isoformat(), "until": until.date().isoformat()}
    heavy = "/admin/numbers/events?" + urlencode({"run": "1", **days})
    is_full = stand.people >= FULL
    with contextlib.ExitStack() as stack:
        if is_full:
            site_port = stack.enter_context(_served(stand, "main"))
            reports_port = stack.enter_context(_served(stand, "reports", nice=REPORTS_NICE))
        else:
            site_port, reports_port = stack.enter_context(_in_threads(stand))
        site = Door(site_port, f"mailhub={site_token.token}")
        door = Door(reports_port, f"mailhub-reports={reports_client.token}")
        page = f"/projects/{projects[0].slug}"
        assert site.ask(page)[0] == 200, "the project's page"
        figures = _side_by_side(stand, site, page, door, heavy, ROUNDS if is_full else 1)
        asked = {"kind": "events", "csrf_token": reports_client.csrf_token(), **days}
        figures["asked_for_a_job"], _text = door.ask("/admin/jobs", asked)
        figures |= _survives(stand, kills=int(is_full))
    if is_full:
        # In the short form the query is too quick for a time-out: tests/admin/test_heavy.py has a slow one.
        with _served(stand, "reports", {"MAILHUB_REPORTS_STATEMENT_TIMEOUT_SECONDS": "1"}) as port:
            status, text = Door(port, door.cookie).ask(heavy)
        figures["too_slow_says_so"] = (
            status == 503 and "It was stopped after 1s" in text and "Make it a job" in text
        )
    figures["passed"] = (
        figures.get("too_slow_says_so", True)
        and figures["asked_for_a_job"] == 303
        and (0 if not is_full else 1) <= figures["most_at_once"] <= 2
        and figures["site_errors"] == figures["reports_errors"] == 0
        and figures["heavy_made"] + figures["heavy_refused"] > 0
        and figures["job_state"] == "done"
        and figures["job_events"] == figures["job_events_counted"]
        and (not is_full or _is_quick(figures))
    )
    return figures


def _is_quick(figures: Figures) -> bool:
    loaded, idle = figures["site_p95_ms"], figures["site_idle_p95_ms"]
    return bool(loaded <= BOUND_MS and loaded <= BOUND_RATIO * idle)


def _seed(stand: Stand, projects: list[int], until: datetime) -> None:
    stand.query(
        "SELECT ensure_partitions('message_event', 'at', %s::timestamptz, %s::timestamptz)",
        [until - timedelta(days=DAYS + 7), until + timedelta(days=7)],
    )
    binds = {"projects": projects, "until": until, "seconds": DAYS * 86_400 - 2}
    for first in range(1, stand.people + 1, 500_000):
        last = min(first + 499_999, stand.people)
        stand.query(_EVENTS, binds | {"first": first, "last": last})
    stand.query("VACUUM (ANALYZE) message_event")


@contextlib.contextmanager
def _served(stand: Stand, name: str, environ: dict[str, str] | None = None, nice: int = 0) -> Iterator[int]:
    """A web process as `mailhub up` starts it, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    ini = stand.folder / f"{name}.ini"
    text = stand.ini.read_text().replace("[app:main]\nuse = egg:mailhub#main", f"[app:main]\nuse = egg:mailhub#{name}")
    server = f"\n[server:main]\nuse = egg:waitress#main\nlisten = 127.0.0.1:{port}\nthreads = 8\nident =\n"
    ini.write_text(text + "mailhub.log.level = error\n" + server)
    pserve = [str(Path(sys.executable).parent / "pserve"), "-q", str(ini)]
    command = ["nice", "-n", str(nice), *pserve] if nice else pserve
    with stand.log.open("ab") as output:
        process = child.start(
            command, death_signal=signal.SIGKILL, environ={**os.environ, **(environ or {})}, cwd=ROOT, output=output
        )
    try:
        stand.until(lambda: _answers(port), 120, f"the process {name}")
        yield port
    finally:
        process.kill()
        process.wait(30)


@contextlib.contextmanager
def _in_threads(stand: Stand) -> Iterator[tuple[int, int]]:
    """The ports of both in this process: what the short form can do without two more processes to start."""
    raw = raw_settings(stand.live.url, stand.folder) | {"mailhub.log.level": "error"}
    app = mailhub.admin.configure(raw | {"celery.broker_url": stand.broker.url}).make_wsgi_app()
    try:
        with served(stand.live.app) as site, served(app) as reports_url:
            yield int(site.rpartition(":")[2]), int(reports_url.rpartition(":")[2])
    finally:
        app.registry.publisher.close()
        app.registry.engine.dispose()
        app.registry.reading_engine.dispose()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/__lbheartbeat__", headers={"Host": "localhost"})
            return connection.getresponse().status == 200
    return False


def _side_by_side(stand: Stand, site: Door, page: str, door: Door, heavy: str, rounds: int) -> Figures:
    """The site's times without and with four people who ask for heavy reports all the time, by turns."""
    idle: list[float] = []
    loaded: list[float] = []
    at_once: list[int] = []
    made: Counter[str] = Counter()
    seconds = stand.window_seconds
    _times(site, page, 0.5)  # its caches are warm
    for _round in range(rounds):
        idle += _times(site, page, seconds)
        stop = threading.Event()
        askers = [threading.Thread(target=_ask_on, args=(door, heavy, stop, made)) for _n in range(4)]
        watcher = threading.Thread(target=_count_on, args=(stand, stop, at_once))
        for thread in [*askers, watcher]:
            thread.start()
        time.sleep(0.5)
        loaded += _times(site, page, seconds)
        stop.set()
        for thread in [*askers, watcher]:
            thread.join(180)
    return {
        "events": stand.people,
        "site_idle_p50_ms": round(1000 * statistics.median(idle), 1),
        "site_idle_p95_ms": _p95_ms(idle),
        "site_p50_ms": round(1000 * statistics.median(loaded), 1),
        "site_p95_ms": _p95_ms(loaded),
        "site_pages": len(idle) + len(loaded),
        "site_errors": sum(n for status, n in site.statuses.items() if status != 200),
        "heavy_made": made["made"],
        "heavy_refused": made["refused"],
        "reports_errors": made["errors"],
        "most_at_once": max(at_once, default=0),
    }


def _ask_on(door: Door, path: str, stop: threading.Event, made: Counter[str]) -> None:
    while not stop.is_set():
        status, text = door.ask(path)
        refused = status == 503 and ("Two heavy reports are running" in text or "took too long" in text)
        made["made" if status == 200 else "refused" if refused else "errors"] += 1
        if status != 200 and not refused:
            print(f"reports: {status} {text[:2000]}", file=sys.stderr)


def _count_on(stand: Stand, stop: threading.Event, found: list[int]) -> None:
    with psycopg.connect(conninfo(stand.live.url), autocommit=True) as connection:
        while not stop.wait(0.05):
            found.append(connection.execute(_HEAVY).fetchone()[0])  # type: ignore[index]


def _times(site: Door, path: str, seconds: float) -> list[float]:
    """How long each page took, one after the other, with a reader's pause."""
    found = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        site.ask(path)
        found.append(time.monotonic() - began)
        time.sleep(0.02)
    return found


def _p95_ms(found: list[float]) -> float:
    return round(1000 * sorted(found)[int(0.95 * (len(found) - 1))], 1)


def _survives(stand: Stand, kills: int) -> Figures:
    """The job is made although its worker is killed in the middle; its rows are all there, once."""
    worker = stand.worker("celery", 1)

    def job() -> Any:
        return stand.query("SELECT state, slices_done, rows, file FROM report_job ORDER BY id DESC LIMIT 1")[0]

    if kills:
        stand.until(lambda: job()[1] >= 2, 300, "two days of the report", pause=0.01)
        worker.kill()
        # Nobody waits half a minute for a lease whose owner is known to be gone.
        stand.query("UPDATE report_job SET lease_until = clock_timestamp() WHERE state = 'running'")
    stand.until(lambda: job()[0] not in ("pending", "running"), 600, "the report")
    state, _slices, rows, file = job()
    lines = (stand.live.registry.mailhub.home / "reports" / file).read_text("utf-8-sig").splitlines()[1:]
    events = sum(int(line.split(",")[4]) for line in lines)
    counted = stand.query("SELECT count(*) FROM message_event WHERE kind = 'campaign' AND type <> 'DEFERRED'")[0][0]
    return {
        "kills": kills, "job_state": state, "job_rows": rows, "job_lines": len(lines), "job_events": events,
        "job_events_counted": counted,
    }  # fmt: skip
