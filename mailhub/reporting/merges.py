"""What was sent to one person and done by them becomes another's: two rows of people are one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

#: Reactions first: they are locked by it, and whoever is storing an event of theirs is waited for.
_MOVES = ("move_reactions", "move_link_reactions", "move_events", "move_messages")


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows of each kind have become the winner's, and of how many campaigns."""

    campaigns: int
    reactions: int
    link_reactions: int
    events: int
    messages: int


def movable_campaigns(dbsession: Session, project_id: int, *, winner_id: int, loser_id: int) -> list[int]:
    """The campaigns of the loser that can become the winner's without changing any unique number, by id."""
    named = SQL["movable_campaigns"].text
    rows = dbsession.execute(named, {"project_id": project_id, "winner_id": winner_id, "loser_id": loser_id})
    return [row.campaign_id for row in rows]


def has_news(dbsession: Session, project_id: int, loser_id: int) -> bool:
    """Whether anything has happened within an hour to a person who was merged with another."""
    binds = {"project_id": project_id, "loser_id": loser_id}
    return bool(dbsession.execute(SQL["has_news"].text, binds).scalar_one())


def move_history(dbsession: Session, project_id: int, *, winner_id: int, loser_id: int) -> Moved:
    """Give the loser's letters, events and reactions to the winner, as far as every number stays what it is.

    Campaigns that both have something of stay as they are, and so does what happened within the last hour.
    Changes: campaign_reaction, campaign_link_reaction, message_event, message.
    """
    values = {"project_id": project_id, "winner_id": winner_id, "loser_id": loser_id}
    campaigns = movable_campaigns(dbsession, project_id, winner_id=winner_id, loser_id=loser_id)
    counts = [
        cast(CursorResult[Any], dbsession.execute(SQL[name].text, {**values, "campaign_ids": campaigns})).rowcount
        for name in _MOVES
    ]
    return Moved(len(campaigns), *counts)
