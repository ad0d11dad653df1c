"""What a form has brought: its days, its sites, what came in by it. From counters, never from counting people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mailhub.models import Project, SignUpDay, SignUpForm, SignUpFormList, SignUpSubmission, Subscriber
from mailhub.web.paging import Page, page_of, read_cursor

PERIODS = (7, 30, 90)
DEFAULT = 30


@dataclass(frozen=True)
class Numbers:
    """Views of the page, forms sent, people who became subscribed by it."""

    views: int = 0
    submits: int = 0
    confirmations: int = 0

    @property
    def conversion(self) -> float | None:
        """Subscribed people to views. None where more was sent than seen: other sites' pages send without a view."""
        return self.confirmations / self.views if self.views >= max(1, self.submits, self.confirmations) else None


@dataclass(frozen=True)
class FormDay:
    day: date
    numbers: Numbers


@dataclass(frozen=True)
class FormSite:
    """`host` is empty where nobody said where they came from."""

    host: str
    numbers: Numbers


@dataclass(frozen=True)
class FormRow:
    """A form with its numbers of the period, and how many lists it has."""

    form: SignUpForm
    lists: int
    numbers: Numbers


def period_of(text: str | None) -> int:
    """How many days are shown; what is no choice of ours is the usual."""
    return next((days for days in PERIODS if str(days) == text), DEFAULT)


def today_of(project: Project, now: datetime) -> date:
    return now.astimezone(ZoneInfo(project.time_zone)).date()


def _sums() -> list[Any]:
    return [
        func.coalesce(func.sum(column), 0) for column in (SignUpDay.views, SignUpDay.submits, SignUpDay.confirmations)
    ]


def days(dbsession: Session, form: SignUpForm, *, last: date, count: int) -> list[FormDay]:
    """One row a day, days without numbers included, the last `count` days up to `last`."""
    since = last - timedelta(days=count - 1)
    found: Select[Any] = (
        select(SignUpDay.day, *_sums())
        .where(
            SignUpDay.project_id == form.project_id,
            SignUpDay.form_id == form.id,
            SignUpDay.day.between(since, last),
        )
        .group_by(SignUpDay.day)
    )
    known = {row[0]: Numbers(*map(int, row[1:])) for row in dbsession.execute(found)}
    moments = (since + timedelta(days=n) for n in range(count))
    return [FormDay(day, known.get(day, Numbers())) for day in moments]


def sites(dbsession: Session, form: SignUpForm, *, last: date, count: int, most: int = 50) -> list[FormSite]:
    """The sites that people came from, those that brought most first."""
    since = last - timedelta(days=count - 1)
    sums = _sums()
    found = (
        select(SignUpDay.host, *sums)
        .where(
            SignUpDay.project_id == form.project_id,
            SignUpDay.form_id == form.id,
            SignUpDay.day.between(since, last),
        )
        .group_by(SignUpDay.host)
        .order_by(sums[2].desc(), sums[1].desc(), sums[0].desc(), SignUpDay.host)
        .limit(most)
    )
    return [FormSite(row[0], Numbers(*map(int, row[1:]))) for row in dbsession.execute(found)]


def total(rows: Sequence[FormDay]) -> Numbers:
    return Numbers(
        sum(row.numbers.views for row in rows),
        sum(row.numbers.submits for row in rows),
        sum(row.numbers.confirmations for row in rows),
    )


def forms(dbsession: Session, project_id: int, *, last: date, count: int) -> list[FormRow]:
    """The project's forms, the newest first, with their numbers of the last `count` days. One query."""
    since = last - timedelta(days=count - 1)
    lists = (
        select(func.count())
        .where(SignUpFormList.project_id == SignUpForm.project_id, SignUpFormList.form_id == SignUpForm.id)
        .scalar_subquery()
    )
    numbers = (
        select(SignUpDay.form_id, *(one.label(name) for one, name in zip(_sums(), "vsc", strict=True)))
        .where(SignUpDay.project_id == project_id, SignUpDay.day.between(since, last))
        .group_by(SignUpDay.form_id)
        .subquery()
    )
    found = (
        select(SignUpForm, lists, *(func.coalesce(numbers.c[name], 0) for name in "vsc"))
        .outerjoin(numbers, numbers.c.form_id == SignUpForm.id)
        .where(SignUpForm.project_id == project_id, SignUpForm.archived_at.is_(None))
        .order_by(SignUpForm.id.desc())
    )
    return [FormRow(form, n, Numbers(*map(int, sums))) for form, n, *sums in dbsession.execute(found)]


@dataclass(frozen=True)
class Came:
    """A submission, with the person's address as it is today; None where there is no person."""

    submission: SignUpSubmission
    email: str | None


def submissions(
    dbsession: Session, form: SignUpForm, *, state: str = "", after: str | None = None, limit: int
) -> Page[Came]:
    """What came in by the form, the newest first."""
    wanted = (
        select(SignUpSubmission, Subscriber.email)
        .outerjoin(
            Subscriber,
            (Subscriber.project_id == SignUpSubmission.project_id) & (Subscriber.id == SignUpSubmission.subscriber_id),
        )
        .where(SignUpSubmission.project_id == form.project_id, SignUpSubmission.form_id == form.id)
        .order_by(SignUpSubmission.id.desc())
        .limit(limit + 1)
    )
    if state:
        wanted = wanted.where(SignUpSubmission.state == state)
    place = read_cursor(after, int)
    if place is not None:
        wanted = wanted.where(SignUpSubmission.id < place[0])
    rows = [Came(row, email) for row, email in dbsession.execute(wanted)]
    return page_of(rows, limit, lambda came: (came.submission.id,))
