"""Letters that are rows: single ones, and letters of campaigns that are tried again. Claimed and settled row by row."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.exc import SQLAlchemyError as EngineFailure

from mailhub import logs
from mailhub.delivery import outcome
from mailhub.delivery.database import Connection
from mailhub.delivery.letters import Made
from mailhub.delivery.outcome import REPLY_LIMIT, UNKNOWN, Verdict
from mailhub.delivery.recipients import load
from mailhub.delivery.slip import Slip
from mailhub.delivery.throttle import Allowance
from mailhub.delivery.work import Work
from mailhub.events.service import Event, append
from mailhub.mail.headers import UnsafeHeader
from mailhub.models import MessageKind, MessageState, SkipReason
from mailhub.suppression.entries import hard_bounce, name_events

if TYPE_CHECKING:
    from mailhub.delivery.dispatcher import Dispatcher

log = logs.get(__name__)

#: `reason` of a letter that is sent again after an unknown outcome; a second time it stays unknown.
IN_DOUBT = "in_doubt"
#: A single letter in doubt waits for so long before it is sent again, with the Message-ID that it had.
REPEAT_SECONDS = 60

_ROW = """m.project_id, m.created_at, m.id, m.kind, m.state, m.reason, m.project_domain, m.campaign_id,
           m.campaign_name, m.list_id, m.list_name, m.subscriber_id, m.email, m.email_domain, m.relay, m.header_id,
           m.attempts, m.lease_owner"""

# A lease whose owner died before the letter was declared ends by itself: the row is simply due again.
_CLAIM = f"""
    WITH due AS (
        SELECT m.project_id, m.created_at, m.id, coalesce(nullif(m.route, ''), p.relay) AS choice
        FROM message AS m
        JOIN project AS p ON p.id = m.project_id
        WHERE m.queue = %(queue)s AND m.state IN ('queued', 'deferred') AND m.due_at <= clock_timestamp()
          AND NOT m.in_flight AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp())
          AND m.id <> ALL(%(held)s)
          AND coalesce(nullif(m.route, ''), p.relay) <> ALL(%(shut)s)
          AND NOT (%(default_shut)s AND coalesce(nullif(m.route, ''), p.relay) <> ALL(%(known)s))
          AND (m.kind <> 'campaign' OR EXISTS (
              SELECT FROM campaign AS c
              WHERE c.project_id = m.project_id AND c.id = m.campaign_id AND c.state = 'sending'
          ))
        ORDER BY m.due_at
        LIMIT %(most)s
        FOR UPDATE OF m SKIP LOCKED
    )
    UPDATE message AS m
    SET lease_owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM due AS d
    WHERE m.project_id = d.project_id AND m.created_at = d.created_at AND m.id = d.id
    RETURNING {_ROW}, d.choice, (
        SELECT split_part(t.from_email, '@', 2) FROM message_content AS t
        WHERE t.project_id = m.project_id AND t.created_at = m.created_at AND t.message_id = m.id
    ) AS sender_domain
"""  # noqa: S608

_CONTENT = """
    SELECT from_email, from_name, reply_to, to_name, subject, html, text, headers, attachments, link_ids,
           tracking
    FROM message_content
    WHERE project_id = %(project_id)s AND created_at = %(created_at)s AND message_id = %(id)s
"""

_MINE = """
    project_id = %(project_id)s AND created_at = %(created_at)s AND id = %(id)s AND lease_owner = %(lease_owner)s
"""

_RENEW = f"UPDATE message SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s) WHERE {_MINE}"  # noqa: S608

# A campaign that was paused meanwhile keeps its letter.
_DECLARE = f"""
    UPDATE message AS m
    SET in_flight = true, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE {_MINE} AND (m.kind <> 'campaign' OR EXISTS (
        SELECT FROM campaign AS c
        WHERE c.project_id = m.project_id AND c.id = m.campaign_id AND c.state = 'sending'
    ))
"""  # noqa: S608

# What has to wait for a limit is due again when the wait may be over: it must not stand in front of the others.
_PUT_BACK = f"""
    UPDATE message
    SET lease_owner = NULL, lease_until = NULL, in_flight = false,
        due_at = greatest(due_at, clock_timestamp() + make_interval(secs => %(wait)s))
    WHERE {_MINE} AND state = %(state)s
"""  # noqa: S608

_RECORD = f"""
    UPDATE message
    SET state = %(new_state)s, reason = %(new_reason)s, attempts = attempts + %(tried)s, due_at = %(due_at)s,
        lease_owner = NULL, lease_until = NULL, in_flight = false, relay = %(new_relay)s,
        header_id = %(new_header_id)s, smtp_code = %(smtp_code)s, smtp_status = %(smtp_status)s,
        smtp_reply = %(smtp_reply)s, settled_at = %(settled_at)s
    WHERE {_MINE} AND state = %(state)s
