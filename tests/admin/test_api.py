"""The reports as JSON."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.reporting.test_admin import letter


def test_projects(admin_api, volumes, today):
    answer = admin_api.get("/api/v1/reports/projects?since=" + str(today - timedelta(days=6))).json
    assert (answer["count"], answer["next"]) == (2, None)
    assert answer["as_of"].endswith("Z")
    bakery = answer["results"][0]
    assert (bakery["id"], bakery["slug"]) == (str(volumes.id), "bakery")
    assert bakery["counts"]["sent"] == 40
    assert bakery["since"] == str(today - timedelta(days=6))


def test_projects_page_by_page(admin_api, volumes):
    first = admin_api.get("/api/v1/reports/projects?limit=1").json
    assert [one["slug"] for one in first["results"]] == ["bakery"]
    assert first["count"] == 2
    assert first["next"].startswith("http://localhost:6544/api/v1/reports/projects?limit=1&after=")
    second = admin_api.get(first["next"].removeprefix("http://localhost:6544")).json
    assert [one["slug"] for one in second["results"]] == ["quiet"]
    assert second["next"] is None


def test_one_project_of_the_list(admin_api, volumes):
    answer = admin_api.get("/api/v1/reports/projects?project=quiet").json
    assert [one["slug"] for one in answer["results"]] == ["quiet"]
    assert answer["count"] == 1


def test_days_of_a_project(admin_api, volumes, today):
    url = f"/api/v1/reports/projects/{volumes.id}?since={today - timedelta(days=2)}&until={today}"
    answer = admin_api.get(url).json
    assert [(one["date"], one["sent"]) for one in answer["results"]] == [
        (str(today - timedelta(days=2)), 0),
        (str(today - timedelta(days=1)), 25),
    ]
    assert (answer["count"], answer["project"]["slug"]) == (2, "bakery")
    admin_api.get("/api/v1/reports/projects/999999", status=404)
    admin_api.get("/api/v1/reports/projects/x", status=404)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "since=x",
        "after=x",
        "sort=name",
        "since=2026-02-01&until=2026-01-01",
        "since=2001-01-01",
    ],
)
def test_bad_filter_is_refused(admin_api, volumes, query):
    answer = admin_api.get(f"/api/v1/reports/projects?{query}", status=422)
    assert answer.json["errors"]


def test_queues(admin_api, build, dbsession):
    letter(dbsession, build.project(), "transactional", -2)
    answer = admin_api.get("/api/v1/reports/queues").json
    assert [one["queue"] for one in answer["results"]] == ["transactional", "bulk", "celery"]
    first = answer["results"][0]
    assert first["waiting"] == {"letters": 1}
    assert 100 < first["oldest_age_seconds"] < 180
    assert (first["late"], first["workers_alive"], first["workers"]) == (True, 0, [])
    assert answer["results"][1]["oldest_age_seconds"] is None


def test_post_is_not_taken(admin_api):
    admin_api.post_json("/api/v1/reports/queues", {}, status=404)
