"""Addresses of the pages of preferences, and what their tokens say. The token is the only credential."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from mailhub.lists import service as lists
from mailhub.mail.tokens import BadToken, Claims, Kind, Signer
from mailhub.models import MailingList, Project, Subscriber

#: A link that was asked for works so long; those of letters work as long as the person is in the project.
LINK_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True)
class Opened:
    """Whose page it is, and in which language it speaks unless the reader chooses another one."""

    project: Project
    person: Subscriber
    claims: Claims
    language: str


def page_url(public_url: str, signer: Signer, claims: Claims, *, expires: int | None = None) -> str:
    """The page of the person that a letter's token names, with the letter's campaign and list."""
    token = signer.sign(
        Kind.PREFERENCES, project=claims.project, campaign=claims.campaign, subscriber=claims.subscriber,
        list=claims.list, expires=expires,
    )  # fmt: skip
    return f"{public_url.rstrip('/')}/p/{token}"


def asked_url(public_url: str, signer: Signer, *, project_id: int, subscriber_id: int, now: float) -> str:
    """The page for somebody who has asked for the link; it works for LINK_SECONDS."""
    claims = Claims(Kind.PREFERENCES, project=project_id, subscriber=subscriber_id)
    return page_url(public_url, signer, claims, expires=int(now) + LINK_SECONDS)


def person_url(public_url: str, signer: Signer, person: Subscriber) -> str:
    """The page of a person, as their letters have it."""
    return page_url(public_url, signer, Claims(Kind.PREFERENCES, project=person.project_id, subscriber=person.id))


def ask_url(public_url: str, signer: Signer, project_id: int) -> str:
    """The page on which people of a project ask for their link."""
    token = signer.sign(Kind.PREFERENCES, project=project_id)
    return f"{public_url.rstrip('/')}/p/{token}/link"


def opened(dbsession: Session, signer: Signer, token: str, *, now: float | None = None) -> Opened | None:
    """What a token of a person opens; None where it is not genuine, too old, or the person is gone. Three queries."""
    try:
        claims = signer.read(Kind.PREFERENCES, token, now=int(time.time() if now is None else now))
    except BadToken:
        return None
    if claims.project is None or claims.subscriber is None:
        return None
    project = dbsession.get(Project, claims.project)
    person = lists.person_of(dbsession, claims.project, claims.subscriber) if project is not None else None
    if project is None or person is None or project.archived_at is not None:
        return None
    return Opened(project, person, claims, _language(dbsession, project, claims))


def project_of(dbsession: Session, signer: Signer, token: str) -> tuple[Project, Claims] | None:
    """The project of a token that may be of anybody and of any age: that much is no secret."""
    try:
        claims = signer.read(Kind.PREFERENCES, token, now=0)
    except BadToken:
        return None
    project: Any = dbsession.get(Project, claims.project) if claims.project is not None else None
    return None if project is None or project.archived_at is not None else (project, claims)


def _language(dbsession: Session, project: Project, claims: Claims) -> str:
    if claims.list is None:
        return project.language
    mailing_list = dbsession.get(MailingList, (claims.project, claims.list))
    return (mailing_list.language if mailing_list is not None else "") or project.language
