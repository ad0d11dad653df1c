"""A campaign from its first letter to its last, by real workers, with what it costs and what it is compared with."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.office import processes
from bench.office.letter import HTML
from bench.office.proxy import far
from bench.office.relays import Sink, baseline_per_second, sink, smtp_source_per_second
from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.relay import Relay
from tests.faults.stand import Stand
from tests.faults.workers import connections, peak_rss_bytes

Figures = dict[str, Any]
#: As in production, not as in the drills.
SETTINGS = {"mailhub.delivery.lease_seconds": "20", "mailhub.delivery.sweep_seconds": "3"}
ROUND_TRIP_SECONDS, FAR_CONNECTIONS = 0.05, 40
SINGLES = 200


class NotHere(Exception):
    """The part needs what this version or this machine has not; the text says what."""


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    recipients: int
    processes: int
    connections: int
    large: bool
    broker: str


@contextlib.contextmanager
def office(folder: Path, asked: Asked, urls: dict[str, str], connections: int, **settings: str) -> Iterator[Stand]:
    """A post office with these relays; PostgreSQL waits for its disk."""
    folder.mkdir()
    given = SETTINGS | settings
    with Stand(folder, broker=asked.broker, relays=urls, connections=connections, **given) as stand:
        yield stand


@dataclass(frozen=True)
class Run:
    """How a campaign went."""

    letters: int
    seconds: float
    whole_seconds: float
    connections: int
    peak_rss_bytes: int
    microseconds: dict[str, float]

    @property
    def per_second(self) -> float:
        return round((self.letters - 1) / self.seconds, 1)


_SPAN = """
    SELECT min(at), max(at), count(*) FROM message_event
    WHERE project_id = %s AND campaign_id = %s AND type = 'SENT'
"""
_WHOLE = "SELECT started_at, finished_at FROM campaign WHERE project_id = %s AND id = %s"


def send(stand: Stand, made: Crowd, sink_pids: list[int], port: int) -> Run:
    """Start it by the API and wait until it is sent; `seconds` are from the first letter to the last."""
    assert stand.postgres is not None
    assert stand.postgres.process is not None
    groups = {
        "workers": [worker.process.pid for worker in stand.workers],
        "postgres": [stand.postgres.process.pid],
        "sink": sink_pids,
    }
    before = processes.spent(groups)
    made.start()
    most = 0
    patience = time.monotonic() + 120 + made.people / 10
    while (found := ledger.counts(stand, made))["state"] != "sent":
        most = max(most, connections(stand.pids(), [port]))
        assert time.monotonic() < patience, f"the campaign does not end: {found}\n{stand.last_lines()}"
        time.sleep(0.2)
    after = processes.spent(groups)
    first, last, n = stand.query(_SPAN, [made.project_id, made.campaign])[0]
    assert n == found["sent"] == made.people, f"{n} events, ledger {found}"
    started, finished = stand.query(_WHOLE, [made.project_id, made.campaign])[0]
    return Run(
        letters=n,
        seconds=(last - first).total_seconds(),
        whole_seconds=(finished - started).total_seconds(),
        connections=most,
        peak_rss_bytes=peak_rss_bytes(stand.pids()),
        microseconds=processes.microseconds_per_letter(before, after, n),
    )


def letter_bytes(stand: Stand, relay: Relay) -> int:
    """The mean size of the letter on the wire, from its first header to its final dot, as a relay got it."""
    made = crowd(stand, 50, html=HTML, relay=relay.name)
    made.start()
    ledger.until_sent(stand, made)
    return round(statistics.mean(one.size for one in relay.delivered()))


def campaign(folder: Path, asked: Asked) -> Figures:
    """The campaign, then smtp-source with letters of the same size and the plain way over as many connections."""
    with (
        sink(folder) as target,
        Relay(folder, "scale") as scale,
        office(folder / "campaign", asked, {"default": target.url, "scale": scale.url}, asked.connections) as stand,
    ):
        stand.worker("bulk", asked.processes)
        size = letter_bytes(stand, scale)
        run = send(stand, crowd(stand, asked.recipients, html=HTML), [target.pid], target.port)
        figures: Figures = {
            "letters_per_second": run.per_second,
            "start_to_finish_per_second": round(run.letters / run.whole_seconds, 1),
            **_ceiling(target, run, size),
            "sent": run.letters,
            "letter_bytes": size,
            "smtp_connections": run.connections,
            "worker_processes": asked.processes,
            "relay": target.kind,
            "peak_rss_bytes": run.peak_rss_bytes,
        }
        figures |= {f"cpu_{name}_us_per_letter": value for name, value in run.microseconds.items()}
    return figures


def dkim(folder: Path, asked: Asked) -> Figures:
    """The campaign, signed with RSA-2048 by the operator's key."""
    people = max(200, min(asked.recipients, 30_000))
    folder.mkdir(exist_ok=True)
    key = folder / "dkim.pem"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signing = {"mailhub.dkim.domain": "signed.example.org", "mailhub.dkim.private_key": f"file:{key}"}
    with (
        sink(folder) as target,
        office(folder / "signed", asked, {"default": target.url}, asked.connections, **signing) as stand,
    ):
        stand.worker("bulk", asked.processes)
        run = send(stand, crowd(stand, people, html=HTML), [target.pid], target.port)
        return {
            "letters_per_second_rsa_dkim": run.per_second,
            "cpu_workers_us_per_letter_rsa_dkim": run.microseconds["workers"],
        }


