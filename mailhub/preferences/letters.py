"""This room's own letters: the link that was asked for, the question to a new address, the notice to the old one.

Service messages on the `transactional` queue. None holds anything that a stranger has typed: they would make us carry
anybody's advertising (walls.md, T9).
"""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from mailhub.lists.letters import deliver
from mailhub.lists.list_letters import Written
from mailhub.lists.speaking import write
from mailhub.models import Project
from mailhub.preferences.links import LINK_SECONDS


def send_link(request: Request, project: Project, language: str, *, to_email: str, url: str) -> None:
    """The link that somebody asked for. Enqueues the letter."""
    _send(request, project, language, "preferences_link", to_email=to_email, url=url, days=LINK_SECONDS // 86400)


def send_question(request: Request, project: Project, language: str, *, to_email: str, url: str, hours: int) -> None:
    """Ask a new address whether it is to get a person's letters. Enqueues the letter."""
    _send(request, project, language, "change_address", to_email=to_email, url=url, hours=hours)


def send_notice(request: Request, project: Project, language: str, *, to_email: str, masked: str) -> None:
    """Tell an old address that the letters go to another one from now on. Enqueues the letter."""
    _send(request, project, language, "address_changed", to_email=to_email, masked=masked)


def _send(request: Request, project: Project, language: str, name: str, *, to_email: str, **values: Any) -> None:
    written = Written(*write(request, name, language, project=project, **values))
    deliver(request, project, written, to_email=to_email, subscriber_id=None, tag=name)
