"""What stands around a large audience: campaigns and what people did, a long stop list, forms, imports, jobs, segments.

The rows that a URL can name are those of the tests' world, made in the large project; what has to be many is made by
SQL. The world's values and tokens are kept in the database, for a home that is used again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from bench import segments as activity_rows
from bench.history import site, store
from mailhub.events import activity
from mailhub.mail.tokens import Signer
from mailhub.models import Membership, Project, Role, User
from mailhub.reporting import partitions
from mailhub.security import address_hash
from mailhub.settings import Settings, read_settings
from tests.build import Builder
from tests.flows.world import Door, make_world

#: So many letters each, to people in a row; every campaign begins elsewhere.
CAMPAIGNS, FIRST_CAMPAIGN, CHUNK = 6, 10_001, 500
#: Of a hundred letters so many are opened, and clicked.
OPENED, CLICKED = 30, 6

_MANY = (
    """
    INSERT INTO suppression (project_id, email_key, reason, created_at)
    SELECT :project, 'stopped' || n || '@d' || n % 977 || '.test',
        (ARRAY['hard_bounce', 'complaint', 'unsubscribed', 'manual'])[1 + n % 4], now() - n * interval '1 minute'
    FROM generate_series(CAST(1 AS bigint), CAST(:stopped AS bigint)) AS n
    """,
    """
    INSERT INTO global_suppression (email_key, note)
    SELECT 'trap' || n || '@d' || n % 977 || '.test', 'Trap ' || n
    FROM generate_series(CAST(1 AS bigint), CAST(:stopped AS bigint)) AS n
    """,
    """
    INSERT INTO import_rejected_row (project_id, import_id, line, reason, raw, cells)
    SELECT :project, :import, 10 + n, (ARRAY['no_at', 'empty', 'bad_domain'])[1 + n % 3], 'row ' || n || ';;', '["row"]'
    FROM generate_series(CAST(1 AS bigint), CAST(:stopped AS bigint) / 5) AS n
    """,
    """
    INSERT INTO subscriber_import (
        project_id, list_id, state, file_name, stored_name, encoding, delimiter, rows_total, finished_at
    )
    SELECT :project, :list, 'done', 'people ' || n || '.csv', 'gone' || n || '.csv', 'utf-8', ',', 50000, now()
    FROM generate_series(1, 200) AS n
    """,
    """
    INSERT INTO sign_up_submission (project_id, form_id, email, state, list_ids, host)
    SELECT :project, :form, '', (ARRAY['asked', 'stopped', 'capped'])[1 + n % 3], ARRAY[CAST(:list AS bigint)],
        'blog.example.com'
    FROM generate_series(CAST(1 AS bigint), CAST(:stopped AS bigint)) AS n
    """,
    """
    INSERT INTO sign_up_day (project_id, form_id, day, host, views, submits, confirmations)
    SELECT :project, :form, current_date - n, h.host, 900, 200, 90
    FROM generate_series(10, 400) AS n CROSS JOIN unnest(ARRAY['', 'a.test', 'b.test', 'c.test']) AS h (host)
    """,
    """
    INSERT INTO project_job (project_id, kind, parameters, state, done, total, file_name, finished_at)
    SELECT :project, j.kind, '{"what": "subscribers", "format": "csv", "action": "tag_add", "tag": 1, "ids": []}',
        'done', 5, 5, 'people.csv', now()
    FROM generate_series(1, 2000) AS n CROSS JOIN unnest(ARRAY['exports.table', 'people']) AS j (kind)
    """,
    """
    INSERT INTO subscriber_duplicate (project_id, first_id, second_id, reason)
    SELECT :project, :person - n * 2, :person - n * 2 + 1, 'alias' FROM generate_series(1, 1000) AS n
    """,
    """
    INSERT INTO consent (project_id, subscriber_id, kind, list_id, source, at)
    SELECT :project, :person, 'given', :list, 'form', now() - n * interval '1 day'
    FROM generate_series(1, 200) AS n
    """,
)
# The draft is written to three large lists; those of a fourth, and of a segment, are left out.
_DRAFT = (
    """
    INSERT INTO campaign_list (project_id, campaign_id, list_id, side)
    SELECT :project, :draft, id, CASE WHEN place <= 3 THEN 'include' ELSE 'exclude' END
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM mailing_list WHERE project_id = :project) AS l
    WHERE place <= 4
    """,
    """
    INSERT INTO campaign_segment (project_id, campaign_id, segment_id, side)
    SELECT :project, :draft, max(id), 'exclude' FROM segment WHERE project_id = :project
    """,
)
# One person who has been written to every day for a year: their page shows the newest.
_LONG = """
    INSERT INTO message_event (project_id, type, kind, campaign_id, subscriber_id, at, actor, position)
    SELECT :project, (ARRAY['SENT', 'OPENED', 'REDIRECTED'])[1 + n % 3], 'campaign', :campaign, :person,
        now() - n * interval '4 hours', 'human', 0
    FROM generate_series(1, 400) AS n
