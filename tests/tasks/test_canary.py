"""Canaries: a worker that consumes nothing notices it by itself; a busy one never thinks so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.tasks import TASKS, run, run_sweeps
from mailhub.tasks.canary import Begun, Watch
from tests.faults.stand import Stand

CANARY = "mailhub.tasks.canary"


@pytest.fixture
def begun() -> Begun:
    return Begun(bytearray(8))


@pytest.fixture
def watch(live: Any, begun: Begun) -> Watch:
    return Watch(live.registry, ["bulk"], host="box", pid=7, begun=begun, started_at=1000.0)


def heartbeat(live: Any, name: str, role: str, doing: str = "", *, parent: int = 7, silent: int = 0) -> None:
    live.session.execute(
        text(
            "INSERT INTO worker_heartbeat (name, host, pid, parent_pid, queue, role, doing, last_seen_at) VALUES"
            " (:name, 'box', 1, :parent, 'bulk', :role, :doing, clock_timestamp() - make_interval(secs => :silent))"
        ),
        {"name": name, "parent": parent, "role": role, "doing": doing, "silent": silent},
    )
    live.session.commit()


def sent(live: Any, *, ago: float, seen: bool = False) -> None:
    """A canary that was sent so long ago."""
    live.session.execute(
        text(
            "INSERT INTO canary (queue, sent_at, published_at, seen_at)"
            " SELECT 'bulk', t.at, t.at, CASE WHEN :seen THEN clock_timestamp() END"
            " FROM (SELECT clock_timestamp() - make_interval(secs => :ago) AS at) AS t"
        ),
        {"ago": ago, "seen": seen},
    )
    live.session.commit()


def published(live: Any) -> list[tuple[Any, ...]]:
    """The canaries that a sweep sends."""
    live.publisher.sent.clear()
    assert run_sweeps(live.registry)
    return [(args[0], queue) for name, args, queue in live.publisher.sent if name == CANARY]


def test_a_queue_with_a_living_worker_gets_one_every_half_minute(live: Any) -> None:
    assert published(live) == []
    heartbeat(live, "child", "pool")
    assert published(live) == [], "nobody to come through to"
    heartbeat(live, "main", "main")
    assert published(live) == [("bulk", "bulk")]
    assert published(live) == []
    live.session.execute(text("UPDATE canary SET published_at = published_at - interval '31 s'"))
    live.session.commit()
    assert published(live) == [("bulk", "bulk")], "the first one may be lost"


def test_its_way_is_measured(live: Any) -> None:
    heartbeat(live, "main", "main")
    published(live)
    first = live.session.execute(text("SELECT sent_at FROM canary")).scalar_one()
    live.session.execute(text("UPDATE canary SET published_at = published_at - interval '31 s'"))
    live.session.commit()
    published(live)
    row = live.session.execute(text("SELECT sent_at, seen_at FROM canary")).one()
    assert row == (first, None), "the wait counts from the first one"
    live.session.rollback()
    run(live.registry, TASKS[CANARY], ("bulk",))
    assert live.session.execute(text("SELECT seen_at > sent_at FROM canary")).scalar_one()
    live.session.execute(text("UPDATE canary SET published_at = published_at - interval '31 s'"))
    live.session.commit()
    published(live)
    assert live.session.execute(text("SELECT sent_at > seen_at FROM canary")).scalar_one()
    live.session.rollback()


def test_an_idle_child_and_a_canary_that_waits_mean_stuck(live: Any, watch: Watch) -> None:
    sent(live, ago=75)
    heartbeat(live, "idle", "pool")
    found = watch.stuck(1100.0, lambda: True)
    assert found is not None
    assert found[0] == "bulk"
    assert 74 < found[1] < 200
    assert watch.stuck(1100.0, lambda: False) is None, "the broker is away"
    assert watch.stuck(1030.0, lambda: True) is None, "the worker has only just begun"


@pytest.mark.parametrize("case", ["busy", "of another worker", "silent", "main", "fresh", "seen", "task begun"])
def test_none_of_these_is_stuck(live: Any, watch: Watch, begun: Begun, case: str) -> None:
    sent(live, ago=20 if case == "fresh" else 300, seen=case == "seen")
    heartbeat(
        live,
        "one",
        "main" if case == "main" else "pool",
        "campaign 5" if case == "busy" else "",
        parent=8 if case == "of another worker" else 7,
        silent=40 if case == "silent" else 0,
    )
    if case == "task begun":
        begun.note(1090.0)
    assert watch.stuck(1100.0, lambda: True) is None
    assert watch.busy() == (1 if case == "busy" else 0)


STUCK_WORKER = """
import sys
from mailhub.tasks import canary
from mailhub.tasks.publisher import Publisher
canary.EVERY_SECONDS = 1
if "lost" in sys.argv:
    sys.argv.remove("lost")
    canary.STUCK_SECONDS = 5
    usual = Publisher.publish
    Publisher.publish = lambda self, name, *rest: name == "mailhub.tasks.canary" or usual(self, name, *rest)
from celery.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def stand(live: Any, tmp_path: Path) -> Iterator[Stand]:
    folder = tmp_path / "stand"
    folder.mkdir()
    with Stand(folder, url=live.url) as given:
        yield given


def worker(stand: Stand, *words: str) -> subprocess.Popen[bytes]:
    with stand.log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", STUCK_WORKER, *words, "-A", "mailhub.worker", "worker", "--ini", str(stand.ini),
             "-Q", "bulk", "-c", "1", "--without-gossip", "--without-mingle"],
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def test_a_worker_that_consumes_nothing_ends(stand: Stand) -> None:
    """Its canaries do not come through: it ends with an error and one line in the log, and its child with it."""
    process = worker(stand, "lost")
    try:
        assert process.wait(90) == 75, stand.log.read_text()[-2000:]
        assert stand.log.read_text().count("worker.stuck") == 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_a_worker_that_consumes_goes_on(stand: Stand) -> None:
    process = worker(stand)
    try:
        seen = text("SELECT count(*) FROM canary WHERE seen_at > sent_at")

        def is_seen() -> bool:
            stand.live.session.rollback()
            return bool(stand.live.session.scalar(seen))

        stand.until(is_seen, 60, "the canary is back")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(30)
