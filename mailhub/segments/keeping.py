"""Saved segments: made, changed, copied, put away; and where each is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from mailhub.models import Campaign, CampaignSegment, CampaignState, JobState, ProjectJob, Segment
from mailhub.segments import catalog
from mailhub.segments.counting import Count, database_now
from mailhub.segments.tree import Tree
from mailhub.segments.vocabulary import CUSTOM
from mailhub.web.i18n import _

#: Campaigns in these states will still ask the segment.
UNSENT = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)
MOST_USES = 50


class SegmentInUse(Exception):
    """Campaigns or exports that are not finished ask the segment; `names` says which."""

    def __init__(self, names: Sequence[Any]) -> None:
        super().__init__(", ".join(str(name) for name in names))
        self.names = list(names)


class SegmentChanged(Exception):
    """Somebody else has changed the segment meanwhile."""


@dataclass(frozen=True)
class Use:
    """A campaign that asks the segment; `side` is include or exclude."""

    campaign_id: int
    name: str
    state: str
    side: str

    @property
    def is_open(self) -> bool:
        """Whether the segment will still be asked."""
        return self.state in UNSENT


@dataclass(frozen=True)
class Uses:
    """Where a segment is used: campaigns, newest first, and jobs that wait or run (their kinds)."""

    campaigns: tuple[Use, ...] = ()
    jobs: tuple[str, ...] = ()

    @property
    def open_names(self) -> list[Any]:
        """What holds the segment, in words: it can't be put away before these have ended."""
        names: list[Any] = [one.name for one in self.campaigns if one.is_open]
        return [*names, _("an export that is not finished")] if self.jobs else names


@dataclass(frozen=True)
class Row:
    """A segment in the table, and how many campaigns use it."""

    segment: Segment
    campaigns: int


def create(
    dbsession: Session,
    *,
    project_id: int,
    name: str,
    tree: Tree,
    description: str = "",
    user_id: int | None = None,
    counted: Count | None = None,
) -> Segment:
    """Keep a new segment; `counted` is what the page has just counted."""
    segment = Segment(
        project_id=project_id, name=name, description=description, definition=tree.document, created_by=user_id
    )
    dbsession.add(segment)
    dbsession.flush()
    if counted is not None:
        note_count(dbsession, segment, counted)
    dbsession.refresh(segment)
    return segment


def change(
    dbsession: Session,
    segment: Segment,
    *,
    name: str | None = None,
    description: str | None = None,
    tree: Tree | None = None,
    revision: int | None = None,
) -> bool:
    """Change what is given; a new tree has no count yet. True where the tree is another now.

    Raises SegmentChanged where `revision` is given and is not the present one any more.
    """
    dbsession.refresh(segment, with_for_update=True)
    if revision is not None and revision != segment.revision:
        raise SegmentChanged
    segment.name = segment.name if name is None else name
    segment.description = segment.description if description is None else description
    asks_anew = tree is not None and tree.document != segment.definition
    if tree is not None and asks_anew:
        segment.definition = tree.document
        segment.count, segment.counted_at, segment.count_ms = None, None, None
    segment.revision += 1
    dbsession.flush()
    dbsession.refresh(segment)
    return asks_anew


def copy(dbsession: Session, segment: Segment, *, name: str, user_id: int | None = None) -> Segment:
    """A new segment that asks the same."""
    made = Segment(
        project_id=segment.project_id, name=name, description=segment.description, definition=segment.definition,
        count=segment.count, counted_at=segment.counted_at, count_ms=segment.count_ms, created_by=user_id,
    )  # fmt: skip
    dbsession.add(made)
    dbsession.flush()
    dbsession.refresh(made)
    return made


def archive(dbsession: Session, segment: Segment) -> None:
    """Take it out of sight and out of pickers. Raises SegmentInUse."""
    _free(dbsession, segment)
    segment.archived_at = database_now(dbsession)
    dbsession.flush()


def restore(dbsession: Session, segment: Segment) -> None:
    """Bring an archived one back."""
    segment.archived_at = None
    dbsession.flush()


def remove(dbsession: Session, segment: Segment) -> bool:
    """Delete it. Raises SegmentInUse. False: sent campaigns refer to it, so it was archived."""
    _free(dbsession, segment)
    key = (segment.project_id, segment.id)
    referred = select(
        select(CampaignSegment.campaign_id)
        .where(CampaignSegment.project_id == key[0], CampaignSegment.segment_id == key[1])
        .exists()
    )
    if dbsession.scalar(referred):
        segment.archived_at = segment.archived_at or database_now(dbsession)
        dbsession.flush()
        return False
    dbsession.execute(delete(Segment).where(Segment.project_id == key[0], Segment.id == key[1]))
    dbsession.expunge(segment)
    return True


def _free(dbsession: Session, segment: Segment) -> None:
    # A campaign that is being given this segment waits here, or makes us see it.
    dbsession.refresh(segment, with_for_update=True)
    names = where_used(dbsession, segment).open_names
    if names:
        raise SegmentInUse(names)


