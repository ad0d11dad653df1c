"""What the JSON API of this room takes and gives (contract §4)."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mailhub.lists.fields import MAX_FIELDS, clean_field_name
from mailhub.lists.filters import LIST_STATUSES, PERSON_STATUSES
from mailhub.lists.forms import MAX_VALUE, Address, Description, Language, ListName, PersonName, row_id
from mailhub.lists.queries import ListRow
from mailhub.lists.tags import clean_tag
from mailhub.models import (
    MailingList,
    OptIn,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    Tag,
    Tracking,
    Visibility,
)
from mailhub.web.api import utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX

BATCH_MAX = 500

Id = Annotated[int, BeforeValidator(row_id)]


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """Custom fields: text, numbers, yes/no or nothing, under names that letters can use."""
    for name, value in given.items():
        if not clean_field_name(name):
            raise Invalid(_("A field's name has letters, digits and underscores."))
        if isinstance(value, str):
            if len(value) > MAX_VALUE:
                raise Invalid(_("Use at most ${n} characters.", mapping={"n": MAX_VALUE}))
            if "\0" in value:
                raise Invalid(_("Line breaks and invisible characters are not possible here."))
        elif isinstance(value, float) and not math.isfinite(value):
            raise Invalid(_("This must be a number."))
        elif value is not None and not isinstance(value, bool | int | float):
            raise Invalid(_("A field holds text, a number, true or false."))
    return given


def _status_filter(text: str) -> str:
    if text not in PERSON_STATUSES | LIST_STATUSES:
        raise Invalid(_("This is not one of the choices."))
    return text


def _tag(name: str) -> str:
    if not clean_tag(name):
        raise Invalid(_("A tag has at most 80 characters."))
    return clean_tag(name)


Fields = Annotated[dict[str, Any], Field(max_length=MAX_FIELDS), AfterValidator(_values)]
Tags = Annotated[list[Annotated[str, AfterValidator(_tag)]], Field(max_length=100)]
Limit = Annotated[int, Field(ge=1, le=API_LIMIT_MAX)]


class ListIn(Form):
    name: ListName
    description: Description = ""
    opt_in: OptIn = OptIn.SINGLE
    visibility: Visibility = Visibility.PRIVATE
    language: Language = ""
    tracking: Tracking = Tracking.FULL


class ListPatch(Form):
    name: ListName | None = None
    description: Description | None = None
    opt_in: OptIn | None = None
    visibility: Visibility | None = None
    language: Language | None = None
    tracking: Tracking | None = None


class PageQuery(Form):
    limit: Limit = API_LIMIT
    after: str | None = None


class ForceQuery(Form):
    """`force`: delete it although segments, saved views, forms or letters use it."""

    force: bool = False


class PeopleQuery(Form):
    """What people are narrowed to; `since` and `until` are days of the project's zone, both included."""

    list_id: Id | None = None
    status: Annotated[str, AfterValidator(_status_filter)] | None = None
    q: Annotated[str, Field(max_length=200)] = ""
    tag_id: Id | None = None
    segment_id: Id | None = None
    source: Annotated[str, Field(max_length=100)] = ""
    since: date | None = None
    until: date | None = None


class SubscriberQuery(PeopleQuery, PageQuery):
    email: str | None = None


class SubscriberIn(Form):
    """A person; `lists` are joined and `tags` added, none is left or taken away. A double opt-in list asks them to
    confirm by a letter.
    """

    email: Address
    name: PersonName | None = None
    fields: Fields = Field(default_factory=dict)
    lists: Annotated[list[Id], Field(max_length=100)] = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    status: Literal["active", "unsubscribed"] | None = None
    tracking: Tracking | None = None


class SubscriberPatch(Form):
    """What is given replaces what is there; `fields` are laid over the others, null takes one away."""

    email: Address | None = None
    name: PersonName | None = None
    fields: Fields | None = None
    lists: Annotated[list[Id], Field(max_length=100)] | None = None
    tags: Tags | None = None
    status: Literal["active", "unsubscribed"] | None = None
    tracking: Tracking | None = None


class BatchIn(Form):
    """Each row stands for itself: a wrong one is told in its result, the others come in."""

    subscribers: Annotated[list[Any], Field(min_length=1, max_length=BATCH_MAX)]


class ListOut(Form):
    id: str
    name: str
    description: str
    opt_in: str
    visibility: str
    language: str
    tracking: str
    counts: dict[str, int]
    form_url: str | None
    created_at: str
    updated_at: str


class SubscriptionOut(Form):
    list_id: str
    status: str
    source: str
    created_at: str
    confirmed_at: str | None
    unsubscribed_at: str | None


class SubscriberOut(Form):
    """`lists` are those that the person is in; `subscriptions` also those that they have left or not confirmed."""

    id: str
    email: str
    name: str
    fields: dict[str, Any]
    lists: list[str]
    tags: list[str]
    status: str
    tracking: str
    paused_until: str | None
    subscriptions: list[SubscriptionOut]
    source: str
    created_at: str
    updated_at: str


class BatchRowOut(Form):
    """`status`: created, updated or rejected."""

    index: int
    status: str
    id: str | None = None
    errors: list[dict[str, str]] = Field(default_factory=list)


class BatchOut(Form):
    results: list[BatchRowOut]
    created: int
    updated: int
    rejected: int


def list_out(row: ListRow, form_url: str | None) -> ListOut:
    one: MailingList = row.mailing_list
    return ListOut(
        id=str(one.id),
        name=one.name,
        description=one.description,
        opt_in=one.opt_in,
        visibility=one.visibility,
        language=one.language,
        tracking=one.tracking,
        counts={"subscribed": row.subscribed, "unconfirmed": row.unconfirmed, "unsubscribed": row.unsubscribed},
        form_url=form_url,
        created_at=utc(one.created_at) or "",
        updated_at=utc(one.updated_at) or "",
    )


def subscriber_out(
    person: Subscriber, memberships: list[tuple[MailingList, Subscription]], tags: list[Tag]
) -> SubscriberOut:
    return SubscriberOut(
        id=str(person.id),
        email=person.email,
        name=person.name,
        fields=person.fields,
        lists=[str(one.list_id) for _list, one in memberships if one.status == SubscriptionStatus.SUBSCRIBED],
        tags=[tag.name for tag in tags],
        status=person.status,
        tracking=person.tracking,
        paused_until=utc(person.paused_until),
        subscriptions=[
            SubscriptionOut(
                list_id=str(one.list_id),
                status=one.status,
                source=one.source,
                created_at=utc(one.created_at) or "",
                confirmed_at=utc(one.confirmed_at),
                unsubscribed_at=utc(one.unsubscribed_at),
            )
            for _list, one in memberships
        ],
        source=person.source,
        created_at=utc(person.created_at) or "",
        updated_at=utc(person.updated_at) or "",
    )
