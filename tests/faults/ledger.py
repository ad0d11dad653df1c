"""The judgement: what the books say of a campaign, beside what the relays got, letter by letter."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.crowd import Crowd
    from tests.faults.relay import Caught
    from tests.faults.stand import Stand

Figures = dict[str, Any]
PARTS = ("deferred", "sent", "failed", "unknown", "skipped")

_COUNTS = """
    SELECT n.audience, n.deferred, n.sent, n.failed, n.unknown, n.skipped, c.state
    FROM campaign AS c LEFT JOIN campaign_count AS n ON n.project_id = c.project_id AND n.campaign_id = c.id
    WHERE c.project_id = %s AND c.id = %s
"""
_ROWS = "SELECT email, state, header_id, attempts, reason FROM message WHERE project_id = %s AND campaign_id = %s"


def counts(stand: Stand, crowd: Crowd, campaign: int = 0) -> Figures:
    """The ledger as it stands: audience, its parts with `queued` as what is left, and the campaign's `state`."""
    row = stand.query(_COUNTS, [crowd.project_id, campaign or crowd.campaign])[0]
    found = dict(zip(("audience", *PARTS), (n or 0 for n in row[:6]), strict=True))
    return {**found, "queued": found["audience"] - sum(found[part] for part in PARTS), "state": row[6]}


def state(stand: Stand, crowd: Crowd, campaign: int = 0) -> str:
    return str(counts(stand, crowd, campaign)["state"])


def until_sent(stand: Stand, crowd: Crowd, silence_seconds: float = 180) -> float:
    """Wait until the campaign is `sent`, for as long as something moves; gives the longest silence, in seconds.

    What moves is what a relay writes down or the ledger says: an engine that is at work is not hurried.
    """
    seen: object = None
    moved_at = time.monotonic()
    longest = 0.0
    while True:
        now = counts(stand, crowd)
        if now["state"] == "sent":
            return longest
        found = (now, [len(relay.record()) for relay in stand.relays.values()])
        if found != seen:
            longest = max(longest, time.monotonic() - moved_at) if seen is not None else 0.0
            seen, moved_at = found, time.monotonic()
        if time.monotonic() - moved_at > silence_seconds:
            raise AssertionError(f"nothing moves for {silence_seconds} s: {now}\n{stand.last_lines()}")
        time.sleep(0.1)


def compare(stand: Stand, crowd: Crowd, campaign: int = 0) -> Figures:
    """The ledger and the faults in it.

    `lost`: in the books as sent, and no relay has it; or nobody's letter at all when the campaign is over.
    `duplicates`: letters beyond the first to a person. `ghosts`: a relay has it, the books say neither sent nor
    unknown. `wrong_ids`: another Message-ID than the books'. `unaccounted`: people in no part, or rows beyond them.
    """
    ledger = counts(stand, crowd, campaign)
    rows = stand.query(_ROWS, [crowd.project_id, campaign or crowd.campaign])
    got = [one for one in _delivered(stand) if one.recipient.endswith("@" + crowd.domain)]
    times = Counter(one.recipient for one in got)
    by_state: dict[str, set[str]] = {}
    for email, row_state, *_more in rows:
        by_state.setdefault(row_state, set()).add(email)
    sent, unknown = by_state.get("sent", set()), by_state.get("unknown", set())
    ids = {(row[0], row[2]) for row in rows if row[1] == "sent"}
    in_books = Counter(row[1] for row in rows)
    over = ledger["state"] in ("sent", "cancelled")
    missing = ledger["audience"] - len(rows) if over else 0
    return {
        **{name: value for name, value in ledger.items() if name != "state"},
        "lost": len(sent - set(times)) + max(0, missing),
        "duplicates": sum(times.values()) - len(times),
        "ghosts": len(set(times) - sent - unknown),
        "wrong_ids": len({(one.recipient, one.message_id) for one in got if one.recipient in sent} - ids),
        "unaccounted": abs(sum(in_books[part] != ledger[part] for part in PARTS))
        + len(rows) - len({row[0] for row in rows}),
        "attempts_at_most": max((row[3] for row in rows), default=0),
        "unknown_delivered": len(unknown & set(times)),
    }  # fmt: skip


def verdict(figures: Figures, *, unknown_at_most: int) -> bool:
    """Whether a campaign that is over was sent to each person once, but for those in doubt."""
    clean = ("lost", "duplicates", "ghosts", "wrong_ids", "unaccounted", "queued", "deferred", "failed", "skipped")
    return (
        all(figures[name] == 0 for name in clean)
        and figures["unknown"] <= unknown_at_most
        and figures["sent"] + figures["unknown"] == figures["audience"]
    )


def speed(caught: Iterable[Caught], domain: str, since: float, until: float) -> float:
    """Letters a second to a project's people within a span of time."""
    n = sum(since <= one.at < until and one.recipient.endswith("@" + domain) for one in caught if one.how == "taken")
    return n / (until - since)


def _delivered(stand: Stand) -> list[Caught]:
    return [one for relay in stand.relays.values() for one in relay.delivered()]
