"""People: users, their sessions, one-time links, and the secrets of programs (API keys, admin tokens)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, ForeignKeyConstraint, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class Role(StrEnum):
    """What a member is in a project; what each may do is the table in security/permissions.py."""

    OWNER = "owner"
    MARKETER = "marketer"
    ANALYST = "analyst"
    DEVELOPER = "developer"


class Theme(StrEnum):
    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


class User(Base):
    """A person who signs in. `email` is kept in lower case."""

    __tablename__ = "user_account"
    __table_args__ = (one_of("theme", Theme),)

    id: Mapped[RowId]
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[datetime | None]
    language: Mapped[str] = mapped_column(server_default="en")
    time_zone: Mapped[str | None]
    theme: Mapped[str] = mapped_column(server_default=Theme.AUTO)
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[Now]


class Membership(Base):
    """A person in a project, with a role."""

    __tablename__ = "membership"
    __table_args__ = (one_of("role", Role), Index(None, "user_id"))

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str]
    created_at: Mapped[Now]

    user: Mapped[User] = relationship(lazy="raise_on_sql")


class WebSession(Base):
    """A signed-in browser. The cookie holds the secret; the row holds its SHA-256."""

    __tablename__ = "web_session"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    app: Mapped[str] = mapped_column(server_default="site")
    notices: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]
    last_seen_at: Mapped[Now]
    expires_at: Mapped[datetime]

    user: Mapped[User] = relationship(lazy="raise_on_sql")


class OneTimeLink(Base):
    """A link that signs a person in once (invitation, forgotten password)."""

    __tablename__ = "one_time_link"
    __table_args__ = (Index(None, "user_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(server_default="sign_in")
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiKey(Base):
    """A project's key for the JSON API: `mh_<key_id>_<secret>`, of which only a SHA-256 is kept."""

    __tablename__ = "api_key"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    key_id: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_ip: Mapped[str | None] = mapped_column(INET)


class AdminToken(Base):
    """An admin's token for the reports process."""

    __tablename__ = "admin_token"

    id: Mapped[RowId]
    key_id: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    created_at: Mapped[Now]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what to which object, and from where. Written once, never changed."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "project_id", "id"),)

    id: Mapped[RowId]
    at: Mapped[Now]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    actor: Mapped[str]
    action: Mapped[str]
    object_type: Mapped[str] = mapped_column(server_default="")
    object_id: Mapped[str] = mapped_column(server_default="")
    object_name: Mapped[str] = mapped_column(server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    ip: Mapped[str | None] = mapped_column(INET)


class RateLimit(Base):
    """A token bucket on PostgreSQL's clock: `tokens` as of `at`."""

    __tablename__ = "rate_limit"
    __table_args__ = (Index(None, "at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    tokens: Mapped[float]
    at: Mapped[datetime]