"""  # noqa: S608


class NotMade(Exception):
    """There will never be such a letter; `reason` is a SkipReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Choices:
    """What projects may have chosen (a route's or a relay's name) and cannot be served now.

    A name that is not `known` means the default route.
    """

    shut: Sequence[str] = ()
    known: Sequence[str] = ()
    default_shut: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A row's end, not in the books yet."""

    row: dict[str, Any]
    verdict: Verdict
    made: Made | None


def claim_due(
    connection: Connection,
    queue: str,
    owner: str,
    lease_seconds: float,
    *,
    choices: Choices,
    held: Iterable[UUID] = (),
    most: int,
) -> list[dict[str, Any]]:
    """Lease the rows of the queue that are due first, but for those that the caller has in hand already (`held`)."""
    binds = {
        "queue": queue,
        "owner": owner,
        "lease": lease_seconds,
        "shut": list(choices.shut),
        "known": list(choices.known),
        "default_shut": choices.default_shut,
        "held": list(held),
        "most": most,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_CLAIM, binds).fetchall()


class RowWork(Work):
    """Some leased rows that go through one relay under the same limits."""

    def __init__(
        self, dispatcher: Dispatcher, rows: Sequence[dict[str, Any]], relay: str, lane: str, allowance: Allowance
    ) -> None:
        super().__init__(dispatcher, "single letters", relay, lane, allowance)
        self._rows = list(rows)
        self._left: deque[int] = deque(range(len(self._rows)))
        self._ended: list[Ended] = []
        self._renewed_at = time.monotonic()

    @property
    def ids(self) -> list[UUID]:
        """The rows that it holds."""
        return [row["id"] for row in self._rows]

    def left(self) -> int:
        return len(self._left)

    def next(self, now: float) -> Slip | None:
        while self.has_next():
            place = self._left.popleft()
            row = self._rows[place]
            try:
                made = _made(self.dispatcher, row)
            except NotMade as failure:
                self._ended.append(Ended(row, outcome.skipped(failure.reason), None))
                continue
            self.out += 1
            return Slip(self, place, row["email"], made, self.lane, attempt=row["attempts"] + 1)
        return None

    def back(self, slip: Slip) -> None:
        self._left.append(slip.place)
        self.out -= 1

    def settle(self, slip: Slip, verdict: Verdict) -> None:
        self.out -= 1
        row = self._rows[slip.place]
        if verdict is UNKNOWN:
            verdict = _doubtful(row, datetime.now(UTC) + timedelta(seconds=REPEAT_SECONDS))
        self._ended.append(Ended(row, verdict, slip.made))

    def is_due(self) -> bool:
        """Whether there is something to write down."""
        return bool(self._ended) or self.is_drained()

    def declare(self, connection: Connection, slips: Sequence[Slip]) -> list[Slip]:
        """Say durably that these are on the wire from now on; gives those that may go. In a transaction."""
        lease = self.dispatcher.settings.delivery_lease_seconds
        return [
            slip
            for slip in slips
            if connection.execute(_DECLARE, self._rows[slip.place] | {"lease": lease}).rowcount == 1
        ]

    def write(self) -> None:
        """Write the ends that there are, and give back what is left when the work is ending or done."""
        ended, drained = self._ended, self.is_drained()
        wait = max(0.0, self.parked_until - time.monotonic())

        def work(connection: Connection) -> None:
            record_all(connection, ended, self.relay)
            if drained:
                for place in self._left:
                    connection.execute(_PUT_BACK, self._rows[place] | {"wait": wait})

        self.dispatcher.database.transaction(work)
        self._ended = []
        self.over = drained

    def renew(self, now: float) -> None:
        """Extend the leases; the loop calls it a few times a lease."""
        lease = self.dispatcher.settings.delivery_lease_seconds
        if now - self._renewed_at < lease / 4:
            return
        self._renewed_at = now

        def extend(connection: Connection) -> None:
            for row in self._rows:
                connection.execute(_RENEW, row | {"lease": lease})

        self.dispatcher.database.transaction(extend)


def _made(dispatcher: Dispatcher, row: dict[str, Any]) -> Made:
    """The letter's bytes; raises NotMade."""
    try:
        if row["kind"] == MessageKind.CAMPAIGN:
            return _made_again(dispatcher, row)

        def read(connection: Connection) -> dict[str, Any] | None:
            with connection.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(_CONTENT, row).fetchone()

        content = dispatcher.database.statement(read)
        if content is None:
            raise NotMade(SkipReason.ERASED)  # noqa: TRY301
        return dispatcher.letters.single(row, content, dispatcher.database)
    except NotMade:
        raise
    except (psycopg.Error, EngineFailure):
        raise
    except Exception as failure:
        # Whatever it is, only this letter fails: it would stop every other one of the process.
        log.warning("letter.not_made", message_id=row["id"], error=f"{type(failure).__name__}: {failure}"[:200])
        bad_address = isinstance(failure, UnsafeHeader) and failure.code == "address"
        raise NotMade(SkipReason.INVALID if bad_address else SkipReason.RENDER_ERROR) from failure


