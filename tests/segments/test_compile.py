"""A tree compiled to SQL finds exactly the people whom a plain reading of it finds, and nobody of another project."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from mailhub.models import Subscriber
from mailhub.segments import counting, engagement, keeping, service
from mailhub.segments.compile import condition
from mailhub.segments.custom import anniversaries
from mailhub.segments.engagement import band, in_bands
from mailhub.segments.tasks import count_bands, refresh_counts
from mailhub.segments.tree import Leaf, Tree
from mailhub.segments.vocabulary import Band, Kind
from mailhub.tasks import task_request
from tests.segments import crowd, trees

#: The drill goes on for longer (tests/faults/segments.py).
TREES = 40


def test_a_tree_finds_whom_a_plain_reading_finds(dbsession: Session) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # shown when it fails
    gathered = crowd.gather(dbsession, seed)
    assert crowd.compare(dbsession, gathered, seed, TREES) > TREES // 5


def test_values_and_keys_are_bound(dbsession: Session) -> None:
    gathered = crowd.gather(dbsession, 1, 2)
    marker = "zq'; DROP TABLE"
    key = "a'b\"%_"
    for name in ("name", f"fields.{key}"):
        definition = {"match": "all", "rules": [{"field": name, "op": "contains", "value": marker}]}
        tree = service.read(dbsession, gathered.project_id, definition)
        statement = str(service.select_ids(gathered.project_id, tree, crowd.NOW).compile(dialect=postgresql.dialect()))
        assert "zq" not in statement
        assert key not in statement


def test_ids_of_another_project_find_nobody(dbsession: Session) -> None:
    """Whatever a tree says that was made by hand: each condition is held to the project."""
    mine, theirs = crowd.gather(dbsession, 2, 8), crowd.gather(dbsession, 3, 8)
    theirs_only: list[Leaf] = [
        Leaf("list", Kind.LIST, "subscribed", tuple(theirs.lists)),
        Leaf("list", Kind.LIST, "unsubscribed", tuple(theirs.lists)),
        Leaf("tag", Kind.TAG, "any", tuple(theirs.tags)),
        *(Leaf(field, Kind.ACTIVITY, "did", campaigns=tuple(theirs.campaigns)) for field in ("sent", "reacted")),
        Leaf("reacted", Kind.ACTIVITY, "did", campaigns=tuple(theirs.campaigns), days=400),
        *(Leaf("clicked", Kind.ACTIVITY, "did", link=link) for link in theirs.links),
    ]
    for leaf in theirs_only:
        statement = service.select_ids(mine.project_id, Tree("all", (leaf,)), crowd.NOW)
        assert dbsession.scalars(statement).all() == [], leaf
    everybody = Tree("any", (Leaf("email", Kind.TEXT, "not_empty"),))
    found = set(dbsession.scalars(service.select_ids(mine.project_id, everybody, crowd.NOW)))
    assert found == {one.id for one in mine.people}


STORED = text(
    "UPDATE subscriber SET fields = jsonb_build_object('age', CAST(:v AS jsonb), 'born', CAST(:v AS jsonb),"
    " 'vip', CAST(:v AS jsonb), 'size', CAST(:v AS jsonb), 'city', CAST(:v AS jsonb)) WHERE project_id = :project"
)


def test_what_is_stored_wrong_never_raises(dbsession: Session) -> None:
    gathered = crowd.gather(dbsession, 4, 3)
    hostile = ["1e400", '"NaN"', '"9999-99-99"', '"-1-01-01"', "[]", "null", '"2026-02-31T00:00"', '"\\u0001"']
    for value in hostile:
        dbsession.execute(STORED, {"v": value, "project": gathered.project_id})
        rnd = random.Random(value)
        rules = []
        while len(rules) < 15:
            rule = trees.leaf(rnd, gathered)
            rules += [rule] if rule["field"].startswith("fields.") else []
        tree = service.read(dbsession, gathered.project_id, {"match": "any", "rules": rules})
        dbsession.scalars(service.select_ids(gathered.project_id, tree, crowd.NOW)).all()
    assert _ages(dbsession, gathered.project_id, "1e400", "greater", 10**15) == 3
    assert _ages(dbsession, gathered.project_id, "7.50", "is", 7.5) == 3


def _ages(dbsession: Session, project_id: int, stored: str, op: str, value: float) -> int:
    dbsession.execute(
        text("UPDATE subscriber SET fields = jsonb_build_object('age', CAST(:v AS jsonb)) WHERE project_id = :project"),
        {"v": stored, "project": project_id},
    )
    tree = service.read(dbsession, project_id, {"match": "all", "rules": [
        {"field": "fields.age", "op": op, "value": value}]})  # fmt: skip
    counted = service.count(dbsession, project_id, tree)
    assert counted is not None
    return counted.people


def test_a_leap_day_has_its_anniversary_every_year() -> None:
    assert anniversaries(date(2027, 2, 27), 1) == ["02-27", "02-28", "02-29"]
    assert anniversaries(date(2028, 2, 27), 1) == ["02-27", "02-28"]
    assert anniversaries(date(2026, 12, 31), 1) == ["12-31", "01-01"]
    assert len(anniversaries(date(2027, 1, 1), 366)) == 366


def test_a_count_that_takes_too_long_is_given_up_and_the_transaction_goes_on(dbsession: Session) -> None:
    assert counting.guarded(dbsession, select(text("pg_sleep(30)")), 0.05) is None
    assert dbsession.execute(text("SHOW statement_timeout")).scalar_one() != "50ms"
    assert dbsession.execute(text("SHOW work_mem")).scalar_one() != "128MB"
    assert counting.guarded(dbsession, select(text("7 AS n")), 2.0) == [(7,)]


def test_bands_in_sql_and_in_python_are_the_same(dbsession: Session) -> None:
    gathered = crowd.gather(dbsession, 5, 80)
    in_sql = {}
    for word in Band:
        asked = select(Subscriber.id).where(
            Subscriber.project_id == gathered.project_id, in_bands(gathered.project_id, [word], crowd.NOW)
        )
        in_sql |= dict.fromkeys(dbsession.scalars(asked), word.value)
    for one in gathered.people:
        sent, _at, opened, clicked = one.activity or (0, None, None, None)
        by_hand = band(added_at=one.added, sent=sent, opened_at=opened, clicked_at=clicked, now=crowd.NOW)
        assert in_sql[one.id] == by_hand.value
    assert len(set(in_sql.values())) >= 5


def test_bands_of_lists_and_projects_are_counted_by_a_task(dbsession: Session, registry: Any, build: Any) -> None:
    project = build.project()
    news, empty = build.list(project), build.list(project)
    build.subscriber(project, lists=[news])
    build.subscriber(project, created_at=datetime.now(UTC) - timedelta(days=99))
    assert engagement.bands(dbsession, project.id).as_of is None
    _run(registry, count_bands)
    found = engagement.bands(dbsession, project.id)
    assert (found.counts[Band.NEW], found.counts[Band.UNKNOWN], found.total) == (1, 1, 2)
    assert engagement.bands(dbsession, project.id, news.id).counts[Band.NEW] == 1
    assert engagement.bands(dbsession, project.id, empty.id).as_of is not None
    assert project.id not in engagement.outdated(dbsession)


def test_old_counts_are_counted_again(dbsession: Session, registry: Any, build: Any) -> None:
    project = build.project()
    definition = {"match": "all", "rules": [{"field": "email", "op": "not_empty"}]}
    segment = service.create(
        dbsession, project_id=project.id, name="All", tree=service.read(dbsession, project.id, definition)
    )
    build.subscriber(project)
    dbsession.commit()
    changed = segment.updated_at
    _run(registry, refresh_counts)
    dbsession.expire_all()
    assert (segment.count, segment.updated_at) == (1, changed)
    build.subscriber(project)
    _run(registry, refresh_counts)
    dbsession.expire_all()
    assert segment.count == 1
    segment.counted_at = datetime.now(UTC) - timedelta(hours=2)
    dbsession.commit()
    _run(registry, refresh_counts)
    dbsession.expire_all()
    assert segment.count == 2


def _run(registry: Any, task: Any) -> None:
    task(task_request(registry))


def test_segments_say_what_they_ask_for(dbsession: Session, build: Any) -> None:
    project = build.project()
    news, other = build.list(project), build.list(project)
    definition = {"match": "all", "rules": [{"match": "any", "rules": [
        {"field": "list", "op": "subscribed", "value": [str(news.id)]}]}]}  # fmt: skip
    made = service.create(
        dbsession, project_id=project.id, name="x", tree=service.read(dbsession, project.id, definition)
    )
    assert keeping.asking(dbsession, project.id, list_id=news.id) == [made]
    assert keeping.asking(dbsession, project.id, list_id=other.id) == []
    assert keeping.asking(dbsession, project.id, field="city") == []


def test_an_explanation_agrees_with_the_segment(dbsession: Session) -> None:
    gathered = crowd.gather(dbsession, 6, 12)
    rnd = random.Random(6)
    for _turn in range(10):
        definition = trees.tree(rnd, gathered)
        tree = service.read(dbsession, gathered.project_id, definition)
        for one in gathered.people[:4]:
            found = service.explain(dbsession, gathered.project_id, tree, one.id, now=crowd.NOW)
            assert found is not None
            answers = [rule.holds for rule in found.rules]
            assert found.is_in == (all(answers) if tree.match == "all" else any(answers))
            assert found.is_in == crowd.holds(definition, one, gathered)
    assert service.explain(dbsession, gathered.project_id, tree, 10**12) is None
    assert "subscriber.project_id" in str(condition(gathered.project_id, tree, crowd.NOW))
