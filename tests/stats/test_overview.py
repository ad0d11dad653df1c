"""The parts of the overview: two periods, delivery, providers, the best campaigns, lists; the table of campaigns."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from mailhub.models import CampaignCount, CampaignStats, ProjectDay, ProjectProviderDay
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast
from tests.stats.test_pages import home, words

TODAY = NOW.astimezone(ZoneInfo("Europe/Moscow")).date()


@pytest.fixture
def busy(cast: Cast, dbsession: Session) -> Cast:
    """What was counted of the events of `cast` is replaced: something happened today and 40 days ago."""
    key = {"project_id": cast.project.id}
    dbsession.query(ProjectDay).filter_by(**key).delete()
    dbsession.query(ProjectProviderDay).filter_by(**key).delete()
    dbsession.add(ProjectDay(**key, day=TODAY, sent=100, opened=50, machine_opened=20, redirected=10,
                               machine_redirected=4, hardbounced=3, softbounced=2, complained=1))  # fmt: skip
    dbsession.add(ProjectDay(**key, day=TODAY - timedelta(days=40), sent=50, opened=20, machine_opened=5))
    dbsession.add(ProjectProviderDay(**key, day=TODAY, provider="gmail", sent=80, opened=40, machine_opened=20,
                                       hardbounced=20, complained=1, deferred=7, blocked=3))  # fmt: skip
    dbsession.add(ProjectProviderDay(**key, day=TODAY, provider="mailru", sent=20, opened=0))
    dbsession.commit()
    return cast


@pytest.fixture
def campaigns(cast: Cast, build: Builder) -> list[int]:
    """Four more campaigns: letters and people who opened. The third is too small, the last too old."""
    made = []
    for name, days, sent, opened in (("Fair", 3, 100, 30), ("Great", 5, 50, 40), ("Tiny", 6, 2, 2), ("Old", 60, 99, 9)):
        at = NOW - timedelta(days=days)
        one = build.campaign(cast.project, name=name, state="sent", started_at=at)
        own = {"project_id": cast.project.id, "campaign_id": one.id}
        build._add(CampaignCount(**own, audience=sent, sent=sent))
        build._add(CampaignStats(**own, sent=sent, opened=opened * 3, unique_opened=opened + 1, unique_machine_opened=1,
                                 unique_redirected=opened // 10, hardbounced=sent // 50))  # fmt: skip
        made.append(one.id)
    return made


def test_both_numbers_are_told_of_opens_and_clicks(client: Client, busy: Cast) -> None:
    text = words(client.sign_in(busy.alice).get(home(busy)))
    assert "Sent 100 50 before +100%" in text
    assert "Opens 30 15 before +100% 50 with machines" in text
    assert "Europe/Moscow" in text
    assert "As of" in text


def test_the_period_before_is_a_pale_line(client: Client, busy: Cast) -> None:
    page = client.sign_in(busy.alice).get(home(busy))
    assert len(page.html.select("#overview-chart svg polyline.pale")) == 1
    assert len(page.html.select("#overview-people svg polyline.pale")) == 2
    heads = [th.get_text() for th in page.html.select("#overview-people thead th")]
    assert heads == ["Day", "Opens", "Clicks", "Opens before", "Clicks before"]


def test_delivery_warns_of_complaints_and_bounces(client: Client, busy: Cast) -> None:
    text = words(client.sign_in(busy.alice).get(home(busy)))
    assert "were reported as spam" in text
    assert "of the letters bounced" in text
    assert "Bounces and complaints by day" in text


def test_each_provider_has_a_row(client: Client, busy: Cast) -> None:
    page = client.sign_in(busy.alice).get(home(busy))
    rows = [
        re.sub(r"\s+", " ", tr.get_text(" ")).strip() for tr in page.html.select("#overview-providers tbody tr")
    ]
    assert "Gmail 80 25.0% 0.0% 20.0% 7 3 1" in rows
    assert "Mail.ru 20 0.0% 0.0% 0.0% 0 0 0" in rows


def test_the_best_campaigns_are_large_enough_and_of_the_period(
    client: Client, cast: Cast, campaigns: list[int]
) -> None:
    page = client.sign_in(cast.alice).get(home(cast))
    found = [link.get_text() for link in page.html.select("#overview-best td a")]
    assert found == ["Great", "Fair"]
    assert page.html.select_one(f"#best-{campaigns[1]}")["href"].endswith(f"/campaigns/{campaigns[1]}/stats")


def test_lists_and_who_left_are_a_click_away(client: Client, cast: Cast, build: Builder) -> None:
    readers = build.list(cast.project, name="Readers")
    build.subscriber(cast.project, lists=[readers])
    page = client.sign_in(cast.alice).get(home(cast))
    row = page.html.select_one("#overview-lists tbody tr")
    assert re.sub(r"\s+", " ", row.get_text(" ")).strip() == "Readers 1 1 0 +1"
    assert row.a["href"] == f"{home(cast)}/lists/{readers.id}/growth"
    assert f"{home(cast)}/stats/unsubscribed?days=30" in page.text
    assert "stats/unsubscribed" not in client.sign_in(cast.ann).get(home(cast)).text


def test_a_new_project_has_no_empty_tables(client: Client, build: Builder) -> None:
    alice = build.user()
    project = build.project(alice)
    page = client.sign_in(alice).get(f"/projects/{project.slug}")
    for part in ("overview-providers", "overview-best", "overview-lists", "overview-delivery"):
        assert page.html.select_one(f"#{part}") is None
    assert page.text.count("Nothing in these days") == 2


def read_csv(answer: Any) -> list[dict[str, str]]:
    assert answer.content_type == "text/csv"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def test_the_days_as_a_file(client: Client, busy: Cast) -> None:
    rows = read_csv(client.sign_in(busy.alice).get(f"{home(busy)}/stats/days.csv?days=7"))
    assert [row["day"] for row in rows] == [str(TODAY - timedelta(days=n)) for n in range(6, -1, -1)]
    assert (rows[-1]["opened"], rows[-1]["machine_opened"], rows[-1]["complained"]) == ("50", "20", "1")


@pytest.mark.parametrize(
    ("sort", "first"),
    [("name", "Fair"), ("-name", "Tiny"), ("-sent", "Fair"), ("sent", "Tiny"), ("-opened", "Tiny"),
     ("opened", "Spring <sale>"), ("", "Spring <sale>"), ("-nonsense", "Spring <sale>"), ("-clicked", "Spring <sale>")],
)  # fmt: skip
def test_campaigns_in_every_order(client: Client, cast: Cast, campaigns: list[int], sort: str, first: str) -> None:
    client.sign_in(cast.alice)
    url = f"{home(cast)}/stats/campaigns?sort={sort}"
    for answer in (client.get(url), client.fragment(url, "stats-campaigns")):
        names = [link.get_text() for link in answer.html.select("tbody td a.t")]
        assert len(names) == 4
        assert names[0] == first
    assert "5 campaigns" in words(client.get(f"{home(cast)}/stats/campaigns?days=90"))


def test_campaigns_as_a_file(client: Client, cast: Cast, campaigns: list[int], build: Builder) -> None:
    build.campaign(cast.project, name="=1+1", state="sent", started_at=NOW)
    rows = read_csv(client.sign_in(cast.alice).get(f"{home(cast)}/stats/campaigns.csv?sort=name"))
    assert [row["name"] for row in rows] == ["'=1+1", "Fair", "Great", "Spring <sale>", "Tiny"]
    assert (rows[1]["opened_people"], rows[1]["opened_people_all"], rows[1]["open_rate"]) == ("30", "31", "0.3")
    assert rows[0]["open_rate"] == ""
    assert datetime.fromisoformat(rows[1]["started_at"]).tzinfo == UTC


def test_a_project_without_campaigns_is_told_so(client: Client, build: Builder) -> None:
    alice = build.user()
    project = build.project(alice)
    page = client.sign_in(alice).get(f"/projects/{project.slug}/stats/campaigns")
    assert "No campaign was started in these days" in page.text
