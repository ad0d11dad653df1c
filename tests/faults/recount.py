"""What the pages say is what a recount says, whatever happened on the way."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from psycopg import Connection

from mailhub.campaigns import service as campaigns
from mailhub.db import Lock
from mailhub.events import classifier
from mailhub.events.renames import request_rename
from mailhub.lists.service import update_list
from mailhub.mail.classify import Places
from mailhub.models import Campaign, MailingList, Project, RenameKind
from mailhub.reporting import partitions, retention
from mailhub.reporting.verify import verify
from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.readers import Readers
from tests.faults.stand import Stand
from tests.faults.tracking_server import CLICKS, TrackingServer

HITS_A_LETTER = 2
CONNECTIONS = 16
RETENTION_DAYS = 90
_OLD = """
    INSERT INTO message_event (project_id, at, type, kind, campaign_id, subscriber_id, email_domain)
    SELECT %s, CAST(%s AS timestamptz) + n * interval '1 second', 'SENT', 'campaign', %s, n, 'mail.test'
    FROM generate_series(1, 20000) AS n
"""
_HITS = "SELECT count(*) FROM message_event WHERE type IN ('OPENED', 'REDIRECTED')"
_UNSEEN = _HITS + " AND actor = ''"
_NAMES = """
    SELECT count(*) FILTER (
        WHERE campaign_name <> 'Another name' OR list_name <> 'Another list' OR domain <> 'another.test'
    )
    FROM (
        SELECT campaign_id, campaign_name, list_name, project_domain AS domain FROM message_event
        UNION ALL
        SELECT campaign_id, campaign_name, list_name, project_domain FROM message
    ) AS copies
    WHERE campaign_id = %s
"""


@drill(people=100_000, turns=6, relay_options={"delay": 0.001})
def recount(stand: Stand) -> Figures:
    """A campaign, twice as many hits, kills, renames, a drop of old events: a recount finds no difference."""
    workers = [stand.worker("bulk", 2), stand.worker("celery", 1)]
    now = datetime.now(UTC)
    partitions.ensure(stand.live.engine, now=now, since=now - timedelta(days=RETENTION_DAYS + 21))
    made = crowd(stand, stand.people)
    old = stand.live.build.started_campaign(made.project, created_at=now - timedelta(days=RETENTION_DAYS + 30))
    stand.query(_OLD, [made.project_id, now - timedelta(days=RETENTION_DAYS + 20), old.id])
    made.start()
    with TrackingServer(stand) as server:
        readers = Readers(
            [server.port], _paths(stand, made), connections=CONNECTIONS, hits=HITS_A_LETTER * stand.people
        )
        for turn in range(stand.turns):
            goal = stand.people * (turn + 1) // (stand.turns + 2)
            stand.until(lambda goal=goal: stand.relay.taken() >= goal, 300, f"{goal} letters")
            workers[turn % 2].kill(stand.ports)
            if turn % 2:
                server.kill()
                server.start()
            if turn == stand.turns // 2:
                _rename(stand, made)
                retention.purge(stand.live.engine, now=now, retention_days=RETENTION_DAYS)
            stand.live.registry.publisher.publish(classifier.CLASSIFY, (), "celery")
        ledger.until_sent(stand, made)
        tally = readers.wait()
        acknowledged = tally.acknowledged.total()
        stand.until(lambda: stand.query(_HITS)[0][0] >= acknowledged, 120, "all hits are events")
    early = stand.query(_UNSEEN)[0][0]
    marked = _classify_all(stand)
    stand.query("UPDATE rename_job SET requested_at = requested_at - interval '10 minutes', touched_at = requested_at")
    stand.until(lambda: stand.query("SELECT count(*) FROM rename_job WHERE state <> 'done'")[0][0] == 0, 200, "renames")
    old_names = stand.query(_NAMES, [made.campaign])[0][0]
    differences = verify(stand.live.engine)
    stand.query("UPDATE campaign_stats SET opened = opened + 7 WHERE campaign_id = %s", [made.campaign])
    found = verify(stand.live.engine, repair=True)
    figures: Figures = ledger.compare(stand, made) | {
        "hits": acknowledged, "answers_5xx": tally.failures, "hit_events": stand.query(_HITS)[0][0],
        "unanswered": tally.unanswered.total(), "classified_meanwhile": acknowledged - early, "classified": marked,
        "unclassified": stand.query(_UNSEEN)[0][0], "old_names": old_names, "differences": len(differences),
        "first_difference": str(differences[0]) if differences else "", "planted_found": len(found),
        "left_after_repair": len(verify(stand.live.engine)),
        "old_events": stand.query("SELECT count(*) FROM message_event WHERE campaign_id = %s", [old.id])[0][0],
    }  # fmt: skip
    nothing = ("answers_5xx", "unclassified", "old_names", "differences", "left_after_repair", "old_events", "lost")
    figures["passed"] = (
        not any(figures[name] for name in nothing)
        and figures["planted_found"] == 1
        and acknowledged <= figures["hit_events"] <= acknowledged + figures["unanswered"]
    )
    return figures


def _paths(stand: Stand, made: Crowd) -> list[str]:
    """Opens and clicks of random people of the campaign."""
    people = [row[0] for row in stand.query("SELECT id FROM subscriber WHERE project_id = %s", [made.project_id])]
    links = [row[0] for row in stand.query("SELECT id FROM link WHERE campaign_id = %s", [made.campaign])]
    sign, chance = stand.live.registry.signer.sign, random.Random(8)
    found = []
    for _n in range(HITS_A_LETTER * stand.people):
        ids = {"project": made.project_id, "campaign": made.campaign, "subscriber": chance.choice(people)}
        if chance.random() < CLICKS:
            found.append(f"/t/c/{sign('click', **ids, link=chance.choice(links))}")
        else:
            found.append(f"/t/o/{sign('open', **ids)}")
    return found


def _rename(stand: Stand, made: Crowd) -> None:
    """The campaign, its list, its project's domain."""
    session = stand.live.session
    campaign = session.get(Campaign, (made.project_id, made.campaign))
    mailing_list = session.get(MailingList, (made.project_id, made.list_id))
    project = session.get(Project, made.project_id)
    assert campaign is not None
    assert mailing_list is not None
    assert project is not None
    campaigns.rename(session, campaign, "Another name")
    update_list(session, mailing_list, name="Another list")
    project.domain = "another.test"
    request_rename(session, RenameKind.PROJECT_DOMAIN, project_id=project.id, object_id=project.id)
    session.commit()


def _classify_all(stand: Stand) -> int:
    """What the workers do a minute later, without the minute."""
    marked = 0
    while True:
        with stand.live.engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, Connection)
            driver.execute("SELECT pg_advisory_xact_lock(%s)", [int(Lock.CLASSIFIER)])
            done = classifier.step(driver, Places(), now=datetime.now(UTC) + timedelta(minutes=3))
        marked += done.hits
        if not done.is_more:
            return marked
