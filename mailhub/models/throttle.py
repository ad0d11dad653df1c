"""The post office's brakes: token buckets, connections in use, lanes that were slowed down, relays set aside, turns.

All of it is shared by every worker on every machine, on PostgreSQL's own clock.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, one_of


class RelayState(StrEnum):
    UP = "up"
    DOWN = "down"


class RateBucket(Base):
    """A limit and what is left of it. `rate` in letters a second, `tokens` as of `updated_at`; negative: borrowed.

    Keys: `relay:<name>`, `lane:<relay>:<lane>`, `kind:<relay>:<transactional or bulk>`, `project:<id>`,
    `campaign:<project>:<id>`. What has no row has no limit.
    """

    __tablename__ = "rate_bucket"
    __table_args__ = (
        CheckConstraint("rate > 0 AND burst >= 1", name="positive"),
        # One row takes thousands of updates a second: room for them on its own page keeps them out of the index.
        {"postgresql_with": {"fillfactor": "10"}},
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    rate: Mapped[float]
    burst: Mapped[float]
    tokens: Mapped[float]
    updated_at: Mapped[Now]


class ConnectionSlot(Base):
    """How many connections to a relay (lane '') or to one of its lanes a process has or may open, under a lease."""

    __tablename__ = "connection_slot"
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)

    relay: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(Integer)
    #: What the owner asked for: others see by it whether they have to share.
    wanted: Mapped[int] = mapped_column(Integer)
    until: Mapped[datetime]


class RelayLane(Base):
    """What a mailbox provider's answers through a relay have taught us.

    `base_rate` is the configured limit (NULL: none), `rate` the one in force while the lane is slowed down (NULL: it
    is not), likewise `base_connections` and `connections`. `normal_rate` is where the growth ends.
    """

    __tablename__ = "relay_lane"
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)

    relay: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)
    base_rate: Mapped[float | None]
    base_connections: Mapped[int | None] = mapped_column(Integer)
    rate: Mapped[float | None]
    connections: Mapped[int | None] = mapped_column(Integer)
    normal_rate: Mapped[float | None]
    #: Nothing at all is sent until then.
    suspended_until: Mapped[datetime | None]
    #: The rate does not grow until then.
    held_until: Mapped[datetime | None]
    grown_at: Mapped[datetime | None]
    #: Why, as a reason of mail/smtp_rules.py.
    reason: Mapped[str] = mapped_column(server_default="")
    last_code: Mapped[int | None] = mapped_column(SmallInteger)
    #: The reply that slowed it down, without the addresses in it.
    last_reply: Mapped[str] = mapped_column(server_default="")
    slowed_at: Mapped[datetime | None]
    #: Letters taken lately, each worth e^(-age/10 s), as of `flow_at`: a tenth of it is the rate a second.
    flow: Mapped[float] = mapped_column(server_default="0")
    flow_at: Mapped[Now]
    sent_at: Mapped[datetime | None]
    sent_total: Mapped[int] = mapped_column(BigInteger, server_default="0")
    deferred_total: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failed_total: Mapped[int] = mapped_column(BigInteger, server_default="0")
    blocked_total: Mapped[int] = mapped_column(BigInteger, server_default="0")
    updated_at: Mapped[Now]


class RelayHealth(Base):
    """Whether a relay takes letters at all. No row: nothing is known against it."""

    __tablename__ = "relay_health"
    __table_args__ = (one_of("state", RelayState), {"postgresql_with": {"fillfactor": "50"}})

    relay: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(server_default=RelayState.UP)
    reason: Mapped[str] = mapped_column(server_default="")
    #: While up: failures in a row. While down: probes that failed.
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    #: In this state since.
    since: Mapped[Now]
    probe_at: Mapped[datetime | None]
    #: Who tries it now, and until when nobody else does.
    probing_owner: Mapped[str] = mapped_column(server_default="")
    probing_until: Mapped[datetime | None]
    updated_at: Mapped[Now]


class ProjectTurn(Base):
    """A project's virtual time: letters claimed for it, divided by its weight. The smallest one is served next."""

    __tablename__ = "project_turn"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        CheckConstraint("weight > 0", name="weight"),
        {"postgresql_with": {"fillfactor": "20"}},
    )

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    weight: Mapped[float] = mapped_column(server_default="1")
    vtime: Mapped[float] = mapped_column(server_default="0")
    charged_at: Mapped[Now]


class Canary(Base):
    """A task that does nothing, sent through each queue again and again: its absence shows that a consumer is stuck."""

    __tablename__ = "canary"

    queue: Mapped[str] = mapped_column(primary_key=True)
    #: The oldest one that is still on its way, else the newest.
    sent_at: Mapped[Now]
    published_at: Mapped[Now]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str] = mapped_column(server_default="")
