"""The post office's books: immutable chunks, the claim cursor of a lane, leases with a write-ahead position."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ARRAY, BigInteger, ForeignKeyConstraint, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, one_of


class LeaseState(StrEnum):
    RUNNING = "running"
    DONE = "done"


class CampaignChunk(Base):
    """Up to `mailhub.delivery.chunk_size` subscriber ids of the frozen audience. Never changed after fan-out."""

    __tablename__ = "campaign_chunk"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(Integer)
    ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


class CampaignLane(Base):
    """Where the claims of a campaign's lane stand: chunks `next_seq`..`last_seq` are still free.

    `lane` is an index into `mail.lane.LANES`. `route` names the relays that may take its letters.
    """

    __tablename__ = "campaign_lane"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    route: Mapped[str] = mapped_column(server_default="default")
    next_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    last_seq: Mapped[int] = mapped_column(Integer)
    #: People in the lane when it was fanned out.
    total: Mapped[int] = mapped_column(server_default="0")


class ChunkLease(Base):
    """Who works on a chunk and how far. Places are indexes into the chunk's ids.

    Every place before `pos` is settled, but for those in `on_wire` (declared to be on the wire: after a crash they are
    in doubt) and in `again` (passed over, to be sent yet). The message rows of all places before `flushed` are written,
    but for those in `unwritten` (not settled when the books were written). What is settled and not written was sent:
    any other end is written in the transaction that moves the position past it.
    """

    __tablename__ = "chunk_lease"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        one_of("state", LeaseState),
        # None of its columns ever changes, so that the updates of a lease stay on their page (HOT).
        Index("ix_chunk_lease_running", "project_id", "campaign_id", postgresql_where=text("state = 'running'")),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(server_default=LeaseState.RUNNING)
    pos: Mapped[int] = mapped_column(Integer, server_default="0")
    flushed: Mapped[int] = mapped_column(Integer, server_default="0")
    on_wire: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    again: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    unwritten: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    #: Grows each time the books are written: a commit whose answer was lost is recognised by it.
    writes: Mapped[int] = mapped_column(Integer, server_default="0")
    owner: Mapped[str]
    lease_until: Mapped[datetime]
    claimed_at: Mapped[Now]


class WorkerHeartbeat(Base):
    """A living worker process, by its own word every few seconds."""

    __tablename__ = "worker_heartbeat"
    __table_args__ = (Index(None, "last_seen_at"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    #: The first process of a pool's child.
    parent_pid: Mapped[int | None]
    queue: Mapped[str]
    #: "main" for a worker's first process, "pool" for its children.
    role: Mapped[str] = mapped_column(server_default="main")
    doing: Mapped[str] = mapped_column(server_default="")
    #: The task that runs, its ids as JSON, and since when; empty while there is none.
    task: Mapped[str] = mapped_column(server_default="")
    task_args: Mapped[str] = mapped_column(server_default="")
    task_since: Mapped[datetime | None]
    sent: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[Now]
    last_seen_at: Mapped[Now]
    last_progress_at: Mapped[datetime | None]


class PeriodicRun(Base):
    """A periodic task's last start and end, and whether the operator has paused it."""

    __tablename__ = "periodic_run"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(server_default="")
    paused: Mapped[bool] = mapped_column(server_default=text("false"))


class PeriodicHistory(Base):
    """The last runs of a periodic task that have ended; `error` is empty where all went well."""

    __tablename__ = "periodic_history"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime]
    error: Mapped[str] = mapped_column(server_default="")


class QueueMinute(Base):
    """What the workers of a queue did in a minute: letters that were settled, tasks that ended, failed ones of them.

    Heartbeats add what they have counted since the last beat, so that nobody ever counts rows for a rate.
    """

    __tablename__ = "queue_minute"
    __table_args__ = (Index(None, "minute"), {"postgresql_with": {"fillfactor": "50"}})

    queue: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    letters: Mapped[int] = mapped_column(server_default="0")
    tasks: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
