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
    """Where the claims of a campaign's lane stand: chunks `next_seq`..`last_seq` are still free."""

    __tablename__ = "campaign_lane"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    next_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    last_seq: Mapped[int] = mapped_column(Integer)


class ChunkLease(Base):
    """Who works on a chunk and how far.

    `pos` is the write-ahead position: letters before it are settled, the one at it may be on the wire.
    `flushed` says up to where message rows are written: those between were sent (anything else is written at once).
    """

    __tablename__ = "chunk_lease"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        one_of("state", LeaseState),
        Index("ix_chunk_lease_running", "lease_until", postgresql_where=text("state = 'running'")),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(server_default=LeaseState.RUNNING)
    pos: Mapped[int] = mapped_column(Integer, server_default="0")
    flushed: Mapped[int] = mapped_column(Integer, server_default="0")
    #: True while the letter at `pos` is declared to be on the wire.
    in_flight: Mapped[bool] = mapped_column(server_default=text("false"))
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
