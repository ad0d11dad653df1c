"""Who did not confirm in time is forgotten: the subscription goes, and the person if there is nothing else of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from mailhub.lists.letters import CONFIRM_SECONDS

#: Links keep their end in whole hours, rounded up.
GRACE = timedelta(hours=1)

# The rows of one slice; what belongs to them follows by their numbers.
_EXPIRE = text(
    """
    UPDATE sign_up_submission SET state = 'expired', settled_at = :now, name = '', fields = '{}'
    WHERE (project_id, id) IN (
        SELECT project_id, id FROM sign_up_submission
        WHERE state = 'asked' AND settled_at < :before
        ORDER BY settled_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING project_id, id
    """
)
# Only what this submission has brought, and nothing that was asked for again since.
_UNSUBSCRIBE = text(
    """
    DELETE FROM subscription AS s USING sign_up_submission AS u
    WHERE (u.project_id, u.id) IN (SELECT * FROM unnest(CAST(:projects AS bigint[]), CAST(:ids AS bigint[])))
        AND s.project_id = u.project_id AND s.subscriber_id = u.subscriber_id AND s.list_id = ANY(u.list_ids)
        AND s.status = 'unconfirmed' AND s.source = 'form:' || u.form_id
        AND NOT EXISTS (
            SELECT FROM sign_up_submission AS later
            WHERE later.project_id = u.project_id AND later.subscriber_id = u.subscriber_id AND later.state = 'asked'
        )
    """
)
# A person whom a form has made, who is in no list and whom nobody has touched since.
_FORGET = text(
    """
    DELETE FROM subscriber AS p USING sign_up_submission AS u
    WHERE (u.project_id, u.id) IN (SELECT * FROM unnest(CAST(:projects AS bigint[]), CAST(:ids AS bigint[])))
        AND p.project_id = u.project_id AND p.id = u.subscriber_id
        AND p.source = 'form:' || u.form_id AND p.status = 'active' AND p.updated_at = p.created_at
        AND NOT EXISTS (SELECT FROM subscription AS s
                        WHERE s.project_id = p.project_id AND s.subscriber_id = p.id)
        AND NOT EXISTS (SELECT FROM subscriber_tag AS t
                        WHERE t.project_id = p.project_id AND t.subscriber_id = p.id)
    """
)
_REMOVE = text(
    """
    DELETE FROM sign_up_submission WHERE (project_id, id) IN (
        SELECT project_id, id FROM sign_up_submission
        WHERE created_at < :before AND state NOT IN ('waiting', 'asked') ORDER BY created_at LIMIT :most
    )
    """
)


def expire(dbsession: Session, *, now: datetime, most: int) -> int:
    """One slice of those who were asked longer ago than a link works; gives how many (fewer than `most`: all)."""
    before = now - timedelta(seconds=CONFIRM_SECONDS) - GRACE
    rows = dbsession.execute(_EXPIRE, {"now": now, "before": before, "most": most}).all()
    if rows:
        slice_ = {"projects": [row.project_id for row in rows], "ids": [row.id for row in rows]}
        dbsession.execute(_UNSUBSCRIBE, slice_)
        dbsession.execute(_FORGET, slice_)
    return len(rows)


def remove(dbsession: Session, *, before: datetime, most: int) -> int:
    """One slice of submissions from before then; their numbers stay in the statistics."""
    done = dbsession.execute(_REMOVE, {"before": before, "most": most})
    assert isinstance(done, CursorResult)
    return done.rowcount
