"""What the rooms above ask of the post office."""

from __future__ import annotations

from mailhub.delivery.accept import Attachment, SingleLetter, accept
from mailhub.delivery.again import Again, AgainForbidden, is_hard, resend_unknown, retry_failed
from mailhub.delivery.candidates import Audience, candidates
from mailhub.delivery.fan_out import fan_out
from mailhub.delivery.lanes import Down, LaneProgress, Limit, down_of, lanes_of, limit_of
from mailhub.delivery.routing import Routes
from mailhub.delivery.withdraw import erase_content, withdraw
from mailhub.models import Project
from mailhub.settings import Settings

__all__ = [
    "Again",
    "AgainForbidden",
    "Attachment",
    "Audience",
    "Down",
    "LaneProgress",
    "Limit",
    "SingleLetter",
    "accept",
    "candidates",
    "down_of",
    "erase_content",
    "fan_out",
    "is_hard",
    "lanes_of",
    "limit_of",
    "relays_for",
    "resend_unknown",
    "retry_failed",
    "withdraw",
]


def relays_for(settings: Settings, project: Project, sender_email: str = "") -> tuple[str, ...]:
    """The names of the relays that the project's letters from this sender may take."""
    routes = Routes(settings.relays)
    return routes.members(routes.route_of(project.relay, sender_email.rpartition("@")[2]))
