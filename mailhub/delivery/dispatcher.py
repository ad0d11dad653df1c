"""What a sending thread keeps between tasks: connections, compiled campaigns, what is known of relays and limits."""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from mailhub.delivery import slots
from mailhub.delivery.database import Database
from mailhub.delivery.feedback import Feedback
from mailhub.delivery.health import Health
from mailhub.delivery.letters import Letters
from mailhub.delivery.lines import Lines
from mailhub.delivery.outcome import Verdict
from mailhub.delivery.routing import DEFAULT, Routes
from mailhub.delivery.singles import Choices
from mailhub.delivery.throttle import (
    Allowance,
    Throttle,
    campaign_key,
    kind_key,
    lane_key,
    project_key,
    relay_key,
    sync_rates,
)
from mailhub.models import Queue
from mailhub.tasks.heartbeat import Heartbeat

_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")
#: A sleeping sender looks at its stop flag this often.
NAP_SECONDS = 0.2
#: What the answers have taught is written down this often, and limits that have changed are noticed.
NOTE_SECONDS = 0.5
#: How long an answer about connections is good, and how long they are ours without asking again.
SLOTS_KNOWN_SECONDS, SLOTS_LEASE_SECONDS = 1.0, 6.0


class Dispatcher:
    """Belongs to one thread of one process; `owner` is what its leases say."""

    def __init__(self, registry: Any) -> None:
        settings = registry.mailhub
        self.registry = registry
        self.settings = settings
        self.database = Database(registry.engine, durable=settings.delivery_position_durable)
        self.letters = Letters(settings, registry.signer)
        self.lines = Lines(settings.relays, settings.delivery_timeouts)
        self._routes = Routes(settings.relays)
        self._throttle = Throttle(settings)
        self._feedback = Feedback()
        self._health = Health()
        #: Relays that are set aside and that this process tries just now.
        self._probing: set[str] = set()
        #: By relay: connections allowed, how many were asked for, when.
        self._allowed: dict[str, tuple[int, int, float]] = {}
        #: By relay and lane: letters that may be under way at once, when that was found out.
        self._lane_allowed: dict[tuple[str, str], tuple[int | None, float]] = {}
        #: Holds connections, over all of the process's tasks; `owner` is another for each.
        self._name = secrets.token_hex(6)
        self.owner = ""
        self._noted_at = 0.0
        self._is_synchronised = False

    @contextmanager
    def working(self, queue: str) -> Iterator[Heartbeat]:
        """The time of a task, with the worker's heartbeat, or one of our own outside a worker."""
        heartbeat: Heartbeat | None = self.registry.heartbeat
        mine = None
        if heartbeat is None:
            heartbeat = mine = Heartbeat(self.registry, queue, "pool")
        # A name of its own for each task: a lease that an earlier one has lost must not look like ours.
        self.owner = f"{heartbeat.name}/{secrets.token_hex(3)}"
        heartbeat.count_letters_of(queue)
        if mine is not None:
            mine.start()
        if not self._is_synchronised:
            # The limits of the settings, before the first letter; later changes are the sweep's business.
            self.database.transaction(lambda c: sync_rates(c, self.settings))
            self._is_synchronised = True
        try:
            yield heartbeat
        finally:
            heartbeat.doing = ""
            self.database.close()
            if mine is not None:
                mine.stop()

    def stopping(self) -> bool:
        """Whether this worker was told to end: what is on the wire is waited for, nothing more is begun."""
        flag = getattr(self.registry, "stop_flag", None)
        return flag is not None and bool(flag[0])

    # Relays

    def closed(self) -> dict[str, str]:
        """Relays that take nothing now, with the reason."""
        found = self.database.statement(lambda c: self._health.closed(c, time.monotonic()))
        return {name: reason for name, reason in found.items() if name in self.settings.relays}

    def unusable_relays(self) -> set[str]:
        """Relays that this process is not to try now; one that it may try again is not among them."""
        closed = self.closed()
        if closed:
            self._probing &= set(closed)
            self._probing |= {name for name in closed if name not in self._probing and self._may_try(name)}
        return set(closed) - self._probing

    def is_any_open(self, unusable: Collection[str]) -> bool:
        """Whether there is a route of which not every relay is unusable."""
        return len(self._routes.closed_routes(unusable)) < len(self._routes.names())

    def closed_routes(self, unusable: Collection[str]) -> tuple[str, ...]:
        """The routes of which every relay is unusable."""
        return self._routes.closed_routes(unusable)

    def closed_choices(self, unusable: Collection[str]) -> Choices:
        """What projects may have chosen and only unusable relays could serve."""
        shut, known = self._routes.closed_choices(unusable)
        return Choices(shut, known, DEFAULT in shut)

    def route_of(self, choice: str, sender_domain: str = "") -> str:
        """The route of a project's choice and the domain it writes from."""
        return self._routes.route_of(choice, sender_domain)

    def relay_for(self, route: str, unusable: Collection[str] = ()) -> str:
        """A usable relay of the route; where none is, any of it."""
        for names in (self.closed().keys() | set(unusable), unusable, ()):
            found = self._routes.pick(route, names, random.random)
            if found is not None:
                return found
        raise AssertionError("every route has a relay")

    def leave_probes(self) -> None:
        """Let another process try the relays that are set aside: there was no letter to try them with."""
        for relay in self._probing:
            self.database.statement(lambda c, relay=relay: self._health.leave(c, relay, self.owner))  # type: ignore[misc]
        self._probing.clear()

    def next_probe_seconds(self) -> float:
        """How long until a relay that was set aside may be tried again."""
        return min(self._health.next_try_seconds(time.monotonic()), 5.0)

    def relay_failed(self, relay: str, reason: str) -> bool:
        """No connection could be had; True when the relay is set aside now."""
        self._probing.discard(relay)
        now, reason = time.monotonic(), _without_addresses(reason)
        return self.database.statement(lambda c: self._health.failed(c, relay, reason, now, owner=self.owner))

    def heard(self, relay: str, lane: str, verdict: Verdict) -> bool:
        """Learn from an answer; True when the relay is set aside now: it refuses everything."""
        self._probing.discard(relay)
        self._feedback.note(relay, lane, verdict)
        answer = verdict.answer
        if answer is None or not 400 <= answer.code < 500:
            self.database.statement(lambda c: self._health.worked(c, relay))
            return False
        reason, now = _without_addresses(f"{answer.code} {answer.text}"), time.monotonic()
        among = lane if self.settings.relays[relay].lanes else ""
        return self.database.statement(
            lambda c: self._health.refused(c, relay, reason, now, owner=self.owner, lane=among)
        )

    def note(self, now: float) -> None:
        """Write down, now and then, what the answers have taught, and look whether limits have changed."""
        if now - self._noted_at < NOTE_SECONDS:
            return
        self._noted_at = now
        self.database.statement(lambda c: self._feedback.flush(c, now))
        self.database.statement(lambda c: self._throttle.refresh(c, now))

    def _may_try(self, relay: str) -> bool:
        return self.database.statement(lambda c: self._health.may_try(c, relay, self.owner, time.monotonic()))

    # Limits

    def allowance(
        self, relay: str, kind: str, project_id: int, lane: str, campaign_id: int | None = None
    ) -> Allowance:
        """What limits letters of this sort, all limits together."""
        keys = [relay_key(relay), kind_key(relay, kind), lane_key(relay, lane), project_key(project_id)]
        if campaign_id is not None:
            keys.append(campaign_key(project_id, campaign_id))
        return self._throttle.allowance(*keys, ahead=kind == Queue.TRANSACTIONAL)

    def give_back(self, allowance: Allowance) -> None:
        """Tokens that were taken and not spent."""
        self.database.statement(allowance.give_back)

    def connections_allowed(self, relay: str, kind: str, wanted: int, now: float) -> int:
        """How many connections this process may have to the relay for this kind of mail.

        Of a relay's connections a fifth is for single letters, so that no campaign takes the last one.
        """
        allowed, asked, at = self._allowed.get(relay, (0, 0, float("-inf")))
        if relay in self._probing:
            return 1
        most = self.settings.relays[relay].max_connections
        singles = max(1, most // 5)
        cap = singles if kind == Queue.TRANSACTIONAL else max(1, most - singles)
        wanted = min(wanted, cap)
        if now - at < SLOTS_KNOWN_SECONDS and wanted <= asked:
            return min(allowed, wanted)
        held = len(self.lines.line(relay).connections)
        allowed = self.database.statement(
            lambda c: slots.acquire(c, relay, kind, self._name, max(wanted, held), cap, SLOTS_LEASE_SECONDS, held=held)
        )
        self._allowed[relay] = (allowed, wanted, now)
        return allowed

    def lane_allowed(self, relay: str, lane: str, kind: str, wanted: int, now: float) -> int | None:
        """How many letters this process may have on the way to a provider at once; None: only the relay's cap counts.

        The provider's cap is set for the lane, or follows from its answers; it holds over all processes.
        """
        known = self._lane_allowed.get((relay, lane))
        if known is not None and now - known[1] < SLOTS_KNOWN_SECONDS:
            return known[0]
        state = self.database.statement(lambda c: self._feedback.lanes(c, now)).get((relay, lane))
        if state is not None and state.is_suspended:
            self._lane_allowed[relay, lane] = (0, now)
            return 0
        set_for_it = self.settings.lanes[lane].max_connections if self.settings.relays[relay].lanes else 0
        caps = [cap for cap in (set_for_it, state.connections if state is not None else None) if cap]
        allowed = None
        if caps:
            cap = min(caps)
            allowed = self.database.statement(
                lambda c: slots.acquire(c, relay, lane, self._name, min(wanted, cap), cap, SLOTS_LEASE_SECONDS)
            )
            if kind == Queue.TRANSACTIONAL:
                # A campaign that crawls holds the provider's only place for hours.
                allowed = max(1, allowed)
        self._lane_allowed[relay, lane] = (allowed, now)
        return allowed

    def leave_lane(self, relay: str, lane: str) -> None:
        """There is no more work for this provider: others may have its places."""
        known = self._lane_allowed.pop((relay, lane), None)
        if known is not None and known[0] is not None:
            self.database.statement(lambda c: slots.release(c, self._name, relay, lane))

    def release_connections(self) -> None:
        """Give the connections of this process to the others; they are closed."""
        self._allowed.clear()
        self._lane_allowed.clear()
        self.database.statement(lambda c: slots.release(c, self._name))


def _without_addresses(reply: str) -> str:
    """What a relay says to one person is shown to other projects too."""
    return _ADDRESS.sub("…", reply)


_threads = threading.local()


def dispatcher_of(registry: Any) -> Dispatcher:
    """This thread's dispatcher; made on first use, in the process that uses it."""
    found: Dispatcher | None = getattr(_threads, "dispatcher", None)
    if found is None or found.registry is not registry or found.settings is not registry.mailhub:
        forget_dispatcher()
        found = _threads.dispatcher = Dispatcher(registry)
    return found


def forget_dispatcher() -> None:
    """Close this thread's connections to relays, and forget which relays were down."""
    found: Dispatcher | None = getattr(_threads, "dispatcher", None)
    if found is not None:
        found.lines.close(time.monotonic())
        del _threads.dispatcher
