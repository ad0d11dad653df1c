"""The draft: created, edited with an optimistic lock, copied, archived, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.campaigns import chosen as choice
from mailhub.campaigns import letter
from mailhub.campaigns.chosen import Chosen
from mailhub.campaigns.refusals import CampaignRefused, DraftChanged, FieldRefused, LetterRefused, forbid
from mailhub.events.renames import request_rename
from mailhub.models import Campaign, CampaignState, Project, RenameKind, Sender
from mailhub.web.i18n import _

#: More lists than this are a mistake, and would make a very slow audience; each segment costs a question of its own.
MAX_LISTS = 200
MAX_SEGMENTS = 20
_LETTER = ("subject", "preheader", "html", "text")


class Content(TypedDict, total=False):
    """What may be changed of a draft; a name that is left out stays as it is."""

    name: str
    subject: str
    preheader: str
    sender_id: int | None
    from_name: str
    reply_to: str
    html: str
    text: str
    send_at: datetime | None
    spread_seconds: int | None


def locked(dbsession: Session, campaign: Campaign) -> Campaign:
    """The campaign's row, locked until the end of the transaction and read again."""
    statement = (
        select(Campaign)
        .where(Campaign.project_id == campaign.project_id, Campaign.id == campaign.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = dbsession.scalars(statement).one_or_none()
    if row is None:
        raise CampaignRefused(_("The campaign was deleted in the meantime."))
    return row


def create(
    dbsession: Session,
    project: Project,
    *,
    name: str,
    created_by: int | None = None,
    list_ids: Sequence[int] = (),
    segment_ids: Sequence[int] = (),
    exclude_list_ids: Sequence[int] = (),
    exclude_segment_ids: Sequence[int] = (),
    content: Content | None = None,
) -> Campaign:
    """A new draft. The sender is the project's default one unless `content` names another.

    Raises FieldRefused for foreign lists, segments and senders, LetterRefused for a letter with mistakes.
    """
    campaign = Campaign(project_id=project.id, name=name, created_by=created_by)
    given: Content = {"sender_id": default_sender_id(dbsession, project.id), **(content or {})}
    _put(dbsession, project, campaign, given, accept_mistakes=False)
    wanted = _sorted(list_ids, segment_ids, exclude_list_ids, exclude_segment_ids)
    _check(dbsession, project.id, wanted, kept=Chosen())
    dbsession.add(campaign)
    dbsession.flush()
    choice.put(dbsession, project.id, campaign.id, wanted)
    return campaign


def update(
    dbsession: Session,
    project: Project,
    campaign: Campaign,
    *,
    revision: int | None = None,
    list_ids: Sequence[int] | None = None,
    segment_ids: Sequence[int] | None = None,
    exclude_list_ids: Sequence[int] | None = None,
    exclude_segment_ids: Sequence[int] | None = None,
    content: Content | None = None,
    accept_mistakes: bool = False,
) -> Campaign:
    """Save an edit of a draft; its revision grows where something changed.

    `revision` is the one that the editor had seen: DraftChanged where it is no longer the present one. A letter with
    mistakes is refused (LetterRefused) unless the author insists on keeping it as a draft (`accept_mistakes`).
    """
    row = locked(dbsession, campaign)
    if row.state != CampaignState.DRAFT:
        raise forbid(row, "edit")
    if revision is not None and row.revision != revision:
        raise DraftChanged()
    changed = _put(dbsession, project, row, content or {}, accept_mistakes=accept_mistakes)
    given = (list_ids, segment_ids, exclude_list_ids, exclude_segment_ids)
    if any(ids is not None for ids in given):
        before = choice.chosen_of(dbsession, row.project_id, row.id)
        kept = (before.lists, before.segments, before.not_lists, before.not_segments)
        wanted = _sorted(*(old if new is None else new for new, old in zip(given, kept, strict=True)))
        if wanted != before:
            _check(dbsession, row.project_id, wanted, kept=before)
            choice.put(dbsession, row.project_id, row.id, wanted)
            changed = True
    if changed:
        row.revision += 1
    dbsession.flush()
    return row


def copy(dbsession: Session, campaign: Campaign, *, name: str, created_by: int | None = None) -> Campaign:
    """A new draft with the same letter, sender and people; of a sent campaign, what its author had written."""
    fields = ("subject", "preheader", "sender_id", "from_name", "reply_to", "html", "text", "spread_seconds")
    twin = Campaign(
        project_id=campaign.project_id,
        name=name,
        created_by=created_by,
        **{field: getattr(campaign, field) for field in fields},
    )
    dbsession.add(twin)
    dbsession.flush()
    chosen = choice.chosen_of(dbsession, campaign.project_id, campaign.id)
    choice.put(dbsession, twin.project_id, twin.id, choice.known(dbsession, twin.project_id, chosen))
    return twin


def archive(dbsession: Session, campaign: Campaign, *, archived: bool = True) -> Campaign:
    """Put a campaign away, or back. One that is on its way can't be put away."""
    row = locked(dbsession, campaign)
    if archived and row.state in (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED):
        raise forbid(row, "archive")
    if archived != (row.archived_at is not None):
        row.archived_at = datetime.now(UTC) if archived else None
        dbsession.flush()
    return row


def rename(dbsession: Session, campaign: Campaign, name: str) -> Campaign:
    """Give the campaign another name, in any state; readers never see it, unless their letter merges it.

    Letters that were made keep the old one; the rows in the log and the statistics follow (`mailhub.events.rename`).
    """
    row = locked(dbsession, campaign)
    if row.name != name:
        row.name = name
        dbsession.flush()
        if row.version is not None:
            request_rename(dbsession, RenameKind.CAMPAIGN_NAME, project_id=row.project_id, object_id=row.id)
    return row


def remove(dbsession: Session, campaign: Campaign) -> None:
    """Delete a draft for good; what was ever started stays, because people got it."""
    row = locked(dbsession, campaign)
    if row.state != CampaignState.DRAFT:
        raise forbid(row, "delete")
    choice.forget(dbsession, row.project_id, row.id)
    dbsession.delete(row)
    dbsession.flush()


def default_sender_id(dbsession: Session, project_id: int) -> int | None:
    """The project's default sender, else its first one."""
    return dbsession.scalar(
        select(Sender.id).where(Sender.project_id == project_id).order_by(Sender.is_default.desc(), Sender.id).limit(1)
    )


def _put(
    dbsession: Session, project: Project, campaign: Campaign, content: Content, *, accept_mistakes: bool
) -> bool:
    """Check the given values and put them into the row; says whether anything changed."""
    given: dict[str, Any] = dict(content)
    sender_id = given.get("sender_id")
    if sender_id is not None and dbsession.get(Sender, (project.id, sender_id)) is None:
        raise FieldRefused("sender_id", _("There is no such sender in this project."))
    changes = {name: value for name, value in given.items() if getattr(campaign, name) != value}
    if not accept_mistakes and any(name in changes for name in _LETTER):
        draft = {name: given.get(name, getattr(campaign, name)) or "" for name in _LETTER}
        mistakes = letter.mistakes(dbsession, project, **draft)
        if mistakes:
            raise LetterRefused(mistakes)
    for name, value in changes.items():
        setattr(campaign, name, value)
    return bool(changes)


def _sorted(*ids: Sequence[int]) -> Chosen:
    return Chosen(*(tuple(sorted(set(side))) for side in ids))


#: The names of a choice's parts in forms and in the API.
_FIELDS = {
    "lists": "list_ids", "segments": "segment_ids", "not_lists": "exclude_list_ids",
    "not_segments": "exclude_segment_ids",
}  # fmt: skip


def _check(dbsession: Session, project_id: int, wanted: Chosen, *, kept: Chosen) -> None:
    """Refuse what is not there, and what is asked for twice; what was chosen before (`kept`) may be archived by now."""
    if len(wanted.lists) + len(wanted.not_lists) > MAX_LISTS:
        raise FieldRefused("list_ids", _("At most ${n} lists are possible.", mapping={"n": MAX_LISTS}))
    if len(wanted.segments) + len(wanted.not_segments) > MAX_SEGMENTS:
        raise FieldRefused("segment_ids", _("At most ${n} segments are possible.", mapping={"n": MAX_SEGMENTS}))
    known = choice.known(dbsession, project_id, wanted)
    for part, name in _FIELDS.items():
        there = {*getattr(known, part), *getattr(kept, part)}
        if not there.issuperset(getattr(wanted, part)):
            if part in ("lists", "not_lists"):
                raise FieldRefused(name, _("There is no such list in this project."))
            raise FieldRefused(name, _("There is no such segment in this project."))
    if set(wanted.lists) & set(wanted.not_lists):
        raise FieldRefused("exclude_list_ids", _("The same list can't be written to and left out."))
    if set(wanted.segments) & set(wanted.not_segments):
        raise FieldRefused("exclude_segment_ids", _("The same segment can't be written to and left out."))
