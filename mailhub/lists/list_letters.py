"""A list's own letters: what stands in them, which fields they may use, and how they are filled in.

A confirmation may use nothing that its asker has typed: a name field would make us carry anybody's advertising
(walls.md, T9). In a welcome or goodbye letter the person's own fields are filled in once they have confirmed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pyramid.request import Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.lists.fields import fields_of
from mailhub.lists.speaking import write
from mailhub.mail.lint import SourceRefused, fields
from mailhub.mail.merge import merge_context
from mailhub.mail.problem import Problem
from mailhub.mail.template import Kind, RenderFailed, Template, TemplateRefused, compile_template
from mailhub.mail.text import html_to_text
from mailhub.models import LetterKind, ListLetter, MailingList, Project

#: A link in a confirmation letter works so long; who has not confirmed by then is forgotten (walls.md, T9).
CONFIRM_SECONDS = 7 * 24 * 3600
CONFIRM_DAYS = CONFIRM_SECONDS // 86_400
#: Names beyond those of every letter (mail.merge), and what may stand in a confirmation.
OWN_NAMES = frozenset({"confirm_url", "days", "sign_up_url"})
CONFIRMATION_NAMES = frozenset({"confirm_url", "days", "list.name", "project.name", "project.address"})
#: There is no page of these in a letter that is no campaign's.
_ELSEWHERE = frozenset({"web_version_url", "campaign.name", "campaign.subject"})
PARTS: tuple[tuple[str, Kind], ...] = (("subject", "header"), ("text", "text"), ("html", "html"))


@dataclass(frozen=True)
class Source:
    """A letter as it is written, with its merge fields. `own`: the list's, not our default."""

    subject: str
    html: str
    text: str
    enabled: bool = True
    own: bool = False


@dataclass(frozen=True)
class Written:
    """A letter as it is sent."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Reader:
    """Whom a letter is for. Without a name and fields it says nothing that somebody has typed."""

    email: str = ""
    name: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def stored(dbsession: Session, mailing_list: MailingList) -> dict[tuple[str, str], ListLetter]:
    """The list's own letters by kind and language. One query."""
    wanted = select(ListLetter).where(
        ListLetter.project_id == mailing_list.project_id, ListLetter.list_id == mailing_list.id
    )
    return {(one.kind, one.language): one for one in dbsession.scalars(wanted)}


def source_of(request: Request, mailing_list: MailingList, kind: str, language: str) -> Source:
    """The letter in this language: the list's own, else ours."""
    row = request.dbsession.get(ListLetter, (mailing_list.project_id, mailing_list.id, kind, language))
    if row is None:
        return default(request, kind, language)
    return Source(row.subject, row.html, row.text, row.enabled, own=True)


def default(request: Request, kind: str, language: str) -> Source:
    """Our own words, with merge fields in the places of names. Welcome and goodbye letters are off."""

    class Name:
        def __init__(self, name: str, address: str = "") -> None:
            self.name, self.postal_address = name, address

    written = write(
        request,
        f"list_{kind}",
        language,
        project=Name("{{ project.name }}", "{{ project.address }}"),
        mailing_list=Name("{{ list.name }}"),
        confirm_url="{{ confirm_url }}",
        days=CONFIRM_DAYS,
    )
    return Source(written[0], written[2], written[1], enabled=kind == LetterKind.CONFIRMATION)


def problems(
    dbsession: Session, project_id: int, kind: str, source: Source
) -> list[Problem]:
    """What is wrong with a letter, each with its part; empty if it can be sent."""
    known = _known(dbsession, project_id)
    found: list[Problem] = []
    for part, form in PARTS:
        text = getattr(source, part)
        try:
            _compiled(text, form, known)
            used = fields(text)
        except TemplateRefused as refused:
            found += [Problem(one.code, one.params, one.line, one.level, part) for one in refused.problems]
            continue
        except SourceRefused:
            continue
        for name in sorted(used):
            if name in _ELSEWHERE or (kind == LetterKind.CONFIRMATION and name not in CONFIRMATION_NAMES):
                found.append(Problem("unknown_field", {"name": name}, part=part))
        if kind == LetterKind.CONFIRMATION and part != "subject" and text and "confirm_url" not in used:
            found.append(Problem("no_confirm_link", part=part))
    return found


def render(
    dbsession: Session,
    project: Project,
    lists: Sequence[MailingList],
    source: Source,
    reader: Reader,
    *,
    confirm_url: str = "",
    days: int = 0,
    sign_up_url: str = "",
    unsubscribe_url: str = "",
) -> Written:
    """Fill a letter in. Raises TemplateRefused or RenderFailed: what was saved once need not be right for ever."""
    known = _known(dbsession, project.id)
    context = merge_context(
        email=reader.email,
        name=reader.name,
        fields={**reader.fields, "confirm_url": confirm_url, "days": days, "sign_up_url": sign_up_url},
        unsubscribe_url=unsubscribe_url,
        web_version_url="",
        groups={
            "project": {"name": project.name, "address": project.postal_address},
            "list": {"name": ", ".join(one.name for one in lists)},
            "campaign": {"name": "", "subject": ""},
        },
    )
    filled = {part: _compiled(getattr(source, part), form, known).render(context) for part, form in PARTS}
    html = filled["html"]
    text = filled["text"].strip() or html_to_text(html)
    return Written(" ".join(filled["subject"].split()), text.strip() + "\n", html)


def render_or_default(
    request: Request, project: Project, lists: Sequence[MailingList], kind: str, language: str, reader: Reader,
    **urls: Any,
) -> Written:  # fmt: skip
    """The letter of the first list; ours where the list's own can't be filled in any more."""
    source = source_of(request, lists[0], kind, language)
    try:
        return render(request.dbsession, project, lists, source, reader, **urls)
    except (TemplateRefused, RenderFailed):
        return render(request.dbsession, project, lists, default(request, kind, language), reader, **urls)


def save(
    dbsession: Session, mailing_list: MailingList, kind: str, language: str, source: Source, *, user_id: int | None
) -> None:
    """Make this the list's own letter; `problems` has found none."""
    key = (mailing_list.project_id, mailing_list.id, kind, language)
    row = dbsession.get(ListLetter, key)
    if row is None:
        row = ListLetter(project_id=key[0], list_id=key[1], kind=kind, language=language, subject=source.subject)
        dbsession.add(row)
    row.subject, row.html, row.text = source.subject, source.html, source.text
    row.enabled = source.enabled or kind == LetterKind.CONFIRMATION
    row.updated_by = user_id
    dbsession.flush()


def reset(dbsession: Session, mailing_list: MailingList, kind: str, language: str) -> bool:
    """Back to our default; False where it was ours already."""
    row = dbsession.get(ListLetter, (mailing_list.project_id, mailing_list.id, kind, language))
    if row is None:
        return False
    dbsession.delete(row)
    dbsession.flush()
    return True


def _known(dbsession: Session, project_id: int) -> frozenset[str]:
    return OWN_NAMES | {one.name for one in fields_of(dbsession, project_id)}


@lru_cache(maxsize=500)
def _compiled(source: str, kind: Kind, known: Collection[str]) -> Template:
    return compile_template(source, kind=kind, known=known)
