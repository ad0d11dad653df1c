"""What a campaign's author has chosen: lists and segments that it is for, lists and segments that it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, func, literal, select, union_all
from sqlalchemy.orm import Session

from mailhub.models import AudienceSide, CampaignList, CampaignSegment, MailingList, Segment

_INCLUDE, _EXCLUDE = AudienceSide.INCLUDE.value, AudienceSide.EXCLUDE.value


@dataclass(frozen=True)
class Chosen:
    """Ids, each tuple in ascending order. Whoever is in any of `lists` or `segments` is meant, less the `not_` ones."""

    lists: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()
    not_lists: tuple[int, ...] = ()
    not_segments: tuple[int, ...] = ()

    @property
    def anybody(self) -> bool:
        """Whether the campaign is for anybody at all."""
        return bool(self.lists or self.segments)


@dataclass
class Names:
    """The same in names, by name."""

    lists: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    not_lists: list[str] = field(default_factory=list)
    not_segments: list[str] = field(default_factory=list)

    @property
    def included(self) -> list[str]:
        """Lists, then segments."""
        return [*self.lists, *self.segments]


def chosen_of(dbsession: Session, project_id: int, campaign_id: int) -> Chosen:
    """What one campaign is for."""
    return chosen_of_several(dbsession, project_id, [campaign_id])[campaign_id]


def chosen_of_several(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, Chosen]:
    """The same for several campaigns by one statement, by campaign."""
    lists = select(CampaignList.campaign_id, literal("lists"), CampaignList.side, CampaignList.list_id).where(
        CampaignList.project_id == project_id, CampaignList.campaign_id.in_(campaign_ids)
    )
    segments = select(
        CampaignSegment.campaign_id, literal("segments"), CampaignSegment.side, CampaignSegment.segment_id
    ).where(CampaignSegment.project_id == project_id, CampaignSegment.campaign_id.in_(campaign_ids))
    found: dict[int, dict[str, list[int]]] = {campaign_id: {} for campaign_id in campaign_ids}
    rows: Sequence[Any] = dbsession.execute(union_all(lists, segments)).all()
    for campaign_id, kind, side, number in rows:
        found[campaign_id].setdefault(_name(kind, side), []).append(number)
    return {
        campaign_id: Chosen(**{name: tuple(sorted(ids)) for name, ids in one.items()})
        for campaign_id, one in found.items()
    }


def names_of(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, Names]:
    """The names of what several campaigns are for, by one statement, by campaign."""
    lists = (
        select(CampaignList.campaign_id, literal("lists"), CampaignList.side, MailingList.name.label("name"))
        .join(
            MailingList,
            and_(MailingList.project_id == CampaignList.project_id, MailingList.id == CampaignList.list_id),
        )
        .where(CampaignList.project_id == project_id, CampaignList.campaign_id.in_(campaign_ids))
    )
    segments = (
        select(CampaignSegment.campaign_id, literal("segments"), CampaignSegment.side, Segment.name.label("name"))
        .join(Segment, and_(Segment.project_id == CampaignSegment.project_id, Segment.id == CampaignSegment.segment_id))
        .where(CampaignSegment.project_id == project_id, CampaignSegment.campaign_id.in_(campaign_ids))
    )
    found = {campaign_id: Names() for campaign_id in campaign_ids}
    rows: Sequence[Any] = dbsession.execute(union_all(lists, segments)).all()
    for campaign_id, kind, side, name in sorted(rows, key=lambda row: row[3].casefold()):
        getattr(found[campaign_id], _name(kind, side)).append(name)
    return found


def put(dbsession: Session, project_id: int, campaign_id: int, chosen: Chosen) -> None:
    """Write the choice down in the place of what was chosen before."""
    forget(dbsession, project_id, campaign_id)
    own = {"project_id": project_id, "campaign_id": campaign_id}
    for side, lists, segments in (
        (_INCLUDE, chosen.lists, chosen.segments),
        (_EXCLUDE, chosen.not_lists, chosen.not_segments),
    ):
        dbsession.add_all(CampaignList(**own, list_id=number, side=side) for number in lists)
        dbsession.add_all(CampaignSegment(**own, segment_id=number, side=side) for number in segments)
    dbsession.flush()


def forget(dbsession: Session, project_id: int, campaign_id: int) -> None:
    """Remove the choice of a campaign."""
    for table in (CampaignList, CampaignSegment):
        dbsession.execute(delete(table).where(table.project_id == project_id, table.campaign_id == campaign_id))


def known(dbsession: Session, project_id: int, chosen: Chosen, *, archived: bool = False) -> Chosen:
    """What of it is in the project and in use; archived lists and segments count only as left out, or with `archived`.

    Somebody who was to be left out is so still: nobody gets a letter because a list was put away.
    """
    lists = _known(dbsession, MailingList, project_id, (*chosen.lists, *chosen.not_lists))
    segments = _known(dbsession, Segment, project_id, (*chosen.segments, *chosen.not_segments))

    def among(found: Mapping[int, bool], wanted: Sequence[int], also_archived: bool) -> tuple[int, ...]:
        return tuple(sorted(one for one in {*wanted} & found.keys() if also_archived or not found[one]))

    return Chosen(
        among(lists, chosen.lists, archived),
        among(segments, chosen.segments, archived),
        among(lists, chosen.not_lists, True),
        among(segments, chosen.not_segments, True),
    )


@dataclass(frozen=True)
class SegmentChoice:
    """A segment as the picker shows it; `count` is what was counted last, None where nobody has counted."""

    id: int
    name: str
    count: int | None
    archived: bool


def segment_choices(dbsession: Session, project_id: int, *, also: Iterable[int] = ()) -> list[SegmentChoice]:
    """The project's segments by name; archived ones only where they are already chosen (`also`)."""
    rows = dbsession.execute(
        select(Segment.id, Segment.name, Segment.count, Segment.archived_at.is_not(None))
        .where(Segment.project_id == project_id, Segment.archived_at.is_(None) | Segment.id.in_(list(also)))
        .order_by(func.lower(Segment.name), Segment.id)
    )
    return [SegmentChoice(*row) for row in rows]


def _known(dbsession: Session, table: Any, project_id: int, ids: Sequence[int]) -> dict[int, bool]:
    """Those that are there, and whether they are archived."""
    if not ids:
        return {}
    found = select(table.id, table.archived_at.is_not(None)).where(table.project_id == project_id, table.id.in_(ids))
    return {number: bool(is_archived) for number, is_archived in dbsession.execute(found)}


def _name(kind: str, side: str) -> str:
    return kind if side == _INCLUDE else f"not_{kind}"
