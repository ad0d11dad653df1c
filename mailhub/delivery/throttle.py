"""The limits as a process sees them: letters are taken from the buckets some at a time, and spent one by one.

    allowance = throttle.allowance(relay_key(…), lane_key(…), project_key(…), campaign_key(…))
    n = allowance.at_hand(now) or allowance.refill(connection, letters_ready, now)
    … send; allowance.spend() for each …; wait for allowance.wait_until where n is 0; allowance.give_back(connection)

`now` is always `time.monotonic()`: it only says how long to wait and how old our knowledge is. What may be sent is
decided on PostgreSQL's clock. A limit is known here a second after it was set.
"""

from __future__ import annotations

import threading

from mailhub.db import Lock
from mailhub.delivery import buckets
from mailhub.delivery.buckets import Limit, set_rates
from mailhub.delivery.database import Connection
from mailhub.mail.lane import LANES
from mailhub.models import CampaignState
from mailhub.settings import Settings

#: What `at_hand` says where nothing limits.
UNLIMITED = 1_000_000
#: How long it is believed that something has, or has no, limit.
KNOWN_SECONDS = 1.0
#: Letters are taken for this time, and no less than for that: the calls a second on a bucket are 40 at most.
LEASE_SECONDS, QUANTUM_SECONDS = 0.1, 0.025
#: Letters that lay unused for so long are worth one at most: who was held up must not catch up in a burst.
KEPT_SECONDS = 5.0
#: What nobody has asked for during this time is forgotten.
FORGET_SECONDS = 60.0


def relay_key(relay: str) -> str:
    return f"relay:{relay}"


def lane_key(relay: str, lane: str) -> str:
    return f"lane:{relay}:{lane}"


def kind_key(relay: str, kind: str) -> str:
    """`kind` is `transactional` or `bulk`."""
    return f"kind:{relay}:{kind}"


def project_key(project_id: int) -> str:
    return f"project:{project_id}"


def campaign_key(project_id: int, campaign_id: int) -> str:
    return f"campaign:{project_id}:{campaign_id}"


class Allowance:
    """What may be sent now under one set of keys. Methods may be called from several threads."""

    def __init__(self, throttle: Throttle, keys: tuple[str, ...], *, ahead: bool) -> None:
        self._throttle = throttle
        self.keys = keys
        self._ahead = ahead
        self._lock = threading.Lock()
        self._n = 0
        self._taken_at = 0.0
        #: Before this moment of the monotonic clock it is pointless to refill.
        self.wait_until = 0.0
        #: The key of the bucket that is empty; "" while nothing is waited for.
        self.waits_for = ""
        self.used_at = 0.0

    def at_hand(self, now: float) -> int:
        """Letters that may be sent without asking; UNLIMITED where it is known that nothing limits them."""
        self.used_at = now
        if self._throttle.knows_unlimited(self.keys, now):
            return UNLIMITED
        with self._lock:
            if self._n > 1 and now - self._taken_at > KEPT_SECONDS:
                self._n = 1
            return self._n

    def refill(self, connection: Connection, want: int, now: float) -> int:
        """Take some from the buckets, one statement or none; gives what is at hand then."""
        limits = self._throttle.limits(connection, self.keys, now)
        if not limits:
            self.waits_for = ""
            return self.at_hand(now)
        if now < self.wait_until or want <= 0:
            return self.at_hand(now)
        rate = min(limit.rate for limit in limits.values())
        ask = min(want, max(1, int(rate * LEASE_SECONDS)))
        least = max(1, min(ask, int(rate * QUANTUM_SECONDS)))
        grant = buckets.take(connection, limits, ask, at_least=least, ahead=self._ahead)
        with self._lock:
            self._n += grant.n
            self._taken_at = now
            self.waits_for = grant.key
            self.wait_until = now + grant.wait_seconds if grant.n == 0 else 0.0
        return self.at_hand(now)

    def spend(self, n: int = 1) -> None:
        """Note that so many were sent."""
        with self._lock:
            self._n = max(0, self._n - n)

    def give_back(self, connection: Connection) -> None:
        """Put back what is at hand: this piece of work has ended."""
        with self._lock:
            n, self._n = self._n, 0
        buckets.put_back(connection, self.keys, n)

    def limits_changed(self) -> None:
        """Ask again at once."""
        self.wait_until = 0.0


