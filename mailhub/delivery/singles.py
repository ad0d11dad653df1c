"""Letters that are rows: single ones, and letters of campaigns that are tried again. Claimed and settled row by row."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from mailhub import logs
from mailhub.delivery import outcome
from mailhub.delivery.claim import Fenced
from mailhub.delivery.database import Connection
from mailhub.delivery.letters import Made
from mailhub.delivery.outcome import REPLY_LIMIT, UNKNOWN, Verdict
from mailhub.delivery.recipients import load
from mailhub.delivery.slip import Slip
from mailhub.delivery.throttle import Allowance
from mailhub.delivery.work import Work
from mailhub.events.service import Event, append
from mailhub.mail.headers import UnsafeHeader
from mailhub.mail.mime import UnsafeWire
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.models import MessageKind, MessageState, SkipReason

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
        SELECT m.project_id, m.created_at, m.id, coalesce(nullif(m.route, ''), p.relay) AS route
        FROM message AS m
        JOIN project AS p ON p.id = m.project_id
        WHERE m.queue = %(queue)s AND m.state IN ('queued', 'deferred') AND m.due_at <= clock_timestamp()
          AND NOT m.in_flight AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp())
          AND coalesce(nullif(m.route, ''), p.relay) <> ALL(%(closed)s)
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
    RETURNING {_ROW}, d.route
"""  # noqa: S608

_CONTENT = """
    SELECT from_email, from_name, reply_to, to_name, subject, html, text, headers, attachments, link_ids
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

_PUT_BACK = f"UPDATE message SET lease_owner = NULL, lease_until = NULL, in_flight = false WHERE {_MINE}"  # noqa: S608

_RECORD = f"""
    UPDATE message
    SET state = %(new_state)s, reason = %(new_reason)s, attempts = attempts + %(tried)s, due_at = %(due_at)s,
        lease_owner = NULL, lease_until = NULL, in_flight = false, relay = %(new_relay)s,
        header_id = %(new_header_id)s, smtp_code = %(smtp_code)s, smtp_status = %(smtp_status)s,
        smtp_reply = %(smtp_reply)s, settled_at = %(settled_at)s
    WHERE {_MINE}
"""  # noqa: S608


class NotMade(Exception):
    """There will never be such a letter; `reason` is a SkipReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ended:
    """A row's end, not in the books yet."""

    row: dict[str, Any]
    verdict: Verdict
    made: Made | None


def claim_due(
    connection: Connection, queue: str, owner: str, lease_seconds: float, *, closed: Sequence[str], most: int
) -> list[dict[str, Any]]:
    """Lease the rows of the queue that are due first. `closed`: routes whose relays take nothing now."""
    binds = {"queue": queue, "owner": owner, "lease": lease_seconds, "closed": list(closed), "most": most}
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
        self._renewed_at = 0.0

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

        def work(connection: Connection) -> None:
            for one in ended:
                try:
                    record(connection, one.row, one.verdict, one.made, self.relay)
                except Fenced:
                    log.warning("message.fenced", message_id=one.row["id"])
            if drained:
                for place in self._left:
                    connection.execute(_PUT_BACK, self._rows[place])

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
            raise NotMade(SkipReason.ERASED)
        return dispatcher.letters.single(row, content, dispatcher.database)
    except (RenderFailed, TemplateRefused, UnsafeHeader, UnsafeWire) as failure:
        log.warning("letter.not_made", message_id=row["id"], error=str(failure)[:200])
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


def record(connection: Connection, row: dict[str, Any], verdict: Verdict, made: Made | None, relay: str) -> None:
    """Write down how a leased letter ended; raises Fenced when somebody else has done so.

    A commit whose answer was lost looks the same: then the letter's end is in the books already.
    """
    at = datetime.now(UTC)
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
    if connection.execute(_RECORD, binds).rowcount != 1:
        raise Fenced
    if verdict.hard:
        outcome.suppress(connection, row["project_id"], row["email"])
    if row["kind"] == MessageKind.CAMPAIGN and row["state"] != verdict.state:
        moved: Counter[MessageState] = Counter({MessageState(row["state"]): -1})
        moved[verdict.state] += 1
        outcome.count(connection, row["project_id"], row["campaign_id"], moved)
    if verdict.event is not None:
        append(connection, [_event(row, verdict, at)])


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
    ORDER BY m.due_at
    LIMIT 100
    FOR UPDATE OF m SKIP LOCKED
"""  # noqa: S608


def settle_abandoned(connection: Connection) -> int:
    """Decide about letters whose worker died while they were on the wire; gives how many."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ABANDONED).fetchall()
    for row in rows:
        record(connection, row, _doubtful(row, datetime.now(UTC)), None, row["relay"])
        log.warning("message.taken_over", message_id=row["id"])
    return len(rows)
