"""Numbers over the JSON API, as the contract names them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.marking import Mark, mark_in
from tests.client import Client
from tests.stats.conftest import NOW, Cast


@pytest.fixture
def api(client: Client, cast: Cast, dbsession: Session) -> Any:
    return client.api(dbsession, cast.project.id, "stats:read")


def test_a_campaigns_numbers(api: Any, cast: Cast) -> None:
    found = api.get(f"/api/v1/campaigns/{cast.campaign.id}/stats").json
    assert found["counts"] == {
        "sent": 10, "opened": 5, "redirected": 3, "hardbounced": 1, "softbounced": 0, "unsubscribed": 1,
        "complained": 0, "unique_opened": 3, "unique_redirected": 2, "machine_opened": 0, "machine_redirected": 0,
        "unique_machine_opened": 0, "unique_machine_redirected": 0,
    }  # fmt: skip
    assert [(link["id"], link["redirected"], link["unique_redirected"]) for link in found["links"]] == [
        (str(cast.links[0].id), 1, 1), (str(cast.links[1].id), 2, 1)
    ]  # fmt: skip
    assert sum(day["opened"] for day in found["days"]) == 5
    assert [(one["domain"], one["sent"]) for one in found["domains"]] == [("a.test", 6), ("b.test", 4)]
    assert found["as_of"].endswith("Z")


def test_what_machines_did_is_told_beside_every_hit(api: Any, cast: Cast, dbsession: Session) -> None:
    keys = dbsession.execute(text(
        "SELECT project_id, position, id, at FROM message_event"
        " WHERE subscriber_id = 1 AND type IN ('OPENED', 'REDIRECTED') OR subscriber_id = 7 AND type = 'OPENED'"
    )).all()  # fmt: skip
    mark_in(dbsession, [Mark(*key, "scanner", "many_links") for key in keys])
    dbsession.commit()
    found = api.get(f"/api/v1/campaigns/{cast.campaign.id}/stats").json
    machines = {name: value for name, value in found["counts"].items() if "machine" in name}
    assert machines == {
        "machine_opened": 4, "machine_redirected": 2, "unique_machine_opened": 2, "unique_machine_redirected": 1
    }  # fmt: skip
    assert (found["counts"]["opened"], found["counts"]["unique_opened"]) == (5, 3)
    assert [(link["machine_redirected"], link["unique_machine_redirected"]) for link in found["links"]] == [
        (0, 0), (2, 1)
    ]  # fmt: skip
    assert sum(day["machine_opened"] for day in found["days"]) == 4
    assert {one["domain"]: one["machine_opened"] for one in found["domains"]} == {"a.test": 3, "b.test": 1}
    assert sum(day["machine_redirected"] for day in api.get("/api/v1/stats/daily").json["results"]) == 2


def test_the_projects_days_are_half_open_and_complete(api: Any) -> None:
    until = NOW.date().replace(day=1)
    answer = api.get(f"/api/v1/stats/daily?since={until.replace(year=until.year - 1)}&until={until}").json
    days = [day["date"] for day in answer["results"]]
    assert len(days) in (365, 366)
    assert str(until) not in days
    assert answer["next"] is None
    assert set(answer["results"][0]) == {
        "date", "sent", "opened", "redirected", "hardbounced", "softbounced", "unsubscribed", "complained",
        "machine_opened", "machine_redirected",
    }  # fmt: skip


def test_without_dates_the_last_days_are_told(api: Any) -> None:
    results = api.get("/api/v1/stats/daily").json["results"]
    assert len(results) == 30
    assert sum(day["sent"] for day in results) == 10


@pytest.mark.parametrize(
    "query", ["since=2026-02-02&until=2026-02-02", "since=yesterday", "since=2001-01-01&until=2026-01-01", "days=3",
              "since=2001-01-01"],
)  # fmt: skip
def test_dates_that_make_no_range_are_refused(api: Any, query: str) -> None:
    if query == "since=2001-01-01":
        assert len(api.get(f"/api/v1/stats/daily?{query}&until=2001-01-03").json["results"]) == 2
    api.get(f"/api/v1/stats/daily?{query}", status=422)


def test_strangers_get_nothing(client: Client, cast: Cast, build: Any, dbsession: Session) -> None:
    client.get(f"/api/v1/campaigns/{cast.campaign.id}/stats", status=401)
    other = client.api(dbsession, build.project().id)
    other.get(f"/api/v1/campaigns/{cast.campaign.id}/stats", status=404)
    narrow = client.api(dbsession, cast.project.id, "lists:read")
    narrow.get("/api/v1/stats/daily", status=403)
