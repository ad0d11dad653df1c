"""What a project has that a rule may name: its fields, lists, tags, campaigns and links, and its time zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import Campaign, Link, MailingList, Project, SubscriberField, Tag
from mailhub.segments.vocabulary import CUSTOM, FIXED, OF_TYPE, Kind

#: So many different ids of one definition are looked up; more cannot stand in a valid one.
MOST_IDS = 10_000


@dataclass(frozen=True)
class CustomField:
    """A custom field: what it holds, what people call it, what it may hold."""

    kind: Kind
    label: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownLink:
    """A link of a campaign."""

    campaign_id: int
    url: str
    label: str = ""


@dataclass(frozen=True)
class Catalog:
    """The names of a project by their ids. Campaigns and links are those that the definitions at hand speak of."""

    project_id: int
    zone: str = "UTC"
    fields: Mapping[str, CustomField] = field(default_factory=dict)
    lists: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[int, str] = field(default_factory=dict)
    campaigns: Mapping[int, str] = field(default_factory=dict)
    links: Mapping[int, KnownLink] = field(default_factory=dict)

    def kind_of(self, name: str) -> Kind | None:
        """What a rule's field holds; None where there is no such field."""
        if name.startswith(CUSTOM):
            custom = self.fields.get(name[len(CUSTOM) :])
            return custom.kind if custom is not None else None
        return FIXED.get(name)


def load(dbsession: Session, project_id: int, definitions: Iterable[Any] = ()) -> Catalog:
    """The project's catalogue, with the campaigns and links that these definitions name. Three to five statements."""
    mentioned = list(definitions)
    wanted = {
        name: {number for one in mentioned for number in _ids(one, name)} for name in ("campaigns", "link", "value")
    }
    zone = dbsession.scalar(select(Project.time_zone).where(Project.id == project_id)) or "UTC"
    fields = dbsession.scalars(
        select(SubscriberField)
        .where(SubscriberField.project_id == project_id)
        .order_by(SubscriberField.position, SubscriberField.label, SubscriberField.name)
    )
    lists = dbsession.execute(
        select(MailingList.id, MailingList.name)
        .where(MailingList.project_id == project_id, MailingList.archived_at.is_(None))
        .order_by(MailingList.name, MailingList.id)
    )
    return Catalog(
        project_id,
        zone,
        {one.name: CustomField(OF_TYPE[one.type], one.label or one.name, tuple(one.choices)) for one in fields},
        names_of(lists),
        _tags(dbsession, project_id, wanted["value"]),
        _campaigns(dbsession, project_id, wanted["campaigns"]),
        _links(dbsession, project_id, wanted["link"]),
    )


def names_of(rows: Iterable[Any]) -> dict[int, str]:
    """Rows of (id, name) as a mapping that keeps their order."""
    return {row[0]: row[1] for row in rows}


def _tags(dbsession: Session, project_id: int, ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    rows = dbsession.execute(
        select(Tag.id, Tag.name).where(Tag.project_id == project_id, Tag.id.in_(ids)).order_by(Tag.name_key)
    )
    return names_of(rows)


def _campaigns(dbsession: Session, project_id: int, ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    rows = dbsession.execute(
        select(Campaign.id, Campaign.name).where(Campaign.project_id == project_id, Campaign.id.in_(ids))
    )
    return names_of(rows)


def _links(dbsession: Session, project_id: int, ids: set[int]) -> dict[int, KnownLink]:
    if not ids:
        return {}
    rows = dbsession.execute(
        select(Link.id, Link.campaign_id, Link.url, Link.label).where(
            Link.project_id == project_id, Link.id.in_(ids), Link.campaign_id.is_not(None)
        )
    )
    return {id_: KnownLink(campaign_id or 0, url, label) for id_, campaign_id, url, label in rows}


def _ids(definition: Any, name: str) -> set[int]:
    """The ids under a key, wherever they stand in what may be no tree at all."""
    found: set[int] = set()
    for rule in leaves(definition):
        given = rule.get(name)
        for one in given if isinstance(given, list) else [given]:
            number = id_of(one)
            if number is not None and len(found) < MOST_IDS:
                found.add(number)
    return found


def leaves(definition: Any) -> Iterator[dict[str, Any]]:
    """The leaves of a JSON tree, whatever it is; what lies deeper than a tree's two storeys is refused anyway."""
    if not isinstance(definition, dict):
        return
    rules = definition.get("rules")
    for rule in rules if isinstance(rules, list) else ():
        if not isinstance(rule, dict):
            continue
        inner = rule.get("rules")
        yield from (one for one in inner if isinstance(one, dict)) if isinstance(inner, list) else (rule,)


def id_of(value: Any) -> int | None:
    """An id as JSON and forms have it, a string of digits or a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
