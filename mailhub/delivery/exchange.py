"""Letters and connections: who offers what to whom, and what the relays answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from mailhub import logs
from mailhub.delivery import outcome
from mailhub.delivery.books import Waiting
from mailhub.delivery.connection import Connection, Envelope
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.lines import PAUSE_SECONDS, Line
from mailhub.delivery.outcome import UNKNOWN
from mailhub.delivery.slip import Slip
from mailhub.delivery.work import Work
from mailhub.mail.smtp_happenings import Answer, Answered, Ended, GoAhead, Happening, Ready
from mailhub.mail.smtp_wire import UnsafeLetter, wire_body
from mailhub.models import SkipReason
from mailhub.tasks.heartbeat import Heartbeat

log = logs.get(__name__)

#: How long a turn goes on listening when few letters are ready.
GATHER_SECONDS = 0.002
#: A piece of work whose provider takes no connection from this process is left to another after so long.
STARVED_SECONDS, PARKED_SECONDS = 5.0, 30.0
#: A letter at which so many connections ended is put off: it may be what they end at.
TRIES = 3


class Exchange:
    """The network side of a pump. `works` is the pump's own list: letters are taken out of it in turn."""

    def __init__(self, dispatcher: Dispatcher, heartbeat: Heartbeat, kind: str, works: list[Work]) -> None:
        self._dispatcher = dispatcher
        self._heartbeat = heartbeat
        self._kind = kind
        self._works = works
        self._lines = dispatcher.lines
        self._line_of: dict[Connection, Line] = {one: line for line in self._lines for one in line.connections}
        #: Envelopes that a relay has accepted: their bodies may go as soon as they are declared.
        self._go: list[Waiting] = []

    def can_go_on(self, work: Work, now: float) -> bool:
        """Whether a letter of the work may be offered now, limits included."""
        if not work.has_next() or not self._lane_has_room(work, now):
            return False
        allowance = work.allowance
        if allowance.at_hand(now) > 0:
            return True
        if now < allowance.wait_until:
            return False
        want = min(work.left(), max(1, len(self._lines.line(work.relay).connections)))
        self._dispatcher.database.statement(lambda connection: allowance.refill(connection, want, now))
        return allowance.at_hand(now) > 0

    def has_room(self, relay: str, now: float) -> bool:
        """Whether a connection to the relay could take a letter now, or could be opened."""
        line = self._lines.line(relay)
        if any(one.can_offer and not line.is_worn(one, now) for one in line.connections):
            return True
        most = self._dispatcher.settings.relays[relay].max_connections
        return now >= line.retry_at and len(line.connections) < (line.cap or most)

    def _lane_has_room(self, work: Work, now: float) -> bool:
        """Whether the provider takes one more letter of ours at the same time."""
        alike = [other for other in self._works if (other.relay, other.lane) == (work.relay, work.lane)]
        out = sum(other.out for other in alike)
        wanted = out + sum(other.left() for other in alike)
        most = self._dispatcher.lane_allowed(work.relay, work.lane, self._kind, wanted, now)
        if most is None or out < most:
            return True
        if most == 0 and now - work.begun_at > STARVED_SECONDS:
            work.ending = True
            work.parked_until = now + PARKED_SECONDS
        return False

    def fill(self, now: float) -> None:
        """Offer letters to connections that can take one; open connections while letters wait."""
        for relay in dict.fromkeys(work.relay for work in self._works):
            line = self._lines.line(relay)
            for connection in list(line.connections):
                if line.is_idle(connection) and line.is_worn(connection, now):
                    self._lines.hang_up(line, connection, now)
                    del self._line_of[connection]
            self._keep_to_cap(line, now)
            free = [one for one in line.connections if one.can_offer and not line.is_worn(one, now)]
            free.sort(key=lambda one: not line.is_idle(one))
            for connection in free:
                slip = self._next(relay, now)
                if slip is None:
                    break
                self._offer(line, connection, slip, now)
            self._open(line, now)

    def listen(self, seconds: float) -> None:
        """Wait for the relays, for so many seconds at most, and hear what they say."""
        assert self._dispatcher.database.is_idle(), "a transaction is open while the network is used"
        now = began = time.monotonic()
        while found := self._lines.wait(seconds):
            now = time.monotonic()
            for connection, mask in found:
                line = self._line_of.get(connection)
                if line is not None:
                    self._heard(line, connection, connection.handle(mask, now), now)
            if len(self._go) >= self._quorum() or now - began > GATHER_SECONDS:
                break
            seconds = GATHER_SECONDS
        now = time.monotonic()
        for connection in self._lines.late(now):
            line = self._line_of.get(connection)
            if line is not None:
                self._heard(line, connection, connection.expire(now), now)

    def _quorum(self) -> int:
        """So many letters should be ready before they are declared: each declaration waits for the disk once."""
        return sum(len(line.bodies) + len(line.offers) for line in self._lines) // 4

    def taken_go(self) -> list[Waiting]:
        """The letters whose bodies the relays wait for; each is given once."""
        go, self._go = self._go, []
        return go

    def release(self, released: Sequence[Waiting], now: float) -> None:
        """Send the bodies; the next envelope goes with each in one write."""
        for connection, slip in released:
            line = self._line_of.get(connection)
            if line is None:
                continue  # It has hung up meanwhile, and the letter was taken back.
            line.offers.pop(connection, None)
            following = None if line.is_worn(connection, now) else self._next(line.relay.name, now)
            if following is not None:
                self._offer(line, connection, following, now)
                if connection not in self._line_of:
                    continue
            line.bodies[connection] = slip
            assert slip.body is not None
            self._heard(line, connection, connection.body(slip.body, now), now)

    def retract(self, now: float) -> None:
        """Take back what was offered and may not be sent: its work ends or is over."""
        for line in self._lines:
            for connection, slip in list(line.offers.items()):
                if slip.work.ending or slip.work.over:
                    if connection.retract() is not slip:
                        continue  # Its answer is under way.
                    del line.offers[connection]
                    slip.work.back(slip)
                    if connection.is_closed:
                        self._lines.forget(line, connection)
                        del self._line_of[connection]
                    else:
                        self._lines.watch(connection)

    def _next(self, relay: str, now: float) -> Slip | None:
        """The next letter for a relay; the works take turns."""
        for turn, work in enumerate(self._works):
            if work.relay != relay or not self.can_go_on(work, now):
                continue
            slip = work.next(now)
            if slip is not None:
                work.allowance.spend(1)
                if len(self._works) > 1:
                    self._works.append(self._works.pop(turn))
                return slip
        return None

    def _offer(self, line: Line, connection: Connection, slip: Slip, now: float) -> None:
        made = slip.made
        envelope = Envelope(made.return_path, slip.email, len(made.data))
        try:
            slip.body = wire_body(made.data)
            happenings = connection.offer(envelope, slip, now)
        except UnsafeLetter as unsafe:
            log.warning("letter.unsafe", work=slip.work.name, error=str(unsafe))
            slip.work.settle(slip, outcome.skipped(SkipReason.INVALID))
            return
        line.offers[connection] = slip
        if line.relay.lanes:
            self._count_for_lane(line, connection, slip.lane)
        self._heard(line, connection, happenings, now)

    def _count_for_lane(self, line: Line, connection: Connection, lane: str) -> None:
        line.by_lane[connection, lane] += 1
        most = self._dispatcher.settings.lanes[lane].messages_per_connection
        if most and line.by_lane[connection, lane] >= most:
            line.full.add(connection)

    def _keep_to_cap(self, line: Line, now: float) -> None:
        """Other processes have a part of the relay's connections: what is beyond ours gets no further letter."""
        if not line.connections:
            return
        wanted = sum(work.left() for work in self._works if work.relay == line.relay.name)
        line.cap = self._dispatcher.connections_allowed(
            line.relay.name, self._kind, max(wanted, len(line.connections)), now
        )
        for connection in line.connections[max(1, line.cap) :]:
            line.full.add(connection)

    def _open(self, line: Line, now: float) -> None:
        relay = line.relay.name
        waiting = sum(work.left() for work in self._works if work.relay == relay and self.can_go_on(work, now))
        if not waiting or now < line.retry_at:
            return
        line.cap = self._dispatcher.connections_allowed(relay, self._kind, waiting, now)
        opening = len(line.connections) - len(line.ready)
        for _turn in range(min(line.cap - len(line.connections), waiting - opening)):
            connection = self._lines.open(line, now)
            self._line_of[connection] = line

    def _heard(self, line: Line, connection: Connection, happenings: Sequence[Happening], now: float) -> None:
        for one in happenings:
            if isinstance(one, GoAhead):
                self._go.append((connection, cast(Slip, one.token)))
            elif isinstance(one, Answered):
                slip = cast(Slip, one.token)
                if line.bodies.get(connection) is slip:
                    del line.bodies[connection]
                elif line.offers.get(connection) is slip:
                    del line.offers[connection]
                line.answered.add(connection)
                self._answered(line, slip, one.answer)
            elif isinstance(one, Ended):
                self._hung_up(line, connection, one, now)
            elif isinstance(one, Ready):
                line.failures = 0
                line.ready.add(connection)
        if connection in self._line_of:
            self._lines.watch(connection)

    def _answered(self, line: Line, slip: Slip, answer: Answer) -> None:
        slip.at = datetime.now(UTC)
        schedule = self._dispatcher.settings.delivery_retry_schedule
        verdict = outcome.judge(answer, attempt=slip.attempt, schedule=schedule, at=slip.at)
        if answer.taken:
            self._heartbeat.sent += 1
        slip.work.settle(slip, verdict)
        if self._dispatcher.heard(line.relay.name, slip.lane, verdict):
            self._give_up(line)

    def _hung_up(self, line: Line, connection: Connection, end: Ended, now: float) -> None:
        is_useless = not end.was_ready or (bool(end.unsent) and connection not in line.answered)
        self._lines.forget(line, connection)
        del self._line_of[connection]
        self._go = [one for one in self._go if one[0] is not connection]
        for slip in cast(list[Slip], end.unsent):
            self._not_sent(slip, end)
        if end.in_doubt is not None:
            slip = cast(Slip, end.in_doubt)
            slip.at = datetime.now(UTC)
            slip.work.settle(slip, UNKNOWN)
        if not is_useless:
            return
        line.failures += 1
        line.retry_at = now + PAUSE_SECONDS * line.failures
        if self._dispatcher.relay_failed(line.relay.name, end.reason):
            self._give_up(line)

    def _not_sent(self, slip: Slip, end: Ended) -> None:
        """The relay does not have the letter. Where connections end at it again and again, it is put off."""
        work = slip.work
        if end.was_ready:
            work.tries[slip.place] += 1
        if work.tries[slip.place] < TRIES:
            work.back(slip)
            return
        slip.at = datetime.now(UTC)
        schedule = self._dispatcher.settings.delivery_retry_schedule
        work.settle(slip, outcome.lost(end.reason, attempt=slip.attempt, schedule=schedule, at=slip.at))

    def _give_up(self, line: Line) -> None:
        """The relay is set aside: whatever waits for it is given back, untouched."""
        for work in self._works:
            if work.relay == line.relay.name:
                work.ending = True
