"""What a sending thread keeps between its tasks: connections to the relays, compiled campaigns, relays set aside."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mailhub.delivery.database import Connection, Database
from mailhub.delivery.letters import Letters
from mailhub.delivery.pace import Pace
from mailhub.delivery.transport import Transport
from mailhub.tasks.heartbeat import Heartbeat

#: Seconds until a relay that takes nothing is tried again; the last one repeats.
PROBES = (1.0, 2.0, 5.0, 10.0)
#: So many temporary refusals in a row, and no letter taken: the relay is in trouble, not the recipients.
REFUSALS = 25
#: A sleeping sender looks at its stop flag this often.
NAP_SECONDS = 0.2


class Gate:
    """Which relays this thread does not try for now, because they were down a moment ago."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def closed(self) -> list[str]:
        """The names of relays that are not to be tried now."""
        now = time.monotonic()
        return [name for name, until in self._until.items() if until > now]

    def next_probe_seconds(self) -> float:
        """How long until one of them may be tried again."""
        now = time.monotonic()
        return max(0.0, min((until - now for until in self._until.values()), default=0.0))

    def close(self, name: str, reason: str) -> float:
        """Set the relay aside; gives for how long."""
        failures = self._failures.get(name, 0)
        seconds = PROBES[min(failures, len(PROBES) - 1)]
        self._failures[name] = failures + 1
        self._until[name] = time.monotonic() + seconds
        self._refusals[name] = 0
        self.reasons[name] = reason
        return seconds

    def open(self, name: str) -> None:
        """The relay has taken a letter, or refused one for good."""
        self._refusals[name] = 0
        if name in self._failures:
            del self._failures[name], self.reasons[name]
            self._until.pop(name, None)

    def refused(self, name: str) -> bool:
        """Count a temporary refusal; True when there were too many in a row."""
        self._refusals[name] = self._refusals.get(name, 0) + 1
        return self._refusals[name] >= REFUSALS


class Held(Protocol):
    """Something under a lease."""

    def renew(self, connection: Connection, lease_seconds: float) -> None: ...


class Keeper:
    """Extends the leases of what this thread works on, from the heartbeat's thread: a slow relay loses no lease."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._held: list[Held] = []
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, held: Held) -> Iterator[None]:
        with self._lock:
            self._held.append(held)
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(held)

    def renew(self) -> None:
        with self._lock:
            held = list(self._held)
        if not held:
            return
        database = Database(self._registry.engine, patience_seconds=0)
        lease = self._registry.mailhub.delivery_lease_seconds

        def extend(connection: Connection) -> None:
            for one in held:
                one.renew(connection, lease)

        try:
            database.transaction(extend)
        finally:
            database.close()


class Dispatcher:
    """Belongs to one thread of one process; `owner` is what its leases say."""

    def __init__(self, registry: Any) -> None:
        settings = registry.mailhub
        self.registry = registry
        self.settings = settings
        self.database = Database(registry.engine, durable=settings.delivery_position_durable)
        self.letters = Letters(settings, registry.signer)
        self.gate = Gate()
        self.transport = Transport(settings.relays, is_idle=self.database.is_idle)
        self.pace = Pace(settings.relays, self.database)
        self.keeper = Keeper(registry)
        self.owner = ""

    @contextmanager
    def working(self, queue: str) -> Iterator[Heartbeat]:
        """The time of a task: leases are kept by the worker's heartbeat, or by one of our own outside a worker."""
        heartbeat: Heartbeat | None = self.registry.heartbeat
        mine = None
        if heartbeat is None:
            heartbeat = mine = Heartbeat(self.registry, queue, "pool")
        # A name of its own for each task: a lease that an earlier one has lost must not look like ours.
        self.owner = f"{heartbeat.name}/{secrets.token_hex(3)}"
        heartbeat.hooks.append(self.keeper.renew)
        if mine is not None:
            mine.start()
        try:
            yield heartbeat
        finally:
            heartbeat.hooks.remove(self.keeper.renew)
            heartbeat.doing = ""
            self.database.close()
            if mine is not None:
                mine.stop()

    def wait_turn(self, relay: str) -> bool:
        """Keep to the relay's `messages_per_second`; False when the worker was told to end meanwhile."""
        while (left := self.pace.left_seconds(self.transport.relay_name(relay))) > 0:
            if self.stopping():
                return False
            time.sleep(min(left, NAP_SECONDS))
        return True

    def stopping(self) -> bool:
        """Whether this worker was told to end: after the letter at hand, nothing more is begun."""
        flag = getattr(self.registry, "stop_flag", None)
        return flag is not None and bool(flag[0])


_threads = threading.local()


def dispatcher_of(registry: Any) -> Dispatcher:
    """This thread's dispatcher; made on first use, in the process that uses it."""
    found: Dispatcher | None = getattr(_threads, "dispatcher", None)
    if found is None or found.registry is not registry:
        forget_dispatcher()
        found = _threads.dispatcher = Dispatcher(registry)
    return found


def forget_dispatcher() -> None:
    """Close this thread's connections to relays, and forget which relays were down."""
    found: Dispatcher | None = getattr(_threads, "dispatcher", None)
    if found is not None:
        found.transport.close()
        del _threads.dispatcher
