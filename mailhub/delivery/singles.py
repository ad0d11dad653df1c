"""Letters that are rows: single ones and a campaign's retries. Each is claimed, sent and recorded by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from mailhub import logs
from mailhub.delivery import outcome
from mailhub.delivery.claim import Fenced
from mailhub.delivery.database import Connection
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.letters import Made
from mailhub.delivery.outcome import REPLY_LIMIT, UNKNOWN, Verdict
from mailhub.delivery.recipients import load
from mailhub.delivery.smtp import InDoubt, RelayDown, UnsafeLetter
from mailhub.events.service import Event, append
from mailhub.mail.headers import UnsafeHeader
from mailhub.mail.mime import UnsafeWire
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.models import MessageKind, MessageState, SkipReason

log = logs.get(__name__)

#: `reason` of a letter that is sent again after an unknown outcome; a second time it stays unknown.
IN_DOUBT = "in_doubt"
#: A single letter in doubt waits for so long before it is sent again, with the Message-ID that it had.
REPEAT_SECONDS = 60

# Declared to be on the wire in the same durable statement that claims it.
_CLAIM = """
    WITH due AS (
        SELECT m.project_id, m.created_at, m.id, p.relay AS wanted_relay
        FROM message AS m
        JOIN project AS p ON p.id = m.project_id
        WHERE m.queue = %(queue)s AND m.state IN ('queued', 'deferred') AND m.due_at <= clock_timestamp()
          AND NOT m.in_flight AND p.relay <> ALL(%(down)s)
          AND (m.kind <> 'campaign' OR EXISTS (
              SELECT FROM campaign AS c
              WHERE c.project_id = m.project_id AND c.id = m.campaign_id AND c.state = 'sending'
          ))
        ORDER BY m.due_at
        LIMIT 1
        FOR UPDATE OF m SKIP LOCKED
    )
    UPDATE message AS m
    SET lease_owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s), in_flight = true
    FROM due AS d
    WHERE m.project_id = d.project_id AND m.created_at = d.created_at AND m.id = d.id
    RETURNING m.project_id, m.created_at, m.id, m.kind, m.state, m.reason, m.project_domain, m.campaign_id,
              m.campaign_name, m.list_id, m.list_name, m.subscriber_id, m.email, m.email_domain, m.relay, m.header_id,
              m.attempts, m.lease_owner, d.wanted_relay
"""

_CONTENT = """
    SELECT from_email, from_name, reply_to, to_name, subject, html, text, headers, attachments, link_ids
    FROM message_content
    WHERE project_id = %(project_id)s AND created_at = %(created_at)s AND message_id = %(id)s
"""

_RENEW = """
    UPDATE message SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE project_id = %(project_id)s AND created_at = %(created_at)s AND id = %(id)s AND lease_owner = %(lease_owner)s
"""

_PUT_BACK = """
    UPDATE message SET lease_owner = NULL, lease_until = NULL, in_flight = false
    WHERE project_id = %(project_id)s AND created_at = %(created_at)s AND id = %(id)s AND lease_owner = %(lease_owner)s
      AND in_flight
"""

_RECORD = """
    UPDATE message
    SET state = %(state)s, reason = %(reason)s, attempts = attempts + %(tried)s, due_at = %(due_at)s,
        lease_owner = NULL, lease_until = NULL, in_flight = false, relay = %(relay)s, header_id = %(header_id)s,
        smtp_code = %(smtp_code)s, smtp_status = %(smtp_status)s, smtp_reply = %(smtp_reply)s,
        settled_at = %(settled_at)s
    WHERE project_id = %(project_id)s AND created_at = %(created_at)s AND id = %(id)s AND lease_owner = %(lease_owner)s
      AND in_flight
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message row under our lease."""

    row: dict[str, Any]

    def renew(self, connection: Connection, lease_seconds: float) -> None:
        connection.execute(_RENEW, self.row | {"lease": lease_seconds})


class NotMade(Exception):
    """There will never be such a letter; `reason` is a SkipReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def send_one(dispatcher: Dispatcher, queue: str) -> bool:
    """Send the letter of the queue that is due first. False: none is, or its relay is down."""
    claimed = _claimed(dispatcher, queue)
    if claimed is None:
        return False
    with dispatcher.keeper.holding(claimed):
        try:
            _send(dispatcher, claimed.row)
        except Fenced:
            log.warning("message.fenced", message_id=claimed.row["id"])
            dispatcher.transport.close()
    return True


