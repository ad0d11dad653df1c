"""What jobs there are: what each takes, the slices that it is cut into, the columns of its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import JobKind, Project
from mailhub.reporting import raw_reports, verify

#: A longer range is asked for in pieces.
MOST_DAYS = 366
MOST_PROJECTS = 100
RECOUNT_COLUMNS = ("rollup", "key", "column", "rolled", "recounted")


class JobRefused(Exception):
    """A job cannot be made with these parameters; `field` is the wrong one, `reason` a stable word."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Wanted:
    """A job's parameters, checked. Days are the projects' own, half-open; no projects: all of them."""

    kind: JobKind
    since: date | None = None
    until: date | None = None
    project_ids: tuple[int, ...] = ()

    @property
    def last(self) -> date | None:
        """The last day that is counted."""
        return self.until - timedelta(days=1) if self.until is not None else None

    def parameters(self) -> dict[str, Any]:
        """As the row keeps them."""
        found: dict[str, Any] = {}
        if self.since is not None and self.until is not None:
            found |= {"since": self.since.isoformat(), "until": self.until.isoformat()}
        if self.project_ids:
            found["project_ids"] = list(self.project_ids)
        return found


def check(
    kind: str, *, since: date | None = None, until: date | None = None, project_ids: Sequence[int] = ()
) -> Wanted:
    """The parameters of a job. Raises JobRefused with `unknown`, `missing`, `range` or `too_many`."""
    try:
        known = JobKind(kind)
    except ValueError:
        raise JobRefused("kind", "unknown") from None
    if known == JobKind.RECOUNT:
        return Wanted(known)
    if since is None or until is None:
        raise JobRefused("since", "missing")
    if not 0 < (until - since).days <= MOST_DAYS:
        raise JobRefused("since", "range")
    if known == JobKind.RECIPIENTS and not project_ids:
        raise JobRefused("project_ids", "missing")
    if len(project_ids) > MOST_PROJECTS:
        raise JobRefused("project_ids", "too_many")
    return Wanted(known, since, until, tuple(sorted(set(project_ids))))


def wanted_of(kind: str, parameters: Mapping[str, Any]) -> Wanted:
    """The parameters of a stored job."""
    since, until = parameters.get("since"), parameters.get("until")
    return Wanted(
        JobKind(kind),
        date.fromisoformat(since) if since else None,
        date.fromisoformat(until) if until else None,
        tuple(parameters.get("project_ids", ())),
    )


def slices(session: Session, wanted: Wanted) -> list[date | int]:
    """What a job does one after the other: its days, or the projects that are recounted."""
    if wanted.kind == JobKind.RECOUNT:
        return list(session.scalars(select(Project.id).order_by(Project.id)))
    assert wanted.since is not None
    assert wanted.until is not None
    return [wanted.since + timedelta(days=n) for n in range((wanted.until - wanted.since).days)]


def columns(wanted: Wanted) -> tuple[str, ...]:
    """The head of its file."""
    if wanted.kind == JobKind.RECOUNT:
        return RECOUNT_COLUMNS
    return tuple(one.name for one in fields(raw_reports.REPORTS[wanted.kind][1]))


def rows(session: Session, wanted: Wanted, piece: date | int) -> Iterator[tuple[Any, ...]]:
    """The rows of one slice, in the order of `columns`. A recount has no limit of time; it can be cancelled."""
    if isinstance(piece, int):
        for found in verify.differences(session.connection(), [piece]):
            yield (found.rollup, found.key, found.column, found.rolled, found.recounted)
        return
    window = raw_reports.window(session, piece, piece + timedelta(days=1))
    if window is None:
        return
    for row in raw_reports.rows(session, wanted.kind, window, project_ids=wanted.project_ids):
        yield astuple(row)
