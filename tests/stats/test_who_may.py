"""Who sees which page of the numbers, what each costs, and that none counts raw rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy.orm import Session

from mailhub.models import Role
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast
from tests.stats.test_pages import RAW, home
from tests.stats.test_shares import issue

#: Path below the project → what the page costs: statements, those of the signed-in person and the project included.
PAGES = {
    "": 10,
    "/stats/days.csv": 4,
    "/stats/campaigns": 4,
    "/stats/campaigns.csv": 4,
    "/stats/compare": 4,
    "/stats/compare?a={a}&b={b}": 8,
    "/lists/{list}/growth": 8,
    "/lists/{list}/growth.csv": 4,
    "/campaigns/{a}/shares": 5,
    "/stats/unsubscribed": 5,
}
#: Those with people's addresses.
PEOPLE = {"/stats/unsubscribed"}


@pytest.fixture
def ids(cast: Cast, build: Builder) -> dict[str, int]:
    other = build.campaign(cast.project, state="sent", started_at=NOW)
    return {"a": cast.campaign.id, "b": other.id, "list": build.list(cast.project).id}


@pytest.mark.parametrize("page", PAGES)
def test_members_see_numbers_and_nobody_else_does(
    client: Client, cast: Cast, build: Builder, ids: dict[str, int], page: str
) -> None:
    url = home(cast) + page.format(**ids)
    assert "/sign-in" in client.get(url, status=303).location
    marketer, developer = build.user(), build.user()
    build.member(cast.project, marketer, Role.MARKETER)
    build.member(cast.project, developer, Role.DEVELOPER)
    for person in (cast.alice, marketer, developer):
        client.new().sign_in(person).get(url, status=200)
    client.new().sign_in(cast.ann).get(url, status=403 if page in PEOPLE else 200)
    client.new().sign_in(cast.charlie).get(url, status=404)


@pytest.mark.parametrize("page", PAGES)
def test_pages_cost_few_statements_on_rollups(
    client: Client,
    cast: Cast,
    ids: dict[str, int],
    statements: Callable[[], AbstractContextManager[list[str]]],
    page: str,
) -> None:
    url = home(cast) + page.format(**ids)
    client.sign_in(cast.alice).get(url)
    with statements() as seen:
        client.get(url)
    assert len(seen) <= PAGES[page], "\n".join(seen)
    assert not [one for one in seen if RAW.search(one)]


def test_a_shared_report_costs_no_session_and_few_statements(
    client: Client,
    cast: Cast,
    dbsession: Session,
    statements: Callable[[], AbstractContextManager[list[str]]],
) -> None:
    token = issue(dbsession, cast.campaign).token
    stranger = client.new()
    stranger.get(f"/r/{token}")
    with statements() as seen:
        stranger.get(f"/r/{token}")
    assert len(seen) <= 10, "\n".join(seen)
    assert not [one for one in seen if "web_session" in one]
    with statements() as seen:
        stranger.get("/r/" + "x" * 43, status=404)
    assert len(seen) <= 1, "\n".join(seen)
