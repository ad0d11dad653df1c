"""Whom we write to: lists, subscribers, subscriptions, suppressions."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Date, ForeignKeyConstraint, Index, UniqueConstraint, literal_column, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, Updated, one_of


class OptIn(StrEnum):
    SINGLE = "single"
    DOUBLE = "double"


class Visibility(StrEnum):
    PUBLIC = "public"
    PRIVATE = "private"


class SubscriberStatus(StrEnum):
    """Of the person as a whole: only `active` people are written to."""

    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class SubscriptionStatus(StrEnum):
    """Of a person in one list."""

    SUBSCRIBED = "subscribed"
    UNCONFIRMED = "unconfirmed"
    UNSUBSCRIBED = "unsubscribed"


class SuppressionReason(StrEnum):
    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


class MailingList(Base):
    """A list. Its numbers stand in `list_count`, kept by triggers on `subscription`."""

    __tablename__ = "mailing_list"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        one_of("opt_in", OptIn),
        one_of("visibility", Visibility),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    opt_in: Mapped[str] = mapped_column(server_default=OptIn.SINGLE)
    visibility: Mapped[str] = mapped_column(server_default=Visibility.PRIVATE)
    #: Language of the list's public pages and letters; empty: the project's.
    language: Mapped[str] = mapped_column(server_default="")
    archived_at: Mapped[datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class ListCount(Base):
    """How many subscriptions of a list are in each status. Kept by statement triggers, in the same transaction."""

    __tablename__ = "list_count"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")


class ListDay(Base):
    """How a list grew in a day of the project's time zone. Kept by the trigger of `list_count`, so that it agrees.

    The sum over all days of `joined` less `unsubscribed` less `removed` is the number of people subscribed. What counts
    is the subscription: a person whose address has bounced is not written to, and is in the list until they leave it.
    """

    __tablename__ = "list_day"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    #: People who became subscribed: new ones, those who confirmed, those who came back.
    joined: Mapped[int] = mapped_column(server_default="0")
    #: People who were subscribed and left.
    unsubscribed: Mapped[int] = mapped_column(server_default="0")
    #: People who were subscribed and whose row was deleted.
    removed: Mapped[int] = mapped_column(server_default="0")


class Subscriber(Base):
    """A person in a project. `email_key` is the address in lower case: one person, one key."""

    __tablename__ = "subscriber"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "email_key"),
        one_of("status", SubscriberStatus),
        Index(
            "ix_subscriber_email_prefix", "project_id", "email_key", postgresql_ops={"email_key": "text_pattern_ops"}
        ),
        Index("ix_subscriber_created", "project_id", "created_at", "id"),
        Index("ix_subscriber_status", "project_id", "status", "id"),
        Index(
            "ix_subscriber_search",
            literal_column("((email_key || ' '::text) || lower(name))").label("search"),
            postgresql_using="gin",
            postgresql_ops={"search": "gin_trgm_ops"},
        ),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    email: Mapped[str]
    email_key: Mapped[str]
    email_domain: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    status: Mapped[str] = mapped_column(server_default=SubscriberStatus.ACTIVE)
    source: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]
    status_changed_at: Mapped[datetime | None]


class SubscriberCount(Base):
    """How many people of a project are in each status. Kept by statement triggers on `subscriber`."""

    __tablename__ = "subscriber_count"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    status: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")


class SubscriberField(Base):
    """A custom field of a project's people: the names that letters may merge. `name` is the key in `fields`."""

    __tablename__ = "subscriber_field"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]


class Subscription(Base):
    """A person in a list, with the record of the consent."""

    __tablename__ = "subscription"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        one_of("status", SubscriptionStatus),
        Index(None, "project_id", "subscriber_id"),
        Index("ix_subscription_status", "project_id", "list_id", "status", "subscriber_id"),
        Index(
            "ix_subscription_left",
            "project_id",
            "unsubscribed_at",
            "list_id",
            "subscriber_id",
            postgresql_where=text("status = 'unsubscribed'"),
        ),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(server_default=SubscriptionStatus.SUBSCRIBED)
    source: Mapped[str] = mapped_column(server_default="")
    ip: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[Now]
    confirmed_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]


class Suppression(Base):
    """An address that a project must not write to, whatever its lists say."""

    __tablename__ = "suppression"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "email_key"),
        one_of("reason", SuppressionReason),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    email_key: Mapped[str]
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]
