"""Opens and clicks while the tracking server is killed and the database is away: counted beside what readers got."""

from __future__ import annotations

import time
from collections import Counter

from mailhub.reporting.verify import verify
from mailhub.tracking.link_copy import LinkCopy
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.readers import Readers
from tests.faults.stand import Stand
from tests.faults.tracking_server import Key, TrackingServer, events, frozen_database, sent_letters

CONNECTIONS = 16


@drill(relays=(), people=100_000, turns=6)
def hits(stand: Stand) -> Figures:
    """kill -9 of the tracking server several times, the database frozen, killed and started: every hit is an event."""
    letters = sent_letters(stand, stand.people)
    away = 10.0 if stand.turns > 1 else 1.0
    with TrackingServer(stand) as server:
        # A click of the first second may come before the copy of the links, and the outage with it.
        stand.until(lambda: _knows_links(stand), 60, "the copy of the links")
        readers = Readers([server.port], letters.paths, connections=CONNECTIONS)
        for _turn in range(stand.turns):
            time.sleep(1.0)
            server.kill()
            server.start()
        time.sleep(1.0)
        with frozen_database(stand):
            time.sleep(away / 2)
        stand.stop_database()
        time.sleep(away / 2)
        server.kill()  # and it comes back without a database
        server.start()
        time.sleep(away / 2)
        stand.start_database()
        time.sleep(1.0)
        readers.finish()
        tally = readers.wait()
        acknowledged = letters.events(tally.acknowledged)
        behind = stand.until(lambda: _stored(stand) >= acknowledged.total(), 120, "all hits are events")
    figures = _judged(acknowledged, letters.events(tally.unanswered), events(stand))
    differences = verify(stand.live.engine)
    figures |= {
        "letters": stand.people, "kills": stand.turns + 1, "answers_5xx": tally.failures,
        "longest_ms": tally.longest_ms, "stored_behind_seconds": round(behind, 1), "differences": len(differences),
    }  # fmt: skip
    clean = ("lost", "doubled", "answers_5xx", "differences")
    figures["passed"] = all(figures[name] == 0 for name in clean) and figures["acknowledged"] > 0
    return figures


def _judged(acknowledged: Counter[Key], unanswered: Counter[Key], stored: Counter[Key]) -> Figures:
    """A hit that was acknowledged is one event; one that never got its answer may be one or none."""
    lost = acknowledged - stored
    doubled = stored - acknowledged - unanswered
    return {
        "acknowledged": acknowledged.total(),
        "unanswered": unanswered.total(),
        "events": stored.total(),
        "lost": lost.total(),
        "doubled": doubled.total(),
    }


def _stored(stand: Stand) -> int:
    return int(stand.query("SELECT count(*) FROM message_event WHERE type IN ('OPENED', 'REDIRECTED')")[0][0])


def _knows_links(stand: Stand) -> bool:
    copy = LinkCopy(stand.folder / "links.sqlite")
    try:
        return copy.place().position >= 0
    finally:
        copy.close()
