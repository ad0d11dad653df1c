"""Whom nobody may write to: the stop list of a project, and the operator's small one for all."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class SuppressionReason(StrEnum):
    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"
    #: The person was erased; only a keyed hash of the address is left.
    ERASED = "erased"


class Suppression(Base):
    """An address that a project must not write to, whatever its lists say.

    `email_hash` is the keyed hash of the address (security.secrets); of an erased person it is all that is kept.
    """

    __tablename__ = "suppression"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "email_key"),
        one_of("reason", SuppressionReason),
        CheckConstraint("email_key IS NOT NULL OR email_hash IS NOT NULL", name="named"),
        Index(
            "uq_suppression_hash", "project_id", "email_hash", unique=True,
            postgresql_where=text("email_hash IS NOT NULL"),
        ),
        Index("ix_suppression_listed", "project_id", "id"),
        Index("ix_suppression_reason", "project_id", "reason", "id"),
        Index("ix_suppression_prefix", "project_id", "email_key", postgresql_ops={"email_key": "text_pattern_ops"}),
    )  # fmt: skip

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    email_key: Mapped[str | None]
    email_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    #: The event that was the reason, and its campaign, if there was one.
    event_id: Mapped[int | None]
    campaign_id: Mapped[int | None]
    created_by: Mapped[int | None]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]


class SuppressionCount(Base):
    """How many entries of a project have which reason, those that have run out included. Kept by statement triggers."""

    __tablename__ = "suppression_count"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    reason: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")


class GlobalSuppression(Base):
    """An address, or a whole domain, that no project may write to: traps, complainants, courts. Kept by operators."""

    __tablename__ = "global_suppression"
    __table_args__ = (
        CheckConstraint("num_nonnulls(email_key, email_hash, domain) = 1", name="named"),
        Index("uq_global_suppression_email_key", "email_key", unique=True),
        Index("uq_global_suppression_email_hash", "email_hash", unique=True),
        Index("uq_global_suppression_domain", "domain", unique=True),
    )

    id: Mapped[RowId]
    email_key: Mapped[str | None]
    email_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    domain: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int | None]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]
