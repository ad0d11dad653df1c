"""This process's connections to the relays: opened when letters wait, kept busy, closed when worn or idle."""

from __future__ import annotations

import selectors
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailhub.delivery.connection import Connection, Timeouts
from mailhub.delivery.slip import Slip
from mailhub.settings import Relay

#: After a connection that could not be opened, the next try waits this long, times the failures in a row.
PAUSE_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class Line:
    """The connections to one relay. `cap`: how many there may be just now."""

    relay: Relay
    cap: int = 0
    connections: list[Connection] = field(default_factory=list)
    ready: set[Connection] = field(default_factory=set)
    #: Those on which a letter has had an answer.
    answered: set[Connection] = field(default_factory=set)
    #: The letter whose envelope a connection was offered and whose body it has not got; the one whose answer is out.
    offers: dict[Connection, Slip] = field(default_factory=dict)
    bodies: dict[Connection, Slip] = field(default_factory=dict)
    #: Connections that have had all the letters that a provider takes on one, and how many of each lane they have had.
    full: set[Connection] = field(default_factory=set)
    by_lane: Counter[tuple[Connection, str]] = field(default_factory=Counter)
    failures: int = 0
    retry_at: float = 0.0

    def is_idle(self, connection: Connection) -> bool:
        """Whether it has no letter at all."""
        return connection in self.ready and connection not in self.offers and connection not in self.bodies

    def is_worn(self, connection: Connection, now: float) -> bool:
        """Whether no further letter should be given to it: many servers end long sessions rudely."""
        relay = self.relay
        if connection in self.full:
            return True
        if connection.letters >= relay.messages_per_connection or now - connection.opened_at > relay.max_age_seconds:
            return True
        return self.is_idle(connection) and now - connection.used_at > relay.idle_seconds


class Lines:
    """All lines of a process, on one selector."""

    def __init__(self, relays: Mapping[str, Relay], timeouts: Timeouts) -> None:
        self._relays = relays
        self._timeouts = timeouts
        self._selector = selectors.DefaultSelector()
        self._lines: dict[str, Line] = {}
        self._watched: dict[Connection, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def line(self, name: str) -> Line:
        found = self._lines.get(name)
        if found is None:
            found = self._lines[name] = Line(self._relays[name])
        return found

    def open(self, line: Line, now: float) -> Connection:
        """Begin a connection; how it goes is told by `wait`."""
        connection = Connection(line.relay, self._timeouts, now=now)
        line.connections.append(connection)
        self.watch(connection)
        return connection

    def watch(self, connection: Connection) -> None:
        """Have the selector look for what the connection waits for; costs nothing where that has not changed."""
        wanted = (connection.fileno(), connection.events())
        known = self._watched.get(connection)
        if known == wanted:
            return
        if known is not None and known[0] != wanted[0]:
            self._unwatch(connection)
            known = None
        if wanted[0] < 0 or not wanted[1]:
            if known is not None:
                self._unwatch(connection)
        elif known is None:
            self._selector.register(wanted[0], wanted[1], connection)
            self._watched[connection] = wanted
        else:
            self._selector.modify(wanted[0], wanted[1], connection)
            self._watched[connection] = wanted

    def wait(self, seconds: float) -> list[tuple[Connection, int]]:
        """Connections that something has happened on."""
        return [(key.data, mask) for key, mask in self._selector.select(max(0.0, seconds))]

    def late(self, now: float) -> list[Connection]:
        """Connections that have waited for longer than they may."""
        return [one for line in self._lines.values() for one in line.connections if now >= one.deadline]

    def forget(self, line: Line, connection: Connection) -> None:
        """The connection is over."""
        self._unwatch(connection)
        line.offers.pop(connection, None)
        line.bodies.pop(connection, None)
        line.ready.discard(connection)
        line.full.discard(connection)
        line.answered.discard(connection)
        for key in [key for key in line.by_lane if key[0] is connection]:
            del line.by_lane[key]
        if connection in line.connections:
            line.connections.remove(connection)

    def hang_up(self, line: Line, connection: Connection, now: float) -> None:
        """Say QUIT to an idle connection and forget it."""
        self._unwatch(connection)
        connection.close(now)
        self.forget(line, connection)

    def drop(self, line: Line, connection: Connection) -> None:
        """Close without a word."""
        self._unwatch(connection)
        connection.drop()
        self.forget(line, connection)

    def close(self, now: float) -> None:
        """End every connection politely; what is on the wire is lost from sight."""
        for line in self._lines.values():
            for connection in list(line.connections):
                self.hang_up(line, connection, now)

    def drop_all(self) -> None:
        """Close every connection at once, not a byte more on any."""
        for line in self._lines.values():
            for connection in list(line.connections):
                self.drop(line, connection)

    def _unwatch(self, connection: Connection) -> None:
        known = self._watched.pop(connection, None)
        if known is not None:
            self._selector.unregister(known[0])
