"""Links to a campaign's report for people without an account: made, listed, revoked, followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.orm import Session

from mailhub.models import Campaign, Project, StatsShare, User
from mailhub.security.secrets import digest, new_token

#: Links of one campaign that work at the same time.
MOST = 50
#: How long a link works, in days; None: until it is revoked.
LENGTHS: dict[str, int | None] = {"7": 7, "30": 30, "90": 90, "never": None}
#: A visit within this time after the last one is not written down.
SEEN_EVERY = timedelta(minutes=1)


class TooManyShares(Exception):
    """The campaign has MOST links that work."""


@dataclass(frozen=True)
class Issued:
    """A new link; `token` is the only copy there is."""

    row: StatsShare
    token: str


@dataclass(frozen=True)
class Followed:
    """What a working link leads to."""

    share: StatsShare
    campaign: Campaign
    project: Project


def create(
    dbsession: Session, campaign: Campaign, *, name: str, length: str, created_by: int | None, now: datetime
) -> Issued:
    """A link that works from now on for `length` (a key of LENGTHS). Raises TooManyShares. Adds the row."""
    working = select(func.count()).where(
        StatsShare.project_id == campaign.project_id,
        StatsShare.campaign_id == campaign.id,
        StatsShare.revoked_at.is_(None),
        func.coalesce(StatsShare.expires_at > now, True),
    )
    if (dbsession.scalar(working) or 0) >= MOST:
        raise TooManyShares
    token, days = new_token(), LENGTHS[length]
    row = StatsShare(
        project_id=campaign.project_id,
        campaign_id=campaign.id,
        token_hash=digest(token),
        name=name,
        created_by=created_by,
        expires_at=now + timedelta(days=days) if days is not None else None,
    )
    dbsession.add(row)
    dbsession.flush()
    return Issued(row, token)


def of_campaign(dbsession: Session, campaign: Campaign) -> list[Row[Any]]:
    """(StatsShare, name of who made it or None), the newest first."""
    wanted = (
        select(StatsShare, func.coalesce(func.nullif(User.name, ""), User.email))
        .outerjoin(User, User.id == StatsShare.created_by)
        .where(StatsShare.project_id == campaign.project_id, StatsShare.campaign_id == campaign.id)
        .order_by(StatsShare.id.desc())
        .limit(4 * MOST)
    )
    return list(dbsession.execute(wanted))


def revoke(share: StatsShare, *, now: datetime) -> bool:
    """The link works no more. False: it did not before."""
    if share.revoked_at is not None:
        return False
    share.revoked_at = now
    return True


def follow(dbsession: Session, token: str, *, now: datetime) -> Followed | None:
    """What the link leads to, None where it does not work. Writes down the visit, at most once in SEEN_EVERY."""
    wanted = (
        select(StatsShare, Campaign, Project)
        .join(Campaign, and_(Campaign.project_id == StatsShare.project_id, Campaign.id == StatsShare.campaign_id))
        .join(Project, Project.id == StatsShare.project_id)
        .where(StatsShare.token_hash == digest(token), Project.archived_at.is_(None), Campaign.started_at.is_not(None))
    )
    found = dbsession.execute(wanted).one_or_none()
    if found is None or not found.StatsShare.works(now):
        return None
    share: StatsShare = found.StatsShare
    if share.last_seen_at is None or now - share.last_seen_at > SEEN_EVERY:
        share.last_seen_at = now
    return Followed(share, found.Campaign, found.Project)
