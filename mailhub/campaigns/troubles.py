"""What went wrong with a campaign's letters: in doubt, failed, put off, grouped by the relay's answer."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from mailhub.campaigns.progress import Progress
from mailhub.delivery.service import is_hard
from mailhub.models import Campaign, MessageState
from mailhub.reporting import campaign_pages
from mailhub.reporting.campaign_pages import MOST_LETTERS

MOST_KINDS = 12
GROUPED = (MessageState.FAILED, MessageState.DEFERRED)


@dataclass(frozen=True)
class Kind:
    """Letters that ended alike. `reply` is what the relay said about the latest of them: hostile, may name a person."""

    state: str
    code: int | None
    reason: str
    n: int
    reply: str

    @property
    def hard(self) -> bool:
        """Whether trying again is of no use."""
        return self.state == MessageState.FAILED and is_hard(self.reason)


@dataclass(frozen=True)
class Troubles:
    """`complete`: every letter was looked at, not only the latest. `unknown` and `failed` are the ledger's."""

    kinds: list[Kind]
    complete: bool
    unknown: int
    failed: int


def version_of(progress: Progress) -> str:
    """Changes with what `troubles_of` gives; costs nothing."""
    parts = progress.parts
    return f"{progress.state}-{int(progress.again)}-{parts['unknown']}-{parts['failed']}-{parts['deferred']}"


def troubles_of(dbsession: Session, campaign: Campaign, progress: Progress) -> Troubles:
    """The largest kinds first, at most MOST_KINDS. One statement over at most 2 × MOST_LETTERS rows by their index."""
    parts = progress.parts
    kinds: list[Kind] = []
    if parts["failed"] or parts["deferred"]:
        found = campaign_pages.campaign_refusals(
            dbsession, campaign.project_id, campaign.id, campaign.started_at or campaign.created_at,
            most=MOST_LETTERS, kinds=MOST_KINDS,
        )  # fmt: skip
        kinds = [Kind(one.state, one.code, one.reason, one.n, one.reply) for one in found]
    complete = all(parts[state.value] <= MOST_LETTERS for state in GROUPED)
    return Troubles(kinds, complete, parts["unknown"], parts["failed"])
