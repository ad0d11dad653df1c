"""What runs by the clock: the periodic tasks as they are declared, their runs, pause and resume."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.models import PeriodicRun
from mailhub.reporting import admin as reports
from mailhub.reporting import admin_machinery as machinery
from mailhub.reporting.admin_machinery import PeriodicPast
from mailhub.tasks import TASKS, TaskSpec

log = logs.get(__name__)

_ROOMS = Path(__file__).parent.parent
#: A task that should have begun so many of its periods ago is late: beat or the workers do not run.
LATE_PERIODS = 2


@dataclass(frozen=True)
class Periodic:
    """A periodic task as it is declared, and its last run. `running`: begun and not ended."""

    name: str
    queue: str
    every_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    paused: bool
    #: Ended runs, the newest first.
    history: tuple[PeriodicPast, ...] = ()

    @property
    def running(self) -> bool:
        begun, ended = self.started_at, self.finished_at
        return begun is not None and (ended is None or ended < begun)

    @property
    def last_seconds(self) -> float | None:
        """How long the last ended run took."""
        if self.running or self.started_at is None or self.finished_at is None:
            return self.history[0].seconds if self.history else None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def next_at(self) -> datetime | None:
        """When beat is expected to start it next; None while it is paused, or has never run."""
        if self.paused or self.every_seconds is None or self.started_at is None:
            return None
        return self.started_at + timedelta(seconds=self.every_seconds)

    def is_late(self, now: datetime) -> bool:
        """Whether it should have begun long ago."""
        expected = self.next_at
        if expected is None or self.every_seconds is None or self.running:
            return False
        return now > expected + timedelta(seconds=(LATE_PERIODS - 1) * self.every_seconds + 60)


def specs() -> dict[str, TaskSpec]:
    """The periodic tasks that workers know, by name.

    Rooms are imported here, one by one: a room that is broken takes its own tasks away, and nothing else.
    """
    for module in pkgutil.iter_modules([str(_ROOMS)], "mailhub."):
        if not module.ispkg:
            continue
        try:
            if importlib.util.find_spec(f"{module.name}.tasks") is not None:
                importlib.import_module(f"{module.name}.tasks")
        except Exception:
            log.exception("tasks.not_loaded", room=module.name)
    return {name: spec for name, spec in sorted(TASKS.items()) if spec.every is not None}


def listed(session: Session) -> list[Periodic]:
    """Every periodic task that is declared or has run, by name."""
    runs = {one.name: one for one in reports.periodic_tasks(session)}
    past, declared = machinery.periodic_history(session), specs()
    found = []
    for name in sorted(declared.keys() | runs.keys()):
        spec, run = declared.get(name), runs.get(name)
        found.append(
            Periodic(
                name,
                spec.queue if spec is not None else "",
                spec.every if spec is not None else None,
                run.started_at if run is not None else None,
                run.finished_at if run is not None else None,
                run.error if run is not None else "",
                run.paused if run is not None else False,
                tuple(past.get(name, ())),
            )
        )
    return found


def set_paused(dbsession: Session, name: str, paused: bool) -> None:
    """Pause or resume a periodic task; beat's wake-ups find it paused and do nothing."""
    row = insert(PeriodicRun).values(name=name, paused=paused)
    dbsession.execute(row.on_conflict_do_update(index_elements=[PeriodicRun.name], set_={"paused": paused}))


def is_paused(dbsession: Session, name: str) -> bool:
    found = dbsession.get(PeriodicRun, name)
    return found is not None and found.paused
