"""Old events go while everybody works: nobody's request fails, and nobody waits for the lock for long."""

from __future__ import annotations

import http.client
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailhub.mail.tokens import Kind
from mailhub.reporting import partitions, retention, verify
from tests.browser.site import served
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

RETENTION_DAYS = 90
#: Four weeks are dropped at once, as after a pause of the worker that does it.
OLD_WEEKS = 4
_FILL = """
    INSERT INTO message_event (project_id, at, type, kind, project_domain, campaign_id, campaign_name, subscriber_id,
        email, email_domain)
    SELECT %(project)s, CAST(%(since)s AS timestamptz) + n * CAST(%(step)s AS interval),
        CASE n %% 4 WHEN 0 THEN 'OPENED' ELSE 'SENT' END, 'campaign', 'old.test', %(campaign)s, 'Long ago', n,
        'person' || n || '@mail.test', 'mail.test'
    FROM generate_series(0, %(rows)s - 1) AS n
"""


class Browsers:
    """Clients that ask the site all the time, a thread each; what failed is kept with its path."""

    def __init__(self, origin: str, paths: dict[str, dict[str, str]]) -> None:
        self.at = urlsplit(origin).netloc
        self.seconds: list[tuple[float, float]] = []
        self.failed: list[str] = []
        self.hits = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=one) for one in paths.items()]

    def __enter__(self) -> Browsers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_failure: Any) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection(self.at, timeout=30)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                said = str(answer.status) if answer.status != 200 else ""
            except OSError as failure:
                connection.close()
                said = repr(failure)
            self.seconds.append((began, time.monotonic() - began))
            if said:
                self.failed.append(f"{path}: {said}")
            elif path.startswith("/t/o/"):
                self.hits += 1
            time.sleep(0.005)
        connection.close()

    def slowest(self, since: float, until: float) -> float:
        return max((took for began, took in self.seconds if since <= began <= until), default=0.0)


@drill(people=5_000_000, turns=1)
def retention_drop(stand: Stand) -> Figures:
    """A month of old events is dropped under load: no request fails, nobody waits for the lock for over 200 ms."""
    live, now = stand.live, datetime.now(UTC)
    oldest = now - timedelta(days=RETENTION_DAYS, weeks=OLD_WEEKS + 1)
    partitions.ensure(live.engine, now=now, since=oldest)
    alice = live.build.user()
    project = live.build.project(alice, created_at=oldest - timedelta(days=1))
    long_ago = oldest - timedelta(days=1)
    campaign = live.build.started_campaign(project, created_at=long_ago, started_at=long_ago)
    person = live.build.subscriber(project)
    step = (OLD_WEEKS * partitions.WEEK) / stand.people
    binds = {"project": project.id, "campaign": campaign.id, "since": oldest, "step": step, "rows": stand.people}
    began = time.monotonic()
    stand.query(_FILL, binds)
    filled = time.monotonic() - began
    token = live.registry.signer.sign(Kind.OPEN, project=project.id, campaign=campaign.id, subscriber=person.id)
    cookie = {"Cookie": f"mailhub={live.client.new().sign_in(alice).token}"}
    paths = {
        f"/projects/{project.slug}": cookie,
        f"/projects/{project.slug}/campaigns/{campaign.id}/stats": cookie,
        f"/projects/{project.slug}/subscribers/{person.id}": cookie,
        f"/t/o/{token}": {},
    }
    tries: list[float] = []
    with served(live.app) as origin, pytest.MonkeyPatch.context() as patch, Browsers(origin, paths) as browsers:
        patch.setattr(partitions, "_run", _timed(partitions._run, tries))
        time.sleep(stand.window_seconds / 2)
        before, began = time.monotonic(), time.monotonic()
        purged = retention.purge(live.engine, now=now, retention_days=RETENTION_DAYS)
        after = time.monotonic()
        time.sleep(stand.window_seconds / 2)
    figures: Figures = {
        "rows": stand.people,
        "fill_seconds": round(filled, 1),
        "dropped": len([name for name in purged.partitions if name.startswith("message_event_")]),
        "left_old": stand.query("SELECT count(*) FROM message_event WHERE at < %s", [now - timedelta(days=97)])[0][0],
        "requests": len(browsers.seconds),
        "failed_requests": len(browsers.failed),
        "first_failure": browsers.failed[0] if browsers.failed else "",
        "longest_lock_ms": round(1000 * max(tries), 1),
        "purge_seconds": round(after - began, 2),
        "slowest_before_ms": round(1000 * browsers.slowest(0, before), 1),
        "slowest_during_ms": round(1000 * browsers.slowest(before, after), 1),
        "differences": len(verify.verify(live.engine)),
    }
    figures["passed"] = (
        figures["dropped"] >= OLD_WEEKS
        and figures["left_old"] == 0
        and figures["requests"] > 20
        and not figures["failed_requests"]
        and figures["longest_lock_ms"] <= 200
        and not figures["differences"]
    )
    return figures


def _timed(run: Any, tries: list[float]) -> Any:
    """The time that others may have had to wait: from our asking for the parent's lock until it is given back.

    Behind it the partition is nobody's any more; however long its files take to go, no one waits for them.
    """

    def timed(engine: Any, statement: Any) -> None:
        began = time.monotonic()
        try:
            run(engine, statement)
        finally:
            if "DETACH" in repr(statement):
                tries.append(time.monotonic() - began)

    return timed
