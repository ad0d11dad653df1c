"""Two campaigns side by side."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from mailhub.models import Campaign, CampaignHour, CampaignLinkStats, CampaignStats, Link
from mailhub.reporting.queries import LinkClicks
from mailhub.stats.compare import LinkPair, curve, pairs
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast
from tests.stats.test_pages import home, words


@pytest.fixture
def two(cast: Cast, build: Builder) -> tuple[Campaign, Campaign]:
    """Of 100 letters each; 20 and 30 people opened, and a machine in each, 10 and 10 clicked."""
    made = []
    for name, opened, hours in (("First & only", 20, 5), ("Second", 30, 80)):
        one = build.campaign(cast.project, name=name, state="sent", started_at=NOW - timedelta(hours=hours))
        own = {"project_id": cast.project.id, "campaign_id": one.id}
        build._add(CampaignStats(**own, sent=100, unique_opened=opened + 1, unique_machine_opened=1,
                                 unique_redirected=10, hardbounced=opened // 10, complained=0))  # fmt: skip
        build._add(CampaignHour(**own, hour=0, opened=opened, machine_opened=10))
        link = build._add(Link(**own, position=0, url="https://shop.test/both"))
        build._add(CampaignLinkStats(**own, link_id=link.id, redirected=9, unique_redirected=7,
                                     unique_machine_redirected=2))  # fmt: skip
        made.append(one)
    return made[0], made[1]


def compare(cast: Cast, a: object = "", b: object = "") -> str:
    return f"{home(cast)}/stats/compare?a={a}&b={b}"


def test_the_second_is_measured_by_the_first(client: Client, cast: Cast, two: tuple[Campaign, Campaign]) -> None:
    page = client.sign_in(cast.alice).get(compare(cast, two[0].id, two[1].id))
    text = words(page)
    assert "Opened 30.0% first: 20.0% +10 pp" in text
    assert "Clicked 10.0% first: 10.0% 0 pp" in text
    assert "Bounced 2.9% first: 2.0% +1 pp" in text
    assert "People who opened 20 30 +10" in text
    assert "Opened, with machines 21 31 +10" in text
    rows = [re.sub(r"\s+", " ", tr.get_text(" ")).strip() for tr in page.html.select("#compare-links tbody tr")]
    assert rows == ["https://shop.test/both 5 5.0% 5 5.0%"]
    assert len(page.html.select("#compare-opens svg polyline")) == 2
    # The first began five hours ago: its line ends there.
    hours = [[td.get_text() for td in tr.select("td")] for tr in page.html.select("#compare-opens tbody tr")]
    assert (len(hours), hours[4], hours[7]) == (72, ["10.0%", "20.0%"], ["—", "20.0%"])
    assert [one["value"] for one in page.html.select("select option[selected]")] == [str(two[0].id), str(two[1].id)]


def test_pickers_come_first(client: Client, cast: Cast, two: tuple[Campaign, Campaign], build: Builder) -> None:
    build.campaign(cast.project, name="A draft")
    client.sign_in(cast.alice)
    for url in (compare(cast).partition("?")[0], compare(cast), compare(cast, two[0].id)):
        page = client.get(url)
        options = [one.get_text() for one in page.html.select("#f-a option")]
        assert len(options) == 4
        assert not any("A draft" in one for one in options)
        assert page.html.select_one("#compare-table") is None
    same = client.get(compare(cast, two[0].id, two[0].id))
    assert "the same campaign twice" in same.text


def test_what_is_not_a_started_campaign_of_the_project_is_not_there(
    client: Client, cast: Cast, two: tuple[Campaign, Campaign], build: Builder
) -> None:
    draft = build.campaign(cast.project)
    foreign = build.campaign(build.project(cast.alice), state="sent", started_at=NOW)
    client.sign_in(cast.alice)
    for wrong in (draft.id, foreign.id, 99_999_999, "x", "-1", "1e3", "9" * 30, "%D9%A1"):
        client.get(compare(cast, two[0].id, wrong), status=404)
        client.get(compare(cast, wrong, two[0].id), status=404)


def test_one_campaign_cannot_be_compared(client: Client, cast: Cast) -> None:
    page = client.sign_in(cast.alice).get(compare(cast))
    assert "There are no two campaigns to compare yet" in page.text


def test_a_curve_ends_where_the_hours_have_not_begun() -> None:
    assert curve([1, 2, 0, 0], 10, 3) == [0.1, 0.3, 0.3, None]
    assert curve([0, 0], 0, 2) == [None, None]


def test_links_meet_by_their_url() -> None:
    def link(url: str, people: int, machines: int = 0, label: str = "") -> LinkClicks:
        return LinkClicks(1, 0, url, label, people, people, machines, machines)

    found = pairs([link("u:1", 5, 1, "One"), link("u:1", 2)], [link("u:2", 9), link("u:1", 1)])
    assert found == [LinkPair("u:2", "", None, 9), LinkPair("u:1", "", 6, 1)]