class Throttle:
    """The buckets that this process draws from. One a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._allowances: dict[tuple[tuple[str, ...], bool], Allowance] = {}
        self._limits: dict[str, Limit] = {}
        self._known: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def allowance(self, *keys: str, ahead: bool = False) -> Allowance:
        """The allowance of a set of keys: the same object for the same keys.

        `ahead`: its letters go before those of others in the same buckets (transactional ones before bulk).
        """
        wanted = (tuple(sorted(keys)), ahead)
        found = self._allowances.get(wanted)
        if found is None:
            found = self._allowances[wanted] = Allowance(self, wanted[0], ahead=ahead)
        return found

    def knows_unlimited(self, keys: tuple[str, ...], now: float) -> bool:
        """Whether it is known for sure that none of the keys has a limit."""
        if now - self._read_at > KNOWN_SECONDS:
            return False
        return all(key in self._known and key not in self._limits for key in keys)

    def limits(self, connection: Connection, keys: tuple[str, ...], now: float) -> dict[str, Limit]:
        """The limits among the keys, as of a second ago at most."""
        if now - self._read_at > KNOWN_SECONDS or not self._known.issuperset(keys):
            self.refresh(connection, now, keys)
        limits = self._limits
        return {key: limits[key] for key in keys if key in limits}

    def refresh(self, connection: Connection, now: float, keys: tuple[str, ...] = ()) -> None:
        """Read the limits of everything in use, one statement.

        Called every half second, it keeps `at_hand` from going stale, so that unlimited work never waits for it.
        """
        used = {}
        for wanted, allowance in list(self._allowances.items()):
            if now - allowance.used_at <= FORGET_SECONDS or allowance.at_hand(now):
                used[wanted] = allowance
        self._allowances = used
        wanted_keys = frozenset(keys).union(*(allowance.keys for allowance in used.values()))
        limits = buckets.limits(connection, wanted_keys)
        before, self._limits, self._known, self._read_at = self._limits, limits, wanted_keys, now
        for allowance in used.values():
            if any(limits.get(key) != before.get(key) for key in allowance.keys):
                allowance.limits_changed()


def set_rate(connection: Connection, key: str, rate: float | None) -> None:
    """Set one limit, in letters a second; None takes it away."""
    set_rates(connection, {key: rate})


_BUCKETS = "SELECT key, rate FROM rate_bucket"

_PROJECTS = "SELECT id, messages_per_second FROM project WHERE messages_per_second > 0"

# Everybody who is to get the letter, in the time that was asked for.
_SPREAD = """
    SELECT c.project_id, c.id, n.audience / CAST(c.spread_seconds AS double precision)
    FROM campaign AS c
    JOIN campaign_count AS n ON n.project_id = c.project_id AND n.campaign_id = c.id
    WHERE c.state IN ('sending', 'paused') AND c.spread_seconds > 0 AND n.audience > 0
      AND c.fanned_out_at IS NOT NULL
"""

_CAMPAIGNS = """
    SELECT c.project_id, c.id FROM campaign AS c
    JOIN unnest(CAST(%(projects)s AS bigint[]), CAST(%(campaigns)s AS bigint[])) AS k (project_id, id)
      ON k.project_id = c.project_id AND k.id = c.id
    WHERE c.state = ANY(%(open)s)
"""

_LANE_BASES = """
    INSERT INTO relay_lane AS l (relay, lane, base_rate, base_connections)
    SELECT n.relay, n.lane, n.rate, n.connections
    FROM unnest(
        CAST(%(relays)s AS text[]), CAST(%(lanes)s AS text[]), CAST(%(rates)s AS double precision[]),
        CAST(%(connections)s AS integer[])
    ) AS n (relay, lane, rate, connections)
    ORDER BY n.relay, n.lane
    ON CONFLICT (relay, lane) DO UPDATE
    SET base_rate = EXCLUDED.base_rate, base_connections = EXCLUDED.base_connections, updated_at = clock_timestamp()
    WHERE l.base_rate IS DISTINCT FROM EXCLUDED.base_rate
       OR l.base_connections IS DISTINCT FROM EXCLUDED.base_connections
