"""The people behind a campaign's numbers: who got its letter, who did not and why, who did what with it.

Lists by state are read from the letters (`message`), in the order in which they were settled. Lists by deed are read
from the rows of reactions, which stay for ever, so that they outlive the letters; both are walks of an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased, join

from mailhub.mail.smtp_rules import REASONS as SMTP_REASONS
from mailhub.models import (
    Campaign,
    CampaignLinkReaction,
    CampaignReaction,
    EventType,
    Message,
    MessageEvent,
    MessageKind,
    MessageState,
    SkipReason,
    Subscriber,
)

STATES = tuple(state.value for state in MessageState if state is not MessageState.QUEUED)
REASONS = tuple(reason.value for reason in SkipReason)
#: Why the relay refused a letter, now or for good (mail.smtp_reply).
REFUSALS = tuple(SMTP_REASONS)
REFUSED = (MessageState.FAILED.value, MessageState.DEFERRED.value)
_R, _L = CampaignReaction, CampaignLinkReaction
#: What was done with the letter. Plain deeds are people's; `_machine`: by machines alone; `_any`: by either.
DEEDS: dict[str, ColumnElement[bool]] = {
    "opened": _R.opened > _R.machine_opened,
    "opened_machine": and_(_R.opened > 0, _R.opened <= _R.machine_opened),
    "opened_any": _R.opened > 0,
    "clicked": and_(_R.first_redirected_at.is_not(None), _R.redirected > _R.machine_redirected),
    "clicked_machine": and_(
        _R.first_redirected_at.is_not(None), _R.redirected > 0, _R.redirected <= _R.machine_redirected
    ),
    "clicked_any": and_(_R.first_redirected_at.is_not(None), _R.redirected > 0),
    "unsubscribed": _R.unsubscribed_at.is_not(None),
}
#: The same for one link.
_LINK_DEEDS: dict[str, ColumnElement[bool]] = {
    "clicked": _L.redirected > _L.machine_redirected,
    "clicked_machine": and_(_L.redirected > 0, _L.redirected <= _L.machine_redirected),
    "clicked_any": _L.redirected > 0,
}
COMPLAINED = "complained"
ALL_DEEDS = (*DEEDS, COMPLAINED)
#: What a stream of people tells, behind the address: of the letter, of the person's reaction.
LETTER_COLUMNS = ("state", "reason", "smtp_code", "smtp_reply", "attempts", "settled_at")
DEED_COLUMNS = (
    "opened", "machine_opened", "first_opened_at", "redirected", "machine_redirected", "first_redirected_at",
    "unsubscribed_at",
)  # fmt: skip
SLICE = 2_000
#: A search asks for the beginning of an address; a whole directory is no search.
SEARCH_MOST = 254


@dataclass(frozen=True)
class Person:
    """A recipient. `message` is the letter's row, None where letters of that time are kept no more.

    `opened` and `clicked` are all hits, machines' included.
    """

    subscriber_id: int | None
    email: str
    email_domain: str
    message: Message | None
    opened: int
    clicked: int
    machine_opened: int
    machine_clicked: int
    first_opened_at: datetime | None
    first_clicked_at: datetime | None
    unsubscribed_at: datetime | None


@dataclass(frozen=True)
class Filter:
    """What is asked for; an empty text means everybody. `code`: the relay's answer, `link`: of a clicked link, 0 for
    any. `search` is the beginning of an address."""

    state: str = ""
    reason: str = ""
    deed: str = ""
    code: int = 0
    link: int = 0
    search: str = ""

    @property
    def by_letter(self) -> bool:
        """Whether the list is one of letters: in their order, without people whose letter is gone."""
        return not self.deed and not self.search


def recipients(
    dbsession: Session, campaign: Campaign, wanted: Filter, *, after: tuple[Any, ...] | None, limit: int
) -> list[Person]:
    """A page of recipients.

    By state, then in the order in which the letters were settled, which is the index's order; by deed, in the order of
    the people's ids; found by address, in the order of addresses. `after` are the keys of `key_of` of the last row.
    """
    if campaign.started_at is None:
        return []
    listed = _listed(campaign, wanted)
    statement = listed.statement.limit(limit)
    if after is not None:
        keys = (after[0], UUID(after[1])) if wanted.by_letter else after
        statement = statement.where(listed.behind(keys))
    return [_person(*row) for row in dbsession.execute(statement)]


def everybody(dbsession: Session, campaign: Campaign, wanted: Filter) -> Iterator[Row[Any]]:
    """All of them in the same order, read as a stream: one row a person with `email`, LETTER_COLUMNS and DEED_COLUMNS.

    Measured with 250,000 people on two busy cores: 10 s.
    """
    if campaign.started_at is None:
        return
    listed = _listed(campaign, wanted)
    columns = [listed.statement.selected_columns[1].label("email")]
    columns += [getattr(listed.letter, name) for name in LETTER_COLUMNS]
    columns += [getattr(_R, name) for name in DEED_COLUMNS]
    yield from dbsession.execute(
        listed.statement.with_only_columns(*columns), execution_options={"yield_per": SLICE}
    )


def cursor_kinds(wanted: Filter) -> tuple[type, ...]:
    """The types of `after`."""
    if wanted.search:
        return (str,)
    return (int,) if wanted.deed else (str, str)


def key_of(wanted: Filter, person: Person) -> tuple[Any, ...]:
    """The keys of a row, for the cursor of the next page."""
    if wanted.search:
        return (person.email.lower(),)
    if wanted.deed:
        return (person.subscriber_id,)
    assert person.message is not None
    return (person.message.state, str(person.message.id))


def safe_cursor(wanted: Filter, keys: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """The keys of a cursor that somebody may have changed; None starts at the first page."""
    if keys is None or not wanted.by_letter:
        return keys
    try:
        UUID(keys[1])
    except ValueError:
        return None
    return keys


class _Listed(NamedTuple):
    """Everybody of a list (id, address, its domain, letter, reaction), the letter's columns, what gives the order."""

    statement: Select[*tuple[Any, ...]]
    letter: type[Message]
    order: tuple[ColumnElement[Any], ...]

    def behind(self, after: tuple[Any, ...]) -> ColumnElement[bool]:
        """What comes behind the row with these keys."""
        return tuple_(*self.order) > tuple_(*after)


