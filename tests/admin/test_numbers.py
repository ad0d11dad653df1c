"""The number reports: pages, CSV and JSON on hand-counted days."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from mailhub.models import ProjectDay, ProjectProviderDay
from tests.jobs.conftest import events_of

REPORTS = ["volume", "bounces", "complaints", "movers", "suspects", "events", "reasons", "recipients"]


def day(dbsession, project, day, provider="", **counts):
    """A day's numbers, at one provider too."""
    dbsession.merge(ProjectDay(project_id=project.id, day=day, **counts))
    if provider:
        dbsession.merge(ProjectProviderDay(project_id=project.id, day=day, provider=provider, **counts))
    dbsession.commit()


@pytest.fixture
def two(build, dbsession, today):
    """The bakery sends a little every day, the farm sent much yesterday and much of it came back."""
    bakery = build.project(slug="bakery", name="Corner Bakery", domain="bakery.test")
    farm = build.project(slug="farm", name="=Farm", domain="farm.test")
    for ago in range(1, 15):
        day(
            dbsession,
            bakery,
            today - timedelta(days=ago),
            "gmail",
            sent=100,
            opened=40,
            machine_opened=10,
            redirected=5,
        )
    day(
        dbsession, farm, today - timedelta(days=1), "mailru", sent=900, hardbounced=60, softbounced=20, blocked=20,
        deferred=7, complained=2, unsubscribed=9,
    )  # fmt: skip
    return bakery, farm


def table(answer):
    """The rows of the report's table as texts."""
    part = answer.text[answer.text.index('id="number-count"') :]
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", part, re.S)
        if "<td" in row
    ]


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_opens_with_and_without_data(admin, report, build):
    admin.get(f"/admin/numbers/{report}", status=200)
    build.project()
    page = admin.get(f"/admin/numbers/{report}", status=200)
    assert 'aria-current="page"' in page.text


def test_volume_by_project(admin, two):
    rows = table(admin.get("/admin/numbers/volume?days=7&by=project"))
    assert rows[0] == ["=Farm farm.test", "900", "0", "0", "0", "0", "100", "9", "2"]
    assert rows[1] == ["Corner Bakery bakery.test", "600", "180", "60", "30", "0", "0", "0", "0"]
    assert rows[2][:2] == ["Total", "1,500"]


def test_bounces_by_provider_with_rates(admin, two):
    rows = table(admin.get("/admin/numbers/bounces?days=7&by=provider&sort=-bounce_rate"))
    assert rows[0] == ["Mail.ru", "900", "60", "6.0%", "20", "20", "2.0%", "10.0%", "7"]
    assert rows[1][:3] == ["Gmail", "600", "0"]


def test_complaints_of_one_project_by_day(admin, two, today):
    answer = admin.get("/admin/numbers/complaints?days=7&project=farm")
    rows = table(answer)
    assert len(rows) == 7 + 1
    assert rows[1][1:] == ["900", "2", "0.2%", "9", "1.0%"]
    assert rows[0][1:] == ["0", "0", "—", "0", "—"]
    assert "=Farm" in answer.text


def test_one_provider(admin, two):
    rows = table(admin.get("/admin/numbers/volume?days=30&provider=mailru&by=day,project,provider"))
    assert [row[1:4] for row in rows[:-1]] == [["=Farm farm.test", "Mail.ru", "900"]]


def test_a_range_is_half_open(admin, two, today):
    since, until = today - timedelta(days=3), today - timedelta(days=1)
    rows = table(admin.get(f"/admin/numbers/volume?since={since}&until={until}&by=project"))
    assert [row[1] for row in rows] == ["200", "200"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("days=31", "Choose 7, 30 or 90 days."),
        ("days=x", "This must be a whole number."),
        ("since=2026-13-01", "This must be a date like"),
        ("since=2026-01-02&until=2026-01-01", "This must be after the first day."),
        ("since=2024-01-01&until=2026-01-01", "Ask for 1 to 366 days."),
        ("project=nobody", "There is no project nobody."),
        ("provider=x", "There is no such provider."),
        ("by=campaign", "This is not one of the choices."),
    ],
)
def test_filters_that_make_no_sense_are_told(admin, admin_api, two, query, sentence):
    answer = admin.get(f"/admin/numbers/volume?{query}", status=422)
    assert sentence in answer.text
    assert 'id="number-count"' not in answer.text
    assert sentence in admin.fragment(f"/admin/numbers/volume?{query}", "number-sheet", status=422).text
    refused = admin_api.get(f"/api/v1/reports/volume?{query}", status=422)
    assert refused.content_type == "application/problem+json"
    assert admin.get(f"/admin/numbers/volume.csv?{query}", status=303).location.startswith(
        "http://localhost/admin/numbers/volume?"
    )


def test_what_is_no_filter_of_a_page_is_left_alone(admin, two):
    admin.get("/admin/numbers/volume?utm_source=x&days=", status=200)