"""

#: name → tree: what is slow where it is slow.
SEGMENTS: dict[str, dict[str, Any]] = {
    "two activities": activity_rows.QUESTIONS["two_activities"],
    # The world has six small ones of its own.
    "last ten campaigns": {"match": "all", "rules": [
        {"field": "sent", "op": "did", "last": 10}, {"field": "opened", "op": "did_not", "last": 10}]},
    "a campaign in the last days": {"match": "all", "rules": [
        {"field": "opened", "op": "did", "campaigns": [str(FIRST_CAMPAIGN)], "days": 60}]},
    "domain, field and stop list": {"match": "all", "rules": [
        {"field": "domain", "op": "is", "value": "gmail.com"}, {"field": "fields.city", "op": "is", "value": "Kazan"},
        {"field": "suppressed", "op": "is", "value": False}]},
}  # fmt: skip


class _Beside(Builder):
    """Builds in the project that is there."""

    def __init__(self, session: Session, project: Project) -> None:
        super().__init__(session)
        self._project = project

    def project(self, owner: User | None = None, **columns: Any) -> Project:
        if owner is not None:
            self.session.add(Membership(project_id=self._project.id, user_id=owner.id, role=Role.OWNER))
            self.session.commit()
        return self._project


def furnish(url: str, home: Path, slug: str, person_id: int) -> dict[str, Any]:
    """Make all of it, once; gives {values, special, tokens, segments} for the URLs of its pages."""
    with store.connect(url) as connection:
        if store.has_schema(url, "around"):
            row = connection.execute("SELECT named FROM around.world").fetchone()
            assert row is not None
            return dict(row[0])
    settings = read_settings(site.settings(url, home))
    address_hash.configure([settings.secret_key])
    engine = create_engine(url, connect_args={"options": "-c timezone=UTC"})
    now = datetime.now(UTC)
    partitions.ensure(engine, now=now, since=now - timedelta(days=120))
    with Session(engine, expire_on_commit=False) as session:
        named = _made(session, settings, slug, person_id, now)
    engine.dispose()
    with store.connect(url) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CREATE SCHEMA around; CREATE TABLE around.world (named jsonb)")
        connection.execute("INSERT INTO around.world VALUES (%s)", [json.dumps(named)])
    return named


def _made(session: Session, settings: Settings, slug: str, person_id: int, now: datetime) -> dict[str, Any]:
    project = session.query(Project).filter_by(slug=slug).one()
    signer = Signer([settings.secret_key.encode()])
    # The world has one of the same name and kind.
    session.execute(text("DELETE FROM subscriber_field WHERE project_id = :p AND name = 'city'"), {"p": project.id})
    session.commit()
    world = make_world(_Beside(session, project), settings, signer, slug)
    people = session.execute(text("SELECT count(*) FROM subscriber WHERE project_id = :p"), {"p": project.id}).scalar()
    assert people is not None
    common = {
        "project": project.id, "person": person_id, "list": int(world.values["list_id"]),
        "form": int(world.values["form_id"]), "import": int(world.values["import_id"]),
        "stopped": people * 15 // 100, "campaign": int(world.special["stats.share_revoke"]["campaign_id"]),
    }  # fmt: skip
    for statement in (*_MANY, _LONG):
        session.execute(text(statement), common)
        session.commit()
    _activity(session, project.id, people, now)
    named = {}
    for name, definition in SEGMENTS.items():
        named[name] = session.execute(
            text("INSERT INTO segment (project_id, name, definition, count, counted_at)"
                 " VALUES (:project, :name, CAST(:tree AS jsonb), 1000, now()) RETURNING id"),
            {"project": project.id, "name": name.capitalize(), "tree": json.dumps(definition)},
        ).scalar_one()  # fmt: skip
    for statement in _DRAFT:
        session.execute(text(statement), common | {"draft": int(world.values["campaign_id"])})
    session.commit()
    return {"values": world.values, "special": world.special, "tokens": world.tokens, "segments": named}


def _activity(session: Session, project_id: int, people: int, now: datetime) -> None:
    """Campaigns of the last weeks with their letters, hits, reactions and chunks, then what is kept of each person."""
    assert project_id == 1, "the statements are those of bench.segments, of the project 1"
    letters = people // 3
    sizes = {"people": people, "letters": letters, "opens": letters * OPENED // 100, "size": CHUNK,
             "clicks": letters * CLICKED // 100}  # fmt: skip
    session.execute(text("SET statement_timeout = 0"))
    for place in range(CAMPAIGNS):
        number = FIRST_CAMPAIGN + place
        about = sizes | {"campaign": number, "link": number, "at": now - timedelta(days=(CAMPAIGNS - place) * 7)}
        session.execute(text("INSERT INTO campaign (project_id, id, name, state, started_at)"
                             " VALUES (1, :campaign, 'Campaign ' || :campaign, 'sent', :at)"), about)  # fmt: skip
        session.execute(text("INSERT INTO link (project_id, id, campaign_id, url)"
                             " VALUES (1, :link, :campaign, 'https://x.test')"), about)  # fmt: skip
        for kind, name in (("SENT", "letters"), ("OPENED", "opens"), ("REDIRECTED", "clicks")):
            link = number if kind == "REDIRECTED" else None
            hits = about | {"type": kind, "number": sizes[name], "link": link, "position": 3 * place + 1}
            session.execute(text(activity_rows.EVENTS), hits)
        for statement in (activity_rows.REACTIONS, activity_rows.CLICKS, activity_rows.CHUNKS):
            session.execute(text(statement), about)
        session.commit()
    activity.rebuild(session, project_id)
    session.commit()


def path_of(door: Door, named: dict[str, Any], more: dict[str, str]) -> str | None:
    """The URL of a door; None where something of it has no value."""
    values = named["values"] | {"token": named["tokens"].get(door.route, "")} | more
    values |= named["special"].get(door.route, {})
    if door.route == "campaigns.people":
        # The world's first campaign is a draft, which has none.
        values |= named["special"]["stats.share_revoke"]
    if door.names - values.keys() or ("token" in door.names and not values["token"]):
        return None
    return door.url(values)