def _claimed(dispatcher: Dispatcher, queue: str) -> Claimed | None:
    binds = {
        "queue": queue,
        "down": dispatcher.gate.closed(),
        "owner": dispatcher.owner,
        "lease": dispatcher.settings.delivery_lease_seconds,
    }

    def take(connection: Connection) -> dict[str, Any] | None:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_CLAIM, binds).fetchone()

    row = dispatcher.database.statement(take)
    return Claimed(row) if row is not None else None


def _send(dispatcher: Dispatcher, row: dict[str, Any]) -> None:
    relay = row["wanted_relay"]
    try:
        made = _made(dispatcher, row)
    except NotMade as failure:
        _record(dispatcher, row, outcome.skipped(failure.reason), None)
        return
    try:
        if not dispatcher.wait_turn(relay):
            dispatcher.database.statement(lambda connection: connection.execute(_PUT_BACK, row))
            return
        answer = dispatcher.transport.send(relay, made.return_path, row["email"], made.data)
    except RelayDown as down:
        seconds = dispatcher.gate.close(relay, str(down))
        log.warning("relay.down", relay=relay, reason=str(down)[:200], seconds=seconds)
        dispatcher.database.statement(lambda connection: connection.execute(_PUT_BACK, row))
        return
    except InDoubt:
        _record(dispatcher, row, _doubtful(row, datetime.now(UTC) + timedelta(seconds=REPEAT_SECONDS)), made)
        return
    except UnsafeLetter as unsafe:
        log.warning("letter.unsafe", message_id=row["id"], error=str(unsafe))
        _record(dispatcher, row, outcome.skipped(SkipReason.INVALID), made)
        return
    verdict = outcome.judge(
        answer,
        attempt=row["attempts"] + 1,
        schedule=dispatcher.settings.delivery_retry_schedule,
        at=datetime.now(UTC),
    )
    if verdict.state != MessageState.DEFERRED:
        dispatcher.gate.open(relay)
    elif dispatcher.gate.refused(relay):
        dispatcher.gate.close(relay, f"{answer.code} {answer.text}")
    _record(dispatcher, row, verdict, made)


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


def _record(dispatcher: Dispatcher, row: dict[str, Any], verdict: Verdict, made: Made | None) -> None:
    dispatcher.database.transaction(lambda connection: record(connection, row, verdict, made))


def record(connection: Connection, row: dict[str, Any], verdict: Verdict, made: Made | None) -> None:
    """Write down how a claimed letter ended; raises Fenced when somebody else has done so.

    A commit whose answer was lost looks the same: then the letter's end is in the books already.
    """
    at = datetime.now(UTC)
    answer = verdict.answer
    is_open = verdict.state in (MessageState.QUEUED, MessageState.DEFERRED)
    binds = row | {
        "state": verdict.state.value,
        "reason": verdict.reason,
        "tried": 0 if verdict.state == MessageState.SKIPPED else 1,
        "due_at": verdict.due_at,
        "relay": row["wanted_relay"] if made is not None else row["relay"],
        "header_id": made.header_id if made is not None else row["header_id"],
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
_ABANDONED = """
    SELECT m.project_id, m.created_at, m.id, m.kind, m.state, m.reason, m.project_domain, m.campaign_id,
           m.campaign_name, m.list_id, m.list_name, m.subscriber_id, m.email, m.email_domain, m.relay, m.header_id,
           m.attempts, m.lease_owner, p.relay AS wanted_relay
    FROM message AS m
    JOIN project AS p ON p.id = m.project_id
    WHERE m.state IN ('queued', 'deferred') AND m.in_flight AND m.lease_until < clock_timestamp()
    ORDER BY m.due_at
    LIMIT 100
    FOR UPDATE OF m SKIP LOCKED
"""


def settle_abandoned(connection: Connection) -> int:
    """Decide about letters whose worker died while they were on the wire; gives how many."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ABANDONED).fetchall()
    for row in rows:
        record(connection, row, _doubtful(row, datetime.now(UTC)), None)
        log.warning("message.taken_over", message_id=row["id"])
    return len(rows)
