"""The limits as a process sees them: letters are taken from the buckets some at a time, and spent one by one."""

from __future__ import annotations

from mailhub.delivery.database import Connection
from mailhub.settings import Settings

#: What `at_hand` says where nothing limits.
UNLIMITED = 1_000_000


class Allowance:
    """What may be sent now under one set of keys. `now` is always `time.monotonic()`."""

    #: Before this moment of the monotonic clock it is pointless to refill.
    wait_until: float
    #: The key of the bucket that is empty.
    waits_for: str

    def at_hand(self, now: float) -> int:
        """Letters that may be sent without asking; UNLIMITED where it is known that nothing limits them."""
        raise NotImplementedError

    def refill(self, connection: Connection, want: int, now: float) -> int:
        """Take some from the buckets; gives what is at hand then."""
        raise NotImplementedError

    def spend(self, n: int = 1) -> None:
        raise NotImplementedError

    def give_back(self, connection: Connection) -> None:
        raise NotImplementedError


class Throttle:
    """The buckets that this process draws from."""

    def __init__(self, settings: Settings) -> None: ...

    def allowance(self, *keys: str, ahead: bool = False) -> Allowance:
        raise NotImplementedError


def relay_key(relay: str) -> str:
    return f"relay:{relay}"


def lane_key(relay: str, lane: str) -> str:
    return f"lane:{relay}:{lane}"


def kind_key(relay: str, kind: str) -> str:
    return f"kind:{relay}:{kind}"


def project_key(project_id: int) -> str:
    return f"project:{project_id}"


def campaign_key(project_id: int, campaign_id: int) -> str:
    return f"campaign:{project_id}:{campaign_id}"


def set_rate(connection: Connection, key: str, rate: float | None) -> None:
    raise NotImplementedError


def sync_rates(connection: Connection, settings: Settings) -> None:
    raise NotImplementedError
