"""One outgoing letter to one address: denormalised as the seed has it, partitioned by time.

The key contains the time, nothing references these tables by foreign key, and a campaign's letters get their
row when they are settled (their uniqueness is the chunk's). Single letters are rows from the start.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKeyConstraint, Identity, Index, Integer, SmallInteger, literal_column
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, one_of


class MessageKind(StrEnum):
    CAMPAIGN = "campaign"
    TRANSACTIONAL = "transactional"
    TEST = "test"
    SERVICE = "service"


class MessageState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a person of the audience got no letter."""

    UNSUBSCRIBED = "unsubscribed"
    UNCONFIRMED = "unconfirmed"
    SUPPRESSED = "suppressed"
    #: In a list or a segment that the campaign leaves out.
    EXCLUDED = "excluded"
    PAUSED = "paused"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    RENDER_ERROR = "render_error"
    CANCELLED = "cancelled"
    ERASED = "erased"


class EventType(StrEnum):
    """The seed article's six, and ours."""

    SENT = "SENT"
    OPENED = "OPENED"
    REDIRECTED = "REDIRECTED"
    HARDBOUNCED = "HARDBOUNCED"
    SOFTBOUNCED = "SOFTBOUNCED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    QUEUED = "QUEUED"
    DEFERRED = "DEFERRED"
    BLOCKED = "BLOCKED"
    UNKNOWN = "UNKNOWN"
    COMPLAINED = "COMPLAINED"


class Actor(StrEnum):
    """Who made a hit. A proxy's open is a person's; machines are MACHINE_OPEN and SCANNER. NONE: not classified yet."""

    NONE = ""
    HUMAN = "human"
    PROXY_OPEN = "proxy_open"
    MACHINE_OPEN = "machine_open"
    SCANNER = "scanner"
    UNKNOWN = "unknown"


class Queue(StrEnum):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"
    CELERY = "celery"


_OPEN = sql("state IN ('queued', 'deferred')")


class Message(Base):
    """A letter and what became of it."""

    __tablename__ = "message"
    __table_args__ = (
        one_of("kind", MessageKind),
        one_of("state", MessageState),
        Index("ix_message_due", "queue", "due_at", postgresql_where=_OPEN),
        Index(
            "ix_message_in_flight",
            "lease_until",
            postgresql_where=sql("in_flight AND state IN ('queued', 'deferred')"),
        ),
        Index("ix_message_campaign", "project_id", "campaign_id", "state", "id"),
        Index("ix_message_subscriber", "project_id", "subscriber_id", "id"),
        Index("ix_message_listed", "project_id", "kind", "id"),
        Index(
            "ix_message_email",
            "project_id",
            literal_column("lower(email)").label("email_key"),
            postgresql_ops={"email_key": "text_pattern_ops"},
        ),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    project_id: Mapped[ProjectId]
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=sql("now()"))
    #: UUID version 7: its first 48 bits are the milliseconds of `created_at` (within a day): an id finds its partition.
    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, server_default=sql("uuid7()"))
    kind: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    project_domain: Mapped[str] = mapped_column(server_default="")
    campaign_id: Mapped[int | None]
    campaign_name: Mapped[str] = mapped_column(server_default="")
    list_id: Mapped[int | None]
    list_name: Mapped[str] = mapped_column(server_default="")
    subscriber_id: Mapped[int | None]
    email: Mapped[str]
    email_domain: Mapped[str]
    subject: Mapped[str] = mapped_column(server_default="")
    tag: Mapped[str] = mapped_column(server_default="")
    #: The relays that may take it (`Routes.route_of`); `relay` is the one that had it last.
    route: Mapped[str] = mapped_column(server_default="")
    relay: Mapped[str] = mapped_column(server_default="")
    #: The letter's Message-ID header without angle brackets; a repeat has the same.
    header_id: Mapped[str] = mapped_column(server_default="")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    #: True from just before the SMTP dialogue until its end is recorded: after a crash such a letter is in doubt.
    in_flight: Mapped[bool] = mapped_column(server_default=sql("false"))
    smtp_code: Mapped[int | None] = mapped_column(SmallInteger)
    smtp_status: Mapped[str] = mapped_column(server_default="")
    #: The last reply of the relay, at most 1,000 characters. Hostile text: always escaped.
    smtp_reply: Mapped[str] = mapped_column(server_default="")
    settled_at: Mapped[datetime | None]


