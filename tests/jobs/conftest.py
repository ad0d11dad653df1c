"""Events of two projects on three days, one of which has its midnight elsewhere."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mailhub.events.service import Event, append_in
from mailhub.jobs import files, service
from mailhub.jobs.kinds import check
from mailhub.models import ReportJob
from mailhub.tasks import TASKS, run

FIRST, LAST = date(2026, 11, 2), date(2026, 11, 5)


def events_of(build: Any) -> tuple[Any, Any]:
    """`near` keeps UTC; `far` is 14 hours ahead: its 3 November begins at 10:00 UTC of the second."""
    near, far = build.project(slug="near"), build.project(slug="far", time_zone="Pacific/Kiritimati")

    def event(project: Any, kind: str, day: int, hour: int, **columns: Any) -> Event:
        at = datetime(2026, 11, day, hour, tzinfo=UTC)
        who = {"email": "anna@mail.test", "email_domain": "mail.test", "subscriber_id": 1} | columns
        return Event(type=kind, project_id=project.id, kind="transactional", at=at, **who)

    unknown = {"code": 550, "email": "gone@other.test", "email_domain": "other.test", "subscriber_id": 2}
    append_in(
        build.session,
        [
            event(near, "SENT", 2, 0),
            event(near, "SENT", 2, 23),
            event(near, "OPENED", 3, 1),
            event(near, "HARDBOUNCED", 3, 2, detail="5.1.1 <gone@other.test>: no such user id-4f5a6b7c8", **unknown),
            event(near, "HARDBOUNCED", 3, 3, detail="5.1.1 <lost@other.test>: no such user id-99887766", **unknown),
            event(far, "SENT", 2, 9),
            event(far, "SENT", 2, 10),
            event(far, "SENT", 3, 9),
            event(far, "SENT", 1, 9),  # its day is the first: not asked for
        ],
    )
    build.session.commit()
    return near, far


@pytest.fixture
def two(live):
    return events_of(live.build)


def ask(live: Any, kind: str, **given: Any) -> int:
    """A job that waits."""
    wanted = check(kind, **({"since": FIRST, "until": LAST} if kind != "recount" else {}) | given)
    job, _is_new = service.ask(live.session, wanted, user_id=None)
    live.session.commit()
    return job.id


def make(live: Any, job_id: int) -> None:
    """What a worker does."""
    run(live.registry, TASKS["mailhub.jobs.run_report"], (job_id,))


def row(live: Any, job_id: int) -> ReportJob:
    live.session.rollback()
    return live.session.get_one(ReportJob, job_id, populate_existing=True)


def path(live: Any, job: ReportJob) -> Path:
    return files.path_of(live.registry.mailhub, job.file)


def lines(live: Any, job: ReportJob) -> list[str]:
    """The file's rows without its head."""
    return path(live, job).read_text(encoding="utf-8-sig").splitlines()[1:]
