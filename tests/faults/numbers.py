"""Every number on every page, after all that can happen to events: the rollups agree with a recount."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

from mailhub.db import Lock, try_lock
from mailhub.events.classifier import step
from mailhub.events.service import Event, append_in, driver_connection
from mailhub.mail.classify import Places
from mailhub.reporting import partitions, retention
from mailhub.reporting.verify import ALL, verify
from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.kills import DELAY, killing
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

RETENTION_DAYS = 60
BATCH = 500
AGENTS = (
    "Mozilla/5.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "barracuda",
    "",
)


class Hits(threading.Thread):
    """Stores random hits of the campaign, late ones too, twice as many as there are people; some batches come again."""

    def __init__(self, stand: Stand, made: Crowd, links: list[int]) -> None:
        super().__init__(name="hits")
        self._sessions = stand.live.registry.session_factory
        self._made, self._links, self._dice = made, links, random.Random(4)
        self._people = [row[0] for row in stand.query(
            "SELECT id FROM subscriber WHERE project_id = %s ORDER BY id", [made.project_id])]  # fmt: skip
        self.stored = 0
        self.failed = ""

    def run(self) -> None:
        try:
            while self.stored < 2 * self._made.people:
                batch = [self._hit() for _n in range(BATCH)]
                for _time in range(2 if self._dice.random() < 0.1 else 1):
                    with self._sessions() as session:
                        append_in(session, batch)
                        if self._dice.random() < 0.1:
                            session.rollback()  # as if its process had been killed
                            continue
                        session.commit()
                    self.stored += len(batch)
        except Exception as failure:
            self.failed = repr(failure)

    def _hit(self) -> Event:
        dice = self._dice
        is_click, is_late = dice.random() < 0.3, dice.random() < 0.5
        return Event(
            "REDIRECTED" if is_click else "OPENED", self._made.project_id, "campaign",
            datetime.now(UTC) - timedelta(minutes=dice.randrange(60 * 80) if is_late else 0),
            campaign_id=self._made.campaign, subscriber_id=dice.choice(self._people), email_domain=self._made.domain,
            link_id=dice.choice(self._links) if is_click else None, user_agent=dice.choice(AGENTS),
            ip=f"192.0.2.{dice.randrange(256)}",
        )  # fmt: skip


@drill(people=100_000, turns=10, relay_options=DELAY)
def numbers(stand: Stand) -> Figures:
    """Random hits, marks, a rename and a retention drop while workers are killed; then wrong numbers are planted."""
    bulk = stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    old_events = _long_ago(stand, made)
    hits: list[Hits] = []

    def strike() -> None:
        if not hits:
            links = stand.query("SELECT id FROM link WHERE campaign_id = %s", [made.campaign])
            hits.append(Hits(stand, made, [row[0] for row in links]))
            hits[0].start()
            _rename(stand, made)
            bulk.kill_child(stand.ports)
            retention.purge(stand.live.engine, now=datetime.now(UTC), retention_days=RETENTION_DAYS)
        else:
            random.choice(stand.workers).kill(stand.ports)

    silence = killing(stand, made, strike)
    hits[0].join()
    marked = _classify(stand)
    statement = "SELECT count(*) FROM rename_job WHERE state NOT IN ('following', 'done')"
    stand.until(lambda: stand.query(statement)[0][0] == 0, 120, "the new name is everywhere")
    found = [str(one) for one in verify(stand.live.engine)]
    planted = _plant(stand)
    figures = ledger.counts(stand, made) | {
        "hits": hits[0].stored, "failure": hits[0].failed, "marked": marked, "old_events": old_events,
        "old_events_left": stand.query("SELECT count(*) FROM message_event WHERE at < %s", [_limit()])[0][0],
        "old_names": stand.query("SELECT count(*) FROM message_event WHERE campaign_id = %s AND campaign_name <> ''"
                                 " AND campaign_name <> 'Renamed'", [made.campaign])[0][0],
        "differences": len(found), "first_difference": found[0] if found else "",
        "planted_and_found": planted, "left_after_repair": len(verify(stand.live.engine)),
        "longest_silence_seconds": round(silence, 2),
    }  # fmt: skip
    figures["passed"] = (
        not figures["failure"]
        and figures["marked"] == figures["hits"] > 0
        and not figures["old_events_left"]
        and not figures["old_names"]
        and not figures["differences"]
        and planted == len(ALL)
        and not figures["left_after_repair"]
    )
    return figures


def _limit() -> datetime:
    return datetime.now(UTC) - timedelta(days=RETENTION_DAYS + 7)


def _long_ago(stand: Stand, made: Crowd) -> int:
    """Events of single letters over the last hundred days, so that something is old."""
    now = datetime.now(UTC)
    partitions.ensure(stand.live.engine, now=now, since=now - timedelta(days=105))
    events = [
        Event("SENT", made.project_id, "transactional", now - timedelta(hours=hour)) for hour in range(0, 2400, 8)
    ]
    with stand.live.registry.session_factory() as session:
        append_in(session, events)
        session.commit()
    return len(events)


def _rename(stand: Stand, made: Crowd) -> None:
    stand.api(made.project_id).patch_json(f"/api/v1/campaigns/{made.campaign}", {"name": "Renamed"}, status=200)


def _classify(stand: Stand) -> int:
    """What the classifier does a minute later, at once; gives how many hits are classified."""
    later = datetime.now(UTC) + timedelta(minutes=2)
    is_more = True
    while is_more:
        with stand.live.registry.session_factory() as session:
            if try_lock(session, Lock.CLASSIFIER):  # else a worker's sweep is at it
                is_more = step(driver_connection(session), Places(), now=later).is_more
            session.commit()
    return int(stand.query("SELECT count(*) FROM message_event WHERE actor <> ''")[0][0])


def _plant(stand: Stand) -> int:
    """Make every rollup wrong; gives in how many that was found, and has them mended."""
    for rollup in ALL.values():
        column = rollup.counts[0]
        stand.query(f"UPDATE {rollup.table} SET {column} = {column} + 3")
    return len({one.rollup for one in verify(stand.live.engine, repair=True)})
