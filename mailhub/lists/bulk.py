"""Changes to many people at once, as a job: asked for, done in slices, taken back within a week.

Whom it is about is frozen when it is asked for: a list of ids, or a filter with the highest id of that moment, so that
whoever comes later is not swept in. A slice is one transaction with the job's own place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyramid.request import Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.background.running import Running
from mailhub.lists import bulk_actions
from mailhub.lists.filters import PeopleFilter, scope_of
from mailhub.lists.search import Search
from mailhub.models import JobState, Project, ProjectJob, Subscriber, SubscriberChange

KIND, UNDO = "people", "people_undo"
#: Of one page of the table, and of one request to the API.
MOST_CHOSEN = 1_000
#: People changed, and people looked at, in one slice.
SLICE, WINDOW = 1_000, 5_000


@dataclass(frozen=True)
class Whom:
    """Chosen people, or all who fit a filter."""

    ids: tuple[int, ...] = ()
    wanted: PeopleFilter | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {"ids": sorted(set(self.ids))} if self.wanted is None else {"filter": self.wanted.query}


class CannotUndo(Exception):
    """`why`: final (deleted people do not come back), running, undone (nothing is left to be taken back)."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def ask(
    request: Request,
    project: Project,
    whom: Whom,
    action: str,
    *,
    user_id: int | None = None,
    total: int = 0,
    most: int | None = None,
    **what: Any,
) -> ProjectJob:
    """A job that does this to them. `what`: tag, list, field, value. `most` people are changed and no more.

    Raises background.TooManyJobs.
    """
    assert action in bulk_actions.ACTIONS, action
    upto = request.dbsession.scalar(select(func.max(Subscriber.id)).where(Subscriber.project_id == project.id)) or 0
    asked = {"action": action, "upto": upto, **whom.parameters, **what}
    if most is not None:
        asked["most"] = most
    job, _new = background.ask(request, project.id, KIND, asked, total=total, user_id=user_id)
    return job


def ask_undo(request: Request, job: ProjectJob, *, user_id: int | None = None) -> tuple[ProjectJob, bool]:
    """A job that takes back what this one has done, and whether it is new: one that is under way is given again.

    Raises CannotUndo, background.TooManyJobs.
    """
    if job.kind != KIND or bulk_actions.ACTIONS[job.parameters["action"]].undo is None:
        raise CannotUndo("final")
    if job.state in background.OPEN:
        raise CannotUndo("running")
    total = changes_left(request.dbsession, job)
    if not total:
        raise CannotUndo("undone")
    return background.ask(request, job.project_id, UNDO, {"job": job.id}, total=total, user_id=user_id)


def changes_left(dbsession: Session, job: ProjectJob) -> int:
    """How many of the job's changes can still be taken back; what it has changed, where nothing was yet."""
    some = select(SubscriberChange.subscriber_id).where(
        SubscriberChange.project_id == job.project_id, SubscriberChange.job_id == job.id
    )
    if dbsession.scalar(some.limit(1)) is None:
        return 0
    return int(job.result.get("changed", 0)) or 1


def can_undo(dbsession: Session, job: ProjectJob) -> bool:
    """Whether there is something to take back, and nothing in its way."""
    return (
        job.kind == KIND
        and job.state not in background.OPEN
        and bulk_actions.ACTIONS[job.parameters["action"]].undo is not None
        and changes_left(dbsession, job) > 0
    )


def do(request: Request, job: Running) -> dict[str, Any]:
    """The handler of KIND."""
    asked = job.parameters
    changed = int(job.result.get("changed", 0))
    while True:
        with request.tm:
            people, place = _next_slice(request, job)
            if "most" in asked:
                people = people[: asked["most"] - job.done]
                place = place if people or job.done < asked["most"] else None
            changed += bulk_actions.apply(
                request.dbsession, project_id=job.project_id, job_id=job.id, asked=asked, people=people
            )
            if place is not None:
                job.move(request.dbsession, done=len(people), place=place, result={"changed": changed})
        if place is None:
            return {"changed": changed}


def _next_slice(request: Request, job: Running) -> tuple[Sequence[int], dict[str, Any] | None]:
    """Whom the next slice is about, and where the one after it begins; None: there is nobody left."""
    asked, dbsession = job.parameters, request.dbsession
    if "ids" in asked:
        begin = job.place.get("next", 0)
        ids = asked["ids"][begin : begin + SLICE]
        return ids, {"next": begin + len(ids)} if ids else None
    project = dbsession.get_one(Project, job.project_id)
    wanted = PeopleFilter.of(asked["filter"])
    search = Search(dbsession, scope_of(dbsession, project, wanted), wanted)
    people, last = search.slice(after=job.place.get("after", 0), upto=asked["upto"], window=WINDOW)
    if last is None:
        return [], None
    if len(people) <= SLICE:
        return people, {"after": last}
    return people[:SLICE], {"after": people[SLICE - 1]}


def undo(request: Request, job: Running) -> dict[str, Any]:
    """The handler of UNDO. What is taken back leaves `subscriber_change`, so the next slice is what is left."""
    restored, looked_at = int(job.result.get("restored", 0)), job.done
    while True:
        with request.tm:
            dbsession: Session = request.dbsession
            first = dbsession.get(ProjectJob, (job.project_id, job.parameters["job"]))
            people: Sequence[int] = []
            if first is not None:
                people = dbsession.scalars(
                    select(SubscriberChange.subscriber_id)
                    .where(SubscriberChange.project_id == job.project_id, SubscriberChange.job_id == first.id)
                    .order_by(SubscriberChange.subscriber_id)
                    .limit(SLICE)
                ).all()
                restored += bulk_actions.take_back(
                    dbsession, project_id=job.project_id, job_id=first.id, asked=first.parameters, people=people
                )
            looked_at += len(people)
            result = {"restored": restored, "kept": looked_at - restored}
            if people:
                job.move(dbsession, done=len(people), result=result)
        if not people:
            return result


def is_over(job: ProjectJob) -> bool:
    """Whether the page has nothing to wait for."""
    return job.state not in (JobState.PENDING, JobState.RUNNING)
