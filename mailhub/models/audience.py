"""Whom we write to: lists, subscribers with their fields, tags and notes, subscriptions and what they agreed to."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Date, ForeignKeyConstraint, Index, UniqueConstraint, literal_column, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, Updated, one_of


class Tracking(StrEnum):
    """What is kept of opens and clicks. The strictest of the project, the list and the person holds."""

    FULL = "full"
    #: Counted, but for nobody: no open or click says who it was.
    AGGREGATE = "aggregate"
    OFF = "off"


class FieldType(StrEnum):
    """What a custom field holds, as JSON: a string, a number, "2026-11-27", true or false, one of the choices."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"
    CHOICE = "choice"


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


class MailingList(Base):
    """A list. Its numbers stand in `list_count`, kept by triggers on `subscription`."""

    __tablename__ = "mailing_list"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        one_of("opt_in", OptIn),
        one_of("visibility", Visibility),
        one_of("tracking", Tracking),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    opt_in: Mapped[str] = mapped_column(server_default=OptIn.SINGLE)
    visibility: Mapped[str] = mapped_column(server_default=Visibility.PRIVATE)
    #: Language of the list's public pages and letters; empty: the project's.
    language: Mapped[str] = mapped_column(server_default="")
    tracking: Mapped[str] = mapped_column(server_default=Tracking.FULL)
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


class ListSourceDay(Base):
    """The same day of a list by the way in which the people had come: kept by the same trigger, adds up to `list_day`.

    `source` is the kind of `subscription.source`: form, import, api, hand, other.
    """

    __tablename__ = "list_source_day"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    joined: Mapped[int] = mapped_column(server_default="0")
    unsubscribed: Mapped[int] = mapped_column(server_default="0")
    removed: Mapped[int] = mapped_column(server_default="0")


class ListBounceDay(Base):
    """How many of a list's people became unreachable on a day, because their address bounced for good.

    Kept by a trigger of `subscriber`. A table of its own, and not a column of `list_day`: who bounces locks the counter
    of people first, who unsubscribes locks the day first, and the two would lock each other out. The people stay
    subscribed, so this is no part of the list's size; one who is made active again is not counted back.
    """

    __tablename__ = "list_bounce_day"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    bounced: Mapped[int] = mapped_column(server_default="0")


class Subscriber(Base):
    """A person in a project. `email_key` is the address in lower case: one person, one key."""

    __tablename__ = "subscriber"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "email_key"),
        one_of("status", SubscriberStatus),
        one_of("tracking", Tracking),
        Index(
            "ix_subscriber_email_prefix", "project_id", "email_key", postgresql_ops={"email_key": "text_pattern_ops"}
        ),
        Index("ix_subscriber_created", "project_id", "created_at", "id"),
        Index("ix_subscriber_status", "project_id", "status", "id"),
        Index("ix_subscriber_source", "project_id", "source", "id"),
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
    tracking: Mapped[str] = mapped_column(server_default=Tracking.FULL)
    #: The person has asked for a pause: no campaign is sent to them before this moment.
    paused_until: Mapped[datetime | None]


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
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        one_of("type", FieldType),
    )

    project_id: Mapped[ProjectId]
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(server_default="")
    type: Mapped[str] = mapped_column(server_default=FieldType.TEXT)
    #: What a field of the type `choice` may hold, in the order in which it is shown.
    choices: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    position: Mapped[int] = mapped_column(server_default="0")
    #: Whether people may change it themselves, on the page of their preferences.
    editable: Mapped[bool] = mapped_column(server_default=text("false"))
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


class Tag(Base):
    """A word that people of a project are marked with. `n` is kept by triggers on `subscriber_tag`."""

    __tablename__ = "tag"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "name_key"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    #: The name in lower case.
    name_key: Mapped[str]
    n: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[Now]


class SubscriberTag(Base):
    """That a person is marked with a tag."""

    __tablename__ = "subscriber_tag"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "tag_id"], ["tag.project_id", "tag.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        Index(None, "project_id", "subscriber_id"),
    )

    project_id: Mapped[ProjectId]
    tag_id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[Now]


class ConsentText(Base):
    """A sentence that somebody agreed to, word by word; a changed one is a new row. `digest` is its SHA-256."""

    __tablename__ = "consent_text"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "digest"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    digest: Mapped[str]
    text: Mapped[str]
    created_at: Mapped[Now]


class ConsentKind(StrEnum):
    """What happened to a consent."""

    IMPORTED = "imported"
    ADDED = "added"
    ASKED = "asked"
    GIVEN = "given"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


class Consent(Base):
    """The record of a consent, never changed: who agreed to what, where, when, from which address.

    `source` is a word and an id: form:12, import:7, api, page, preferences, one_click.
    """

    __tablename__ = "consent"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        one_of("kind", ConsentKind),
        Index("ix_consent_person", "project_id", "subscriber_id", "id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    subscriber_id: Mapped[int]
    #: None: a consent to something else than a list, such as the keeping of personal data.
    list_id: Mapped[int | None]
    kind: Mapped[str]
    source: Mapped[str] = mapped_column(server_default="")
    text_id: Mapped[int | None]
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str] = mapped_column(server_default="")
    at: Mapped[Now]
