"""Tags: words that people are marked with. `tag.n` follows by triggers. Nothing here commits."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.models import SignUpForm, SubscriberTag, SubscriberView, Tag
from mailhub.segments import service as segments

MAX_NAME = 80
MAX_TAGS = 2_000


class TooManyTags(Exception):
    """A project has at most MAX_TAGS tags."""


class TagTaken(Exception):
    """Another tag of the project has this name."""

    def __init__(self, tag: Tag) -> None:
        super().__init__(tag.name)
        self.tag = tag


_MARK = text(
    """
    INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)
    SELECT s.project_id, t.id, s.id
    FROM subscriber AS s
    JOIN tag AS t ON t.project_id = s.project_id AND t.id = ANY(:tags)
    WHERE s.project_id = :project AND s.id = ANY(:people)
    ORDER BY t.id, s.id
    ON CONFLICT DO NOTHING
    RETURNING tag_id
    """
)
# The people of both are counted once; the rows that are left go with their tag.
_MERGE = text(
    """
    INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id, created_at)
    SELECT project_id, :into, subscriber_id, created_at FROM subscriber_tag
    WHERE project_id = :project AND tag_id = :gone
    ON CONFLICT DO NOTHING
    """
)


def clean_tag(name: str) -> str:
    """A tag as it is kept: one line, single spaces; empty if nothing is left or it is too long."""
    word = " ".join(unicodedata.normalize("NFC", name).split())
    return word if len(word) <= MAX_NAME and word.isprintable() else ""


def tags_of(dbsession: Session, project_id: int) -> list[Tag]:
    """The project's tags by name. One query."""
    return list(dbsession.scalars(select(Tag).where(Tag.project_id == project_id).order_by(Tag.name_key)))


def ensure_tags(dbsession: Session, project_id: int, names: Sequence[str]) -> list[Tag]:
    """The tags with these names, in this order, made where there are none. Case does not matter; names of which
    `clean_tag` leaves nothing are passed over. Raises TooManyTags.
    """
    wanted = {word.lower(): word for word in reversed([clean_tag(name) for name in names]) if word}
    keys = list(dict.fromkeys(word.lower() for word in map(clean_tag, names) if word))
    if not keys:
        return []
    found = select(Tag).where(Tag.project_id == project_id, Tag.name_key.in_(keys))
    known = {tag.name_key: tag for tag in dbsession.scalars(found)}
    new = [key for key in keys if key not in known]
    if new:
        there = dbsession.scalar(select(func.count()).select_from(Tag).where(Tag.project_id == project_id)) or 0
        if there + len(new) > MAX_TAGS:
            raise TooManyTags
        rows = [{"project_id": project_id, "name": wanted[key], "name_key": key} for key in sorted(new)]
        dbsession.execute(insert(Tag).values(rows).on_conflict_do_nothing())
        known = {tag.name_key: tag for tag in dbsession.scalars(found)}
    return [known[key] for key in keys]


def add_tags(dbsession: Session, project_id: int, subscriber_ids: Sequence[int], tag_ids: Sequence[int]) -> int:
    """Mark people of the project with tags of it; gives how many marks are new. Ids of nobody change nothing."""
    if not subscriber_ids or not tag_ids:
        return 0
    values = {"project": project_id, "people": list(subscriber_ids), "tags": list(tag_ids)}
    return len(dbsession.execute(_MARK, values).all())


def remove_tags(dbsession: Session, project_id: int, subscriber_ids: Sequence[int], tag_ids: Sequence[int]) -> int:
    """Take tags away from people; gives how many marks there were."""
    if not subscriber_ids or not tag_ids:
        return 0
    gone = (
        delete(SubscriberTag)
        .where(
            SubscriberTag.project_id == project_id,
            SubscriberTag.tag_id.in_(tag_ids),
            SubscriberTag.subscriber_id.in_(subscriber_ids),
        )
        .returning(SubscriberTag.tag_id)
        .execution_options(synchronize_session=False)
    )
    return len(dbsession.execute(gone).all())


def tags_of_people(dbsession: Session, project_id: int, subscriber_ids: Sequence[int]) -> dict[int, list[Tag]]:
    """The tags of each of these people by name. One query for a whole page."""
    found: dict[int, list[Tag]] = {number: [] for number in subscriber_ids}
    if not subscriber_ids:
        return found
    wanted = (
        select(SubscriberTag.subscriber_id, Tag)
        .join(Tag, (Tag.project_id == SubscriberTag.project_id) & (Tag.id == SubscriberTag.tag_id))
        .where(SubscriberTag.project_id == project_id, SubscriberTag.subscriber_id.in_(subscriber_ids))
        .order_by(Tag.name_key)
    )
    for subscriber_id, tag in dbsession.execute(wanted):
        found[subscriber_id].append(tag)
    return found


def rename_tag(dbsession: Session, tag: Tag, name: str) -> None:
    """Another name for a tag, also in the forms that give it; `name` is a clean one. Raises TagTaken."""
    other = dbsession.scalars(
        select(Tag).where(Tag.project_id == tag.project_id, Tag.name_key == name.lower(), Tag.id != tag.id)
    ).one_or_none()
    if other is not None:
        raise TagTaken(other)
    forms = select(SignUpForm).where(SignUpForm.project_id == tag.project_id, SignUpForm.tags.contains([tag.name]))
    for form in dbsession.scalars(forms):
        form.tags = [name if one == tag.name else one for one in form.tags]
    tag.name, tag.name_key = name, name.lower()
    dbsession.flush()


def merge_tags(dbsession: Session, *, gone: Tag, into: Tag) -> None:
    """Whoever has `gone` has `into` afterwards, and `gone` is no more. One statement a table, whatever its size.

    Segments, saved views and forms that asked for the one ask for the other.
    """
    assert gone.project_id == into.project_id
    assert gone.id != into.id
    segments.replace_tag(dbsession, gone.project_id, gone=gone.id, into=into.id)
    views = select(SubscriberView).where(
        SubscriberView.project_id == gone.project_id, SubscriberView.query.contains({"tag": str(gone.id)})
    )
    for view in dbsession.scalars(views):
        view.query = {**view.query, "tag": str(into.id)}
    forms = select(SignUpForm).where(SignUpForm.project_id == gone.project_id, SignUpForm.tags.contains([gone.name]))
    for form in dbsession.scalars(forms):
        form.tags = list(dict.fromkeys(into.name if name == gone.name else name for name in form.tags))
    dbsession.flush()
    dbsession.execute(_MERGE, {"project": gone.project_id, "gone": gone.id, "into": into.id})
    delete_tag(dbsession, gone)
    dbsession.refresh(into)


def delete_tag(dbsession: Session, tag: Tag) -> None:
    """Take the tag from everybody."""
    dbsession.execute(delete(Tag).where(Tag.project_id == tag.project_id, Tag.id == tag.id))
    dbsession.expunge(tag)
