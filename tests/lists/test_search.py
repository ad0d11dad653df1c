"""Search gives what a plain look at everybody gives, whichever way it goes; and goes no long way for a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mailhub.lists import search as searching
from mailhub.lists import tags
from mailhub.lists.filters import PeopleFilter, Scope
from mailhub.lists.search import Search
from mailhub.models import Subscriber

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def crowd(build, dbsession):
    """Forty people; every third has gmail, every fourth a tag, every fifth is in a list, every seventh has bounced."""
    project = build.project(build.user())
    other = build.project(build.user())
    news = build.list(project, "News")
    people = []
    for n in range(40):
        domain = "gmail.com" if n % 3 == 0 else "mail.ru"
        person = build.subscriber(
            project, f"p{n:02d}@{domain}", lists=[news] if n % 5 == 0 else [], name=f"Анна {n}",
            source="form" if n % 2 else "import:1", created_at=DAY + timedelta(days=n),
        )  # fmt: skip
        person.status = "bounced" if n % 7 == 0 else "active"
        people.append(person)
    build.subscriber(other, "p99@gmail.com")
    (tag,) = tags.ensure_tags(dbsession, project.id, ["VIP"])
    tags.add_tags(dbsession, project.id, [one.id for one in people[::4]], [tag.id])
    dbsession.commit()
    return SimpleNamespace(project=project, people=people, list=news, tag=tag, scope=Scope(project.id))


FILTERS = {
    "everybody": ({}, lambda n: True),
    "a substring": ({"q": "gmail"}, lambda n: n % 3 == 0),
    "a name": ({"q": "анна 1"}, lambda n: "1" in f"{n:02d}"),
    "a beginning": ({"q": "p1"}, lambda n: 10 <= n < 20),
    "two words": ({"q": "gmail 3"}, lambda n: n % 3 == 0 and "3" in f"{n:02d}"),
    "a list": ({"list": "{list}"}, lambda n: n % 5 == 0),
    "a tag": ({"tag": "{tag}"}, lambda n: n % 4 == 0),
    "a source": ({"source": "form"}, lambda n: n % 2 == 1),
    "a status": ({"status": "bounced"}, lambda n: n % 7 == 0),
    "subscribed": ({"status": "subscribed"}, lambda n: n % 5 == 0),
    "days": ({"since": "2026-03-05", "until": "2026-03-10"}, lambda n: 4 <= n <= 9),
    "all at once": ({"q": "gmail", "list": "{list}", "source": "import:1", "since": "2026-03-02"}, lambda n: n == 30),
    "nobody": ({"q": "nobody-at-all"}, lambda n: False),
}


@pytest.mark.parametrize("windows", [(1_000, 10_000, 100_000), (2, 3, 4)], ids=["one window", "many windows"])
@pytest.mark.parametrize("few", [20_000, 0], ids=["sorted", "walked"])
@pytest.mark.parametrize("sort", ["-added", "added", "email", "-email"])
def test_every_filter_finds_whom_it_should_page_by_page(crowd, dbsession, monkeypatch, windows, few, sort):
    monkeypatch.setattr(searching, "WINDOWS", windows)
    monkeypatch.setattr(searching, "FEW", few)
    for what, (query, fits) in FILTERS.items():
        given = {name: value.format(list=crowd.list.id, tag=crowd.tag.id) for name, value in query.items()}
        wanted = [person.id for n, person in enumerate(crowd.people) if fits(n)]
        wanted = wanted[::-1] if sort.startswith("-") else wanted
        search = Search(dbsession, crowd.scope, PeopleFilter.of(given))
        found, after = [], None
        for _page in range(20):
            page = search.page(sort=sort, after=after, limit=7)
            found += [row.id for row in page.rows]
            after = page.next
            if after is None:
                break
        assert found == wanted, what
        total = search.count()
        assert total.n == len(wanted) or (total.more and total.n <= len(wanted)), what
        assert search.count_all() == len(wanted), what


def test_a_slice_ends_and_looks_at_everybody_once(crowd, dbsession):
    search = Search(dbsession, crowd.scope, PeopleFilter.of({"q": "gmail"}))
    upto, after, seen, steps = crowd.people[34].id, 0, [], 0
    while True:
        people, last = search.slice(after=after, upto=upto, window=10)
        if last is None:
            break
        seen += people
        after, steps = last, steps + 1
    assert seen == [one.id for n, one in enumerate(crowd.people[:35]) if n % 3 == 0]
    assert steps == 4


def test_a_filter_reads_back_from_its_own_query():
    wanted = PeopleFilter.of(
        {"q": " a ", "list": "3", "status": "bounced", "tag": "x", "since": "2026-01-02", "until": "?"}
    )
    assert wanted.query == {"q": "a", "list": "3", "status": "bounced", "since": "2026-01-02"}
    assert PeopleFilter.of(wanted.query) == wanted


def test_a_segment_that_is_not_there_finds_nobody(crowd, dbsession):
    from mailhub.lists.filters import scope_of

    wanted = PeopleFilter.of({"segment": "999"})
    assert Search(dbsession, scope_of(dbsession, crowd.project, wanted), wanted).page().rows == []


def test_a_foreign_cursor_shows_the_first_page(crowd, dbsession):
    search = Search(dbsession, crowd.scope, PeopleFilter())
    by_email = search.page(sort="email", limit=5).next
    assert [row.id for row in search.page(after=by_email, limit=3).rows] == [one.id for one in crowd.people[:-4:-1]]
    assert isinstance(search.page().rows[0], Subscriber)
