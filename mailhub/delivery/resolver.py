"""A host's addresses for loops that must not block: written-out and known ones at once, others from a thread.

A name's addresses are kept for a minute; when it can't be resolved later, the last ones known are used again.
"""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

KEPT_SECONDS = 60.0

#: (family, what `connect` takes)
Address = tuple[int, tuple[object, ...]]

_known: dict[tuple[str, int], tuple[float, list[Address]]] = {}


def addresses(host: str, port: int) -> list[Address] | None:
    """In the order in which they should be tried; None when the name has to be looked up."""
    try:
        address = ip_address(host)
    except ValueError:
        found = _known.get((host, port))
        return list(found[1]) if found is not None and time.monotonic() - found[0] < KEPT_SECONDS else None
    if address.version == 6:
        return [(socket.AF_INET6, (host, port, 0, 0))]
    return [(socket.AF_INET, (host, port))]


class Lookup:
    """A look-up under way; `fileno` becomes readable when `addresses` (or `failure`) is there."""

    def __init__(self, host: str, port: int) -> None:
        self.addresses: list[Address] = []
        self.failure = ""
        self._signal, theirs = socket.socketpair()
        threading.Thread(target=self._run, args=(host, port, theirs), name="resolver", daemon=True).start()

    def fileno(self) -> int:
        return self._signal.fileno()

    def close(self) -> None:
        self._signal.close()

    def _run(self, host: str, port: int, signal: socket.socket) -> None:
        with signal:  # that it is closed is the signal
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as failure:
                _since, old = _known.get((host, port), (0.0, []))
                self.failure = getattr(failure, "strerror", None) or "the name cannot be resolved"
                self.addresses = list(old)
                return
            self.addresses = [(int(family), tuple(address)) for family, _type, _proto, _name, address in found]
            _known[host, port] = (time.monotonic(), list(self.addresses))
