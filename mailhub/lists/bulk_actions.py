"""What a bulk job does to a slice of people, one statement an action, and how each is taken back.

A statement changes those whom it would change and writes in `subscriber_change` what was there and what is there now,
so a slice that is done twice changes nobody the second time. Taking back restores exactly that, except where somebody
has changed it since: then it is left as they have made it.

binds of all: project, job, people (ids); of an action: tag, list, source, field, value. Each gives how many it changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

# Writers of many people of one project take turns, as imports do: they meet on the same counters and the same people.
_TURN = text("SELECT id FROM project WHERE id = :project FOR NO KEY UPDATE")

_TAG_ADD = text(
    """
    WITH marked AS (
        INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)
        SELECT s.project_id, t.id, s.id
        FROM subscriber AS s
        JOIN tag AS t ON t.project_id = s.project_id AND t.id = :tag
        WHERE s.project_id = :project AND s.id = ANY(:people)
        ORDER BY s.id
        ON CONFLICT DO NOTHING
        RETURNING subscriber_id, created_at
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, after)
        SELECT :project, :job, subscriber_id, jsonb_build_object('at', created_at) FROM marked
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_TAG_ADD_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, after
    ),
    back AS (
        DELETE FROM subscriber_tag AS t USING taken AS c
        WHERE t.project_id = :project AND t.tag_id = :tag AND t.subscriber_id = c.subscriber_id
            AND t.created_at = CAST(c.after ->> 'at' AS timestamptz)
        RETURNING 1
    )
    SELECT count(*) FROM back
    """
)
_TAG_REMOVE = text(
    """
    WITH unmarked AS (
        DELETE FROM subscriber_tag
        WHERE project_id = :project AND tag_id = :tag AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, created_at
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, before)
        SELECT :project, :job, subscriber_id, jsonb_build_object('at', created_at) FROM unmarked
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_TAG_REMOVE_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, before
    ),
    back AS (
        INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id, created_at)
        SELECT t.project_id, t.id, c.subscriber_id, CAST(c.before ->> 'at' AS timestamptz)
        FROM taken AS c
        JOIN tag AS t ON t.project_id = :project AND t.id = :tag
        ORDER BY c.subscriber_id
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM back
    """
)
# Who has left stays out, whoever is asked to confirm has to do it themselves: neither is ours to decide for many.
_LIST_ADD = text(
    """
    WITH joined AS (
        INSERT INTO subscription (project_id, list_id, subscriber_id, status, source)
        SELECT s.project_id, l.id, s.id, 'subscribed', :source
        FROM subscriber AS s
        JOIN mailing_list AS l ON l.project_id = s.project_id AND l.id = :list AND l.archived_at IS NULL
        WHERE s.project_id = :project AND s.id = ANY(:people) AND s.status IN ('active', 'bounced')
        ORDER BY s.id
        ON CONFLICT DO NOTHING
        RETURNING subscriber_id, created_at
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, :list, 'added', :source FROM joined
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, after)
        SELECT :project, :job, subscriber_id, jsonb_build_object('at', created_at) FROM joined
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_LIST_ADD_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, after
    ),
    back AS (
        DELETE FROM subscription AS n USING taken AS c
        WHERE n.project_id = :project AND n.list_id = :list AND n.subscriber_id = c.subscriber_id
            AND n.status = 'subscribed' AND n.created_at = CAST(c.after ->> 'at' AS timestamptz)
        RETURNING n.subscriber_id
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, :list, 'withdrawn', :source FROM back
    )
    SELECT count(*) FROM back
    """
)
# The row of somebody who has left is the memory of that: it stays.
_LIST_REMOVE = text(
    """
    WITH gone AS (
        DELETE FROM subscription
        WHERE project_id = :project AND list_id = :list AND subscriber_id = ANY(:people)
            AND status IN ('subscribed', 'unconfirmed')
        RETURNING subscriber_id, status, source, ip, created_at, confirmed_at
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, :list, 'withdrawn', :source FROM gone
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, before)
        SELECT :project, :job, subscriber_id,
            jsonb_build_object('status', status, 'source', source, 'ip', ip, 'created_at', created_at,
                'confirmed_at', confirmed_at)
        FROM gone
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_LIST_REMOVE_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, before
    ),
    back AS (
        INSERT INTO subscription
            (project_id, list_id, subscriber_id, status, source, ip, created_at, confirmed_at)
        SELECT :project, l.id, c.subscriber_id, c.before ->> 'status', c.before ->> 'source',
            CAST(c.before ->> 'ip' AS inet), CAST(c.before ->> 'created_at' AS timestamptz),
            CAST(c.before ->> 'confirmed_at' AS timestamptz)
        FROM taken AS c
        JOIN subscriber AS s ON s.project_id = :project AND s.id = c.subscriber_id AND s.status <> 'unsubscribed'
        JOIN mailing_list AS l ON l.project_id = :project AND l.id = :list AND l.archived_at IS NULL
        ORDER BY c.subscriber_id
        ON CONFLICT DO NOTHING
        RETURNING subscriber_id
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, :list, 'added', :source FROM back
    )
    SELECT count(*) FROM back
    """
)
_UNSUBSCRIBE = text(
    """
    WITH live AS (
        SELECT list_id, subscriber_id, status FROM subscription
        WHERE project_id = :project AND subscriber_id = ANY(:people) AND status IN ('subscribed', 'unconfirmed')
    ),
    gone AS (
        UPDATE subscription AS n SET status = 'unsubscribed', unsubscribed_at = now()
        FROM live
        WHERE n.project_id = :project AND n.list_id = live.list_id AND n.subscriber_id = live.subscriber_id
            AND n.status = live.status
        RETURNING n.subscriber_id, n.list_id, live.status
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, list_id, 'withdrawn', :source FROM gone
    ),
    moved AS (
        UPDATE subscriber SET status = 'unsubscribed', status_changed_at = now(), updated_at = now()
        WHERE project_id = :project AND id = ANY(:people) AND status = 'active'
        RETURNING id
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, before, after)
        SELECT :project, :job, p.id,
            jsonb_build_object(
                'active', EXISTS (SELECT FROM moved WHERE moved.id = p.id),
                'lists', coalesce(
                    (SELECT jsonb_object_agg(g.list_id, g.status) FROM gone AS g WHERE g.subscriber_id = p.id), '{}'
                )
            ),
            jsonb_build_object('at', now())
        FROM (SELECT id FROM moved UNION SELECT subscriber_id FROM gone) AS p
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_UNSUBSCRIBE_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, before, CAST(after ->> 'at' AS timestamptz) AS at
    ),
    back AS (
        UPDATE subscription AS n SET status = l.value, unsubscribed_at = NULL
        FROM taken AS c, jsonb_each_text(c.before -> 'lists') AS l
        WHERE n.project_id = :project AND n.list_id = CAST(l.key AS bigint) AND n.subscriber_id = c.subscriber_id
            AND n.status = 'unsubscribed' AND n.unsubscribed_at = c.at
        RETURNING n.subscriber_id, n.list_id
    ),
    agreed AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source)
        SELECT :project, subscriber_id, list_id, 'added', :source FROM back
    ),
    moved AS (
        UPDATE subscriber AS s SET status = 'active', status_changed_at = now(), updated_at = now()
        FROM taken AS c
        WHERE s.project_id = :project AND s.id = c.subscriber_id AND CAST(c.before ->> 'active' AS boolean)
            AND s.status = 'unsubscribed' AND s.status_changed_at = c.at
        RETURNING s.id
    )
    SELECT count(*) FROM (SELECT id FROM moved UNION SELECT subscriber_id FROM back) AS restored
    """
)
_SET_FIELD = text(
    """
    WITH old AS (
        SELECT id, fields FROM subscriber
        WHERE project_id = :project AND id = ANY(:people)
            AND (fields -> :field) IS DISTINCT FROM CAST(:value AS jsonb)
        ORDER BY id
        FOR UPDATE
    ),
    written AS (
        UPDATE subscriber AS s SET
            fields = CASE
                WHEN CAST(:value AS jsonb) IS NULL THEN s.fields - :field
                ELSE s.fields || jsonb_build_object(:field, CAST(:value AS jsonb))
            END,
            updated_at = now()
        FROM old
        WHERE s.project_id = :project AND s.id = old.id
        RETURNING s.id, old.fields
    ),
    noted AS (
        INSERT INTO subscriber_change (project_id, job_id, subscriber_id, before, after)
        SELECT :project, :job, id,
            CASE WHEN fields ? :field THEN jsonb_build_object('value', fields -> :field) ELSE '{}' END,
            CASE
                WHEN CAST(:value AS jsonb) IS NULL THEN '{}'
                ELSE jsonb_build_object('value', CAST(:value AS jsonb))
            END
        FROM written
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)
_SET_FIELD_BACK = text(
    """
    WITH taken AS (
        DELETE FROM subscriber_change
        WHERE project_id = :project AND job_id = :job AND subscriber_id = ANY(:people)
        RETURNING subscriber_id, before, after
    ),
    back AS (
        UPDATE subscriber AS s SET
            fields = CASE
                WHEN c.before ? 'value' THEN s.fields || jsonb_build_object(:field, c.before -> 'value')
                ELSE s.fields - :field
            END,
            updated_at = now()
        FROM taken AS c
        WHERE s.project_id = :project AND s.id = c.subscriber_id
            AND (s.fields -> :field) IS NOT DISTINCT FROM (c.after -> 'value')
        RETURNING 1
    )
    SELECT count(*) FROM back
    """
)
_DELETE = text(
    """
    WITH gone AS (DELETE FROM subscriber WHERE project_id = :project AND id = ANY(:people) RETURNING 1)
    SELECT count(*) FROM gone
    """
)


