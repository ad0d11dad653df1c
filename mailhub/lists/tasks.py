"""What this room does later: bulk changes and their undoing, changes of fields, duplicates and what merges leave."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from sqlalchemy import text

from mailhub.background.running import Running
from mailhub.background.service import project_job
from mailhub.lists import bulk, duplicates, field_changes, merging
from mailhub.tasks import task

# Ahead of the job's own end, which takes what is left with it in one statement.
_FORGET = text(
    """
    DELETE FROM subscriber_change WHERE (project_id, job_id, subscriber_id) IN (
        SELECT c.project_id, c.job_id, c.subscriber_id
        FROM project_job AS j
        JOIN subscriber_change AS c ON c.project_id = j.project_id AND c.job_id = j.id
        WHERE j.expires_at < clock_timestamp() + interval '2 hours' AND j.kind = :kind
        LIMIT :most
    )
    """
)
FORGET_AT_ONCE = 20_000
SETTLE_AT_ONCE = 200


@project_job(bulk.KIND)
def change_people(request: Request, job: Running) -> dict[str, Any]:
    return bulk.do(request, job)


@project_job(bulk.UNDO)
def take_back(request: Request, job: Running) -> dict[str, Any]:
    return bulk.undo(request, job)


@project_job(field_changes.KIND)
def change_field(request: Request, job: Running) -> dict[str, Any]:
    return field_changes.do(request, job)


@project_job(duplicates.KIND)
def find_duplicates(request: Request, job: Running) -> dict[str, Any]:
    return duplicates.do(request, job)


@task("mailhub.lists.forget_changes", queue="celery", every=300)
def forget_changes(request: Request) -> None:
    """Changes that can be taken back for a week go a slice at a time, before their job does."""
    request.dbsession.execute(_FORGET, {"kind": bulk.KIND, "most": FORGET_AT_ONCE})


@task("mailhub.lists.settle_merges", queue="celery", every=300)
def settle_merges(request: Request) -> None:
    """An hour after two people have become one, what had happened just before is moved too."""
    merging.settle(request.dbsession, most=SETTLE_AT_ONCE)
