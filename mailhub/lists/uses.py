"""What asks for a field, a list or a tag: to be told before it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from mailhub.lists.columns import FIELD
from mailhub.lists.service import UNSENT
from mailhub.models import (
    Campaign,
    ListLetter,
    MailingList,
    SignUpForm,
    SignUpFormList,
    SubscriberField,
    SubscriberView,
    Tag,
)
from mailhub.segments import service as segments
from mailhub.web.i18n import _

SEGMENT, VIEW, FORM, CAMPAIGN, LETTER = "segment", "view", "form", "campaign", "letter"
#: What each kind is called.
KINDS: Mapping[str, Any] = {
    SEGMENT: _("Segment"),
    VIEW: _("Saved view"),
    FORM: _("Form"),
    CAMPAIGN: _("Campaign"),
    LETTER: _("Letter of a list"),
}
#: Of each kind; whoever has more of them does not read the list to its end.
MOST = 50


@dataclass(frozen=True)
class Use:
    """Something that asks for it, by its kind, number (of a letter: its list's) and name."""

    kind: str
    id: int
    name: str


def of_field(dbsession: Session, field: SubscriberField) -> list[Use]:
    """Segments, views with its column, forms, and letters that are still to be written with it. Five queries."""
    project_id, name = field.project_id, field.name
    found = [Use(SEGMENT, one.id, one.name) for one in segments.asking(dbsession, project_id, field=name)]
    found += _views(dbsession, project_id, SubscriberView.columns.contains([FIELD + name]))
    asked = SignUpForm.design.contains({"fields": [{"name": name}]})
    found += _forms(dbsession, project_id, asked)
    # As a word between the braces of Jinja; what stands there besides is the letter's own check.
    pattern = r"\{[{%][^{}]*\m" + re.escape(name) + r"\M"
    written = [Campaign.subject, Campaign.preheader, Campaign.html, Campaign.text]
    found += _campaigns(dbsession, project_id, or_(*(column.op("~")(pattern) for column in written)))
    letters = dbsession.execute(
        select(ListLetter.list_id, MailingList.name)
        .join(
            MailingList,
            (MailingList.project_id == ListLetter.project_id) & (MailingList.id == ListLetter.list_id),
        )
        .where(ListLetter.project_id == project_id, MailingList.archived_at.is_(None))
        .where(or_(*(column.op("~")(pattern) for column in (ListLetter.subject, ListLetter.html, ListLetter.text))))
        .distinct()
        .order_by(MailingList.name)
        .limit(MOST)
    )
    return found + [Use(LETTER, *row) for row in letters]


def of_list(dbsession: Session, mailing_list: MailingList) -> list[Use]:
    """Segments, views and forms; campaigns that are not finished hold the list themselves. Three queries."""
    project_id, list_id = mailing_list.project_id, mailing_list.id
    found = [Use(SEGMENT, one.id, one.name) for one in segments.asking(dbsession, project_id, list_id=list_id)]
    found += _views(dbsession, project_id, SubscriberView.query.contains({"list": str(list_id)}))
    joined = (
        select(SignUpFormList.form_id)
        .where(
            SignUpFormList.project_id == SignUpForm.project_id,
            SignUpFormList.form_id == SignUpForm.id,
            SignUpFormList.list_id == list_id,
        )
        .exists()
    )
    # The list's own sign-up page goes with it.
    own = SignUpForm.default_list_id.is_distinct_from(list_id)
    return found + _forms(dbsession, project_id, joined & own)


def of_tag(dbsession: Session, tag: Tag) -> list[Use]:
    """Segments, views, and forms that give it. Three queries."""
    found = [Use(SEGMENT, one.id, one.name) for one in segments.asking(dbsession, tag.project_id, tag_id=tag.id)]
    found += _views(dbsession, tag.project_id, SubscriberView.query.contains({"tag": str(tag.id)}))
    return found + _forms(dbsession, tag.project_id, SignUpForm.tags.contains([tag.name]))


def names(uses: Sequence[Use], most: int = 5) -> str:
    """The first names, for a sentence."""
    shown = ", ".join(f"“{one.name}”" for one in uses[:most])
    return f"{shown}, +{len(uses) - most}" if len(uses) > most else shown


def _views(dbsession: Session, project_id: int, asks: ColumnElement[bool]) -> list[Use]:
    wanted = select(SubscriberView.id, SubscriberView.name).where(SubscriberView.project_id == project_id, asks)
    return [Use(VIEW, *row) for row in dbsession.execute(wanted.order_by(SubscriberView.name).limit(MOST))]


def _forms(dbsession: Session, project_id: int, asks: ColumnElement[bool]) -> list[Use]:
    wanted = select(SignUpForm.id, SignUpForm.name).where(
        SignUpForm.project_id == project_id, SignUpForm.archived_at.is_(None), asks
    )
    return [Use(FORM, *row) for row in dbsession.execute(wanted.order_by(SignUpForm.name).limit(MOST))]


def _campaigns(dbsession: Session, project_id: int, asks: ColumnElement[bool]) -> list[Use]:
    wanted = select(Campaign.id, Campaign.name).where(
        Campaign.project_id == project_id, Campaign.state.in_(UNSENT), Campaign.archived_at.is_(None), asks
    )
    return [Use(CAMPAIGN, *row) for row in dbsession.execute(wanted.order_by(Campaign.id.desc()).limit(MOST))]
