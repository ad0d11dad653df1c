"""What the builder offers to choose from: fields, operators, lists, tags, recent campaigns and their links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import Campaign, Link, Tag
from mailhub.segments.catalog import Catalog, KnownLink, load, names_of
from mailhub.segments.vocabulary import (
    ACTIVITIES,
    BAND_NAMES,
    CHOICES,
    CUSTOM,
    FIELD_NAMES,
    OPERATORS,
    PROFILE,
    STATUS_NAMES,
    Kind,
    Takes,
    operator_name,
)
from mailhub.web.i18n import _

#: Campaigns that are offered: the latest that were started.
CAMPAIGNS = 50
#: Campaigns whose links are offered.
LINKED = 10
TAGS = 500


@dataclass(frozen=True)
class Offer:
    """The catalogue, widened by what is offered though no rule names it yet."""

    catalog: Catalog

    def fields(self) -> list[tuple[Any, list[tuple[str, Any]]]]:
        """Groups of fields: (heading, [(name, label)])."""
        groups = [
            (_("Person"), [(name, FIELD_NAMES[name]) for name in (*PROFILE, "suppressed")]),
            (_("Lists and tags"), [(name, FIELD_NAMES[name]) for name in ("list", "tag")]),
            (_("Activity"), [(name, FIELD_NAMES[name]) for name in (*ACTIVITIES, "engagement")]),
        ]
        custom = [(f"{CUSTOM}{name}", one.label) for name, one in self.catalog.fields.items()]
        return [groups[0], (_("Your fields"), custom), *groups[1:]] if custom else groups

    def kind(self, field: str) -> Kind | None:
        return self.catalog.kind_of(field)

    def operators(self, field: str) -> list[tuple[str, Any]]:
        """The operators of a field."""
        kind = self.catalog.kind_of(field)
        return [] if kind is None else [(op, operator_name(kind, op)) for op in OPERATORS[kind]]

    def takes(self, field: str, op: str) -> Takes | None:
        """What stands behind the operator."""
        kind = self.catalog.kind_of(field)
        return None if kind is None else OPERATORS[kind].get(op)

    def choices(self, field: str) -> list[tuple[str, Any]]:
        """What a field may be any of."""
        if field == "list":
            return [(str(id_), name) for id_, name in self.catalog.lists.items()]
        if field == "tag":
            return [(str(id_), name) for id_, name in self.catalog.tags.items()]
        names: Mapping[str, Any] = {"status": STATUS_NAMES, "engagement": BAND_NAMES}.get(field, {})
        if field in CHOICES:
            return [(word, names[word]) for word in CHOICES[field]]
        custom = self.catalog.fields.get(field.removeprefix(CUSTOM))
        return [(word, word) for word in custom.choices] if custom is not None else []

    def campaigns(self) -> list[tuple[str, str]]:
        return [(str(id_), name) for id_, name in self.catalog.campaigns.items()]

    def links(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Groups of links by their campaign's name."""
        groups: dict[int, list[tuple[str, str]]] = {}
        for id_, link in self.catalog.links.items():
            groups.setdefault(link.campaign_id, []).append((str(id_), link.label or link.url))
        return [(self.catalog.campaigns.get(number, str(number)), links) for number, links in groups.items()]


def offer(dbsession: Session, project_id: int, definition: Any) -> Offer:
    """What the builder shows for a draft. Six to eight statements."""
    known = load(dbsession, project_id, [definition])
    recent = names_of(
        dbsession.execute(
            select(Campaign.id, Campaign.name)
            .where(Campaign.project_id == project_id, Campaign.started_at.is_not(None))
            .order_by(Campaign.id.desc())
            .limit(CAMPAIGNS)
        )
    )
    tags = names_of(
        dbsession.execute(
            select(Tag.id, Tag.name).where(Tag.project_id == project_id).order_by(Tag.name_key).limit(TAGS)
        )
    )
    rows = dbsession.execute(
        select(Link.id, Link.campaign_id, Link.url, Link.label)
        .where(Link.project_id == project_id, Link.campaign_id.in_(list(recent)[:LINKED]))
        .order_by(Link.campaign_id.desc(), Link.position)
    )
    links = {id_: KnownLink(campaign_id or 0, url, label) for id_, campaign_id, url, label in rows}
    return Offer(
        Catalog(
            project_id, known.zone, known.fields, known.lists, {**tags, **known.tags}, {**recent, **known.campaigns},
            {**links, **known.links},
        )
    )  # fmt: skip
