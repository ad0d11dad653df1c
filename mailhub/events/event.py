"""An event as it is given to the door, and what a hit's User-Agent says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mailhub.mail.agents import Agent, agent_of
from mailhub.models import EventType

#: Longer texts from outside are cut.
MAX_TEXT = 1_000
#: Opens and clicks: events that somebody's program makes. They have a device and, a minute later, an actor.
HITS = frozenset({EventType.OPENED.value, EventType.REDIRECTED.value})
_NOT_A_HIT = Agent("", "")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a letter. `type` is an EventType, `kind` a MessageKind; without `at` it happens now."""

    type: str
    project_id: int
    kind: str
    at: datetime | None = None
    project_domain: str = ""
    message_id: UUID | None = None
    campaign_id: int | None = None
    campaign_name: str = ""
    list_id: int | None = None
    list_name: str = ""
    subscriber_id: int | None = None
    email: str = ""
    email_domain: str = ""
    link_id: int | None = None
    url: str = ""
    code: int | None = None
    detail: str = ""
    ip: str | None = None
    user_agent: str = ""


def agent(event: Event) -> Agent:
    """What a hit was made with, by the text that is stored of it."""
    return agent_of(clean(event.user_agent)) if event.type in HITS else _NOT_A_HIT


def clean(value: str, most: int = MAX_TEXT) -> str:
    """A text from outside, cut, without NUL, which PostgreSQL has no place for."""
    if not value:
        return value
    value = value[:most].replace("\0", "")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
