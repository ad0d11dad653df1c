"""The overview: the numbers, their empty states, who may see them, what they cost."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append_in
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import Cast

RAW = re.compile(r"\b(FROM|JOIN)\s+(message|message_event|message_content)\b", re.IGNORECASE)


def home(cast: Cast) -> str:
    return f"/projects/{cast.project.slug}"


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text))


def test_who_may_see_the_overview(client: Client, cast: Cast) -> None:
    client.get(home(cast), status=303)
    client.sign_in(cast.ann).get(home(cast), status=200)
    client.new().sign_in(cast.charlie).get(home(cast), status=404)


def test_the_overview_of_a_busy_project(client: Client, cast: Cast) -> None:
    page = client.sign_in(cast.alice).get(home(cast))
    text = words(page)
    assert "The last 30 days" in text
    assert "Sent 10 0 before" in text
    assert "Opens 5 0 before" in text
    assert "First steps" not in text
    assert "Last campaigns" in text
    assert "30.0%" in text
    assert "<polyline" in page.text


@pytest.mark.parametrize(("asked", "shown"), [("7", 7), ("90", 90), ("8", 30), ("x", 30), ("", 30)])
def test_the_period_is_in_the_url(client: Client, cast: Cast, asked: str, shown: int) -> None:
    client.sign_in(cast.alice)
    url = f"{home(cast)}?days={asked}"
    for answer in (client.get(url), client.fragment(url, "overview-numbers")):
        assert f"The last {shown} days" in answer.text
        assert len(answer.html.select("#overview-chart tbody tr")) == shown


def test_a_difference_is_told_as_good_or_bad_news(client: Client, cast: Cast, dbsession: Session) -> None:
    from datetime import timedelta

    from tests.stats.conftest import NOW

    earlier = [
        Event(type_, cast.project.id, "transactional", NOW - timedelta(days=9))
        for type_ in ("OPENED",) * 4 + ("HARDBOUNCED",) * 2
    ]
    append_in(dbsession, earlier)
    dbsession.commit()
    page = client.sign_in(cast.alice).get(f"{home(cast)}?days=7")
    assert '<span class="delta up">+25%</span>' in page.text
    assert '<span class="delta up">-50%</span>' in page.text


def test_a_new_project_gets_its_first_steps(client: Client, build: Builder) -> None:
    alice = build.user()
    project = build.project(alice)
    page = client.sign_in(alice).get(f"/projects/{project.slug}")
    assert "0 of 5 done" in page.text
    assert "Nothing in these days" in page.text
    assert "NaN" not in page.text
    build.sender(project)
    build.list(project)
    assert "2 of 5 done" in client.get(f"/projects/{project.slug}").text


def test_what_is_on_its_way_is_polled(client: Client, cast: Cast, build: Builder) -> None:
    from mailhub.models import CampaignCount
    from tests.stats.conftest import NOW

    client.sign_in(cast.alice)
    assert "data-live" not in client.fragment(home(cast), "overview-campaigns").text
    moving = build.campaign(cast.project, name="Now", state="sending", started_at=NOW)
    build._add(CampaignCount(project_id=cast.project.id, campaign_id=moving.id, audience=200, sent=50))
    part = client.fragment(home(cast), "overview-campaigns")
    assert "data-live" in part.text
    assert "50 of 200" in part.text
    headers = {"HX-Request": "true", "HX-Target": "section#overview-campaigns", "HX-PTag": part.headers["HX-PTag"]}
    client.get(home(cast), headers=headers, status=304)


@pytest.mark.parametrize(
    ("path", "target", "most"),
    [(home, "", 10), (home, "overview-numbers", 7), (home, "overview-campaigns", 4)],
)
def test_pages_cost_few_statements_and_read_rollups_only(
    client: Client,
    cast: Cast,
    statements: Callable[[], AbstractContextManager[list[str]]],
    path: Callable[[Cast], str],
    target: str,
    most: int,
) -> None:
    client.sign_in(cast.alice)
    client.get(path(cast))
    with statements() as seen:
        client.fragment(path(cast), target) if target else client.get(path(cast))
    assert len(seen) <= most, "\n".join(seen)
    assert not [one for one in seen if RAW.search(one)]
