"""People as rows of a file: the table of subscribers, a list, a segment, a campaign's recipients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from mailhub.exports.wanted import Wanted, WantedRefused, What
from mailhub.lists import filters
from mailhub.lists.fields import fields_of
from mailhub.models import (
    Campaign,
    CampaignReaction,
    FieldType,
    MailingList,
    Message,
    MessageKind,
    Project,
    Subscriber,
    SubscriberField,
    SubscriberTag,
    Subscription,
    SubscriptionStatus,
    Tag,
)
from mailhub.segments import service as segments

PERSON = ("email", "name", "status")
LATER = ("lists", "tags", "source", "added_at", "changed_at")
LIST = ("list_status", "consent_source", "consent_ip", "joined_at", "confirmed_at", "left_at")
RECIPIENT = (
    "email", "name", "state", "reason", "settled_at", "smtp_code", "smtp_reply", "opened", "clicked", "machine_opened",
    "machine_clicked", "first_opened_at", "first_clicked_at", "unsubscribed_at",
)  # fmt: skip


def name_of(dbsession: Session, project: Project, wanted: Wanted) -> str:
    """What the file is about, for its name. Raises WantedRefused for what the project does not have."""
    if wanted.what == What.LIST:
        found = dbsession.get(MailingList, (project.id, wanted.of))
        if found is None or found.archived_at is not None:
            raise WantedRefused("list_id", "unknown")
        return found.name
    if wanted.what == What.SEGMENT:
        assert wanted.of is not None
        segment = segments.get(dbsession, project.id, wanted.of)
        if segment is None:
            raise WantedRefused("segment_id", "unknown")
        return segment.name
    if wanted.what == What.RECIPIENTS:
        campaign = dbsession.get(Campaign, (project.id, wanted.of))
        if campaign is None:
            raise WantedRefused("campaign_id", "unknown")
        return campaign.name
    return ""


def campaign_choices(dbsession: Session, project_id: int, *, most: int = 100) -> list[tuple[int, str]]:
    """The latest campaigns that have recipients: (id, name)."""
    wanted = select(Campaign.id, Campaign.name).where(
        Campaign.project_id == project_id, Campaign.started_at.is_not(None), Campaign.archived_at.is_(None)
    )
    return [(row.id, row.name) for row in dbsession.execute(wanted.order_by(Campaign.id.desc()).limit(most))]


def ids(dbsession: Session, project: Project, wanted: Wanted) -> Select[Any]:
    """The numbers of the people, in their order: one statement, so one moment, says who is in the file."""
    everybody = select(Subscriber.id).where(Subscriber.project_id == project.id)
    if wanted.what == What.LIST:
        return (
            select(Subscription.subscriber_id)
            .where(Subscription.project_id == project.id, Subscription.list_id == wanted.of)
            .order_by(Subscription.subscriber_id)
        )
    if wanted.what == What.RECIPIENTS:
        return (
            select(Message.subscriber_id)
            .where(
                Message.project_id == project.id,
                Message.campaign_id == wanted.of,
                Message.kind == MessageKind.CAMPAIGN,
                Message.subscriber_id.is_not(None),
            )
            .distinct()
            .order_by(Message.subscriber_id)
        )
    if wanted.what == What.SEGMENT:
        assert wanted.of is not None
        segment = segments.get(dbsession, project.id, wanted.of)
        if segment is None:
            raise WantedRefused("segment_id", "unknown")
        try:
            tree = segments.tree_of(dbsession, segment)
        except segments.SegmentRefused:
            raise WantedRefused("segment_id", "broken") from None
        return segments.select_ids(project.id, tree, datetime.now(UTC)).order_by(None).order_by(Subscriber.id)
    if wanted.ids:
        everybody = everybody.where(Subscriber.id.in_(wanted.ids))
    narrowed = filters.PeopleFilter.of(wanted.filters)
    scope = filters.scope_of(dbsession, project, narrowed)
    return everybody.where(*filters.conditions(scope, narrowed)).order_by(Subscriber.id)


def columns(dbsession: Session, project: Project, wanted: Wanted) -> list[str]:
    """The head. A custom field has its own name, by which an import finds it again."""
    if wanted.what == What.RECIPIENTS:
        return list(RECIPIENT)
    of_list = LIST if wanted.what == What.LIST else ()
    return [*PERSON, *of_list, *(one.name for one in fields_of(dbsession, project.id)), *LATER]


def rows(dbsession: Session, project: Project, wanted: Wanted, numbers: Sequence[int]) -> list[list[Any]]:
    """The rows of these people, in this order. Who was erased or deleted meanwhile has none."""
    if wanted.what == What.RECIPIENTS:
        return _recipients(dbsession, project.id, wanted, numbers)
    people = {
        row.id: row
        for row in dbsession.execute(
            select(
                Subscriber.id, Subscriber.email, Subscriber.name, Subscriber.status, Subscriber.fields,
                Subscriber.source, Subscriber.created_at, Subscriber.updated_at,
            ).where(Subscriber.project_id == project.id, Subscriber.id.in_(numbers))
        )
    }  # fmt: skip
    known = fields_of(dbsession, project.id)
    in_lists = _lists(dbsession, project.id, numbers)
    tags = _tags(dbsession, project.id, numbers)
    of_list = _subscriptions(dbsession, project.id, wanted.of, numbers) if wanted.what == What.LIST else {}
    found = []
    for number in numbers:
        person = people.get(number)
        if person is None:
            continue
        found.append(
            [
                person.email, person.name, person.status,
                *(of_list.get(number, [None] * len(LIST)) if wanted.what == What.LIST else ()),
                *(typed(one, person.fields) for one in known),
                "; ".join(in_lists[number]), "; ".join(tags[number]), person.source, person.created_at,
                person.updated_at,
            ]
        )  # fmt: skip
    return found


def typed(field: SubscriberField, values: Mapping[str, Any]) -> Any:
    """A custom field's value as a spreadsheet knows it: a number, a date, a truth, a text."""
    value = values.get(field.name)
    if field.type == FieldType.DATE and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return value
    return value


