"""A form as a stranger finds it: by the token of its page, with the lists and fields that it has today."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pyramid.request import Request
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.lists.fields import fields_of
from mailhub.mail.tokens import BadToken, Kind
from mailhub.models import (
    FormState,
    MailingList,
    OptIn,
    Project,
    SignUpForm,
    SignUpFormList,
    SubscriberField,
    Visibility,
)
from mailhub.signup import design as designs
from mailhub.signup.design import Asked, Design

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.:-]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Question:
    """A field of the form with what is known of it; `field` is None for the built-in ones."""

    asked: Asked
    field: SubscriberField | None

    @property
    def input_name(self) -> str:
        """Never the name of one of our own inputs."""
        return self.asked.name if self.field is None else f"field_{self.asked.name}"


@dataclass(frozen=True)
class Opened:
    """A form with everything that its page needs."""

    project: Project
    form: SignUpForm
    lists: list[MailingList]
    design: Design
    questions: list[Question]
    token: str

    @property
    def language(self) -> str:
        """The form's, else its first list's, else the project's."""
        of_list = self.lists[0].language if self.lists else ""
        return self.form.language or of_list or self.project.language

    @property
    def title(self) -> str:
        return self.design.texts.title or (self.lists[0].name if len(self.lists) == 1 else self.form.name)

    @property
    def intro(self) -> str:
        return self.design.texts.intro or (self.lists[0].description if self.form.default_list_id else "")

    @property
    def key(self) -> str:
        """What stamps are made for. A list's own form may be made anew: the list it is of does not change."""
        of_list = self.form.default_list_id
        return f"{self.form.project_id}:{self.form.id if of_list is None else f'list-{of_list}'}"

    @property
    def is_open(self) -> bool:
        return self.form.state == FormState.ACTIVE

    @property
    def is_double(self) -> bool:
        """Whether everybody is told of a letter."""
        return self.form.opt_in == OptIn.DOUBLE or any(one.opt_in == OptIn.DOUBLE for one in self.lists)


def by_token(request: Request) -> Opened | None:
    """The form of the page's URL; None where there is none any more, or it is of a private list."""
    try:
        claims = request.registry.signer.read(Kind.FORM, request.matchdict["token"], now=int(time.time()))
    except BadToken:
        return None
    dbsession = request.dbsession
    project = dbsession.get(Project, claims.project)
    if project is None or project.archived_at is not None:
        return None
    if claims.link is not None:
        form = dbsession.get(SignUpForm, (project.id, claims.link))
    else:
        mailing_list = dbsession.get(MailingList, (project.id, claims.list))
        if mailing_list is None or mailing_list.archived_at is not None:
            return None
        form = of_list(dbsession, mailing_list)
    if form is None or form.archived_at is not None:
        return None
    found = opened(dbsession, project, form, token=request.matchdict["token"])
    if not found.lists:
        return None
    if form.default_list_id is not None and found.lists[0].visibility != Visibility.PUBLIC:
        return None
    return found


def of_list(dbsession: Session, mailing_list: MailingList) -> SignUpForm:
    """The form that is the list's own page; made now where nobody has looked at it yet."""
    key = (mailing_list.project_id, mailing_list.id)
    wanted = select(SignUpForm).where(SignUpForm.project_id == key[0], SignUpForm.default_list_id == key[1])
    found = dbsession.scalars(wanted).one_or_none()
    if found is not None:
        return found
    # Two people may look at once. `single`: the list itself says whether they confirm.
    made = dbsession.scalar(
        insert(SignUpForm)
        .values(project_id=key[0], default_list_id=key[1], name=mailing_list.name, opt_in=OptIn.SINGLE)
        .on_conflict_do_nothing()
        .returning(SignUpForm.id)
    )
    found = dbsession.scalars(wanted).one()
    if made is not None:
        dbsession.execute(insert(SignUpFormList).values(project_id=key[0], form_id=made, list_id=key[1]))
    return found


def opened(dbsession: Session, project: Project, form: SignUpForm, *, token: str = "") -> Opened:
    """The form with its lists that are in use and the questions whose fields are still there. Two queries."""
    design = designs.of_form(form.design)
    lists = lists_of(dbsession, form)
    return Opened(project, form, lists, design, questions(design, fields_of(dbsession, project.id)), token)


def questions(design: Design, fields: Sequence[SubscriberField]) -> list[Question]:
    """What the design asks, without the fields that the project has no more."""
    known = {one.name: one for one in fields}
    return [
        Question(asked, known.get(asked.name))
        for asked in design.fields
        if asked.name in designs.BUILT_IN or asked.name in known
    ]


def lists_of(dbsession: Session, form: SignUpForm) -> list[MailingList]:
    """The form's lists in use, in its order."""
    wanted = (
        select(MailingList)
        .join(
            SignUpFormList,
            (SignUpFormList.project_id == MailingList.project_id) & (SignUpFormList.list_id == MailingList.id),
        )
        .where(
            SignUpFormList.project_id == form.project_id,
            SignUpFormList.form_id == form.id,
            MailingList.archived_at.is_(None),
        )
        .order_by(SignUpFormList.position, MailingList.name)
    )
    return list(dbsession.scalars(wanted))


def token_of(request: Request, form: SignUpForm) -> str:
    """The token of the form's page; it never expires and cannot be guessed from another's."""
    if form.default_list_id is not None:
        token = request.registry.signer.sign(Kind.FORM, project=form.project_id, list=form.default_list_id)
    else:
        token = request.registry.signer.sign(Kind.FORM, project=form.project_id, link=form.id)
    return str(token)


def page_url(request: Request, form: SignUpForm) -> str:
    """The form's page, for letters and other sites: never from the Host header."""
    return f"{request.registry.mailhub.public_url.rstrip('/')}/s/{token_of(request, form)}"


def came_from(request: Request) -> str:
    """The host of the page that people came from, by Origin or Referer; ours and what is no host are empty."""
    own = urlsplit(request.registry.mailhub.public_url).netloc
    for header in ("Origin", "Referer"):
        host = _host_of(request.headers.get(header, ""))
        if host and host != own and host != request.host:
            return host
    return ""


def _host_of(url: str) -> str:
    try:
        host = urlsplit(url).netloc.lower()
    except ValueError:
        return ""
    return host if _HOST.fullmatch(host) else ""
