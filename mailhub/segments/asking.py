"""A saved segment's count: at once where that is quick, else by a job."""

from __future__ import annotations

from pyramid.request import Request

from mailhub.background import service as background
from mailhub.models import JobState, ProjectJob, Segment
from mailhub.segments import keeping, service
from mailhub.segments.tree import Tree


def ask_count(request: Request, segment: Segment, tree: Tree) -> service.Count | None:
    """Count the segment and write the number down; None where it takes too long and a worker does it.

    Where the project has too many jobs already, the hourly refresh will do it.
    """
    counted = service.count(request.dbsession, segment.project_id, tree)
    if counted is not None:
        service.note_count(request.dbsession, segment, counted)
        request.dbsession.refresh(segment)
        return counted
    try:
        user = getattr(request, "user", None)
        background.ask(
            request, segment.project_id, keeping.COUNT_JOB, {"segment_id": segment.id},
            total=1, user_id=user.id if user is not None else None,
        )  # fmt: skip
    except background.TooManyJobs:
        pass
    return None


def counting_job(request: Request, segment: Segment) -> ProjectJob | None:
    """The latest job that counts or has counted the segment."""
    found = (
        request.dbsession.query(ProjectJob)
        .filter(
            ProjectJob.project_id == segment.project_id,
            ProjectJob.kind == keeping.COUNT_JOB,
            ProjectJob.parameters.contains({"segment_id": segment.id}),
        )
        .order_by(ProjectJob.id.desc())
        .limit(1)
        .one_or_none()
    )
    assert found is None or isinstance(found, ProjectJob)
    return found


def is_open(job: ProjectJob | None) -> bool:
    """Whether the number is still to come."""
    return job is not None and job.state in (JobState.PENDING, JobState.RUNNING)