def test_fragment_is_the_sheet_alone(admin, two):
    answer = admin.fragment("/admin/numbers/volume?by=project", "number-sheet")
    assert answer.text.lstrip().startswith('<div class="stack" id="number-sheet"')
    assert "<html" not in answer.text


def test_csv_has_all_rows_and_no_formula(admin, two):
    answer = admin.get("/admin/numbers/bounces.csv?days=7&by=project")
    lines = answer.body.decode("utf-8-sig").splitlines()
    assert lines[0] == "project,sent,hardbounced,hard_rate,softbounced,blocked,blocked_rate,bounce_rate,deferred"
    assert lines[1] == "'=Farm,900,60,0.06,20,20,0.02,0.1,7"
    assert len(lines) == 3
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="bounces-')


def test_movers_by_volume_and_by_rate(admin, build, dbsession, two, today):
    _bakery, farm = two
    for ago in range(8, 15):
        day(dbsession, farm, today - timedelta(days=ago), sent=100)
    rows = table(admin.get("/admin/numbers/movers"))
    assert rows[0] == ["=Farm farm.test", "700", "900", "200", "128.6%", "700", "900"]
    assert rows[1][:4] == ["Corner Bakery bakery.test", "700", "700", "0"]
    rows = table(admin.get("/admin/numbers/movers?metric=bounces"))
    assert rows[0][:4] == ["=Farm farm.test", "0.0%", "10.0%", "+10.00%"]


def test_movers_of_few_letters_say_nothing_about_rates(admin, build, dbsession, today):
    day(dbsession, build.project(), today - timedelta(days=1), sent=50, complained=50)
    assert "There is nothing in this period" in admin.get("/admin/numbers/movers?metric=complaints").text


def test_json_has_results_and_count(admin_api, two, today):
    document = admin_api.get("/api/v1/reports/bounces?days=7&by=project,provider").json
    assert document["count"] == 2
    assert document["results"][0] == {
        "day": None, "project": "=Farm", "provider": "mailru", "sent": 900, "hardbounced": 60, "hard_rate": 0.06,
        "softbounced": 20, "blocked": 20, "blocked_rate": 0.02, "bounce_rate": 0.1, "deferred": 7,
    }  # fmt: skip
    assert document["total"]["sent"] == 1500
    assert document["since"] == str(today - timedelta(days=6))
    assert len(admin_api.get("/api/v1/reports/volume?days=7").json["results"]) == 7
    assert admin_api.get("/api/v1/reports/complaints?limit=2").json["count"] == 30
    assert len(admin_api.get("/api/v1/reports/complaints?limit=2").json["results"]) == 2
    moved = admin_api.get("/api/v1/reports/movers").json
    assert [one["change"] for one in moved["results"]] == [900, 0]
    assert {one["project"] for one in moved["results"]} == {one.slug for one in two}


def test_pages_need_few_queries(admin, two, queries):
    """A page of a rollup: who is there, the names for the filter, the clock, the rows, the days, the names."""
    with queries() as seen:
        admin.get("/admin/numbers/volume?by=project")
    assert len([one for one in seen if "project_day" in one]) == 2
    assert len(seen) <= 12, "\n".join(seen)


def test_raw_rows_are_read_on_request_only(admin, two, queries, build):
    with queries() as seen:
        page = admin.get("/admin/numbers/events")
    assert not [one for one in seen if "message_event" in one]
    assert "Make it a job" in page.text
    with queries() as seen:
        admin.get("/admin/numbers/events?run=1&days=2")
    assert len([one for one in seen if "message_event" in one]) == 1


def test_raw_reports_show_their_rows(admin, build):
    events_of(build)
    rows = table(admin.get("/admin/numbers/events?run=1&since=2026-11-02&until=2026-11-05"))
    assert ["3 Nov 2026", "near", "Hard bounce", "other.test", "2", "1"] in rows
    rows = table(admin.get("/admin/numbers/reasons?run=1&since=2026-11-02&until=2026-11-05"))
    assert rows == [
        ["3 Nov 2026", "near", "Hard bounce", "550", "5.1.1", "5.1.1 &lt;address&gt;: no such user #", "2", "1"]
    ]
    rows = table(admin.get("/admin/numbers/recipients?run=1&since=2026-11-02&until=2026-11-05&project=near"))
    assert [row[2] for row in rows] == ["anna@mail.test", "gone@other.test"]
    csv = admin.get("/admin/numbers/recipients.csv?since=2026-11-02&until=2026-11-05&project=near").text
    assert "gone@other.test" in csv


def test_recipients_of_everybody_are_nobodys_business(admin, two):
    assert "Name a project." in admin.get("/admin/numbers/recipients?run=1", status=422).text
    admin.get("/admin/numbers/recipients.csv", status=303)


def test_an_unknown_report_is_not_found(admin):
    admin.get("/admin/numbers/nothing", status=404)
    admin.get("/admin/numbers/nothing.csv", status=404)
