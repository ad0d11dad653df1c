"""A domain whose DKIM keys sign a project's letters."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class DomainStatus(StrEnum):
    PENDING = "pending"
    VERIFIED = "verified"


def keys_about(project_id: int, domain: str) -> str:
    """What the keys of a domain are sealed for (security/sealed.py): they open in no other row."""
    return f"sending_domain {project_id} {domain}"


class SendingDomain(Base):
    """The private keys are sealed (security/sealed.py); the public ones are what the DNS has to say.

    `checking_since` is set while a check is wanted, `results` has what the last one found by record, `problem` what
    keeps the domain from being verified (empty: nothing, or not looked at yet).
    """

    __tablename__ = "sending_domain"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "domain"),
        one_of("status", DomainStatus),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    domain: Mapped[str]
    selector: Mapped[str]
    rsa_private: Mapped[bytes]
    rsa_public: Mapped[str]
    ed25519_private: Mapped[bytes]
    ed25519_public: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=DomainStatus.PENDING.value)
    checking_since: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(server_default="")
    results: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    created_at: Mapped[Now]
