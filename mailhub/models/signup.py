"""Signing up: forms, what came in by them, their numbers a day, the caps on letters, and each list's own letters."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Date, DateTime, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.audience import OptIn
from mailhub.models.base import Base, Now, ProjectId, RowId, Updated, one_of


class FormState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"


class PauseReason(StrEnum):
    """Why a form is paused; empty while it is active."""

    NONE = ""
    BY_HAND = "by_hand"
    #: More came in than people can be behind (walls.md, T9).
    FLOOD = "flood"


class SignUpForm(Base):
    """A form by which strangers come into lists. `design` is what it looks like (mailhub.signup.design)."""

    __tablename__ = "sign_up_form"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["project_id", "default_list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
        one_of("state", FormState),
        one_of("pause_reason", PauseReason),
        one_of("opt_in", OptIn),
        Index(
            "uq_sign_up_form_default", "project_id", "default_list_id", unique=True,
            postgresql_where=text("default_list_id IS NOT NULL"),
        ),
    )  # fmt: skip

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    #: The list whose own page this is; there is one such form a list, made when the page is first looked at.
    default_list_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default=FormState.ACTIVE)
    pause_reason: Mapped[str] = mapped_column(server_default=PauseReason.NONE)
    paused_at: Mapped[datetime | None]
    #: `double`: everybody confirms. `single`: only for the lists that ask for it.
    opt_in: Mapped[str] = mapped_column(server_default=OptIn.DOUBLE)
    #: Language of the page; empty: the list's.
    language: Mapped[str] = mapped_column(server_default="")
    #: Where people go after they have signed up; empty: a page of ours that says thanks.
    redirect_url: Mapped[str] = mapped_column(server_default="")
    #: Whether people choose among the lists; else they come into all of them.
    choose_lists: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Names of the tags that people get with their subscription.
    tags: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    design: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    created_by: Mapped[int | None]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class SignUpFormList(Base):
    """A list that a form brings people into."""

    __tablename__ = "sign_up_form_list"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "form_id"], ["sign_up_form.project_id", "sign_up_form.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
        Index(None, "project_id", "list_id"),
    )

    project_id: Mapped[ProjectId]
    form_id: Mapped[int] = mapped_column(primary_key=True)
    list_id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(server_default="0")


class SubmissionState(StrEnum):
    """What has become of a form that somebody has sent."""

    WAITING = "waiting"
    #: A confirmation letter is on its way.
    ASKED = "asked"
    SUBSCRIBED = "subscribed"
    CONFIRMED = "confirmed"
    #: They were in these lists already.
    ALREADY = "already"
    #: Nobody may write to this address.
    STOPPED = "stopped"
    #: The address, or its domain, has had its letters for now.
    CAPPED = "capped"
    #: Nobody confirmed in time.
    EXPIRED = "expired"


class SignUpSubmission(Base):
    """A form that somebody has sent; a worker takes it in. What was typed goes once it has served its purpose."""

    __tablename__ = "sign_up_submission"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "form_id"], ["sign_up_form.project_id", "sign_up_form.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        one_of("state", SubmissionState),
        Index(
            "uq_sign_up_submission_stamp", "stamp_key", unique=True, postgresql_where=text("stamp_key IS NOT NULL")
        ),
        Index("ix_sign_up_submission_waiting", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_sign_up_submission_asked", "settled_at", postgresql_where=text("state = 'asked'")),
        Index("ix_sign_up_submission_form", "project_id", "form_id", "id"),
        Index("ix_sign_up_submission_person", "project_id", "subscriber_id"),
        Index("ix_sign_up_submission_created", "created_at"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    form_id: Mapped[int]
    #: Of the page's stamp, which is good once; None by the API.
    stamp_key: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default=SubmissionState.WAITING)
    #: The address, until it is taken in: then the person has it.
    email: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    list_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    #: The sentences whose boxes were ticked, word by word.
    consents: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    subscriber_id: Mapped[int | None]
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str] = mapped_column(server_default="")
    #: The site whose page the form, or the link to it, was on.
    host: Mapped[str] = mapped_column(server_default="")
    due_at: Mapped[Now]
    created_at: Mapped[Now]
    settled_at: Mapped[datetime | None]


class SignUpDay(Base):
    """A form's numbers in a day of the project's time zone, by the site that people came from."""

    __tablename__ = "sign_up_day"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "form_id"], ["sign_up_form.project_id", "sign_up_form.id"], ondelete="CASCADE"
        ),
    )

    project_id: Mapped[ProjectId]
    form_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    views: Mapped[int] = mapped_column(server_default="0")
    submits: Mapped[int] = mapped_column(server_default="0")
    #: People who became subscribed by it, at once or by their confirmation.
    confirmations: Mapped[int] = mapped_column(server_default="0")


class SignUpCap(Base):
    """The moments at which something that is capped was allowed, no more of them than the cap (mailhub.lists.caps)."""

    __tablename__ = "sign_up_cap"
    __table_args__ = (Index("ix_sign_up_cap_until", "until"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    times: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    #: After this the row says nothing any more.
    until: Mapped[datetime]


class LetterKind(StrEnum):
    CONFIRMATION = "confirmation"
    WELCOME = "welcome"
    GOODBYE = "goodbye"


class ListLetter(Base):
    """A list's own letter in a language. Where there is none, the confirmation is ours, and the others are not sent."""

    __tablename__ = "list_letter"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"], ondelete="CASCADE"
        ),
        one_of("kind", LetterKind),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(primary_key=True)
    #: Only of welcome and goodbye: a confirmation is always sent.
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    subject: Mapped[str]
    html: Mapped[str] = mapped_column(server_default="")
    text: Mapped[str] = mapped_column(server_default="")
    updated_by: Mapped[int | None]
    updated_at: Mapped[Updated]