"""

_LANES = "SELECT relay, lane, rate, base_rate, base_connections FROM relay_lane ORDER BY relay, lane"

_SERIALIZE = "SELECT pg_advisory_xact_lock(%(lock)s)"


def sync_rates(connection: Connection, settings: Settings) -> int:
    """Make the buckets say what the settings, the projects, the campaigns and the slowed lanes say; gives the changes.

    One short transaction: at a worker's start, and with every sweep. Limits of other origin on campaigns that are still
    being sent stay.
    """
    with connection.transaction():
        connection.execute(_SERIALIZE, {"lock": int(Lock.RATES)})
        wanted = _relay_rates(settings) | _lane_rates(connection, settings)
        for project_id, rate in connection.execute(_PROJECTS).fetchall():
            wanted[project_key(project_id)] = rate
        there = {str(key): float(rate) for key, rate in connection.execute(_BUCKETS).fetchall()}
        kept = _open_campaigns(connection, [key for key in there if key.startswith("campaign:")])
        wanted |= {key: there[key] for key in kept}
        for project_id, campaign_id, rate in connection.execute(_SPREAD).fetchall():
            wanted.setdefault(campaign_key(project_id, campaign_id), rate)
        changes: dict[str, float | None] = dict.fromkeys(there.keys() - wanted.keys())
        changes |= {key: rate for key, rate in wanted.items() if there.get(key) != rate}
        if changes:
            set_rates(connection, changes)
    return len(changes)


def _relay_rates(settings: Settings) -> dict[str, float]:
    found = {}
    for name, relay in settings.relays.items():
        found[relay_key(name)] = relay.messages_per_second
        found[kind_key(name, "transactional")] = relay.transactional_per_second
        found[kind_key(name, "bulk")] = relay.bulk_per_second
    return {key: rate for key, rate in found.items() if rate > 0}


def _lane_rates(connection: Connection, settings: Settings) -> dict[str, float]:
    """Write the configured limits of lanes where they are new; the rates in force, slowed down or not."""
    bases: dict[tuple[str, str], tuple[float | None, int | None]] = {
        (name, lane): (settings.lanes[lane].messages_per_second or None, settings.lanes[lane].max_connections or None)
        for name, relay in settings.relays.items()
        if relay.lanes
        for lane in LANES
    }
    rows = connection.execute(_LANES).fetchall()
    there = {(relay, lane): (base_rate, base_connections) for relay, lane, _rate, base_rate, base_connections in rows}
    changed = {
        key: bases.get(key, (None, None))
        for key in bases.keys() | there.keys()
        if bases.get(key, (None, None)) != there.get(key)
    }
    if changed:
        connection.execute(
            _LANE_BASES,
            {
                "relays": [relay for relay, _lane in changed],
                "lanes": [lane for _relay, lane in changed],
                "rates": [rate for rate, _connections in changed.values()],
                "connections": [connections for _rate, connections in changed.values()],
            },
        )
    rates = {}
    slowed = {(relay, lane): rate for relay, lane, rate, _base, _connections in rows if rate is not None}
    for relay, lane in bases.keys() | slowed.keys():
        known = [rate for rate in (slowed.get((relay, lane)), bases.get((relay, lane), (None, None))[0]) if rate]
        if known:
            rates[lane_key(relay, lane)] = min(known)
    return rates


def _open_campaigns(connection: Connection, keys: list[str]) -> list[str]:
    """Of these keys, those of campaigns that are not over."""
    if not keys:
        return []
    ids = [key.split(":")[1:] for key in keys]
    binds = {
        "projects": [int(project_id) for project_id, _campaign_id in ids],
        "campaigns": [int(campaign_id) for _project_id, campaign_id in ids],
        "open": [CampaignState.SCHEDULED.value, CampaignState.SENDING.value, CampaignState.PAUSED.value],
    }
    return [campaign_key(*row) for row in connection.execute(_CAMPAIGNS, binds)]
