"""Taking one import back: who was created goes, who was changed is as before; unless something has happened since.

A job in three phases, each in slices by the person's id, so that it can be killed anywhere: people whom the import
changed, lists that they joined by it, people whom it created. Whatever is left as it is gets a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from sqlalchemy import BigInteger, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.background import service as background
from mailhub.background.running import Failed, Running
from mailhub.imports import made_fields, service
from mailhub.imports.merge import refresh_statistics, take_turn
from mailhub.imports.rules import Rules
from mailhub.models import (
    ImportChange,
    ImportList,
    ImportState,
    JobState,
    ProjectJob,
    Subscriber,
    SubscriberImport,
    Subscription,
    Tag,
)
from mailhub.web.i18n import _

log = logs.get(__name__)

KIND = "import_undo"
#: People of a slice. Smaller ones for those who are deleted: their subscriptions, tags and consents go with them.
SLICE, DELETED = 2_000, 1_000
#: Why somebody is left as they are; `import_change.kept`.
KEPT = {
    "letters": _("letters have been sent to them since"),
    "lists": _("they have joined other lists since"),
    "answered": _("they have confirmed or left the list themselves"),
    "edited": _("somebody has changed their data since"),
}
#: States of imports that can be taken back.
ENDED = (ImportState.DONE, ImportState.CANCELLED, ImportState.FAILED, ImportState.ROLLING_BACK)

_IDS = ARRAY(BigInteger)
# As in merge: lookups by keys, whatever the statistics say of tables that have just been filled.
_PLAN = text(
    """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true)
    """
)
_EDITED = text(
    """
    UPDATE import_change AS c SET kept = 'edited'
    FROM subscriber AS p
    WHERE c.project_id = :project AND c.import_id = :import AND c.subscriber_id = ANY(:people)
        AND p.project_id = c.project_id AND p.id = c.subscriber_id
        AND ((c.name_given IS NOT NULL AND p.name <> c.name_given)
            OR EXISTS (
                SELECT FROM jsonb_each(c.fields_given) AS e WHERE (p.fields -> e.key) IS DISTINCT FROM e.value
            ))
    """
).bindparams(bindparam("people", type_=_IDS))
# Field by field: what has been changed since stays as it is now.
_PROFILES = text(
    """
    UPDATE subscriber AS p SET
        name = CASE WHEN p.name = c.name_given THEN c.name_before ELSE p.name END,
        fields = CASE WHEN c.fields_given IS NULL THEN p.fields ELSE
            (p.fields - ARRAY(
                SELECT e.key FROM jsonb_each(c.fields_given) AS e WHERE (p.fields -> e.key) = e.value
            )) || coalesce((
                SELECT jsonb_object_agg(b.key, b.value) FROM jsonb_each(c.fields_before) AS b
                WHERE (c.fields_given -> b.key) = (p.fields -> b.key)
            ), '{}') END,
        updated_at = CASE WHEN p.updated_at = c.changed_at THEN c.updated_before ELSE now() END
    FROM import_change AS c
    WHERE c.project_id = :project AND c.import_id = :import AND c.subscriber_id = ANY(:people)
        AND (c.name_given IS NOT NULL OR c.fields_given IS NOT NULL)
        AND p.project_id = c.project_id AND p.id = c.subscriber_id
    """
).bindparams(bindparam("people", type_=_IDS))
_TAGS = text(
    """
    DELETE FROM subscriber_tag AS m
    USING import_change AS c CROSS JOIN LATERAL jsonb_array_elements_text(c.tags_added) AS t (id)
    WHERE c.project_id = :project AND c.import_id = :import AND c.subscriber_id = ANY(:people)
        AND m.project_id = c.project_id AND m.tag_id = CAST(t.id AS bigint) AND m.subscriber_id = c.subscriber_id
        AND m.subscriber_id = ANY(:people)
    """
).bindparams(bindparam("people", type_=_IDS))
_WAITED = text(
    """
    WITH back AS (
        UPDATE subscription AS n SET status = b.value ->> 'status', source = b.value ->> 'source'
        FROM import_change AS c CROSS JOIN LATERAL jsonb_each(c.lists_before) AS b
        WHERE c.project_id = :project AND c.import_id = :import AND c.subscriber_id = ANY(:people)
            AND n.project_id = c.project_id AND n.list_id = CAST(b.key AS bigint)
            AND n.subscriber_id = c.subscriber_id
            AND n.status = 'subscribed' AND n.source = :source AND n.confirmed_at IS NULL
        RETURNING n.list_id, n.subscriber_id
    )
    DELETE FROM consent AS c USING back
    WHERE c.project_id = :project AND c.subscriber_id = back.subscriber_id AND c.list_id = back.list_id
        AND c.source = :source AND c.subscriber_id = ANY(:people)
    """
).bindparams(bindparam("people", type_=_IDS))
# Subscriptions that the import made for people who were there before it. Whoever has answered since is left in peace.
_JOINED = text(
    """
    WITH mine AS (
        SELECT n.subscriber_id, n.status = :status AND n.confirmed_at IS NULL AND n.unsubscribed_at IS NULL AS is_same
        FROM subscription AS n
        JOIN subscriber AS p ON p.project_id = n.project_id AND p.id = n.subscriber_id
        WHERE n.project_id = :project AND n.list_id = :list AND n.subscriber_id = ANY(:people) AND n.source = :source
            AND p.source <> :source
    ), gone AS (
        DELETE FROM subscription AS n USING mine
        WHERE mine.is_same AND n.project_id = :project AND n.list_id = :list AND n.subscriber_id = mine.subscriber_id
            AND n.subscriber_id = ANY(:people)
        RETURNING n.subscriber_id
    ), forgotten AS (
        DELETE FROM consent AS c USING gone
        WHERE c.project_id = :project AND c.subscriber_id = gone.subscriber_id AND c.source = :source
            AND c.subscriber_id = ANY(:people) AND (c.list_id = :list OR c.list_id IS NULL)
    ), kept AS (
        INSERT INTO import_change AS c (project_id, import_id, subscriber_id, kept)
        SELECT :project, :import, subscriber_id, 'answered' FROM mine WHERE NOT is_same
        ON CONFLICT (project_id, import_id, subscriber_id) DO UPDATE SET kept = EXCLUDED.kept
    )
    SELECT array_agg(subscriber_id) FROM gone
    """
).bindparams(bindparam("people", type_=_IDS))
_CREATED = text(
    """
    SELECT p.id,
        CASE
            WHEN EXISTS (
                SELECT FROM message AS m
                WHERE m.project_id = p.project_id AND m.subscriber_id = p.id AND m.kind <> 'service'
            ) THEN 'letters'
            WHEN EXISTS (
                SELECT FROM subscription AS n
                WHERE n.project_id = p.project_id AND n.subscriber_id = p.id AND n.source <> :source
            ) THEN 'lists'
            WHEN EXISTS (
                SELECT FROM subscription AS n
                WHERE n.project_id = p.project_id AND n.subscriber_id = p.id
                    AND (n.status <> :status OR n.confirmed_at IS NOT NULL OR n.unsubscribed_at IS NOT NULL)
            ) THEN 'answered'
            WHEN p.updated_at > p.created_at OR p.status <> 'active' OR p.tracking <> 'full'
                OR p.paused_until IS NOT NULL
                OR EXISTS (
                    SELECT FROM subscriber_note AS o WHERE o.project_id = p.project_id AND o.subscriber_id = p.id
                )
                OR EXISTS (
                    SELECT FROM subscriber_tag AS m
                    WHERE m.project_id = p.project_id AND m.subscriber_id = p.id AND m.created_at > p.created_at
                ) THEN 'edited'
            ELSE ''
        END AS reason
    FROM subscriber AS p
    WHERE p.project_id = :project AND p.id = ANY(:people)
    FOR UPDATE OF p
    """
).bindparams(bindparam("people", type_=_IDS))
# What hangs on people first, as sets: the cascade would do it one by one, and move the counters each time.
_GONE = tuple(
    text(statement).bindparams(bindparam("people", type_=_IDS))
    for statement in (
        "DELETE FROM subscription WHERE project_id = :project AND subscriber_id = ANY(:people)",
        "DELETE FROM subscriber_tag WHERE project_id = :project AND subscriber_id = ANY(:people)",
        "DELETE FROM consent WHERE project_id = :project AND subscriber_id = ANY(:people)",
        "DELETE FROM subscriber WHERE project_id = :project AND id = ANY(:people)",
    )
)
_KEEP = text(
    """
    INSERT INTO import_change AS c (project_id, import_id, subscriber_id, kept)
    SELECT :project, :import, k.id, k.reason
    FROM unnest(CAST(:people AS bigint[]), CAST(:reasons AS text[])) AS k (id, reason)
    ON CONFLICT (project_id, import_id, subscriber_id) DO UPDATE SET kept = EXCLUDED.kept
    """
)


def begin(request: Request, row: SubscriberImport) -> ProjectJob:
    """Ask for the roll-back of an import that has ended. Raises service.ImportRefused and TooManyJobs."""
    request.dbsession.refresh(row, with_for_update=True)
    if row.state not in ENDED:
        raise service.ImportRefused(_("Only an import that has ended can be rolled back."))
    if row.state != ImportState.ROLLING_BACK and is_past(request, row):
        raise service.ImportRefused(_("This import is too old: what people were like before is not kept any more."))
    user_id = request.user.id if getattr(request, "user", None) is not None else None
    job, is_new = background.ask(
        request, row.project_id, KIND, {"import": row.id}, total=row.rows_created + row.rows_updated, user_id=user_id
    )
    if is_new:
        row.state, row.undo_job_id, row.letters_open = ImportState.ROLLING_BACK, job.id, False
        row.rows_undone = row.rows_kept = 0
        request.dbsession.flush()
    return job


def is_past(request: Request, row: SubscriberImport) -> bool:
    """Whether the time is over in which an import can be taken back."""
    if row.finished_at is None:
        return False
    days = request.registry.mailhub.import_keep_days
    old = select(row.finished_at < func.now() - func.make_interval(0, 0, 0, days))
    return bool(request.dbsession.scalar(old))


def job_of(request: Request, row: SubscriberImport) -> ProjectJob | None:
    """The job of the roll-back; None where there is none, or it is forgotten."""
    if row.undo_job_id is None:
        return None
    found: ProjectJob | None = request.dbsession.get(ProjectJob, (row.project_id, row.undo_job_id))
    return found


def is_stuck(job: ProjectJob | None) -> bool:
    """Whether a roll-back that is not through has to be asked for once more."""
    return job is None or job.state in (JobState.FAILED, JobState.CANCELLED)


def run(request: Request, job: Running) -> Mapping[str, Any]:
    """The job: slice by slice, then the end."""
    import_id = job.parameters["import"]
    with request.tm:
        row = request.dbsession.get(SubscriberImport, (job.project_id, import_id))
        if row is None or row.state != ImportState.ROLLING_BACK:
            raise Failed("gone")
        lists = list(
            request.dbsession.scalars(
                select(ImportList.list_id)
                .where(ImportList.project_id == job.project_id, ImportList.import_id == import_id)
                .order_by(ImportList.list_id)
            )
        )
        values = {
            "project": job.project_id, "import": import_id, "source": f"import:{import_id}",
            "status": Rules.from_json(row.rules).status, "last": row.last_created,
            "first": (row.first_created or 1) - 1,
        }  # fmt: skip
        has_known = row.rows_updated > 0
        refresh_statistics(request.dbsession)
    phases = ["changed", *(f"joined:{one}" for one in lists if has_known), "created"]
    start = job.place.get("phase", phases[0])
    for phase in phases[phases.index(start) if start in phases else 0 :]:
        after = job.place["after"] if job.place.get("phase") == phase else None
        while True:
            with request.tm:
                take_turn(request.dbsession, job.project_id)
                request.dbsession.execute(_PLAN)
                last, undone, kept = _slice(request.dbsession, phase, values, after)
                if last is None:
                    break
                row = request.dbsession.get_one(SubscriberImport, (job.project_id, import_id))
                row.rows_undone += undone
                row.rows_kept += kept
                job.move(request.dbsession, done=undone + kept, place={"phase": phase, "after": last})
            after = last
    with request.tm:
        return _end(request, job, import_id)


def _slice(dbsession: Session, phase: str, values: Mapping[str, Any], after: int | None) -> tuple[int | None, int, int]:
    """One slice: the last person looked at (None: there is none left), how many are as before, how many were kept."""
    if phase == "changed":
        return _changed(dbsession, values, after or 0)
    if phase == "created":
        return _created(dbsession, values, values["first"] if after is None else after)
    return _joined(dbsession, dict(values) | {"list": int(phase.partition(":")[2])}, after or 0)


def _changed(dbsession: Session, values: Mapping[str, Any], after: int) -> tuple[int | None, int, int]:
    wanted = (
        select(ImportChange.subscriber_id)
        .where(
            ImportChange.project_id == values["project"],
            ImportChange.import_id == values["import"],
            ImportChange.subscriber_id > after,
        )
        .order_by(ImportChange.subscriber_id)
        .limit(SLICE)
    )
    people = list(dbsession.scalars(wanted))
    if not people:
        return None, 0, 0
    given = dict(values) | {"people": people}
    for statement in (_EDITED, _PROFILES, _TAGS, _WAITED):
        dbsession.execute(statement, given)
    kept = dbsession.scalar(
        select(func.count()).where(
            ImportChange.project_id == values["project"],
            ImportChange.import_id == values["import"],
            ImportChange.subscriber_id.in_(people),
            ImportChange.kept != "",
        )
    )
    return people[-1], len(people) - int(kept or 0), int(kept or 0)


def _joined(dbsession: Session, values: Mapping[str, Any], after: int) -> tuple[int | None, int, int]:
    wanted = (
        select(Subscription.subscriber_id)
        .where(
            Subscription.project_id == values["project"],
            Subscription.list_id == values["list"],
            Subscription.subscriber_id > after,
        )
        .order_by(Subscription.subscriber_id)
        .limit(5 * SLICE)
    )
    people = list(dbsession.scalars(wanted))
    if not people:
        return None, 0, 0
    gone = dbsession.execute(_JOINED, dict(values) | {"people": people}).scalar_one() or []
    return people[-1], len(gone), 0


def _created(dbsession: Session, values: Mapping[str, Any], after: int) -> tuple[int | None, int, int]:
    if values["last"] is None:
        return None, 0, 0
    wanted = (
        select(Subscriber.id)
        .where(
            Subscriber.project_id == values["project"],
            Subscriber.id > after,
            Subscriber.id <= values["last"],
            Subscriber.source == values["source"],
        )
        .order_by(Subscriber.id)
        .limit(DELETED)
    )
    people = list(dbsession.scalars(wanted))
    if not people:
        return None, 0, 0
    found = dbsession.execute(_CREATED, dict(values) | {"people": people}).all()
    gone = [row.id for row in found if not row.reason]
    kept = [(row.id, row.reason) for row in found if row.reason]
    for statement in _GONE:
        dbsession.execute(statement, {"project": values["project"], "people": gone})
    if kept:
        reasons = {"people": [one for one, _why in kept], "reasons": [why for _one, why in kept]}
        dbsession.execute(_KEEP, dict(values) | reasons)
    return people[-1], len(gone), len(kept)


def _end(request: Request, job: Running, import_id: int) -> Mapping[str, Any]:
    """The import is rolled back: what was needed for it goes, and tags that it has made and nobody has."""
    dbsession: Session = request.dbsession
    row = dbsession.get_one(SubscriberImport, (job.project_id, import_id), with_for_update=True)
    dbsession.execute(
        delete(ImportChange).where(
            ImportChange.project_id == row.project_id, ImportChange.import_id == row.id, ImportChange.kept == ""
        )
    )
    dbsession.execute(
        delete(Tag).where(
            Tag.project_id == row.project_id, Tag.n == 0,
            Tag.created_at >= row.started_at, Tag.created_at <= row.finished_at,
        )
    )  # fmt: skip
    made_fields.take_back(dbsession, row)
    row.state, row.undone_at = ImportState.ROLLED_BACK, func.clock_timestamp()
    row.rows_kept = (
        dbsession.scalar(
            select(func.count()).where(
                ImportChange.project_id == row.project_id, ImportChange.import_id == row.id, ImportChange.kept != ""
            )
        )
        or 0
    )
    service.path_of(request.registry.mailhub, row.stored_name).unlink(missing_ok=True)
    log.info("import.rolled_back", import_id=import_id, undone=row.rows_undone, kept=row.rows_kept)
    return {"undone": row.rows_undone, "kept": row.rows_kept}