def _listed(campaign: Campaign, wanted: Filter) -> _Listed:
    if wanted.by_letter:
        listed = _letters(campaign, wanted)
    else:
        listed = _found(campaign, wanted) if wanted.search else _doers(campaign, wanted)
    return listed._replace(statement=listed.statement.order_by(*listed.order))


def _letters(campaign: Campaign, wanted: Filter) -> _Listed:
    """Letters by state and id, with what their people did."""
    reaction = and_(
        _R.project_id == Message.project_id,
        _R.campaign_id == Message.campaign_id,
        _R.subscriber_id == Message.subscriber_id,
    )
    statement: Select[*tuple[Any, ...]] = (
        select(Message.subscriber_id, Message.email, Message.email_domain, Message, _R)
        .outerjoin(_R, reaction)
        .where(*_of_campaign(campaign), *_as_wanted(wanted, Message))
    )
    return _Listed(statement, Message, (_column(Message.state), _column(Message.id)))


def _doers(campaign: Campaign, wanted: Filter) -> _Listed:
    """People by what they did, by id: an ordered walk of reactions; each one's letter and row are looked up."""
    source, doer, conditions = _deed(campaign, wanted)
    letter = _letter_of(campaign, doer)
    email, domain = (
        func.coalesce(getattr(Subscriber, name), getattr(letter, name), "") for name in ("email", "email_domain")
    )
    statement: Select[*tuple[Any, ...]] = (
        select(doer, email, domain, letter, _R)
        .select_from(source)
        .outerjoin(letter, true())
        .outerjoin(Subscriber, and_(Subscriber.project_id == campaign.project_id, Subscriber.id == doer))
        .where(*conditions, *_as_wanted(wanted, letter))
    )
    return _Listed(statement, letter, (doer,))


def _deed(campaign: Campaign, wanted: Filter) -> tuple[Any, ColumnElement[Any], list[ColumnElement[bool]]]:
    """Rows of those who did it beside their reactions, the column with the person, and which rows are meant."""
    own = [_R.project_id == campaign.project_id, _R.campaign_id == campaign.id]
    if wanted.deed == COMPLAINED:
        # There are few of them, and they stand in no rollup.
        told = _complaints(campaign).group_by(MessageEvent.subscriber_id).subquery("told")
        source = join(told, _R, and_(*own, _R.subscriber_id == told.c.subscriber_id), isouter=True)
        return source, told.c.subscriber_id, []
    if wanted.link:
        beside = and_(
            _R.project_id == _L.project_id, _R.campaign_id == _L.campaign_id, _R.subscriber_id == _L.subscriber_id
        )
        conditions = [_L.project_id == campaign.project_id, *_clicked_link(campaign, wanted)]
        return join(_L, _R, beside), _column(_L.subscriber_id), conditions
    return _R, _column(_R.subscriber_id), [*own, DEEDS[wanted.deed]]


