"""How lists grow: the trigger keeps the days as it keeps the counts, whatever is done to subscriptions."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from mailhub.lists import service
from mailhub.models import ListCount, ListDay, MailingList, Project, Subscriber
from mailhub.projects.service import update_project
from mailhub.reporting import growth
from mailhub.reporting.growth_verify import cut_again, mend, recount
from tests.build import Builder

STATUSES = ("subscribed", "unconfirmed", "unsubscribed")


@pytest.fixture
def project(build: Builder) -> Project:
    return build.project(time_zone="Pacific/Kiritimati")


@pytest.fixture
def readers(build: Builder, project: Project) -> MailingList:
    return build.list(project, name="Readers")


def moves(dbsession: Session, mailing_list: MailingList) -> tuple[int, int, int]:
    """joined, unsubscribed, removed of all days."""
    found = dbsession.execute(
        text("SELECT sum(joined), sum(unsubscribed), sum(removed) FROM list_day WHERE list_id = :list"),
        {"list": mailing_list.id},
    ).one()
    return tuple(int(n or 0) for n in found)  # type: ignore[return-value]


def _facts(project: Project) -> dict[str, Any]:
    names = ("name", "domain", "time_zone", "language", "postal_address", "notify_email", "messages_per_second",
             "tracking", "retention_days", "unconfirmed_days")  # fmt: skip
    return {name: getattr(project, name) for name in names}


def put(dbsession: Session, sql: str, **binds: Any) -> None:
    dbsession.execute(text(sql), binds)
    dbsession.commit()


def test_every_way_in_and_out_is_counted_once(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    people = [build.subscriber(project, lists=[readers]) for _ in range(3)]
    waiting = build.subscriber(project, lists=[readers], status="unconfirmed")
    assert moves(dbsession, readers) == (3, 0, 0)
    ids = {"project_id": project.id, "list_id": readers.id}
    put(dbsession, "UPDATE subscription SET status = 'subscribed' WHERE subscriber_id = :id", id=waiting.id)
    assert moves(dbsession, readers) == (4, 0, 0)
    service.unsubscribe(dbsession, project_id=project.id, subscriber_id=people[0].id)
    service.unsubscribe(dbsession, project_id=project.id, subscriber_id=people[0].id)
    assert moves(dbsession, readers) == (4, 1, 0)
    service.resubscribe(dbsession, project_id=project.id, subscriber_id=people[0].id, list_ids=[readers.id])
    assert moves(dbsession, readers) == (5, 1, 0)
    dbsession.delete(people[1])
    dbsession.commit()
    assert moves(dbsession, readers) == (5, 1, 1)
    put(dbsession, "UPDATE subscription SET source = 'x' WHERE project_id = :project_id AND list_id = :list_id", **ids)
    assert moves(dbsession, readers) == (5, 1, 1)
    assert recount(dbsession.connection(), [project.id]) == []


def test_who_comes_and_who_goes_in_one_statement_are_both_counted(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    for status in ("subscribed", "subscribed", "unsubscribed"):
        build.subscriber(project, lists=[readers], status=status)
    put(
        dbsession,
        "UPDATE subscription SET status = CASE status WHEN 'subscribed' THEN 'unsubscribed' ELSE 'subscribed' END"
        " WHERE list_id = :list",
        list=readers.id,
    )
    assert moves(dbsession, readers) == (3, 2, 0)


def test_the_day_is_the_projects(dbsession: Session, build: Builder, project: Project, readers: MailingList) -> None:
    build.subscriber(project, lists=[readers])
    (day,) = dbsession.query(ListDay).filter_by(list_id=readers.id)
    began = dbsession.execute(text("SELECT now()")).scalar_one()
    assert day.day == began.astimezone(ZoneInfo("Pacific/Kiritimati")).date()


def test_a_list_and_a_project_take_their_days_with_them(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    others = build.list(project)
    build.subscriber(project, lists=[readers, others])
    dbsession.execute(delete(MailingList).where(MailingList.id == readers.id))
    assert dbsession.query(ListDay).filter_by(list_id=readers.id).count() == 0
    assert moves(dbsession, others) == (1, 0, 0)
    dbsession.execute(delete(Project).where(Project.id == project.id))
    assert dbsession.query(ListDay).filter_by(project_id=project.id).count() == 0


def test_days_always_agree_with_the_counts_whatever_is_done(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    """Sets of rows are put in, moved between statuses and taken out at random; a model counts along."""
    chance = random.Random(20261127)
    lists = [readers.id, build.list(project).id, build.list(project).id]
    dbsession.execute(
        text(
            "INSERT INTO subscriber (project_id, email, email_key, email_domain)"
            " SELECT :p, i || '@x.test', i || '@x.test', 'x.test' FROM generate_series(1, 60) AS i"
        ),
        {"p": project.id},
    )
    people = list(dbsession.scalars(text("SELECT id FROM subscriber WHERE project_id = :p"), {"p": project.id}))
    status: dict[tuple[int, int], str] = {}
    expected = dict.fromkeys(lists, (0, 0, 0))

    def note(list_id: int, joined: int = 0, left: int = 0, removed: int = 0) -> None:
        was = expected[list_id]
        expected[list_id] = (was[0] + joined, was[1] + left, was[2] + removed)

    for _step in range(60):
        some = chance.sample(people, chance.randint(1, 25))
        into = chance.sample(lists, chance.randint(1, 3))
        new = chance.choice(STATUSES)
        binds: dict[str, Any] = {"p": project.id, "people": some, "lists": into, "status": new}
        deed = chance.choice(["upsert", "upsert", "update", "update", "delete", "person"])
        if deed == "upsert":
            dbsession.execute(text(
                "INSERT INTO subscription (project_id, list_id, subscriber_id, status)"
                " SELECT :p, l, s, :status FROM unnest(CAST(:lists AS bigint[])) AS l,"
                " unnest(CAST(:people AS bigint[])) AS s"
                " ON CONFLICT (project_id, list_id, subscriber_id) DO UPDATE SET status = EXCLUDED.status"
            ), binds)  # fmt: skip
        elif deed == "update":
            dbsession.execute(text(
                "UPDATE subscription SET status = :status"
                " WHERE list_id = ANY (:lists) AND subscriber_id = ANY (:people)"
            ), binds)  # fmt: skip
        elif deed == "delete":
            dbsession.execute(text(
                "DELETE FROM subscription WHERE list_id = ANY (:lists) AND subscriber_id = ANY (:people)"
            ), binds)  # fmt: skip
        else:
            into, some = lists, some[:1]
            people.remove(some[0])
            dbsession.execute(delete(Subscriber).where(Subscriber.id == some[0]))
        for key in [(list_id, person) for list_id in into for person in some]:
            was = status.get(key)
            if deed == "upsert" or (deed == "update" and was is not None):
                note(key[0], joined=new == "subscribed" != was, left=was == "subscribed" != new)
                status[key] = new
            elif deed in ("delete", "person") and status.pop(key, None) == "subscribed":
                note(key[0], removed=1)
    for list_id in lists:
        assert moves(dbsession, dbsession.get_one(MailingList, (project.id, list_id))) == expected[list_id]
        counted = dbsession.get(ListCount, (project.id, list_id, "subscribed"), populate_existing=True)
        joined, left, removed = expected[list_id]
        assert (counted.n if counted else 0) == joined - left - removed
    assert recount(dbsession.connection(), [project.id]) == []


def test_a_planted_wrong_day_is_found(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    for _ in range(2):
        build.subscriber(project, lists=[readers])
    connection = dbsession.connection()
    put(dbsession, "UPDATE list_day SET joined = 5 WHERE list_id = :list", list=readers.id)
    put(dbsession, "UPDATE list_count SET n = 7 WHERE list_id = :list AND status = 'subscribed'", list=readers.id)
    found = [(one.rollup, one.column, one.rolled, one.recounted) for one in recount(connection, [project.id])]
    assert found == [("list_days", "subscribed", 5, 2), ("list_count", "subscribed", 7, 2),
                     ("list_source_days", "joined", 2, 5)]  # fmt: skip
    mend(connection, project.id)
    assert recount(connection, [project.id]) == []
    assert moves(dbsession, readers) == (5, 0, 3)


def test_another_time_zone_cuts_the_days_again(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    """As far as the rows tell: who has been deleted stays on the day that they were counted on. Until it is done, days
    are cut by the zone of before."""
    people = [build.subscriber(project, lists=[readers]) for _ in range(4)]
    service.unsubscribe(dbsession, project_id=project.id, subscriber_id=people[0].id)
    people[1].status, people[1].status_changed_at = "bounced", datetime.now(UTC)
    dbsession.flush()
    dbsession.delete(people[2])
    dbsession.commit()

    def days() -> dict[date, tuple[int, ...]]:
        found = dbsession.execute(text(
            "SELECT day, joined, unsubscribed, removed, coalesce((SELECT sum(bounced) FROM list_bounce_day AS b"
            " WHERE b.list_id = d.list_id AND b.day = d.day), 0) FROM list_day AS d WHERE list_id = :list ORDER BY day"
        ), {"list": readers.id})  # fmt: skip
        return {row[0]: tuple(map(int, row[1:])) for row in found}

    now = dbsession.execute(text("SELECT now()")).scalar_one()
    here, there = (now.astimezone(ZoneInfo(zone)).date() for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"))
    assert here > there
    assert days() == {here: (4, 1, 1, 1)}
    update_project(dbsession, project, **_facts(project) | {"time_zone": "Pacific/Pago_Pago"})
    build.subscriber(project, lists=[readers])
    assert days() == {here: (5, 1, 1, 1)}
    assert cut_again(dbsession.connection(), project.id) == 6
    # The one who was deleted has joined and gone where they were counted.
    assert days() == {there: (4, 1, 0, 1), here: (1, 0, 1, 0)}
    assert recount(dbsession.connection(), [project.id]) == []
    build.subscriber(project, lists=[readers])
    assert days()[there] == (5, 1, 0, 1)
    assert cut_again(dbsession.connection(), project.id) == 0


@pytest.fixture
def history(dbsession: Session, project: Project, readers: MailingList) -> None:
    for day, joined, left, removed in ((1, 10, 0, 0), (3, 4, 2, 1), (5, 0, 3, 0)):
        dbsession.add(
            ListDay(project_id=project.id, list_id=readers.id, day=date(2026, 3, day), joined=joined,
                    unsubscribed=left, removed=removed)
        )  # fmt: skip
    dbsession.commit()


def test_list_days_include_quiet_ones_and_carry_the_sum(
    dbsession: Session, project: Project, readers: MailingList, history: None
) -> None:
    days = growth.list_days(dbsession, project.id, readers.id, date(2026, 3, 2), date(2026, 3, 6))
    assert [day.date.day for day in days] == [2, 3, 4, 5]
    assert [day.subscribed for day in days] == [10, 11, 11, 8]
    assert [(day.joined, day.left, day.net) for day in days] == [(0, 0, 0), (4, 3, 1), (0, 0, 0), (0, 3, -3)]


def test_lists_growth(
    dbsession: Session, build: Builder, project: Project, readers: MailingList, history: None
) -> None:
    build.list(project, name="Archived", archived_at=datetime.now(UTC))
    build.list(project, name="Quiet")
    quiet, read = growth.lists_growth(dbsession, project.id, date(2026, 3, 3), date(2026, 3, 5))
    assert (quiet.name, quiet.net, quiet.subscribed) == ("Quiet", 0, 0)
    assert (read.joined, read.unsubscribed, read.removed, read.left, read.net) == (4, 2, 1, 3, 1)
    assert growth.lists_growth(dbsession, project.id + 1, date(2026, 3, 3), date(2026, 3, 5)) == []


def test_a_year_of_a_list_is_read_by_its_key(dbsession: Session, project: Project, readers: MailingList) -> None:
    from mailhub.reporting.named import SQL

    binds = {"project_id": project.id, "list_id": readers.id, "since": date.today() - timedelta(days=365),
             "until": date.today()}  # fmt: skip
    dbsession.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(dbsession.scalars(text("EXPLAIN " + SQL["list_days"].sql), binds))
    assert "pk_list_day" in plan


def by_source(dbsession: Session, project: Project, list_id: int | None = None) -> dict[str, tuple[int, int, int]]:
    """(joined, left, bounced) of all days by source."""
    rows = growth.growth_sources(dbsession, project.id, list_id, date(2000, 1, 1), date(2100, 1, 1))
    return {row.source: (row.joined, row.left, row.bounced) for row in rows}


def test_people_are_counted_by_the_way_they_came(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    whole = {"project_id": project.id, "list_id": readers.id}
    people = [build.subscriber(project) for _ in range(6)]
    for person, source in zip(people, ("form:3", "import:7", "import:8", "api", "manual", "demo"), strict=True):
        service.subscribe(dbsession, **whole, subscriber_id=person.id, source=source)
    dbsession.commit()
    once = (1, 0, 0)
    assert by_source(dbsession, project) == {
        "import": (2, 0, 0), "form": once, "api": once, "hand": once, "other": once,
    }  # fmt: skip
    service.unsubscribe(dbsession, project_id=project.id, subscriber_id=people[1].id)
    # Who comes back comes by the new way, and leaves by it.
    service.subscribe(dbsession, **whole, subscriber_id=people[1].id, source="form:3", rejoin=True)
    service.unsubscribe(dbsession, project_id=project.id, subscriber_id=people[1].id)
    dbsession.delete(people[3])
    dbsession.commit()
    assert by_source(dbsession, project, readers.id) == {
        "form": (2, 1, 0), "import": (2, 1, 0), "api": (1, 1, 0), "hand": once, "other": once,
    }  # fmt: skip


def test_who_bounces_is_counted_once_in_each_list_that_they_are_in(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    second = build.list(project)
    both = build.subscriber(project, lists=[readers, second])
    left = build.subscriber(project, lists=[readers], status="unsubscribed")
    for status in ("bounced", "bounced", "active"):
        put(dbsession, "UPDATE subscriber SET status = :status WHERE project_id = :p", status=status, p=project.id)
    assert by_source(dbsession, project, readers.id)["other"][2] == 1
    assert by_source(dbsession, project)["other"][2] == 2
    day = growth.list_days(dbsession, project.id, second.id, date(2000, 1, 1), date(2100, 1, 1))
    assert sum(one.bounced for one in day) == 1
    together = growth.project_list_days(dbsession, project.id, date(2020, 1, 1), date(2100, 1, 1))
    assert (sum(one.bounced for one in together), together[-1].subscribed) == (2, 2)
    assert both.id != left.id


def test_the_sources_of_a_day_add_up_to_the_day(
    dbsession: Session, build: Builder, project: Project, readers: MailingList
) -> None:
    """Whatever is done at random, by one statement or many."""
    chance = random.Random(5)
    people = [build.subscriber(project) for _ in range(12)]
    sources = ("form:1", "import:2", "api", "manual", "")
    for _turn in range(40):
        one, source = chance.choice(people), chance.choice(sources)
        deed = chance.choice(("in", "in", "out", "many"))
        key = {"project_id": project.id, "subscriber_id": one.id}
        if deed == "in":
            service.subscribe(dbsession, **key, list_id=readers.id, source=source)
        elif deed == "out":
            service.unsubscribe(dbsession, **key)
        else:
            statement = "UPDATE subscription SET status = :s, source = :w WHERE subscriber_id % 3 = :n"
            put(dbsession, statement, s=chance.choice(STATUSES), w=source, n=chance.randrange(3))
    dbsession.commit()
    sums = dbsession.execute(
        text("SELECT sum(joined), sum(unsubscribed), sum(removed) FROM list_source_day WHERE list_id = :list"),
        {"list": readers.id},
    ).one()
    assert tuple(int(n) for n in sums) == moves(dbsession, readers)
    assert recount(dbsession.connection(), [project.id]) == []