def where_used(dbsession: Session, segment: Segment) -> Uses:
    """Campaigns with the segment on either side, and jobs over it that have not ended. Two statements."""
    campaigns = dbsession.execute(
        select(Campaign.id, Campaign.name, Campaign.state, CampaignSegment.side)
        .join(
            CampaignSegment,
            and_(CampaignSegment.project_id == Campaign.project_id, CampaignSegment.campaign_id == Campaign.id),
        )
        .where(
            CampaignSegment.project_id == segment.project_id,
            CampaignSegment.segment_id == segment.id,
            or_(Campaign.archived_at.is_(None), Campaign.state.in_(UNSENT)),
        )
        .order_by(Campaign.id.desc())
        .limit(MOST_USES)
    )
    jobs = dbsession.scalars(
        select(ProjectJob.kind).where(
            ProjectJob.project_id == segment.project_id,
            ProjectJob.state.in_((JobState.PENDING, JobState.RUNNING)),
            ProjectJob.kind != COUNT_JOB,
            or_(
                ProjectJob.parameters.contains({"segment_id": segment.id}),
                ProjectJob.parameters.contains({"segment_id": str(segment.id)}),
                ProjectJob.parameters.contains({"what": "segment", "of": segment.id}),
            ),
        )
    )
    return Uses(tuple(Use(*row) for row in campaigns), tuple(jobs))


#: The kind of the job that counts a segment.
COUNT_JOB = "segment_count"


def listed(dbsession: Session, project_id: int, *, archived: bool = False) -> list[Row]:
    """The segments in use, or the archived ones, by name, with the number of campaigns that use each."""
    used = (
        select(CampaignSegment.segment_id, func.count().label("n"))
        .where(CampaignSegment.project_id == project_id)
        .group_by(CampaignSegment.segment_id)
        .subquery()
    )
    rows = dbsession.execute(
        select(Segment, func.coalesce(used.c.n, 0))
        .outerjoin(used, used.c.segment_id == Segment.id)
        .where(
            Segment.project_id == project_id,
            Segment.archived_at.is_not(None) if archived else Segment.archived_at.is_(None),
        )
        .order_by(func.lower(Segment.name), Segment.id)
    )
    return [Row(segment, int(n)) for segment, n in rows]


def note_count(dbsession: Session, segment: Segment, counted: Count) -> bool:
    """Write down what was counted, unless the segment asks something else by now; True if it was written."""
    done = dbsession.execute(
        update(Segment)
        .where(
            Segment.project_id == segment.project_id,
            Segment.id == segment.id,
            Segment.revision == segment.revision,
            or_(Segment.counted_at.is_(None), Segment.counted_at <= counted.at),
        )
        # A count is no change of the segment.
        .values(
            count=counted.people, counted_at=counted.at, count_ms=counted.milliseconds, updated_at=Segment.updated_at
        )
        .returning(Segment.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None


def asking(dbsession: Session, project_id: int, *, field: str = "", list_id: int = 0, tag_id: int = 0) -> list[Segment]:
    """Segments in use that ask for a custom field (by its name), a list or a tag: what holds it in its place."""
    segments = dbsession.scalars(
        select(Segment).where(Segment.project_id == project_id, Segment.archived_at.is_(None)).order_by(Segment.id)
    )
    return [one for one in segments if _asks(one.definition, field, list_id, tag_id)]


def _asks(definition: Mapping[str, Any], field: str, list_id: int, tag_id: int) -> bool:
    for rule in catalog.leaves(definition):
        ids = [catalog.id_of(one) for one in rule["value"]] if isinstance(rule.get("value"), list) else []
        if field and rule.get("field") == f"{CUSTOM}{field}":
            return True
        if (list_id and rule.get("field") == "list" and list_id in ids) or (
            tag_id and rule.get("field") == "tag" and tag_id in ids
        ):
            return True
    return False


def replace_tag(dbsession: Session, project_id: int, *, gone: int, into: int) -> None:
    """Two tags become one: whatever asks for the one asks for the other, archived segments too."""
    segments = select(Segment).where(Segment.project_id == project_id).order_by(Segment.id)
    for segment in dbsession.scalars(segments.with_for_update()):
        if not _asks(segment.definition, "", 0, gone):
            continue
        document = deepcopy(segment.definition)
        for rule in catalog.leaves(document):
            if rule.get("field") == "tag" and isinstance(rule.get("value"), list):
                ids = [into if catalog.id_of(one) == gone else one for one in rule["value"]]
                rule["value"] = list(dict.fromkeys(map(str, ids)))
        segment.definition = document
        segment.revision += 1
    dbsession.flush()


def counted_before(dbsession: Session, moment: datetime, most: int) -> list[tuple[int, int]]:
    """(project, segment) in use whose count is older than a moment, the oldest first."""
    rows = dbsession.execute(
        select(Segment.project_id, Segment.id)
        .where(Segment.archived_at.is_(None), or_(Segment.counted_at.is_(None), Segment.counted_at < moment))
        .order_by(Segment.counted_at.asc().nulls_first(), Segment.id)
        .limit(most)
    )
    return [(project_id, id_) for project_id, id_ in rows]
