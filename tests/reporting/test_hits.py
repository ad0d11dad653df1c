"""What the classifier reads, counted by hand; and that it is read by index, without touching old partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append_in, driver_connection
from mailhub.models import Campaign, Link, Project
from mailhub.reporting import hits
from mailhub.reporting.hits import AddressRange, Around, LetterRange, Place, StoredTaint
from mailhub.reporting.named import SQL

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SINGLE = UUID("0192f0c0-0000-7000-8000-000000000001")
DIGEST = UUID("0192f0c0-0000-7000-8000-000000000002")
LATE = NOON + timedelta(days=2)
BEGINNING = Place(0, 0, NOON)
BINDS: dict[str, dict[str, Any]] = {
    "next_hits": {"position": 5, "id": 7, "most": 2000},
    "kept_hits": {
        "position": 5, "id": 7, "last_position": 9 * 10**12, "last_id": 9, "since": NOON, "project_id": 0, "most": 2000,
    },
    "overdue_hit": {"reader": "classifier", "task": "x"},
    "around_letters_of_people": {
        "project_id": [1], "campaign_id": [1], "subscriber_id": [1], "since": [NOON], "until": [NOON],
        "first": NOON - MINUTE, "last": NOON + MINUTE,
    },
    "around_single_letters": {
        "project_id": [1], "message_id": [SINGLE], "since": [NOON], "until": [NOON], "first": NOON - MINUTE,
        "last": NOON + MINUTE,
    },
    "clicks_of_addresses": {
        "project_id": [1], "ip": ["192.0.2.1"], "since": [NOON], "until": [NOON], "first": NOON - MINUTE,
        "last": NOON + MINUTE, "most": 5000,
    },
}  # fmt: skip


@pytest.fixture
def project(build: Any) -> Project:
    return build.project()


@pytest.fixture
def campaign(build: Any, project: Project) -> Campaign:
    return build.campaign(project)


@pytest.fixture
def connection_of_hits(dbsession: Session, project: Project, campaign: Campaign) -> Any:
    def event(type_: str, person: int | None, minute: float, **columns: Any) -> Event:
        values = {"campaign_id": campaign.id, "email_domain": "a.test", "ip": "192.0.2.1"} | columns
        kind = "campaign" if values["campaign_id"] else "transactional"
        return Event(type_, project.id, kind, NOON + minute * MINUTE, subscriber_id=person, **values)

    append_in(dbsession, [
        event("SENT", 1, 0, ip=None), event("OPENED", 1, 3), event("REDIRECTED", 1, 4, link_id=11),
        event("REDIRECTED", 1, 500, link_id=12, ip="2001:db8::7"), event("SENT", 2, 1, ip=None),
        event("REDIRECTED", 2, 4.5, link_id=11), event("REDIRECTED", 3, 5, link_id=11, email_domain="b.test"),
        event("SENT", 1, 2, campaign_id=None, message_id=SINGLE, ip=None),
        event("REDIRECTED", None, 6, campaign_id=None, message_id=SINGLE, link_id=21, email="x@a.test"),
        event("UNSUBSCRIBED", 2, 7),
    ])  # fmt: skip
    return driver_connection(dbsession)


def test_the_deliveries_and_clicks_of_letters(
    connection_of_hits: Any, project: Project, campaign: Campaign
) -> None:
    def of_person(person: int, since: int, until: int) -> LetterRange:
        return LetterRange(project.id, campaign.id, person, None, NOON + since * MINUTE, NOON + until * MINUTE)

    letters = [
        of_person(1, 0, 10), LetterRange(project.id, None, None, SINGLE, NOON, NOON + 10 * MINUTE), of_person(9, 0, 10),
        LetterRange(project.id, campaign.id, None, None, NOON, NOON + 10 * MINUTE), of_person(2, 2, 10),
        LetterRange(project.id + 1, campaign.id, 1, None, NOON, NOON + 10 * MINUTE),
    ]  # fmt: skip
    found = hits.around_letters(connection_of_hits, letters)
    assert sorted(found[0], key=lambda one: one.at) == [
        Around("SENT", NOON, None, ""), Around("REDIRECTED", NOON + 4 * MINUTE, 11, "192.0.2.1")
    ]  # fmt: skip
    assert {(one.type, one.link_id) for one in found[1]} == {("SENT", None), ("REDIRECTED", 21)}
    assert [len(one) for one in found[2:]] == [0, 0, 1, 0]
    assert hits.around_letters(connection_of_hits, []) == []


def test_the_clicks_of_addresses(connection_of_hits: Any, project: Project) -> None:
    def address(ip: str, since: float = 0, until: float = 10) -> AddressRange:
        return AddressRange(project.id, ip, NOON + since * MINUTE, NOON + until * MINUTE)

    def who(*asked: AddressRange, most: int = 99) -> dict[tuple[str, str], list[str]]:
        found = hits.clicks_of_addresses(connection_of_hits, asked, most)
        return {(ip, domain): [who for _at, who in made] for (_project, ip, domain), made in found.items()}

    first, second = ("192.0.2.1", "a.test"), ("192.0.2.1", "b.test")
    assert who(address("192.0.2.1"), address("2001:db8::7")) == {first: ["1", "2", "x@a.test"], second: ["3"]}
    assert who(address("192.0.2.1", until=4.2), address("192.0.2.1", since=5.5)) == {first: ["1", "x@a.test"]}
    assert who(address("192.0.2.1"), most=3) == {first: ["1", "2"], second: ["3"]}
    assert who() == {}


def test_the_links_of_campaigns(dbsession: Session, build: Any, project: Project, campaign: Campaign) -> None:
    for n in range(3):
        build._add(Link(project_id=project.id, campaign_id=campaign.id, position=n, url="https://x.test"))
    build._add(Link(project_id=project.id, position=0, url="https://x.test"))
    connection = driver_connection(dbsession)
    asked = [(project.id, campaign.id), (project.id, campaign.id + 1)]
    assert hits.links_of_campaigns(connection, asked) == {(project.id, campaign.id): 3}
    assert hits.links_of_campaigns(connection, []) == {}


def test_a_readers_place_and_what_it_remembers(dbsession: Session, project: Project) -> None:
    connection = driver_connection(dbsession)
    assert hits.place_of(connection, "x") is None
    hits.begin_place(connection, "x", 3, 4)
    hits.begin_place(connection, "x")
    hits.move_place(connection, "x", 5, 6)
    place = hits.place_of(connection, "x")
    assert place is not None
    assert (place.position, place.id) == (5, 6)
    taint = StoredTaint(project.id, "192.0.2.1", DIGEST, NOON, NOON + MINUTE, NOON)
    gone = StoredTaint(project.id + 99, "192.0.2.1", DIGEST, NOON, NOON, NOON)
    hits.remember_taints(connection, "x", [taint, gone])
    hits.remember_taints(connection, "x", [taint])
    key = (project.id, "192.0.2.1", DIGEST)
    assert hits.taints_of(connection, "x", [(project.id, "192.0.2.2", DIGEST), key]) == {key: taint}
    assert hits.taints_of(connection, "y", [key]) == {}
    hits.forget_taints(connection, "x", NOON + 2 * MINUTE)
    assert hits.taints_of(connection, "x", [key]) == {}
    hits.forget_place(connection, "x")
    assert hits.place_of(connection, "x") is None


def test_the_next_hits_are_those_of_transactions_that_have_ended(live: Any) -> None:
    project = live.build.project()
    happened = [Event(type_, project.id, "service", NOON, ip="2001:db8::1") for type_ in ("OPENED", "SENT", "OPENED")]
    with live.registry.session_factory() as earlier, live.registry.session_factory() as later:
        earlier.execute(text("SELECT pg_current_xact_id()"))
        append_in(later, happened)
        later.commit()
        connection = driver_connection(later)
        assert hits.next_hits(connection, BEGINNING, 10) == []
        assert hits.seconds_overdue(connection, "x", "task") == 0
        append_in(earlier, happened[:1])
        earlier.commit()
        later.commit()
        found = hits.next_hits(connection, BEGINNING, 10)
        # The transaction that began first comes first, although it ended last.
        assert [one.id for one in found] == [found[0].id, found[0].id - 3, found[0].id - 1]
        assert (found[0].ip, found[0].type, found[0].actor) == ("2001:db8::1", "OPENED", "")
        assert [one.id for one in hits.next_hits(connection, BEGINNING, 1)] == [found[0].id]
        second = Place(found[1].position, found[1].id, NOON)
        assert hits.next_hits(connection, second, 10) == found[2:]
        assert hits.seconds_overdue(connection, "x", "task") > 60
        last = Place(found[2].position, found[2].id, NOON)
        kept = {"since": NOON, "project_id": 0, "most": 10}
        assert hits.kept_hits(connection, BEGINNING, last, **kept) == found
        assert hits.kept_hits(connection, BEGINNING, second, **kept) == found[:2]
        assert hits.kept_hits(connection, BEGINNING, last, **kept | {"project_id": project.id + 1}) == []
        assert hits.kept_hits(connection, BEGINNING, last, **kept | {"since": LATE}) == []


@pytest.fixture
def many_rows(dbsession: Session, project: Project, campaign: Campaign) -> None:
    """A week with so many hits that the planner has a choice."""
    dbsession.execute(
        text(
            "INSERT INTO message_event (project_id, at, type, kind, campaign_id, subscriber_id, ip, message_id)"
            " SELECT :project, CAST(:noon AS timestamptz) + n * interval '1 second',"
            " CASE WHEN n % 3 = 0 THEN 'REDIRECTED' ELSE 'OPENED' END, 'campaign', :campaign, n % 900,"
            " CAST('192.0.2.0' AS inet) + n % 200, uuid7() FROM generate_series(1, 4000) AS n"
        ),
        {"project": project.id, "campaign": campaign.id, "noon": NOON - 30 * MINUTE},
    )
    dbsession.execute(text("ANALYZE message_event"))


def plan_of(session: Session, name: str) -> str:
    in_order = name in ("next_hits", "kept_hits", "overdue_hit")
    session.execute(text(f"SET LOCAL enable_sort = {'off' if in_order else 'on'}"))
    return "\n".join(session.execute(text("EXPLAIN " + SQL[name].sql), BINDS[name]).scalars())


def test_every_statement_goes_by_an_index(dbsession: Session, many_rows: None) -> None:
    wanted = {
        "next_hits": "position_id_idx",
        "kept_hits": "position_id_idx",
        "overdue_hit": "position_id_idx",
        "around_letters_of_people": "project_id_subscriber_id_at_idx",
        "around_single_letters": "project_id_message_id_at_idx",
        "clicks_of_addresses": "ip_project_id_at_idx",
    }
    for name, index in wanted.items():
        plan = plan_of(dbsession, name)
        assert f"message_event_20261116_{index}" in plan, plan
        assert "Seq Scan on message_event_20261116" not in plan, plan
        if name.startswith(("next", "kept", "overdue")):
            # In the order of the index: nothing is sorted, and the first rows come at once.
            assert "Sort  (" not in plan, plan
        if name.startswith(("around", "clicks")):
            weeks = {word[:22] for word in plan.replace("(", " ").split() if word.startswith("message_event_2")}
            assert weeks == {"message_event_20261116"}, plan