@dataclass(frozen=True)
class Action:
    """What a job does, how it is taken back (None: it can't be), and which of the job's parameters it needs."""

    do: TextClause
    undo: TextClause | None
    needs: str = ""


ACTIONS: Mapping[str, Action] = {
    "tag_add": Action(_TAG_ADD, _TAG_ADD_BACK, "tag"),
    "tag_remove": Action(_TAG_REMOVE, _TAG_REMOVE_BACK, "tag"),
    "list_add": Action(_LIST_ADD, _LIST_ADD_BACK, "list"),
    "list_remove": Action(_LIST_REMOVE, _LIST_REMOVE_BACK, "list"),
    "unsubscribe": Action(_UNSUBSCRIBE, _UNSUBSCRIBE_BACK),
    "set_field": Action(_SET_FIELD, _SET_FIELD_BACK, "field"),
    "delete": Action(_DELETE, None),
}


def apply(dbsession: Session, *, project_id: int, job_id: int, asked: Mapping[str, Any], people: Sequence[int]) -> int:
    """Do a slice; gives how many people were changed."""
    return _run(dbsession, ACTIONS[asked["action"]].do, project_id, job_id, asked, people, f"bulk:{job_id}")


def take_back(
    dbsession: Session, *, project_id: int, job_id: int, asked: Mapping[str, Any], people: Sequence[int]
) -> int:
    """Take back what the job has done to these people; gives how many have again what they had."""
    statement = ACTIONS[asked["action"]].undo
    assert statement is not None, asked["action"]
    return _run(dbsession, statement, project_id, job_id, asked, people, f"undo:{job_id}")


def _run(
    dbsession: Session,
    statement: TextClause,
    project_id: int,
    job_id: int,
    asked: Mapping[str, Any],
    people: Sequence[int],
    source: str,
) -> int:
    if not people:
        return 0
    value = asked.get("value")
    given = {
        "project": project_id, "job": job_id, "people": sorted(people), "tag": asked.get("tag"),
        "list": asked.get("list"), "field": asked.get("field"), "source": source,
        "value": None if value is None else json.dumps(value),
    }  # fmt: skip
    dbsession.execute(_TURN, {"project": project_id})
    binds = set(statement.compile().params)
    return int(dbsession.scalar(statement, {name: one for name, one in given.items() if name in binds}) or 0)
