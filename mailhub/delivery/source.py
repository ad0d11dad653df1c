"""Where a pump's work comes from: chunks of campaigns and their letters to be tried again, or single letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from mailhub import logs
from mailhub.delivery import claim, outcome
from mailhub.delivery.chunk_work import ChunkWork
from mailhub.delivery.claim import Chunk, Stand
from mailhub.delivery.database import Connection
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.letters import facts_of
from mailhub.delivery.outcome import SENT, UNKNOWN, Settled
from mailhub.delivery.recipients import load
from mailhub.delivery.singles import RowWork, claim_due
from mailhub.delivery.work import Work
from mailhub.mail.lane import LANES, provider_lane
from mailhub.models import Queue

log = logs.get(__name__)

#: Rows that are claimed together: few enough that another process finds some too.
ROWS = 20
#: How long after a look at the due rows that found none the next one comes.
LOOK_AGAIN_SECONDS = 0.3


class Source(Protocol):
    """`kind` is the kind of mail that its connections and limits are for: a Queue."""

    kind: str

    #: How long a pump without work looks for more before it ends: connections stay open meanwhile.
    linger_seconds: float

    def claim(self, works: Sequence[Work], busy_relays: Collection[str], now: float) -> list[Work] | None:
        """More work beside `works`, none of it for relays that have enough; empty when there is none just now, None
        when nothing was looked for because every relay has enough."""

    def park(self, work: Work) -> None:
        """The work was given back because it may not go on before `work.parked_until`."""

    def waits_for_relay(self) -> bool:
        """Whether there is work that only waits for a relay."""


class SingleLetters:
    """The rows of a queue that are due."""

    def __init__(self, dispatcher: Dispatcher, queue: str) -> None:
        self._dispatcher = dispatcher
        self.kind = queue
        self.linger_seconds = 1.0

    def claim(self, works: Sequence[Work], busy_relays: Collection[str], now: float) -> list[Work] | None:
        unusable = self._dispatcher.unusable_relays() | set(busy_relays)
        if not self._dispatcher.is_any_open(unusable):
            return None if busy_relays else []
        return self.claim_open(works, unusable)

    def claim_open(self, works: Sequence[Work], unusable: Collection[str]) -> list[Work]:
        """The rows that are due, but for those that only unusable relays could take."""
        dispatcher = self._dispatcher
        lease = dispatcher.settings.delivery_lease_seconds
        choices = dispatcher.closed_choices(unusable)
        held = [one for work in works if isinstance(work, RowWork) for one in work.ids]
        rows = dispatcher.database.statement(
            lambda c: claim_due(c, self.kind, dispatcher.owner, lease, choices=choices, held=held, most=ROWS)
        )
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            route = dispatcher.route_of(row["choice"], row["sender_domain"] or "")
            groups[route, row["project_id"], row["campaign_id"], provider_lane(row["email_domain"])].append(row)
        found: list[Work] = []
        for (route, project_id, campaign_id, lane), alike in groups.items():
            relay = dispatcher.relay_for(route, unusable)
            of_campaign = campaign_id if alike[0]["kind"] == "campaign" else None
            allowance = dispatcher.allowance(relay, self.kind, project_id, lane, of_campaign)
            found.append(RowWork(dispatcher, alike, relay, lane, allowance))
        return found

    def park(self, work: Work) -> None:
        """Rows are given back with a later moment at which they are due."""

    def waits_for_relay(self) -> bool:
        return False


class Campaigns:
    """Letters that are tried again, then chunks."""

    kind = Queue.BULK.value
    linger_seconds = 0.0

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._rows = SingleLetters(dispatcher, self.kind)
        self._rows_at = 0.0
        #: (campaign, lane) → until when it is pointless to claim of it.
        self._parked: dict[tuple[int, int], float] = {}

    def claim(self, works: Sequence[Work], busy_relays: Collection[str], now: float) -> list[Work] | None:
        unusable = self._dispatcher.unusable_relays() | set(busy_relays)
        if not self._dispatcher.is_any_open(unusable):
            return None if busy_relays else []
        found: list[Work] = []
        if not works or now >= self._rows_at:
            found += self._rows.claim_open(works, unusable)
            if not found:
                self._rows_at = now + LOOK_AGAIN_SECONDS
        chunk = self._chunk(works, self._dispatcher.closed_routes(unusable), now)
        if chunk is not None:
            found.append(self._work_on(chunk, unusable))
        return found

    def park(self, work: Work) -> None:
        if isinstance(work, ChunkWork):
            self._parked[work.chunk.campaign_id, work.chunk.lane] = work.parked_until

    def waits_for_relay(self) -> bool:
        return bool(self._dispatcher.closed()) and self._dispatcher.database.statement(claim.has_work)

    def _chunk(self, works: Sequence[Work], closed: Sequence[str], now: float) -> Chunk | None:
        """A chunk to work on, with what its earlier owner left unwritten in the books."""
        dispatcher = self._dispatcher
        lease = dispatcher.settings.delivery_lease_seconds
        in_hand = [work for work in works if isinstance(work, ChunkWork)]
        self._parked = {key: until for key, until in self._parked.items() if until > now}
        busy = {*self._parked, *((one.chunk.campaign_id, one.chunk.lane) for one in in_hand if one.left())}
        held = [one.key for one in in_hand]

        def take(connection: Connection) -> Chunk | None:
            chunk = claim.take_over(connection, dispatcher.owner, lease, closed=closed, busy=busy, held=held)
            if chunk is None:
                return claim.take_next(connection, dispatcher.owner, lease, closed=closed, busy=busy)
            settle_abandoned(dispatcher, connection, chunk)
            return chunk

        return dispatcher.database.transaction(take)

    def _work_on(self, chunk: Chunk, unusable: Collection[str]) -> ChunkWork:
        dispatcher = self._dispatcher
        letters = dispatcher.letters.of_campaign(dispatcher.database, chunk.project_id, chunk.campaign_id)
        relay = dispatcher.relay_for(dispatcher.route_of(chunk.route), unusable)
        allowance = dispatcher.allowance(relay, self.kind, chunk.project_id, LANES[chunk.lane], chunk.campaign_id)
        return ChunkWork(dispatcher, chunk, letters, relay, allowance)


def settle_abandoned(
    dispatcher: Dispatcher, connection: Connection, chunk: Chunk, *, give_back: bool = False
) -> None:
    """Write what a dead owner sent, and the letters that are in doubt, each by name; in the claim's transaction."""
    sent, doubtful = chunk.left_behind()
    if not sent and not doubtful and not give_back:
        return
    places = [*sent, *doubtful]
    facts = facts_of(connection, chunk.project_id, chunk.campaign_id)
    people = load(connection, chunk.project_id, chunk.campaign_id, [chunk.ids[place] for place in places])
    at = chunk.silent_since or datetime.now(UTC)
    settled = [
        Settled(person, SENT if turn < len(sent) else UNKNOWN, at, dispatcher.letters.header_id(facts, person.id))
        for turn, person in enumerate(people)
    ]
    stand = Stand(chunk, chunk.pos, [], chunk.again)
    lease = dispatcher.settings.delivery_lease_seconds
    claim.written(connection, stand, lease, give_back=give_back)
    outcome.record(connection, facts, settled, route=chunk.route)
    if places:
        log.warning("chunk.taken_over", campaign_id=chunk.campaign_id, seq=chunk.seq, sent=len(sent),
                    unknown=len(doubtful))  # fmt: skip
    chunk.writes += 1
    chunk.on_wire, chunk.unwritten, chunk.flushed = [], [], chunk.pos