def _found(campaign: Campaign, wanted: Filter) -> _Listed:
    """People whose address begins so, by address: a walk of the subscribers' index."""
    letter = _letter_of(campaign, _column(Subscriber.id))
    reaction = and_(
        _R.project_id == campaign.project_id, _R.campaign_id == campaign.id, _R.subscriber_id == Subscriber.id
    )
    statement: Select[*tuple[Any, ...]] = (
        select(Subscriber.id, Subscriber.email, Subscriber.email_domain, letter, _R)
        .select_from(Subscriber)
        .outerjoin(letter, true())
        .outerjoin(_R, reaction)
        .where(
            Subscriber.project_id == campaign.project_id,
            Subscriber.email_key.startswith(wanted.search.lower(), autoescape=True),
            # Somebody of this campaign: with a letter, or with a deed that outlived it.
            or_(letter.id.is_not(None), _R.subscriber_id.is_not(None)),
            *_as_wanted(wanted, letter),
        )
    )
    if wanted.deed == COMPLAINED:
        statement = statement.where(_complaints(campaign).where(MessageEvent.subscriber_id == Subscriber.id).exists())
    elif wanted.link:
        clicked = select(1).where(_L.project_id == campaign.project_id, _L.subscriber_id == Subscriber.id)
        statement = statement.where(clicked.where(*_clicked_link(campaign, wanted)).exists())
    elif wanted.deed:
        statement = statement.where(DEEDS[wanted.deed])
    return _Listed(statement, letter, (_column(Subscriber.email_key),))


def _complaints(campaign: Campaign) -> Select[int | None]:
    return select(MessageEvent.subscriber_id).where(
        MessageEvent.project_id == campaign.project_id,
        MessageEvent.campaign_id == campaign.id,
        MessageEvent.type == EventType.COMPLAINED,
        MessageEvent.at >= _since(campaign),
        MessageEvent.subscriber_id.is_not(None),
    )


def _clicked_link(campaign: Campaign, wanted: Filter) -> list[ColumnElement[bool]]:
    return [_L.campaign_id == campaign.id, _L.link_id == wanted.link, _LINK_DEEDS[wanted.deed]]


def _letter_of(campaign: Campaign, subscriber_id: ColumnElement[Any]) -> type[Message]:
    """A person's letter of this campaign, looked up by the person's index."""
    found = (
        select(Message)
        .where(*_of_campaign(campaign), Message.subscriber_id == subscriber_id)
        .order_by(Message.id.desc())
        .limit(1)
        .lateral("letter")
    )
    return aliased(Message, found)


def _of_campaign(campaign: Campaign) -> list[ColumnElement[bool]]:
    conditions = [
        Message.project_id == campaign.project_id,
        Message.campaign_id == campaign.id,
        # An inequality, so that the planner does not walk the index of the whole project's campaign letters.
        Message.kind != MessageKind.TEST,
        # The partitions before the start need no look, nor do those after the end: a letter's row is as old as it is.
        Message.created_at >= _since(campaign),
    ]
    if campaign.finished_at is not None:
        conditions.append(Message.created_at < campaign.finished_at + timedelta(days=1))
    return conditions


def _since(campaign: Campaign) -> datetime:
    return (campaign.started_at or campaign.created_at) - timedelta(days=1)


def _as_wanted(wanted: Filter, letter: type[Message]) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.state:
        conditions.append(letter.state == wanted.state)
    if wanted.reason:
        conditions.append(letter.reason == wanted.reason)
    if wanted.code:
        conditions.append(letter.smtp_code == wanted.code)
    return conditions


def _column(attribute: Any) -> ColumnElement[Any]:
    column: ColumnElement[Any] = attribute
    return column


def _person(
    subscriber_id: int | None, email: str, domain: str, message: Message | None, reaction: CampaignReaction | None
) -> Person:
    if reaction is None:
        return Person(subscriber_id, email, domain, message, 0, 0, 0, 0, None, None, None)
    return Person(
        subscriber_id,
        email,
        domain,
        message,
        reaction.opened,
        reaction.redirected,
        reaction.machine_opened,
        reaction.machine_redirected,
        reaction.first_opened_at,
        reaction.first_redirected_at,
        reaction.unsubscribed_at,
    )
