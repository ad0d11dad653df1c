"""Relays that take nothing are set aside for everybody, and tried again by one process at a time."""

from __future__ import annotations

from collections.abc import Mapping

from mailhub.delivery.database import Connection


class Health:
    """What this process knows of the relays; the truth is in `relay_health`. `now` is `time.monotonic()`."""

    def failed(self, connection: Connection, relay: str, reason: str, *, owner: str = "") -> bool:
        """The relay could not be reached, or hung up. True: it is set aside now."""
        raise NotImplementedError

    def refused(self, connection: Connection, relay: str, reason: str, *, owner: str = "") -> bool:
        """A temporary refusal; too many in a row, with nothing taken, set the relay aside. True: it is."""
        raise NotImplementedError

    def worked(self, connection: Connection, relay: str) -> None:
        """The relay has taken a letter, or refused one for good. Costs a statement only where it was in doubt."""
        raise NotImplementedError

    def may_try(self, connection: Connection, relay: str, owner: str) -> bool:
        """Whether `owner` may connect: the relay is up, or it is time for a probe and nobody else is at it."""
        raise NotImplementedError

    def closed(self, connection: Connection, now: float) -> Mapping[str, str]:
        """Relays set aside, with the reason; as of half a second ago at most."""
        raise NotImplementedError

    def next_probe_seconds(self) -> float:
        """How long until one of them is tried again; 0 when it is time, infinity when none is closed."""
        raise NotImplementedError
