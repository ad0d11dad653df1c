"""How letters ended, written down: rows, stop list, the campaign's ledger, events. All in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from mailhub.delivery.database import Connection
from mailhub.delivery.ids import new_message_id
from mailhub.delivery.letters import Facts
from mailhub.delivery.recipients import Recipient
from mailhub.events.service import Event, append
from mailhub.mail.smtp_happenings import Answer
from mailhub.mail.smtp_reply import classify
from mailhub.models import EventType, MessageKind, MessageState, Queue, Tracking
from mailhub.suppression.entries import hard_bounce, name_events

REPLY_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an end of the dialogue means. `reason` says why nothing was sent; `hard`: never write there again."""

    state: MessageState
    event: EventType | None = None
    reason: str = ""
    hard: bool = False
    due_at: datetime | None = None
    answer: Answer | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """One letter of a campaign, and its verdict. `at` is the moment of the relay's answer."""

    recipient: Recipient
    verdict: Verdict
    at: datetime
    header_id: str = ""


def skipped(reason: str) -> Verdict:
    return Verdict(MessageState.SKIPPED, reason=reason)


UNKNOWN = Verdict(MessageState.UNKNOWN, EventType.UNKNOWN)
SENT = Verdict(MessageState.SENT, EventType.SENT)


def judge(answer: Answer, *, attempt: int, schedule: Sequence[int], at: datetime) -> Verdict:
    """The verdict on a relay's answer. `attempt` counts from 1; `schedule` has the seconds between attempts."""
    if answer.taken:
        return Verdict(MessageState.SENT, EventType.SENT, answer=answer)
    found = classify(answer.code, None, answer.text, answer.stage)
    if found.reason == "unsupported_eai":
        # It is our relay that cannot write such an address: the person is not stopped for it.
        return Verdict(
            MessageState.FAILED, EventType.SOFTBOUNCED, found.reason, answer=answer, status=found.enhanced or ""
        )
    status = found.enhanced or ""
    if found.state == "failed":
        hard = found.event == EventType.HARDBOUNCED
        return Verdict(
            MessageState.FAILED, EventType(found.event), found.reason, hard=hard, answer=answer, status=status
        )
    if attempt <= len(schedule):
        due_at = at + timedelta(seconds=max(schedule[attempt - 1], found.retry_after or 0))
        return Verdict(
            MessageState.DEFERRED, EventType.DEFERRED, found.reason, due_at=due_at, answer=answer, status=status
        )
    # A temporary refusal that has outlived its schedule says nothing final about the person.
    event = EventType.BLOCKED if found.klass == "BLOCK" else EventType.SOFTBOUNCED
    return Verdict(MessageState.FAILED, event, found.reason, answer=answer, status=status)


def lost(reason: str, *, attempt: int, schedule: Sequence[int], at: datetime) -> Verdict:
    """The verdict on a letter before whose body the connection ended again and again: it may be the letter's fault."""
    return replace(judge(Answer(0, reason, "rcpt"), attempt=attempt, schedule=schedule, at=at), answer=None)


_COLUMNS = """
    COPY message (
        project_id, created_at, id, kind, queue, state, reason, project_domain, campaign_id, campaign_name, list_id,
        list_name, subscriber_id, email, email_domain, subject, route, relay, header_id, attempts, due_at, smtp_code,
        smtp_status, smtp_reply, settled_at
    ) FROM STDIN
"""


def record(
    connection: Connection, facts: Facts, settled: Sequence[Settled], *, relay: str = "", route: str = ""
) -> None:
    """Write the rows, ledger and events of letters of one campaign that had no row yet.

    `relay` had the letters; `route` is for those that are tried again.
    """
    if not settled:
        return
    events: list[Event] = []
    bounced: list[UUID] = []
    with connection.cursor().copy(_COLUMNS) as copy:
        for one in settled:
            message_id = new_message_id(one.at)
            copy.write_row(_row(facts, one, message_id, relay, route))
            if one.verdict.hard:
                bounced.append(message_id)
            if one.verdict.event is not None:
                events.append(event_of(facts, one.recipient, one.verdict, message_id, one.at))
    for one in settled:
        if one.verdict.hard:
            hard_bounce(connection, facts.project_id, one.recipient.email, facts.campaign_id)
    count(
        connection, facts.project_id, facts.campaign_id, Counter(one.verdict.state for one in settled),
        Counter(one.recipient.tracking for one in settled if one.verdict.state == MessageState.SENT),
    )  # fmt: skip
    append(connection, events)
    if bounced:
        name_events(connection, facts.project_id, bounced, min(one.at for one in settled))


