"""How far a campaign is: the parts of its ledger, letters per second, what time is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailhub.campaigns.listing import count_of, parts_of
from mailhub.models import Campaign, CampaignCount, CampaignState

LIVE = frozenset({CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED})
#: Nothing has moved for so long: there is no speed to speak of.
SILENT_SECONDS = 15
#: The last minutes before a start are counted down.
COUNT_DOWN_SECONDS = 600


@dataclass(frozen=True)
class Progress:
    """The ledger at a moment. `rate` is letters per second over the last seconds; None while nothing is sent."""

    state: str
    parts: dict[str, int]
    fanned_out: bool
    rate: float | None
    now: datetime
    send_at: datetime | None = None
    spread_seconds: int = 0
    again: bool = False

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
    def seconds_to_start(self) -> float | None:
        """Until a scheduled campaign goes out, if that is soon; 0 when it is about to be started."""
        if self.state != CampaignState.SCHEDULED or self.send_at is None:
            return None
        seconds = (self.send_at - self.now).total_seconds()
        return max(0.0, seconds) if seconds <= COUNT_DOWN_SECONDS else None

    @property
    def spread_ends_at(self) -> datetime | None:
        """About when a spread campaign's last letter goes out: pauses move it on, as what is left takes its share."""
        if not self.spread_seconds:
            return None
        if self.state == CampaignState.SCHEDULED and self.send_at is not None:
            return self.send_at + timedelta(seconds=self.spread_seconds)
        if self.state != CampaignState.SENDING or not self.parts["queued"]:
            return None
        return self.now + timedelta(seconds=self.spread_seconds * self.parts["queued"] / max(1, self.to_send))

    @property
    def live(self) -> bool:
        """Whether it can change by itself: pages poll while it can."""
        return self.state in LIVE or self.again or (self.state == CampaignState.CANCELLED and self.parts["queued"] > 0)

    @property
    def version(self) -> str:
        """Changes with everything that is shown."""
        numbers = ".".join(str(n) for n in self.parts.values())
        at = int(self.send_at.timestamp()) if self.send_at is not None else 0
        return f"{self.state}-{int(self.fanned_out)}-{at}-{int(self.again)}-{numbers}-{round((self.rate or 0) * 10)}"


def progress_of(dbsession: Session, campaign: Campaign, *, now: datetime) -> Progress:
    """One read of the ledger, whatever the campaign's size and speed."""
    count = count_of(dbsession, campaign)
    sending = campaign.state == CampaignState.SENDING and count is not None
    return Progress(
        campaign.state,
        parts_of(count),
        campaign.fanned_out_at is not None,
        rate_of(count, now) if sending and count is not None else None,
        now,
        campaign.send_at,
        campaign.spread_seconds or 0,
        campaign.again_unknown_at is not None or campaign.again_failed_at is not None,
    )


def rate_of(count: CampaignCount, now: datetime) -> float | None:
    """Letters per second since the ledger's earlier mark (models.campaign); None when nothing moves."""
    if (now - count.updated_at).total_seconds() > SILENT_SECONDS:
        return None
    settled = count.sent + count.failed + count.unknown - count.before_done
    seconds = (now - count.before_at).total_seconds()
    return settled / max(1.0, seconds) if settled > 0 else None
