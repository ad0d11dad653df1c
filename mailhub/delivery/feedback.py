"""What the providers' answers teach us: a (relay, lane) that pushes back is slowed down, held, and let grow again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mailhub.delivery.database import Connection
from mailhub.delivery.outcome import Verdict


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane as the campaign's page shows it. `rate` None: no limit; `flow` letters a second over the last 10 s."""

    relay: str
    lane: str
    rate: float | None
    connections: int | None
    suspended_until: datetime | None
    slowed: bool
    reason: str
    last_code: int | None
    last_reply: str
    slowed_at: datetime | None
    flow: float
    sent_total: int
    deferred_total: int


class Feedback:
    """Collects verdicts in the process; `flush` writes them, twice a second at most."""

    def note(self, relay: str, lane: str, verdict: Verdict) -> None:
        raise NotImplementedError

    def note_reply(self, relay: str, lane: str, code: int, text: str) -> None:
        """A refusal that is about no letter: at the greeting, at MAIL FROM, a 421 between letters."""
        raise NotImplementedError

    def flush(self, connection: Connection, now: float, *, force: bool = False) -> bool:
        raise NotImplementedError

    def lanes(self, connection: Connection, now: float) -> Mapping[tuple[str, str], LaneState]:
        """Lanes that are slowed down or suspended, as of half a second ago at most."""
        raise NotImplementedError


def states(connection: Connection, relays: list[str]) -> list[LaneState]:
    raise NotImplementedError


def grow(connection: Connection) -> int:
    """Let the rates of lanes grow back; for the sweep. Gives how many have changed."""
    raise NotImplementedError
