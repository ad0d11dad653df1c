"""From a host's name to a connected socket without blocking: the look-up, then one address after the other."""

from __future__ import annotations

import os
import socket
from selectors import EVENT_READ, EVENT_WRITE

from mailhub.delivery.resolver import Address, Lookup, addresses


class Dial:
    """One attempt to connect. After `handle` and `expire`, `is_connected` or `failure` may say how it went.

    The time is shared by the addresses that are left. A file is opened before the one it replaces is closed, so that
    its number is another one: a selector would take it for the old one otherwise.
    """

    def __init__(self, host: str, port: int, seconds: float, now: float, address: Address | None = None) -> None:
        """With `address`, only that one is tried. What fails at once is in `failure`."""
        self.socket: socket.socket | None = None
        self.address = address
        self.is_connected = False
        self.failure = ""
        self.deadline = now + seconds
        self._until = self.deadline
        self._name = f"{host}:{port}"
        self._left: list[Address] = []
        self._lookup: Lookup | None = None
        known = [address] if address is not None else addresses(host, port)
        if known is None:
            self._lookup = Lookup(host, port)
        else:
            self._left = known
            self._next(now)

    def fileno(self) -> int:
        watched = self.socket or self._lookup
        return watched.fileno() if watched is not None else -1

    def events(self) -> int:
        return EVENT_READ if self._lookup is not None else EVENT_WRITE

    def handle(self, now: float) -> None:
        """The file is ready."""
        lookup = self._lookup
        if lookup is not None:
            self._left = lookup.addresses
            self._next(now, lookup.failure)
            self._lookup = None
            lookup.close()
        elif self.socket is not None:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._next(now, os.strerror(code))
            else:
                self.is_connected = True

    def expire(self, now: float) -> None:
        """The deadline has come."""
        if self._lookup is not None:
            self.failure = f"{self._name}: the name is not resolved in time"
        elif self.socket is not None:
            self._next(now, "no connection in time")

    def close(self) -> None:
        for opened in (self.socket, self._lookup):
            if opened is not None:
                opened.close()
        self.socket = self._lookup = None

    def _next(self, now: float, failure: str = "no connection in time") -> None:
        before, self.socket = self.socket, None
        while self._left and now < self._until and self.socket is None:
            self.address = family, address = self._left.pop(0)
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.connect(address)
            except BlockingIOError:
                pass
            except OSError as refused:
                opened.close()
                failure = refused.strerror or str(refused)
                continue
            self.socket = opened
            self.deadline = now + (self._until - now) / (len(self._left) + 1)
        if before is not None:
            before.close()
        if self.socket is None:
            self.failure = f"{self._name}: {failure}"
