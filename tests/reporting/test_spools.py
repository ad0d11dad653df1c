"""What hits stand for, by hand; and that letters are looked for in the partitions of their own time only."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import tuple_row
from sqlalchemy import text

from mailhub.delivery.recipients import load
from mailhub.models import CampaignVersion
from mailhub.reporting import spools as hits
from mailhub.reporting.named import SQL


@pytest.fixture
def cursor(dbsession: Any) -> Any:
    connection = dbsession.connection().connection.driver_connection
    with connection.cursor(row_factory=tuple_row) as made:
        yield made


def uuid7(at: datetime) -> UUID:
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | 12345)


def test_a_campaign_has_its_present_names(build: Any, dbsession: Any, cursor: Any) -> None:
    project = build.project(domain="shop.test")
    mailing_list = build.list(project, "Readers")
    sent, draft = build.started_campaign(project, lists=[mailing_list]), build.campaign(project, name="Draft")
    dbsession.get(CampaignVersion, (project.id, sent.id, 1)).name = "As it was sent"
    sent.name, mailing_list.name = "As it is called now", "Customers"
    dbsession.commit()
    keys = [(project.id, sent.id), (project.id, draft.id), (project.id, sent.id + 999), (project.id + 1, sent.id)]
    assert hits.campaigns_of_hits(cursor, keys) == {
        keys[0]: hits.CampaignFacts("shop.test", "As it is called now", mailing_list.id, "Customers"),
        keys[1]: hits.CampaignFacts("shop.test", "Draft", None, ""),
    }


def test_people_are_those_who_are_known_in_their_project(build: Any, cursor: Any) -> None:
    project, other = build.project(), build.project()
    anna = build.subscriber(project, "anna@mail.test")
    keys = [(project.id, 7, anna.id), (other.id, 7, anna.id), (project.id, 7, anna.id + 999)]
    assert hits.people_of_hits(cursor, keys) == {
        keys[0]: hits.PersonFacts("anna@mail.test", "mail.test", "full", anna.id)
    }
    assert hits.domains_of_projects(cursor, [project.id, other.id, 10**9]) == {
        project.id: hits.ProjectFacts(project.domain, "full"), other.id: hits.ProjectFacts(other.domain, "full"),
    }  # fmt: skip


def test_the_strictest_mode_of_project_lists_and_person_holds(build: Any, dbsession: Any, cursor: Any) -> None:
    project = build.project()
    modes = ("full", "aggregate", "off")
    lists = {mode: build.list(project, f"List {mode}") for mode in modes}
    for mode, mailing_list in lists.items():
        mailing_list.tracking = mode
    other = build.list(project, "Not written to")
    other.tracking = "off"
    campaign = build.started_campaign(project, lists=list(lists.values()))
    wanted = {}
    for own in modes:
        for inside in ((), ("full",), ("aggregate",), ("full", "off"), ("aggregate", "off")):
            person = build.subscriber(
                project, f"{own}-{'-'.join(inside)}@mail.test", lists=[other, *(lists[mode] for mode in inside)]
            )
            person.tracking = own
            wanted[project.id, campaign.id, person.id] = max((own, *inside), key=modes.index)
    dbsession.commit()
    found = hits.people_of_hits(cursor, wanted)
    assert {key: facts.tracking for key, facts in found.items()} == wanted
    ids = [person for _project, _campaign, person in wanted]
    loaded = load(dbsession.connection().connection.driver_connection, project.id, campaign.id, ids)
    assert {(project.id, campaign.id, one.id): one.tracking for one in loaded} == wanted
    project.tracking = "aggregate"
    dbsession.commit()
    found = hits.people_of_hits(cursor, wanted)
    assert {key: facts.tracking for key, facts in found.items()} == {
        key: max((mode, "aggregate"), key=modes.index) for key, mode in wanted.items()
    }


def test_a_single_letter_is_found_by_the_time_in_its_id(build: Any, dbsession: Any, cursor: Any) -> None:
    project = build.project(domain="shop.test")
    now = datetime.now(UTC)
    near, far = uuid7(now - timedelta(hours=2)), uuid7(now - timedelta(days=3))
    insert = text(
        "INSERT INTO message (id, project_id, created_at, kind, queue, state, project_domain, email, email_domain)"
        " VALUES (:id, :project, :at, 'transactional', 'transactional', 'sent', 'shop.test', 'a@mail.test', '')"
    )
    for message in (near, far):
        dbsession.execute(insert, {"id": message, "project": project.id, "at": now})
    found = hits.letters_of_hits(cursor, [(project.id, near), (project.id, far), (project.id + 1, near)])
    assert list(found) == [(project.id, near)]
    assert (found[project.id, near].kind, found[project.id, near].email) == ("transactional", "a@mail.test")
    assert hits.time_of(UUID(int=4 << 76 | 2 << 62)) == datetime(1970, 1, 1, tzinfo=UTC)


def test_letters_are_looked_for_in_the_partitions_of_their_time(build: Any, dbsession: Any, cursor: Any) -> None:
    now = datetime.now(UTC)
    binds = {
        "project_id": [1], "message_id": [uuid7(now)], "since": [now - hits.NEAR], "until": [now + hits.NEAR],
        "first": now - hits.NEAR, "last": now + hits.NEAR,
    }  # fmt: skip
    plan = "\n".join(row[0] for row in cursor.execute("EXPLAIN " + SQL["letters_of_hits"].psycopg, binds))
    named = {word for word in plan.split() if word.startswith("message_2")}
    assert 1 <= len(named) <= 2, plan


def test_a_spool_is_moved_and_forgotten(cursor: Any) -> None:
    assert hits.lock_spool(cursor, "one") == 0
    hits.move_spool(cursor, "one", 70)
    assert hits.lock_spool(cursor, "one") == 70
    assert hits.spools(cursor, ["one", "two"]) == {"one": 70}
    now = datetime.now(UTC)
    assert hits.forget_spools(cursor, before=now - timedelta(days=1), but=[]) == 0
    assert hits.forget_spools(cursor, before=now + timedelta(days=1), but=["one"]) == 0
    assert hits.forget_spools(cursor, before=now + timedelta(days=1), but=["two"]) == 1


def test_links_are_read_in_their_order_and_a_place_is_recognised(live: Any) -> None:
    project = live.build.project()
    for n in range(3):
        live.build.started_campaign(project, links=[f"https://example.com/{n}"])
    with live.engine.connect() as connection:
        driver = connection.connection.driver_connection
        with driver.cursor(row_factory=tuple_row) as cursor:
            deadline = time.monotonic() + 30
            while len(rows := hits.links_after(cursor, -1, 0)) < 3:  # somebody else's transaction holds them back
                assert time.monotonic() < deadline
                driver.rollback()
            assert [row.url for row in rows] == [f"https://example.com/{n}" for n in range(3)]
            assert hits.links_after(cursor, rows[0].position, rows[0].id, most=1) == rows[1:2]
            assert hits.project_ids(cursor) == [project.id]
            here = hits.link_source(cursor, rows[2].position, rows[2].id)
            assert here.last_url == rows[2].url
            assert hits.link_source(cursor, rows[2].position, rows[2].id + 1) == hits.LinkSource(here.source, None)
