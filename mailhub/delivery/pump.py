"""The loop that sends campaigns: claim a chunk, declare a letter, send it, write down how it ended."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from mailhub import logs
from mailhub.delivery import claim, outcome
from mailhub.delivery.claim import Chunk, Fenced
from mailhub.delivery.database import Connection
from mailhub.delivery.dispatcher import NAP_SECONDS, Dispatcher
from mailhub.delivery.letters import Made, facts_of
from mailhub.delivery.outcome import SENT, UNKNOWN, Settled, Verdict
from mailhub.delivery.recipients import Recipient, load
from mailhub.delivery.singles import send_one
from mailhub.delivery.smtp import InDoubt, RelayDown, UnsafeLetter
from mailhub.mail.headers import UnsafeHeader
from mailhub.mail.mime import UnsafeWire
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.models import CampaignState, MessageState, Queue, SkipReason
from mailhub.tasks.heartbeat import Heartbeat

log = logs.get(__name__)

#: Letters that were sent are written into the books together: this many, or those of so many seconds.
FLUSH_LETTERS, FLUSH_SECONDS = 200, 1.0
#: How old the knowledge of who has unsubscribed may be when a letter is sent.
FRESH_SECONDS = 1.0


def run(dispatcher: Dispatcher, heartbeat: Heartbeat, *, seconds: float) -> bool:
    """Send what there is to send, for so many seconds at most. True: there is more."""
    ends_at = time.monotonic() + seconds
    while not dispatcher.stopping():
        if time.monotonic() >= ends_at:
            return True
        chunk = _claimed(dispatcher)
        if chunk is not None:
            heartbeat.doing = f"campaign {chunk.campaign_id}"
            with dispatcher.keeper.holding(chunk):
                Run(dispatcher, heartbeat, chunk).send_all()
        elif send_one(dispatcher, Queue.BULK.value):
            heartbeat.sent += 1
        elif not _wait_for_relay(dispatcher, heartbeat, ends_at):
            return False
    return False


def _claimed(dispatcher: Dispatcher) -> Chunk | None:
    """A chunk to work on, with what its earlier owner left unwritten in the books."""
    down = dispatcher.gate.closed()
    lease = dispatcher.settings.delivery_lease_seconds

    def take(connection: Connection) -> Chunk | None:
        chunk = claim.take_over(connection, dispatcher.owner, lease, down=down)
        if chunk is None:
            return claim.take_next(connection, dispatcher.owner, lease, down=down)
        settle_abandoned(dispatcher, connection, chunk)
        return chunk

    return dispatcher.database.transaction(take)


def settle_abandoned(dispatcher: Dispatcher, connection: Connection, chunk: Chunk) -> None:
    """Write what a dead owner sent, and the letter that is in doubt; the chunk goes on behind it."""
    if chunk.flushed == chunk.pos and not chunk.in_flight:
        return
    facts = facts_of(connection, chunk.project_id, chunk.campaign_id)
    reached = min(chunk.pos + (1 if chunk.in_flight else 0), len(chunk.ids))
    people = load(connection, chunk.project_id, chunk.campaign_id, chunk.ids[chunk.flushed : reached])
    sent = chunk.pos - chunk.flushed
    at = chunk.silent_since or datetime.now(UTC)
    settled = [
        Settled(person, SENT if place < sent else UNKNOWN, at, dispatcher.letters.header_id(facts, person.id))
        for place, person in enumerate(people)
    ]
    claim.move(connection, chunk, reached, give_back=False)
    outcome.record(connection, facts, settled)
    log.warning("chunk.taken_over", campaign_id=chunk.campaign_id, seq=chunk.seq, sent=sent,
                unknown=len(settled) - sent)  # fmt: skip
    chunk.pos = chunk.flushed = reached
    chunk.in_flight = False


def _wait_for_relay(dispatcher: Dispatcher, heartbeat: Heartbeat, ends_at: float) -> bool:
    """Where work waits for a relay that is down: sleep until it may be tried again. False: there is no such work."""
    closed = dispatcher.gate.closed()
    if not closed or not dispatcher.database.statement(claim.has_work):
        return False
    heartbeat.doing = "; ".join(f"relay {name}: {dispatcher.gate.reasons.get(name, '')}"[:300] for name in closed)
    wake_at = min(ends_at, time.monotonic() + dispatcher.gate.next_probe_seconds())
    while (left := wake_at - time.monotonic()) > 0 and not dispatcher.stopping():
        time.sleep(min(left, NAP_SECONDS))
    return True


class Run:
    """The work on one chunk, from where it stands."""

    def __init__(self, dispatcher: Dispatcher, heartbeat: Heartbeat, chunk: Chunk) -> None:
        self._dispatcher = dispatcher
        self._database = dispatcher.database
        self._heartbeat = heartbeat
        self._chunk = chunk
        self._letters = dispatcher.letters.of_campaign(self._database, chunk.project_id, chunk.campaign_id)
        self._relay = self._letters.facts.relay
        #: The next letter. Behind it everything is sent or written; `_unwritten` are those only sent.
        self._pos = chunk.pos
        self._unwritten: list[Settled] = []
        self._must_write = False
        self._written_at = time.monotonic()
        self._people: list[Recipient] = []
        self._fresh_until = 0.0

    def send_all(self) -> None:
        """Send until the chunk's end, or until the campaign, the worker or the relay stops us."""
        try:
            while self._pos < len(self._chunk.ids):
                if self._dispatcher.stopping():
                    return self._write(give_back=True)
                if not self._next():
                    return None
            if self._chunk.flushed < self._pos:
                self._write()
        except Fenced:
            # Somebody else goes on with the chunk and has settled what we did not. Not a byte more on this connection.
            log.warning("chunk.fenced", campaign_id=self._chunk.campaign_id, seq=self._chunk.seq)
            self._dispatcher.transport.close()
        except BaseException:
            # What is in nobody's plan: the lease ends by itself, and the next owner settles what stands in it.
            self._dispatcher.transport.close()
            raise
        return None

    def _next(self) -> bool:
        """Settle the next person. False: the chunk is not ours any more, it was given back."""
        person = self._person()
        if person.refused:
            self._settle(person, outcome.skipped(person.refused))
            return True
        try:
            made = self._letters.make(person)
        except (RenderFailed, TemplateRefused, UnsafeHeader, UnsafeWire) as failure:
            bad_address = isinstance(failure, UnsafeHeader) and failure.code == "address"
            log.warning("letter.not_made", campaign_id=self._chunk.campaign_id, subscriber_id=person.id,
                        error=str(failure)[:200])  # fmt: skip
            self._settle(person, outcome.skipped(SkipReason.INVALID if bad_address else SkipReason.RENDER_ERROR))
            return True
        try:
            self._dispatcher.transport.make_ready(self._relay)
        except RelayDown as down:
            return self._relay_is_down(str(down))
        if self._must_write:
            self._write()
        if not self._dispatcher.wait_turn(self._relay):
            return True
        state = self._database.statement(lambda connection: claim.declare(connection, self._chunk, self._pos))
        if state != CampaignState.SENDING:
            self._write(give_back=True)
            return False
        return self._on_the_wire(person, made)

    def _on_the_wire(self, person: Recipient, made: Made) -> bool:
        """The letter has been declared: from here on a crash leaves it in doubt."""
        try:
            answer = self._dispatcher.transport.send(self._relay, made.return_path, person.email, made.data)
        except RelayDown as down:
            return self._relay_is_down(str(down))
        except InDoubt:
            self._settle(person, UNKNOWN, made.header_id)
            return True
        except UnsafeLetter as unsafe:
            log.warning("letter.unsafe", campaign_id=self._chunk.campaign_id, error=str(unsafe))
            self._settle(person, outcome.skipped(SkipReason.INVALID))
            return True
        at = datetime.now(UTC)
        verdict = outcome.judge(answer, attempt=1, schedule=self._dispatcher.settings.delivery_retry_schedule, at=at)
        if verdict.state == MessageState.SENT:
            self._dispatcher.gate.open(self._relay)
            self._heartbeat.sent += 1
            self._unwritten.append(Settled(person, verdict, at, made.header_id))
            self._pos += 1
            if len(self._unwritten) >= FLUSH_LETTERS or time.monotonic() - self._written_at > FLUSH_SECONDS:
                self._write()
            return True
        self._settle(person, verdict, made.header_id)
        if verdict.state == MessageState.DEFERRED and self._dispatcher.gate.refused(self._relay):
            return self._relay_is_down(f"{answer.code} {answer.text}")
        return True

    def _person(self) -> Recipient:
        """The person at the position, as the database knows them now or a second ago."""
        if time.monotonic() > self._fresh_until:
            ids = self._chunk.ids[self._pos :]
            chunk = self._chunk
            self._people = self._database.statement(
                lambda connection: load(connection, chunk.project_id, chunk.campaign_id, ids)
            )
            self._fresh_until = time.monotonic() + FRESH_SECONDS
        return self._people[self._pos - len(self._chunk.ids)]

    def _settle(self, person: Recipient, verdict: Verdict, header_id: str = "") -> None:
        """Anything but `sent` must be in the books before the next letter: what lies behind it would count as sent.

        People left out who stand side by side are written together.
        """
        self._unwritten.append(Settled(person, verdict, datetime.now(UTC), header_id))
        self._pos += 1
        self._must_write = True
        if verdict.state != MessageState.SKIPPED:
            self._write()

    def _write(self, *, give_back: bool = False) -> None:
        """Bring the books up to the position, in one transaction with the position itself."""
        chunk, pos, settled = self._chunk, self._pos, self._unwritten

        def write(connection: Connection) -> None:
            if claim.move(connection, chunk, pos, give_back=give_back):
                outcome.record(connection, self._letters.facts, settled)

        self._database.transaction(write)
        chunk.flushed = chunk.pos = pos
        self._unwritten = []
        self._must_write = False
        self._written_at = time.monotonic()

    def _relay_is_down(self, reason: str) -> bool:
        """Give the chunk back, untouched from the position on, and leave the relay alone for a while."""
        self._dispatcher.transport.drop(self._relay)
        seconds = self._dispatcher.gate.close(self._relay, reason)
        log.warning("relay.down", relay=self._relay, reason=reason[:200], seconds=seconds)
        self._write(give_back=True)
        return False