class MessageContent(Base):
    """What a single letter says (campaign letters are made from their campaign_version)."""

    __tablename__ = "message_content"
    __table_args__ = ({"postgresql_partition_by": "RANGE (created_at)"},)

    project_id: Mapped[ProjectId]
    created_at: Mapped[datetime] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    from_email: Mapped[str]
    from_name: Mapped[str] = mapped_column(server_default="")
    reply_to: Mapped[str] = mapped_column(server_default="")
    to_name: Mapped[str] = mapped_column(server_default="")
    subject: Mapped[str]
    html: Mapped[str] = mapped_column(server_default="")
    text: Mapped[str] = mapped_column(server_default="")
    #: Extra headers, name → value.
    headers: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'"))
    #: [{"filename", "content_type", "content" (base64), "content_id"}]
    attachments: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    #: The stored links of the HTML by their position; null: opens and clicks of this letter are not counted.
    link_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    #: Where they are counted: `full`, or `aggregate` when the hits are not to say of which letter they are.
    tracking: Mapped[str] = mapped_column(server_default="full")


class MessageEvent(Base):
    """What happened to a letter. Raw rows are kept `mailhub.retention_days`; the rollups stay for ever."""

    __tablename__ = "message_event"
    __table_args__ = (
        one_of("type", EventType),
        one_of("actor", Actor),
        Index("ix_message_event_campaign", "project_id", "campaign_id", "type", "at"),
        Index("ix_message_event_subscriber", "project_id", "subscriber_id", "at"),
        Index("ix_message_event_message", "project_id", "message_id", "at"),
        Index("ix_message_event_at", "at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
        Index(
            "ix_message_event_hits",
            "position",
            "id",
            postgresql_where=sql("type IN ('OPENED', 'REDIRECTED')"),
        ),
        Index("ix_message_event_clicks", "ip", "project_id", "at", postgresql_where=sql("type = 'REDIRECTED'")),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    project_id: Mapped[ProjectId]
    #: The transaction that stored it. Rows below `feed_horizon()` are complete: a reader goes on from (position, id).
    position: Mapped[int] = mapped_column(primary_key=True, server_default=sql("feed_position()"))
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True, server_default=sql("clock_timestamp()"))
    type: Mapped[str]
    kind: Mapped[str]
    project_domain: Mapped[str] = mapped_column(server_default="")
    message_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    campaign_id: Mapped[int | None]
    campaign_name: Mapped[str] = mapped_column(server_default="")
    list_id: Mapped[int | None]
    list_name: Mapped[str] = mapped_column(server_default="")
    subscriber_id: Mapped[int | None]
    email: Mapped[str] = mapped_column(server_default="")
    email_domain: Mapped[str] = mapped_column(server_default="")
    link_id: Mapped[int | None]
    url: Mapped[str] = mapped_column(server_default="")
    code: Mapped[int | None] = mapped_column(SmallInteger)
    detail: Mapped[str] = mapped_column(server_default="")
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str] = mapped_column(server_default="")
    #: Of a hit: by what it was made (mail.agents) and, a minute later, who made it and how that is known.
    device: Mapped[str] = mapped_column(server_default="")
    client: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str] = mapped_column(server_default="")
    actor_cause: Mapped[str] = mapped_column(server_default="")


class IdempotencyKey(Base):
    """A client's `Idempotency-Key` and the answer that its first request got."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        Index(None, "created_at"),
    )

    project_id: Mapped[ProjectId]
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Now]
