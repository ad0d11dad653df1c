"""The draft: created, edited with an optimistic lock, copied, archived, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mailhub.campaigns import audience, letter
from mailhub.campaigns.refusals import CampaignRefused, DraftChanged, FieldRefused, LetterRefused, forbid
from mailhub.events.renames import request_rename
from mailhub.models import Campaign, CampaignList, CampaignState, Project, RenameKind, Sender
from mailhub.web.i18n import _

#: More lists than this are a mistake, and would make a very slow audience.
MAX_LISTS = 200
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
    content: Content | None = None,
) -> Campaign:
    """A new draft. The sender is the project's default one unless `content` names another.

    Raises FieldRefused for foreign lists and senders, LetterRefused for a letter with mistakes.
    """
    campaign = Campaign(project_id=project.id, name=name, created_by=created_by)
    given: Content = {"sender_id": default_sender_id(dbsession, project.id), **(content or {})}
    _put(dbsession, project, campaign, given, accept_mistakes=False)
    chosen = _checked_lists(dbsession, project.id, list_ids)
    dbsession.add(campaign)
    dbsession.flush()
    _put_lists(dbsession, campaign, chosen)
    return campaign


def update(
    dbsession: Session,
    project: Project,
    campaign: Campaign,
    *,
    revision: int | None = None,
    list_ids: Sequence[int] | None = None,
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
    if list_ids is not None:
        before = audience.list_ids_of(dbsession, row.project_id, row.id)
        chosen = _checked_lists(dbsession, row.project_id, list_ids, kept=before)
        if chosen != before:
            _put_lists(dbsession, row, chosen)
            changed = True
    if changed:
        row.revision += 1
    dbsession.flush()
    return row


def copy(dbsession: Session, campaign: Campaign, *, name: str, created_by: int | None = None) -> Campaign:
    """A new draft with the same letter, sender and lists; of a sent campaign, what its author had written."""
    fields = ("subject", "preheader", "sender_id", "from_name", "reply_to", "html", "text", "spread_seconds")
    twin = Campaign(
        project_id=campaign.project_id,
        name=name,
        created_by=created_by,
        **{field: getattr(campaign, field) for field in fields},
    )
    dbsession.add(twin)
    dbsession.flush()
    chosen = audience.list_ids_of(dbsession, campaign.project_id, campaign.id)
    _put_lists(dbsession, twin, audience.known_list_ids(dbsession, campaign.project_id, chosen))
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
    dbsession.execute(
        delete(CampaignList).where(CampaignList.project_id == row.project_id, CampaignList.campaign_id == row.id)
    )
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


def _checked_lists(
    dbsession: Session, project_id: int, list_ids: Sequence[int], *, kept: Sequence[int] = ()
) -> list[int]:
    wanted = sorted(set(list_ids))
    if len(wanted) > MAX_LISTS:
        raise FieldRefused("list_ids", _("At most ${n} lists are possible.", mapping={"n": MAX_LISTS}))
    known = set(audience.known_list_ids(dbsession, project_id, wanted)) | set(kept)
    if any(list_id not in known for list_id in wanted):
        raise FieldRefused("list_ids", _("There is no such list in this project."))
    return wanted


def _put_lists(dbsession: Session, campaign: Campaign, list_ids: Sequence[int]) -> None:
    dbsession.execute(
        delete(CampaignList).where(
            CampaignList.project_id == campaign.project_id, CampaignList.campaign_id == campaign.id
        )
    )
    dbsession.add_all(
        CampaignList(project_id=campaign.project_id, campaign_id=campaign.id, list_id=list_id) for list_id in list_ids
    )
    dbsession.flush()
