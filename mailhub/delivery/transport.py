"""Connections to the relays, kept open between letters. One `Transport` belongs to one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mailhub.delivery.smtp import Answer, Connection, ConnectionLost, RelayDown, Timeouts
from mailhub.settings import Relay

#: SES and Exim do not like long-lived connections; an idle one is closed by most servers soon (delivery.md, 5.2).
MAX_IDLE_SECONDS, MAX_AGE_SECONDS = 30.0, 300.0


class Transport:
    """Sends letters through relays by name; a name that the settings don't know is the default relay."""

    def __init__(
        self,
        relays: Mapping[str, Relay],
        *,
        is_idle: Callable[[], bool],
        timeouts: Timeouts | None = None,
    ) -> None:
        """`is_idle` says that no transaction is open: while one is, nothing goes over the network."""
        self._relays = relays
        self._is_idle = is_idle
        self._timeouts = timeouts or Timeouts()
        self._open: dict[str, Connection] = {}

    def relay_name(self, wanted: str) -> str:
        return wanted if wanted in self._relays else "default"

    def make_ready(self, name: str) -> None:
        """Have an open connection; raises RelayDown. Called before a letter is declared to be on the wire."""
        assert self._is_idle(), "a transaction is open while the network is used"
        relay = self._relays[self.relay_name(name)]
        connection = self._open.get(relay.name)
        if connection is not None:
            now = time.monotonic()
            idle = now - connection.used_at
            worn = connection.letters >= relay.messages_per_connection or now - connection.opened_at > MAX_AGE_SECONDS
            if not worn and idle < MAX_IDLE_SECONDS and not (idle > 0.5 and connection.is_stale()):
                return
            self._close(relay.name)
        self._open[relay.name] = Connection(relay, self._timeouts)

    def send(self, name: str, return_path: str, recipient: str, letter: bytes) -> Answer:
        """Hand over a letter; raises RelayDown (the relay does not have it), InDoubt or UnsafeLetter.

        A connection that the relay has closed between two letters is opened again, once.
        """
        assert self._is_idle(), "a transaction is open while the network is used"
        relay = self._relays[self.relay_name(name)]
        for is_last in (False, True):
            self.make_ready(relay.name)
            connection = self._open[relay.name]
            try:
                answer = connection.send(return_path, recipient, letter)
            except ConnectionLost as lost:
                self.drop(relay.name)
                if is_last:
                    raise RelayDown(str(lost)) from None
                continue
            except Exception:
                self.drop(relay.name)
                raise
            if connection.letters >= relay.messages_per_connection:
                self._close(relay.name)
            return answer
        raise AssertionError("unreachable")

    def close(self) -> None:
        for name in list(self._open):
            self._close(name)

    def _close(self, name: str) -> None:
        self._open.pop(name).quit()

    def drop(self, name: str) -> None:
        """Close the connection without a word, if there is one."""
        connection = self._open.pop(self.relay_name(name), None)
        if connection is not None:
            connection.drop()