def event_of(facts: Facts, recipient: Recipient, verdict: Verdict, message_id: UUID, at: datetime) -> Event:
    """The event of a campaign's letter."""
    assert verdict.event is not None
    return Event(
        type=verdict.event,
        project_id=facts.project_id,
        kind=MessageKind.CAMPAIGN,
        at=at,
        project_domain=facts.project_domain,
        message_id=message_id,
        campaign_id=facts.campaign_id,
        campaign_name=facts.campaign_name,
        list_id=facts.list_id,
        list_name=facts.list_name,
        subscriber_id=recipient.id,
        email=recipient.email,
        email_domain=recipient.email_domain,
        code=verdict.answer.code if verdict.answer else None,
        detail=detail_of(verdict),
    )


def detail_of(verdict: Verdict) -> str:
    """What an event says about its cause: the relay's words, when it refused."""
    return verdict.answer.text[:REPLY_LIMIT] if verdict.answer is not None and not verdict.answer.taken else ""


def _row(facts: Facts, one: Settled, message_id: UUID, relay: str, route: str) -> tuple[object, ...]:
    verdict, answer = one.verdict, one.verdict.answer
    tried = verdict.state != MessageState.SKIPPED
    return (
        facts.project_id,
        one.at,
        message_id,
        MessageKind.CAMPAIGN.value,
        Queue.BULK.value,
        verdict.state.value,
        verdict.reason,
        facts.project_domain,
        facts.campaign_id,
        facts.campaign_name,
        facts.list_id,
        facts.list_name,
        one.recipient.id,
        one.recipient.email,
        one.recipient.email_domain,
        facts.subject,
        route,
        relay if tried else "",
        one.header_id,
        1 if tried else 0,
        verdict.due_at,
        answer.code if answer else None,
        verdict.status,
        answer.text[:REPLY_LIMIT] if answer else "",
        None if verdict.state == MessageState.DEFERRED else one.at,
    )


_COUNT = """
    UPDATE campaign_count
    SET deferred = deferred + %(deferred)s, sent = sent + %(sent)s, failed = failed + %(failed)s,
        unknown = unknown + %(unknown)s, skipped = skipped + %(skipped)s,
        sent_aggregate = sent_aggregate + %(sent_aggregate)s, sent_untracked = sent_untracked + %(sent_untracked)s,
        updated_at = clock_timestamp()
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s
"""

_FINISH = """
    UPDATE campaign AS c
    SET state = 'sent', finished_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM campaign_count AS n
    WHERE c.project_id = %(project_id)s AND c.id = %(campaign_id)s AND c.state = 'sending'
      AND n.project_id = c.project_id AND n.campaign_id = c.id
      AND n.audience = n.sent + n.failed + n.unknown + n.skipped
"""


def count(
    connection: Connection,
    project_id: int,
    campaign_id: int,
    moved: Counter[MessageState],
    modes: Counter[str] | None = None,
) -> None:
    """Move the campaign's ledger; the campaign is `sent` with its last letter. `queued` is what is left.

    `modes` are the modes of tracking of the letters sent.
    """
    sent = modes or Counter()
    binds: dict[str, object] = {
        "project_id": project_id,
        "campaign_id": campaign_id,
        "sent_aggregate": sent[Tracking.AGGREGATE],
        "sent_untracked": sent[Tracking.OFF],
    }
    for state in MessageState:
        binds[state.value] = moved.get(state, 0)
    connection.execute(_COUNT, binds)
    connection.execute(_FINISH, binds)