def _lists(dbsession: Session, project_id: int, numbers: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    wanted = (
        select(Subscription.subscriber_id, MailingList.name)
        .join(
            MailingList,
            (MailingList.project_id == Subscription.project_id) & (MailingList.id == Subscription.list_id),
        )
        .where(
            Subscription.project_id == project_id,
            Subscription.subscriber_id.in_(numbers),
            Subscription.status == SubscriptionStatus.SUBSCRIBED,
            MailingList.archived_at.is_(None),
        )
        .order_by(MailingList.name, MailingList.id)
    )
    for number, name in dbsession.execute(wanted):
        found[number].append(name)
    return found


def _tags(dbsession: Session, project_id: int, numbers: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    wanted = (
        select(SubscriberTag.subscriber_id, Tag.name)
        .join(Tag, (Tag.project_id == SubscriberTag.project_id) & (Tag.id == SubscriberTag.tag_id))
        .where(SubscriberTag.project_id == project_id, SubscriberTag.subscriber_id.in_(numbers))
        .order_by(Tag.name)
    )
    for number, name in dbsession.execute(wanted):
        found[number].append(name)
    return found


def _subscriptions(
    dbsession: Session, project_id: int, list_id: int | None, numbers: Sequence[int]
) -> dict[int, list[Any]]:
    wanted = select(
        Subscription.subscriber_id, Subscription.status, Subscription.source, Subscription.ip,
        Subscription.created_at, Subscription.confirmed_at, Subscription.unsubscribed_at,
    ).where(
        Subscription.project_id == project_id,
        Subscription.list_id == list_id,
        Subscription.subscriber_id.in_(numbers),
    )  # fmt: skip
    return {
        row[0]: [row[1], row[2], None if row[3] is None else str(row[3]), *row[4:]] for row in dbsession.execute(wanted)
    }


def _recipients(dbsession: Session, project_id: int, wanted: Wanted, numbers: Sequence[int]) -> list[list[Any]]:
    named = select(Subscriber.id, Subscriber.name).where(
        Subscriber.project_id == project_id, Subscriber.id.in_(numbers)
    )
    names = {row.id: row.name for row in dbsession.execute(named)}
    reactions = {
        one.subscriber_id: one
        for one in dbsession.scalars(
            select(CampaignReaction).where(
                CampaignReaction.project_id == project_id,
                CampaignReaction.campaign_id == wanted.of,
                CampaignReaction.subscriber_id.in_(numbers),
            )
        )
    }
    letters = dbsession.execute(
        select(
            Message.subscriber_id, Message.email, Message.state, Message.reason, Message.settled_at,
            Message.smtp_code, Message.smtp_reply,
        ).where(
            Message.project_id == project_id,
            Message.campaign_id == wanted.of,
            Message.kind == MessageKind.CAMPAIGN,
            Message.subscriber_id.in_(numbers),
        ).order_by(Message.subscriber_id, Message.id)
    )  # fmt: skip
    found: dict[int, list[Any]] = {}
    for number, email, state, reason, settled_at, code, reply in letters:
        assert number is not None
        one = reactions.get(number)
        did = (
            [one.opened, one.redirected, one.machine_opened, one.machine_redirected, one.first_opened_at,
             one.first_redirected_at, one.unsubscribed_at]
            if one is not None
            else [0, 0, 0, 0, None, None, None]
        )  # fmt: skip
        found[number] = [email, names.get(number, ""), state, reason, settled_at, code, reply, *did]
    return list(found.values())
