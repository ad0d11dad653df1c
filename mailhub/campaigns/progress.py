"""How far a campaign is: the parts of its ledger, letters per second, what time is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailhub.campaigns.listing import count_of, parts_of
from mailhub.models import Campaign, CampaignState, Message, MessageState

#: The rate is measured over this long.
WINDOW_SECONDS = 10
LIVE = frozenset({CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED})
_SETTLED = (MessageState.SENT, MessageState.FAILED, MessageState.UNKNOWN)


@dataclass(frozen=True)
class Progress:
    """The ledger at a moment. `rate` is letters per second over the last ten seconds; None while nothing is sent."""

    state: str
    parts: dict[str, int]
    fanned_out: bool
    rate: float | None
    now: datetime

    @property
    def done(self) -> int:
        """People about whom everything is decided."""
        return self.parts["audience"] - self.parts["queued"] - self.parts["deferred"]

    @property
    def to_send(self) -> int:
        """People who were to get a letter: the audience without those left out."""
        return self.parts["audience"] - self.parts["skipped"]

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None where there is none."""
        return self.parts["queued"] / self.rate if self.rate and self.parts["queued"] > 0 else None

    @property
    def live(self) -> bool:
        """Whether it can change by itself: pages poll while it can."""
        return self.state in LIVE or (self.state == CampaignState.CANCELLED and self.parts["queued"] > 0)

    @property
    def version(self) -> str:
        """Changes with everything that is shown."""
        numbers = ".".join(str(n) for n in self.parts.values())
        return f"{self.state}-{int(self.fanned_out)}-{numbers}-{round((self.rate or 0) * 10)}"


def progress_of(dbsession: Session, campaign: Campaign, *, now: datetime) -> Progress:
    """One read of the ledger and, while it is being sent, one of the last seconds' letters."""
    parts = parts_of(count_of(dbsession, campaign))
    rate = None
    if campaign.state == CampaignState.SENDING and campaign.started_at is not None:
        rate = _rate(dbsession, campaign, now)
    return Progress(campaign.state, parts, campaign.fanned_out_at is not None, rate, now)


def _rate(dbsession: Session, campaign: Campaign, now: datetime) -> float | None:
    """Letters per second, from the message rows of the last seconds: their ids begin with the time."""
    since = now - timedelta(seconds=WINDOW_SECONDS)
    settled = dbsession.scalar(
        select(func.count()).where(
            Message.project_id == campaign.project_id,
            Message.campaign_id == campaign.id,
            Message.state.in_(_SETTLED),
            Message.id >= first_id_at(since),
            Message.created_at >= since - timedelta(minutes=1),
        )
    )
    if not settled:
        return None
    running = (now - campaign.started_at).total_seconds() if campaign.started_at else WINDOW_SECONDS
    return settled / max(1.0, min(WINDOW_SECONDS, running))


def first_id_at(moment: datetime) -> UUID:
    """The smallest UUID version 7 of a moment (RFC 9562, §5.7)."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