def _ceiling(target: Sink, run: Run, size: int) -> Figures:
    over = max(1, run.connections)
    figures: Figures = {}
    source = smtp_source_per_second(target.port, max(2000, min(run.letters, 30_000)), over, size)
    if source is not None:
        figures |= {"smtp_source_per_second": source, "ratio_to_smtp_source": round(run.per_second / source, 3)}
    figures["baseline_per_second"] = baseline_per_second(target.port, max(300, min(run.letters // 10, 2000)), over)
    return figures


def far_away(folder: Path, asked: Asked) -> Figures:
    """The same over a line with a round trip of 50 ms."""
    people = max(200, min(asked.recipients, 20_000))
    with (
        sink(folder) as target,
        far(target.port, ROUND_TRIP_SECONDS) as (port, pid),
        office(folder / "far", asked, {"default": f"smtp://127.0.0.1:{port}"}, FAR_CONNECTIONS) as stand,
    ):
        stand.worker("bulk", asked.processes)
        run = send(stand, crowd(stand, people, html=HTML), [target.pid, pid], port)
        return {
            "letters_per_second_50ms": run.per_second,
            "smtp_connections_50ms": run.connections,
            "sent_50ms": run.letters,
        }


def single(folder: Path, asked: Asked) -> Figures:
    """Single letters by the JSON API at random moments while a campaign runs at full speed.

    From the API's answer to the relay's 250. They go to a relay of their own that notes the time of each letter;
    smtp-sink, which takes the campaign, cannot.
    """
    with (
        sink(folder) as target,
        Relay(folder, "single") as relay,
        office(folder / "single", asked, {"default": target.url, "single": relay.url}, asked.connections) as stand,
    ):
        stand.worker("bulk", asked.processes)
        stand.worker("transactional", 2)
        people = max(asked.recipients, 5000)
        bulk, few = crowd(stand, people, html=HTML), crowd(stand, 1, relay="single")
        again = [bulk.add_campaign(HTML) for _n in range(30)]
        bulk.do("start")
        stand.until(lambda: ledger.counts(stand, bulk)["sent"] > 0, 120, "the campaign begins")
        answered: dict[str, float] = {}
        sending = bulk.campaign
        pauses = 0
        for number in range(SINGLES):
            time.sleep(random.expovariate(1 / 0.08))
            # The next campaign begins before this one is over: there is no moment without.
            if ledger.counts(stand, bulk, sending)["queued"] < people // 3 and again:
                sending = again.pop(0)
                bulk.do("start", sending)
            pauses += not _is_sending(stand, bulk)
            to = f"single{number}@singles.test"
            body = {"from": f"news@{few.project.domain}", "to": to, "subject": "One", "html": "<p>One letter.</p>"}
            stand.api(few.project_id).post_json("/api/v1/messages", body, status=202)
            answered[to] = time.time()
        stand.until(lambda: relay.taken() >= SINGLES, 120, "all single letters")
        waits = sorted(max(0.0, one.at - answered[one.recipient]) * 1000 for one in relay.delivered())
        return {
            "single_p50_ms": round(statistics.median(waits), 1),
            "single_p99_ms": round(waits[int(len(waits) * 0.99) - 1], 1),
            "single_max_ms": round(waits[-1], 1),
            "single_letters": len(waits),
            "single_without_campaign": pauses,
        }


def _is_sending(stand: Stand, bulk: Crowd) -> bool:
    statement = """
        SELECT count(*) FROM campaign AS c JOIN campaign_count AS n USING (project_id)
        WHERE c.project_id = %s AND n.campaign_id = c.id AND c.state = 'sending'
          AND n.audience > n.sent + n.failed + n.unknown + n.skipped + n.deferred
    """
    return bool(stand.query(statement, [bulk.project_id])[0][0])
