"""The loop that sends: letters are offered to connections, declared durably, sent, and written into the books.

One thread drives every connection of the process. A turn of the loop offers letters to whoever can take one, listens
to the relays, and then says in one durable statement, for all of its chunks at once, what is settled and what goes on
the wire next. Only then do the bodies go out.
"""

from __future__ import annotations

import time

from mailhub.delivery.books import Books
from mailhub.delivery.dispatcher import NAP_SECONDS, Dispatcher
from mailhub.delivery.exchange import Exchange
from mailhub.delivery.source import Source
from mailhub.delivery.work import Work
from mailhub.tasks.heartbeat import Heartbeat

#: How long after a claim that found nothing the next one comes, while other work is in hand.
LOOK_AGAIN_SECONDS = 0.3
#: How often a pump without work looks, while it lingers.
LINGER_NAP_SECONDS = 0.05
#: Pieces of work in hand at most: with so many, all of them wait for limits.
MAX_WORKS = 24
#: A pump that ends waits this long for answers to letters that are on the wire.
DRAIN_SECONDS = 25.0


class Pump:
    """The loop of one task. Connections stay with the dispatcher for the next one."""

    def __init__(self, dispatcher: Dispatcher, heartbeat: Heartbeat, source: Source) -> None:
        self._dispatcher = dispatcher
        self._heartbeat = heartbeat
        self._source = source
        self._works: list[Work] = []
        self._exchange = Exchange(dispatcher, heartbeat, source.kind, self._works)
        self._books = Books(dispatcher)
        self._claim_at = 0.0
        self._idle_since: float | None = None
        self._drain_until: float | None = None

    def run(self, seconds: float) -> bool:
        """Send what there is to send, for so many seconds at most. True: there may be more."""
        ends_at = time.monotonic() + seconds
        try:
            while True:
                now = time.monotonic()
                ending = self._dispatcher.stopping() or now >= ends_at
                if not ending:
                    self._claim(now)
                elif self._is_drained(now):
                    return not self._dispatcher.stopping()
                if self._works:
                    self._idle_since = None
                    self._turn(now)
                elif not ending and not self._linger(now) and not self._wait_for_relay(ends_at):
                    return False
        except BaseException:
            # What is in nobody's plan: the leases end by themselves, and the next owners settle what stands in them.
            self._dispatcher.lines.drop_all()
            raise

    def _turn(self, now: float) -> None:
        self._exchange.fill(now)
        self._exchange.listen(self._nap(now))
        now = time.monotonic()
        released = self._books.keep(self._works, self._exchange.taken_go(), now)
        self._exchange.release(released, now)
        self._exchange.retract(now)
        for work in [work for work in self._works if work.over]:
            self._finish(work)
        self._dispatcher.note(now)

    def _finish(self, work: Work) -> None:
        """Forget a piece of work; what it held of limits goes back where nobody here needs it."""
        self._works.remove(work)
        if work.parked_until:
            self._source.park(work)
        if all(other.allowance is not work.allowance for other in self._works):
            self._dispatcher.give_back(work.allowance)
        if all((other.relay, other.lane) != (work.relay, work.lane) for other in self._works):
            self._dispatcher.leave_lane(work.relay, work.lane)

    def _claim(self, now: float) -> None:
        """More work, when what is in hand cannot keep the connections busy."""
        if self._works and now < self._claim_at:
            return
        ready = [work for work in self._works if self._exchange.can_go_on(work, now)]
        if any(self._exchange.has_room(work.relay, now) for work in ready):
            return
        if len(self._works) >= MAX_WORKS:
            self._park_one(now)
            return
        found = self._source.claim(self._works, {work.relay for work in ready}, now)
        if found is None:
            return
        if not found:
            self._claim_at = now + LOOK_AGAIN_SECONDS
            self._dispatcher.leave_probes()
        for work in found:
            self._works.append(work)
            self._heartbeat.doing = work.name

    def _park_one(self, now: float) -> None:
        """All that is in hand waits for limits: the one that waits longest makes room for others."""
        waiting = [work for work in self._works if work.has_next() and work.out == 0]
        if waiting:
            longest = max(waiting, key=lambda work: work.allowance.wait_until)
            longest.ending = True
            longest.parked_until = max(longest.allowance.wait_until, now + 1)

    def _linger(self, now: float) -> bool:
        """Whether to look for more work a little longer: it would find the connections open."""
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since > self._source.linger_seconds:
            return False
        self._exchange.listen(LINGER_NAP_SECONDS)
        return True

    def _nap(self, now: float) -> float:
        """How long a turn may listen: the stop flag and the limits are looked at now and then."""
        wake = [work.allowance.wait_until - now for work in self._works if work.has_next()]
        return max(0.0, min([NAP_SECONDS, *(left for left in wake if left > 0)]))

    def _is_drained(self, now: float) -> bool:
        """End in good order: nothing more is offered, what is on the wire is waited for."""
        for work in self._works:
            work.ending = True
        if self._drain_until is None:
            self._drain_until = now + DRAIN_SECONDS
        return not self._works or now > self._drain_until

    def _wait_for_relay(self, ends_at: float) -> bool:
        """Where work waits for a relay that is down: sleep until it may be tried again. False: there is none."""
        if not self._source.waits_for_relay():
            return False
        closed = self._dispatcher.closed()
        self._heartbeat.doing = "; ".join(f"relay {name}: {reason}"[:300] for name, reason in sorted(closed.items()))
        pause = max(LOOK_AGAIN_SECONDS, self._dispatcher.next_probe_seconds())
        wake_at = min(ends_at, time.monotonic() + pause)
        while (left := wake_at - time.monotonic()) > 0 and not self._dispatcher.stopping():
            time.sleep(min(left, NAP_SECONDS))
        return True
