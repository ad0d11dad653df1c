"""A campaign's chunk in work: who is next, who is on the wire, what is not in the books yet."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailhub import logs
from mailhub.delivery import claim, outcome
from mailhub.delivery.claim import Chunk, Stand
from mailhub.delivery.database import Connection
from mailhub.delivery.letters import CampaignLetters
from mailhub.delivery.outcome import Settled, Verdict
from mailhub.delivery.recipients import Recipient, load
from mailhub.delivery.slip import Slip
from mailhub.delivery.throttle import Allowance
from mailhub.delivery.work import Work
from mailhub.mail.headers import UnsafeHeader
from mailhub.mail.lane import LANES
from mailhub.models import MessageState, SkipReason

if TYPE_CHECKING:
    from mailhub.delivery.dispatcher import Dispatcher

log = logs.get(__name__)

#: Letters that were sent are written into the books together: this many, or those of so many seconds.
FLUSH_LETTERS, FLUSH_SECONDS = 1000, 1.0
#: How old the knowledge of who has unsubscribed may be when a letter is sent, and for how many it is read at once.
FRESH_SECONDS, FRESH_PEOPLE = 1.0, 500


class ChunkWork(Work):
    """The work on one chunk, from where it stands."""

    def __init__(
        self, dispatcher: Dispatcher, chunk: Chunk, letters: CampaignLetters, relay: str, allowance: Allowance
    ) -> None:
        super().__init__(dispatcher, f"campaign {chunk.campaign_id}", relay, LANES[chunk.lane], allowance)
        self.chunk = chunk
        self._letters = letters
        #: Everything before it was offered, but for what is in `_again`.
        self._cursor = chunk.pos
        self._again: deque[int] = deque(chunk.again)
        #: The position as it was declared last; places on the wire, and those offered that are not declared yet.
        self._pos = chunk.pos
        self._wire: set[int] = set()
        self._offered: set[int] = set()
        self._unwritten: list[Settled] = []
        #: The last place that has had its end.
        self._furthest = -1
        self._must_write = False
        self._written_at = time.monotonic()
        self._people: dict[int, Recipient] = {}
        self._fresh_until = 0.0
        #: How many people are read at once, and how many of them had their turn.
        self._at_once, self._given = FRESH_PEOPLE, 0

    @property
    def key(self) -> tuple[int, int, int]:
        """How the answers of `claim.move` name the chunk."""
        return self.chunk.campaign_id, self.chunk.lane, self.chunk.seq

    def left(self) -> int:
        return len(self._again) + len(self.chunk.ids) - self._cursor

    def next(self, now: float) -> Slip | None:
        while self.has_next():
            place = self._again.popleft() if self._again else self._cursor
            if place == self._cursor:
                self._cursor += 1
            person = self._person(place, now)
            if person.refused:
                self._note(place, person, outcome.skipped(person.refused))
                continue
            try:
                made = self._letters.make(person)
            except Exception as failure:
                # Whatever it is, only this letter fails: it would stop every other one of the process.
                self._note(place, person, outcome.skipped(_why_not_made(self.chunk, person, failure)))
                continue
            self._offered.add(place)
            self.out += 1
            return Slip(self, place, person.email, made, self.lane, person=person)
        return None

    def back(self, slip: Slip) -> None:
        self._offered.discard(slip.place)
        self._wire.discard(slip.place)
        self._again.append(slip.place)
        self.out -= 1

    def settle(self, slip: Slip, verdict: Verdict) -> None:
        self._offered.discard(slip.place)
        self._wire.discard(slip.place)
        self.out -= 1
        assert slip.person is not None
        self._note(slip.place, slip.person, verdict, slip.made.header_id, slip.at)

    def declare(self, slip: Slip) -> None:
        """The letter may be on the wire as soon as the next stand is durable."""
        self._offered.discard(slip.place)
        self._wire.add(slip.place)

    def undeclare(self, slip: Slip) -> None:
        """The body was not sent after all; the connection still has the envelope."""
        self._wire.discard(slip.place)
        self._offered.add(slip.place)

    def stand(self) -> Stand:
        """What the lease's row is to say now. Everything settled counts as sent there, unless it is written."""
        pos = max(self._pos, max(self._wire, default=-1) + 1, self._furthest + 1)
        again = sorted(place for place in {*self._offered, *self._again} if place < pos)
        assert pos <= self._cursor
        return Stand(self.chunk, pos, sorted(self._wire), again)

    def moved(self, stand: Stand) -> None:
        """The stand is durable."""
        self._pos = stand.pos

    def is_due(self, now: float) -> bool:
        """Whether the books are to be written now: what must not pass for sent goes before the next declaration."""
        if self._must_write or len(self._unwritten) >= FLUSH_LETTERS or self.is_drained():
            return True
        return bool(self._unwritten) and now - self._written_at > FLUSH_SECONDS

    def write(self) -> str:
        """Bring the books up to the stand, in one transaction with it; gives the campaign's state. Raises Fenced.

        A work that is drained ends with it: the chunk is done, or given back.
        """
        stand, settled = self.stand(), self._unwritten
        give_back = self.is_drained()
        lease = self.dispatcher.settings.delivery_lease_seconds

        def work(connection: Connection) -> str:
            state, fresh = claim.written(connection, stand, lease, give_back=give_back)
            if fresh:
                outcome.record(connection, self._letters.facts, settled, relay=self.relay, route=self.chunk.route)
            return state

        state = self.dispatcher.database.transaction(work)
        self.chunk.writes += 1
        self._pos = stand.pos
        self._unwritten = []
        self._must_write = False
        self._written_at = time.monotonic()
        self.over = give_back
        return state

    def _note(
        self, place: int, person: Recipient, verdict: Verdict, header_id: str = "", at: datetime | None = None
    ) -> None:
        self._unwritten.append(Settled(person, verdict, at or datetime.now(UTC), header_id))
        self._furthest = max(self._furthest, place)
        if verdict.state != MessageState.SENT:
            self._must_write = True

    def _person(self, place: int, now: float) -> Recipient:
        """The person as the database knows them now or a second ago."""
        person = self._people.get(place)
        if person is None or now > self._fresh_until:
            coming = range(self._cursor, min(self._cursor + self._at_once, len(self.chunk.ids)))
            places = sorted({place, *self._again, *coming})
            chunk = self.chunk
            found = self.dispatcher.database.statement(
                lambda connection: load(
                    connection, chunk.project_id, chunk.campaign_id, [chunk.ids[one] for one in places]
                )
            )
            # A slow lane is not to read five hundred people a second for a letter: only those it gets to.
            self._at_once = min(FRESH_PEOPLE, max(20, 2 * self._given)) if self._people else FRESH_PEOPLE
            self._given = 0
            self._people = dict(zip(places, found, strict=True))
            self._fresh_until = now + FRESH_SECONDS
            person = self._people[place]
        self._given += 1
        return person


def _why_not_made(chunk: Chunk, person: Recipient, failure: Exception) -> SkipReason:
    error = f"{type(failure).__name__}: {failure}"[:200]
    log.warning("letter.not_made", campaign_id=chunk.campaign_id, subscriber_id=person.id, error=error)
    bad_address = isinstance(failure, UnsafeHeader) and failure.code == "address"
    return SkipReason.INVALID if bad_address else SkipReason.RENDER_ERROR
