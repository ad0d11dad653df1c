"""The growth of a list, and who has left."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from mailhub.lists import service
from mailhub.models import ListBounceDay, ListCount, ListDay, ListSourceDay, MailingList, Subscription
from mailhub.reporting.growth import ListDay as GrowthDay
from mailhub.reporting.growth import SourceGrowth
from mailhub.segments.engagement import Bands
from mailhub.segments.vocabulary import Band
from mailhub.stats.growth import advice_of
from mailhub.stats.left import people_who_left
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast
from tests.stats.test_overview import TODAY, read_csv
from tests.stats.test_pages import home, words


@pytest.fixture
def readers(cast: Cast, build: Builder, dbsession: Session) -> MailingList:
    """Twelve are subscribed now: ten came 40 days ago; yesterday five came, two left and one was deleted."""
    found: MailingList = build.list(cast.project, name="Readers & co")
    key = {"project_id": cast.project.id, "list_id": found.id}
    for days, joined, unsubscribed, removed in ((40, 10, 0, 0), (1, 5, 2, 1)):
        build._add(
            ListDay(**key, day=TODAY - timedelta(days=days), joined=joined, unsubscribed=unsubscribed, removed=removed)
        )
    build._add(ListCount(**key, status="subscribed", n=12))
    yesterday = {**key, "day": TODAY - timedelta(days=1)}
    build._add(ListSourceDay(**yesterday, source="import", joined=4, unsubscribed=2))
    build._add(ListSourceDay(**yesterday, source="form", joined=1, removed=1))
    build._add(ListBounceDay(**yesterday, source="import", bounced=3))
    return found


def growth(cast: Cast, readers: MailingList) -> str:
    return f"{home(cast)}/lists/{readers.id}/growth"


def test_the_list_day_by_day(client: Client, cast: Cast, readers: MailingList) -> None:
    client.sign_in(cast.alice)
    for answer in (client.get(growth(cast, readers)), client.fragment(growth(cast, readers), "list-growth")):
        text = words(answer)
        assert "Subscribed now 12 +2 in the period" in text
        assert "Have joined 5" in text
        assert "Unsubscribed 2" in text
        assert "Deleted 1" in text
        assert "Bounced 3" in text
        assert "Import 4 2 3" in text
        assert "Sign-up form 1 1 0" in text
        assert "The list has grown by 2 people in these days." in text
        assert len(answer.html.select("#growth-moves tbody tr")) == 30
        assert "Europe/Moscow" in text
    long = words(client.get(growth(cast, readers) + "?days=90"))
    assert "Subscribed now 12 +12 in the period" in long


def test_the_list_as_a_file(client: Client, cast: Cast, readers: MailingList) -> None:
    rows = read_csv(client.sign_in(cast.alice).get(growth(cast, readers) + ".csv?days=90"))
    assert len(rows) == 90
    assert list(rows[-2].values()) == [str(TODAY - timedelta(days=1)), "5", "2", "1", "2", "12", "3"]


def test_all_lists_together(client: Client, cast: Cast, build: Builder, readers: MailingList) -> None:
    second = build.list(cast.project)
    build._add(ListDay(project_id=cast.project.id, list_id=second.id, day=TODAY, joined=7))
    build._add(ListCount(project_id=cast.project.id, list_id=second.id, status="subscribed", n=7))
    archived = build.list(cast.project, archived_at=NOW)
    build._add(ListDay(project_id=cast.project.id, list_id=archived.id, day=TODAY, joined=99))
    path = f"{home(cast)}/stats/growth"
    text = words(client.sign_in(cast.ann).get(path))
    assert "Subscribed now 19" in text
    assert "Have joined 12" in text
    assert "Bounced 3" in text
    assert [list(row.values())[1:] for row in read_csv(client.get(path + ".csv?days=30"))[-2:]] == [
        ["5", "2", "1", "2", "12", "3"],
        ["7", "0", "0", "7", "19", "0"],
    ]
    client.new().sign_in(cast.charlie).get(path, status=404)


@pytest.mark.parametrize(
    ("days", "sources", "counts", "kind", "words"),
    [
        ([(100, 0)], [("import", 100, 20)], {}, "warn", "Many imported addresses bounce"),
        ([(100, 0)], [("form", 100, 20)], {}, "warn", "double opt-in"),
        ([(100, 30)], [("form", 100, 1)], {}, "warn", "Many people leave"),
        ([(100, 0)], [("form", 100, 1)], {Band.ASLEEP: 60, Band.ACTIVE: 40}, "info", "do not open letters"),
        ([(0, 0)], [], {}, "info", "Nobody joined"),
        ([(5, 1)], [("form", 5, 5)], {}, "ok", "More people come"),
        ([(2, 3)], [("form", 2, 0)], {}, "info", "As many people leave"),
    ],
)
def test_the_most_urgent_advice_is_given(days, sources, counts, kind, words) -> None:
    moves = [
        GrowthDay(TODAY - timedelta(days=30 - n), *(days[n] if n < len(days) else (0, 0)), 0, 1000) for n in range(30)
    ]
    found = advice_of(moves, [SourceGrowth(name, n, 0, lost) for name, n, lost in sources], Bands(None, counts))
    assert found[0] == kind
    assert words in str(found[1])


def test_tabs_lead_from_the_list_to_its_growth(client: Client, cast: Cast, readers: MailingList) -> None:
    page = client.sign_in(cast.ann).get(f"{home(cast)}/lists/{readers.id}")
    assert growth(cast, readers) in page.text


def test_a_new_list_says_what_will_be_here(client: Client, cast: Cast, build: Builder) -> None:
    bare = build.list(cast.project)
    page = client.sign_in(cast.alice).get(growth(cast, bare))
    assert "Nobody has joined or left in these days" in page.text
    assert "<polyline" not in page.text


def left(cast: Cast) -> str:
    return f"{home(cast)}/stats/unsubscribed"


def test_who_has_left_is_listed_and_who_came_back_is_not(
    client: Client, cast: Cast, build: Builder, dbsession: Session, readers: MailingList
) -> None:
    gone, back, old = (build.subscriber(cast.project, lists=[readers], name=n) for n in ("Gone", "Back", "Old"))
    key = {"project_id": cast.project.id}
    for person in (gone, back, old):
        service.unsubscribe(dbsession, **key, subscriber_id=person.id)
    service.resubscribe(dbsession, **key, subscriber_id=back.id, list_ids=[readers.id])
    dbsession.get_one(Subscription, (cast.project.id, readers.id, old.id)).unsubscribed_at = NOW - timedelta(days=50)
    dbsession.commit()
    client.sign_in(cast.alice)
    for answer in (client.get(left(cast)), client.fragment(left(cast), "left-rows")):
        assert [re.sub(r"\s+", " ", a.get_text()) for a in answer.html.select("tbody a")] == [gone.email]
        assert "Readers &amp; co" in answer.text
    assert len(client.get(left(cast) + "?days=90").html.select("tbody a")) == 2


def test_leavers_are_paged_without_gaps(
    client: Client,
    cast: Cast,
    build: Builder,
    dbsession: Session,
    readers: MailingList,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mailhub.web.paging.PAGE_SIZE", 2)
    for _ in range(5):
        person = build.subscriber(cast.project, lists=[readers], status="unsubscribed")
        # All at the same moment: the order is the person's then.
        row = dbsession.get_one(Subscription, (cast.project.id, readers.id, person.id))
        row.unsubscribed_at = NOW - timedelta(days=1)
    dbsession.commit()
    page = client.sign_in(cast.alice).get(left(cast))
    seen = [a["id"] for a in page.html.select("tbody a")]
    while (link := page.html.select_one("#page-next")) is not None:
        page = client.get(link["href"])
        seen += [a["id"] for a in page.html.select("tbody a")]
    assert len(seen) == len(set(seen)) == 5
    assert len(client.get(left(cast) + "?after=WyJ4IiwxLDJd").html.select("tbody a")) == 2


def test_addresses_are_not_for_analysts(client: Client, cast: Cast) -> None:
    client.sign_in(cast.ann).get(left(cast), status=403)
    client.new().sign_in(cast.charlie).get(left(cast), status=404)


def test_leavers_are_found_by_their_index(
    cast: Cast, build: Builder, dbsession: Session, readers: MailingList
) -> None:
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append(statement)
        binds.append(parameters)

    binds: list[Any] = []
    engine = dbsession.connection().engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        people_who_left(dbsession, cast.project.id, NOW - timedelta(days=7), NOW, after=(NOW, 1, 1), limit=51)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    dbsession.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(row[0] for row in dbsession.connection().exec_driver_sql("EXPLAIN " + seen[-1], binds[-1]))
    assert "ix_subscription_left" in plan
