"""What admins read: every project by day, and the state of the queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL
from mailhub.reporting.queries import COUNTS, Counts

#: More projects than this are not put on one page; the JSON goes on with `after`.
MOST_PROJECTS = 1000


@dataclass(frozen=True, slots=True)
class Volume:
    """A project's events in a range of its own days, half-open; `sent_by_day` has every day of it, oldest first."""

    id: int
    slug: str
    name: str
    domain: str
    time_zone: str
    archived_at: datetime | None
    since: date
    until: date
    counts: Counts
    sent_by_day: tuple[int, ...]

    @property
    def days(self) -> list[date]:
        return [self.since + timedelta(days=n) for n in range((self.until - self.since).days)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work of a kind (letters, chunks, starts, imports) that a queue's workers could do now."""

    queue: str
    what: str
    waiting: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Later:
    """Letters of a queue that wait for a later time."""

    queue: str
    later: int
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process by its own word. `role`: main for a worker's first process, pool for its children."""

    name: str
    host: str
    pid: int
    queue: str
    role: str
    doing: str
    sent: int
    started_at: datetime
    last_seen_at: datetime
    last_progress_at: datetime | None
    silent_seconds: float
    #: What runs, its ids as JSON, since when; empty where nothing does.
    task: str = ""
    task_args: str = ""
    task_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class CanaryTrip:
    """A task that does nothing, on its way through a queue: how long it took, or has waited until now."""

    queue: str
    seconds: float
    is_back: bool
    seen_at: datetime | None
    seen_by: str


@dataclass(frozen=True, slots=True)
class RelayDown:
    """A relay that takes nothing, in its own words."""

    relay: str
    reason: str
    since: datetime
    probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A mailbox provider through a relay. `rate` and `flow` in letters a second; `slowed`: it has pushed back."""

    relay: str
    lane: str
    rate: float | None
    flow: float
    slowed: bool
    suspended_until: datetime | None
    reason: str
    last_code: int | None
    last_reply: str
    slowed_at: datetime | None
    sent_total: int
    deferred_total: int
    blocked_total: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk that is being sent: letters before `pos` of `n` are settled."""

    project_id: int
    slug: str
    campaign_id: int
    campaign_name: str
    lane: int
    seq: int
    pos: int
    n: int
    owner: str
    claimed_at: datetime
    lease_until: datetime
    is_over: bool


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A periodic task's last run. Without an end it is running, or was killed."""

    name: str
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    paused: bool


def project_volumes(
    dbsession: Session,
    *,
    since: date | None = None,
    until: date | None = None,
    days: int = 30,
    project: str = "",
    text: str = "",
    after_id: int = 0,
    most: int = MOST_PROJECTS,
) -> list[Volume]:
    """Every project's events of a range, or of its last `days` days, by id.

    `project` is a slug; `text` is looked for in names, slugs and domains.
    """
    rows = dbsession.execute(
        SQL["admin_projects"].text,
        {
            "since": since,
            "until": until,
            "days": days,
            "project": project,
            "pattern": _pattern(text),
            "after_id": after_id,
            "most": most,
        },
    )
    return [
        Volume(
            row.id,
            row.slug,
            row.name,
            row.domain,
            row.time_zone,
            row.archived_at,
            row.first_day,
            row.end_day,
            Counts(**{name: getattr(row, name) for name in COUNTS}),
            _every_day(row.first_day, row.end_day, dict(zip(row.on_days, row.sent_on_days, strict=True))),
        )
        for row in rows
    ]


def count_projects(dbsession: Session, *, project: str = "", text: str = "") -> int:
    """How many projects fit the same filters."""
    binds = {"project": project, "pattern": _pattern(text)}
    return int(dbsession.execute(SQL["admin_projects_count"].text, binds).scalar_one())


def waiting(dbsession: Session) -> list[Waiting]:
    """What the queues' workers could do now; a kind of which there is nothing has no row."""
    return [Waiting(*row) for row in dbsession.execute(SQL["admin_waiting"].text)]


def later(dbsession: Session) -> list[Later]:
    """Letters for a later time, by queue."""
    return [Later(*row) for row in dbsession.execute(SQL["admin_later"].text)]


def workers(dbsession: Session) -> list[Worker]:
    """Worker processes that were seen within a day."""
    return [Worker(*row) for row in dbsession.execute(SQL["admin_workers"].text)]


def canaries(dbsession: Session) -> list[CanaryTrip]:
    """The last canary of each queue."""
    return [CanaryTrip(*row) for row in dbsession.execute(SQL["admin_canaries"].text)]


def relays_down(dbsession: Session) -> list[RelayDown]:
    """The relays that were set aside."""
    return [RelayDown(*row) for row in dbsession.execute(SQL["admin_relays_down"].text)]


def lanes(dbsession: Session) -> list[Lane]:
    """The lanes of the last day, and those that are slowed down."""
    return [Lane(*row) for row in dbsession.execute(SQL["admin_lanes"].text)]


def leases(dbsession: Session) -> list[Lease]:
    """Chunks that are being sent, the oldest claim first, 200 at most."""
    return [Lease(*row) for row in dbsession.execute(SQL["admin_leases"].text)]


def periodic_tasks(dbsession: Session) -> list[PeriodicTask]:
    """The periodic tasks that have run or were paused, by name."""
    return [PeriodicTask(*row) for row in dbsession.execute(SQL["admin_periodic"].text)]


def clock(dbsession: Session) -> datetime:
    """The database's clock: the moment for which numbers stand that were just read."""
    now: datetime = dbsession.execute(SQL["admin_clock"].text).scalar_one()
    return now


def _every_day(first: date, end: date, known: dict[date, int]) -> tuple[int, ...]:
    return tuple(known.get(first + timedelta(days=n), 0) for n in range((end - first).days))


def _pattern(text: str) -> str:
    """A LIKE pattern in which the user's % and _ are letters."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%" if text else ""