def _made_again(dispatcher: Dispatcher, row: dict[str, Any]) -> Made:
    """A campaign's letter at its next attempt, for the person as they are now."""
    project_id, campaign_id = row["project_id"], row["campaign_id"]
    people = dispatcher.database.statement(
        lambda connection: load(connection, project_id, campaign_id, [row["subscriber_id"]])
    )
    if people[0].refused:
        raise NotMade(people[0].refused)
    person = replace(people[0], email=row["email"])
    return dispatcher.letters.of_campaign(dispatcher.database, project_id, campaign_id).make(person)


def _doubtful(row: dict[str, Any], repeat_at: datetime) -> Verdict:
    """A single letter in doubt is sent once more, with the same Message-ID; a campaign's never by itself."""
    if row["kind"] == MessageKind.CAMPAIGN or row["reason"] == IN_DOUBT:
        return UNKNOWN
    return Verdict(MessageState(row["state"]), reason=IN_DOUBT, due_at=repeat_at)


def record_all(connection: Connection, ended: Sequence[Ended], relay: str) -> None:
    """Write down how leased letters ended, in the caller's transaction; their events come last and together.

    One that somebody else has settled meanwhile is left as it is. A commit whose answer was lost looks the same: then
    the letter's end is in the books already.
    """
    events: list[Event] = []
    bounced: dict[int, list[UUID]] = {}
    began = datetime.now(UTC)
    moved: dict[tuple[int, int], tuple[Counter[MessageState], Counter[str]]] = {}
    for one in sorted(ended, key=lambda each: (each.row["project_id"], each.row["campaign_id"] or 0, each.row["id"])):
        at = datetime.now(UTC)
        row, verdict = one.row, one.verdict
        if not _record(connection, row, verdict, one.made, relay or row["relay"], at):
            log.warning("message.fenced", message_id=row["id"])
            continue
        if verdict.hard:
            hard_bounce(connection, row["project_id"], row["email"], row["campaign_id"])
            bounced.setdefault(row["project_id"], []).append(row["id"])
        if row["kind"] == MessageKind.CAMPAIGN and row["state"] != verdict.state:
            counts, modes = moved.setdefault((row["project_id"], row["campaign_id"]), (Counter(), Counter()))
            counts[MessageState(row["state"])] -= 1
            counts[verdict.state] += 1
            if verdict.state == MessageState.SENT and one.made is not None:
                modes[one.made.tracking] += 1
        if verdict.event is not None:
            events.append(_event(row, verdict, at))
    for project_id, campaign_id in sorted(moved):
        outcome.count(connection, project_id, campaign_id, *moved[project_id, campaign_id])
    if events:
        append(connection, events)
    for project_id, messages in bounced.items():
        name_events(connection, project_id, messages, began)


def _record(
    connection: Connection, row: dict[str, Any], verdict: Verdict, made: Made | None, relay: str, at: datetime
) -> bool:
    """The row's end; False when it is not ours any more."""
    answer = verdict.answer
    is_open = verdict.state in (MessageState.QUEUED, MessageState.DEFERRED)
    binds = row | {
        "new_state": verdict.state.value,
        "new_reason": verdict.reason,
        "tried": 0 if verdict.state == MessageState.SKIPPED else 1,
        "due_at": verdict.due_at,
        "new_relay": relay if made is not None else row["relay"],
        "new_header_id": made.header_id if made is not None else row["header_id"],
        "smtp_code": answer.code if answer else None,
        "smtp_status": verdict.status,
        "smtp_reply": answer.text[:REPLY_LIMIT] if answer else "",
        "settled_at": None if is_open else at,
    }
    return connection.execute(_RECORD, binds).rowcount == 1


def _event(row: dict[str, Any], verdict: Verdict, at: datetime) -> Event:
    assert verdict.event is not None
    of_campaign = row["kind"] == MessageKind.CAMPAIGN
    return Event(
        type=verdict.event,
        project_id=row["project_id"],
        kind=row["kind"],
        at=at,
        project_domain=row["project_domain"],
        message_id=row["id"],
        campaign_id=row["campaign_id"] if of_campaign else None,
        campaign_name=row["campaign_name"] if of_campaign else "",
        list_id=row["list_id"],
        list_name=row["list_name"],
        subscriber_id=row["subscriber_id"],
        email=row["email"],
        email_domain=row["email_domain"],
        code=verdict.answer.code if verdict.answer else None,
        detail=outcome.detail_of(verdict),
    )


# Nobody has renewed these: their worker is dead, and nobody knows whether the relay has the letter.
_ABANDONED = f"""
    SELECT {_ROW}
    FROM message AS m
    WHERE m.state IN ('queued', 'deferred') AND m.in_flight AND m.lease_until < clock_timestamp()
    ORDER BY m.lease_until
    LIMIT 100
    FOR UPDATE OF m SKIP LOCKED
"""  # noqa: S608


def settle_abandoned(connection: Connection) -> int:
    """Decide about letters whose worker died while they were on the wire; gives how many."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ABANDONED).fetchall()
    now = datetime.now(UTC)
    record_all(connection, [Ended(row, _doubtful(row, now), None) for row in rows], "")
    for row in rows:
        log.warning("message.taken_over", message_id=row["id"])
    return len(rows)
