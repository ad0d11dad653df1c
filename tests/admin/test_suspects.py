"""Suspects: each signal at its thresholds, the evidence on the page, what operators decide."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.admin import signals
from mailhub.admin.signals import Signal
from mailhub.delivery.ids import new_message_id
from mailhub.models import AuditEntry, CampaignDay, Message, ProjectDay, ProjectProviderDay, SuspectDecision
from mailhub.reporting.admin_numbers import Blocked, Rates, Twin

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def rates(**columns) -> Rates:
    values = {
        "id": 1, "slug": "a", "name": "A", "domain": "a.test", "created_at": NOW - timedelta(days=400),
        "archived_at": None, "sent": 1000, "hardbounced": 0, "softbounced": 0, "blocked": 0, "complained": 0,
        "unsubscribed": 0, "peak": 500, "peak_day": date(2026, 11, 19), "past_days": 20, "past_sent": 10_000,
    }  # fmt: skip
    return Rates(**(values | columns))


def levels(found):
    return {one.signal: one.level for one in found}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, {}),
        ({"sent": 981, "hardbounced": 19}, {}),
        ({"sent": 980, "hardbounced": 20}, {Signal.HARD: "warn"}),
        ({"sent": 950, "hardbounced": 50}, {Signal.HARD: "serious"}),
        ({"sent": 920, "hardbounced": 80}, {Signal.HARD: "critical"}),
        ({"sent": 1, "hardbounced": 198}, {}),
        ({"sent": 10_000, "complained": 7}, {}),
        ({"sent": 10_000, "complained": 8}, {Signal.COMPLAINT: "warn"}),
        ({"sent": 10_000, "complained": 10}, {Signal.COMPLAINT: "serious"}),
        ({"sent": 10_000, "complained": 30}, {Signal.COMPLAINT: "critical"}),
        ({"unsubscribed": 9}, {}),
        ({"unsubscribed": 10}, {Signal.UNSUBSCRIBE: "warn"}),
        ({"unsubscribed": 20}, {Signal.UNSUBSCRIBE: "serious"}),
        ({"unsubscribed": 50}, {Signal.UNSUBSCRIBE: "critical"}),
    ],
)
def test_rates_at_their_thresholds(columns, expected):
    assert levels(signals.of_rates(rates(**columns), unknown_users=0)) == expected


@pytest.mark.parametrize(
    ("unknown", "level"), [(9, None), (10, "warn"), (30, "serious"), (60, "critical"), (None, None)]
)
def test_unknown_addresses(unknown, level):
    assert levels(signals.of_rates(rates(), unknown_users=unknown)).get(Signal.UNKNOWN_USER) == level


def test_the_worst_provider_counts():
    found = signals.of_providers(
        [Blocked(1, "gmail", 970, 30, 0), Blocked(1, "yahoo", 900, 100, 0), Blocked(1, "other", 1, 90, 0)]
    )
    assert [(one.detail, one.level, one.points) for one in found] == [("yahoo", "critical", 10)]


@pytest.mark.parametrize(
    ("columns", "level"),
    [
        ({"peak": 999, "past_sent": 20}, None),
        ({"peak": 1499}, None),
        ({"peak": 1500}, "warn"),
        ({"peak": 5000}, "serious"),
        ({"peak": 15_000}, "critical"),
        # Without a past of its own only a young project is measured, by what its age allows: 400 on its second day.
        ({"peak": 15_000, "past_days": 4}, None),
        ({"peak": 1199, "past_days": 0, "created_at": NOW - timedelta(days=2)}, None),
        ({"peak": 1200, "past_days": 0, "created_at": NOW - timedelta(days=2)}, "warn"),
        ({"peak": 4000, "past_days": 0, "created_at": NOW - timedelta(days=2)}, "serious"),
    ],
)
def test_sudden_volume(columns, level):
    assert levels(signals.of_volume(rates(**columns), now=NOW)).get(Signal.SUDDEN) == level


def test_what_a_new_project_may_send():
    assert [signals.allowed(days) for days in (-1, 0, 1, 7, 8, 400)] == [200, 200, 400, 25_600, 50_000, 50_000]


@pytest.mark.parametrize(("others", "level"), [(1, "warn"), (2, "serious"), (4, "critical")])
def test_the_same_letter(others, level):
    assert levels(signals.of_twins(Twin(1, 2, "x", "0" * 32, tuple(range(others)))))[Signal.TWIN] == level


@pytest.fixture
def casino(build, dbsession, today):
    """A young project with a bought list, one that sends the same letter, and one that behaves."""
    bad, twin, good = (
        build.project(slug=name, name=f"<b>{name}</b>", domain=f"{name}.test") for name in ("bad", "twin", "good")
    )
    good.created_at = datetime.now(UTC) - timedelta(days=100)
    yesterday = today - timedelta(days=1)
    when = datetime.now(UTC) - timedelta(days=1)
    counts = {"sent": 800, "hardbounced": 150, "blocked": 50, "complained": 4}
    dbsession.add(ProjectDay(project_id=bad.id, day=yesterday, **counts))
    dbsession.add(ProjectProviderDay(project_id=bad.id, day=yesterday, provider="gmail", **counts))
    dbsession.add(ProjectDay(project_id=good.id, day=yesterday, sent=5000, hardbounced=10))
    dbsession.add(ProjectDay(project_id=twin.id, day=yesterday, sent=10))
    html = "<p>You have won a million, click at once or lose it for ever</p>"
    campaign = build.started_campaign(bad, name="Prize", html=html, started_at=when)
    build.started_campaign(twin, name="Prize too", html=html, started_at=when)
    dbsession.add(CampaignDay(project_id=bad.id, campaign_id=campaign.id, day=yesterday, **counts))
    for _n in range(70):
        dbsession.add(
            Message(
                project_id=bad.id, id=new_message_id(when), created_at=when, kind="campaign", queue="bulk",
                state="failed", reason="userunknown", campaign_id=campaign.id, email="x@y.test", email_domain="y.test",
            )
        )  # fmt: skip
    dbsession.commit()
    return bad, twin, good


def test_the_evidence_stands_beside_the_score(admin, casino):
    bad, twin, good = casino
    page = admin.get("/admin/numbers/suspects").text
    assert "2 suspects" in page
    card = page[page.index(f'id="suspect-{bad.id}"') : page.index(f'id="suspect-{twin.id}"')]
    assert "150 of 1,000 letters: 15.00%, threshold 8.00%" in card
    assert "70 of 1,000 letters: 7.00%, threshold 6.00%" in card
    assert "4 of 800 letters: 0.50%, threshold 0.30%" in card
    assert "50 of 1,000 letters: 5.00%, threshold 5.00%" in card
    assert "Gmail" in card
    assert "Other young projects that sent it too: 1, threshold 1" in card
    assert f'/admin/projects/{twin.id}"' in card
    assert ">Prize</a>" in card
    assert "/admin/campaigns/" in card
    assert "Score 35" in card  # 3 × 10 + 4 + 1
    assert "<b>bad</b>" not in page
    assert f'id="suspect-{good.id}"' not in page


def test_json_has_the_parts_of_the_score(admin_api, casino):
    document = admin_api.get("/api/v1/reports/suspects").json
    assert document["count"] == 2
    worst = document["results"][0]
    assert (worst["project"], worst["score"], worst["campaign"]) == ("bad", 35, "Prize")
    assert sum(one["points"] for one in worst["evidence"]) == 35
    assert {one["signal"]: one["points"] for one in worst["evidence"]} == {
        "hard": 10, "complaint": 10, "unknown_user": 10, "blocked": 4, "twin": 1
    }  # fmt: skip
    assert admin_api.get("/api/v1/reports/suspects?project=good").json["results"] == []


def test_a_suspect_that_was_looked_at_is_hidden_until_then(admin, dbsession, casino, root):
    bad, _twin, _good = casino
    answer = admin.post_form(f"/admin/suspects/{bad.id}/look", {"days": "7", "note": "Wrote to <them>"}, status=303)
    assert answer.location == "http://localhost/admin/numbers/suspects"
    page = admin.get("/admin/numbers/suspects").text
    assert "1 suspect<" in page
    assert "is looked at again in 7 days." in page
    everybody = admin.get("/admin/numbers/suspects?shown=all").text
    assert "Wrote to &lt;them&gt;" in everybody
    assert "by root@people.test" in everybody
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "suspect.looked")).one()
    assert (entry.object_id, entry.user_id, entry.detail) == (
        str(bad.id),
        root.id,
        {"days": 7, "note": "Wrote to <them>"},
    )
    assert entry.project_id is None, "the project's own journal does not show it"
    decision = dbsession.scalars(select(SuspectDecision)).one()
    decision.looked_until = datetime.now(UTC) - timedelta(seconds=1)
    dbsession.commit()
    page = admin.get("/admin/numbers/suspects").text
    assert "2 suspects" in page
    assert "Was looked at" in page


def test_a_decision_can_be_taken_back(admin, casino):
    bad, _twin, _good = casino
    for days in ("30", "0"):
        admin.post_form(f"/admin/suspects/{bad.id}/look", {"days": days, "note": ""}, status=303)
    assert "2 suspects" in admin.get("/admin/numbers/suspects").text


@pytest.mark.parametrize("form", [{"days": "367"}, {"days": "-1"}, {"days": "x"}, {"days": "1", "note": "x" * 501}, {}])
def test_a_decision_that_makes_no_sense_changes_nothing(admin, dbsession, casino, form):
    admin.post_form(f"/admin/suspects/{casino[0].id}/look", form, status=303)
    assert "Choose 0 to 366 days" in admin.get("/admin/numbers/suspects").text
    assert dbsession.query(SuspectDecision).count() == 0


def test_a_decision_about_nobody_is_not_found(admin):
    admin.post_form("/admin/suspects/999999/look", {"days": "1"}, status=404)


def test_csv_tells_the_evidence(admin, casino):
    lines = admin.get("/admin/numbers/suspects.csv").body.decode("utf-8-sig").splitlines()
    assert lines[1].startswith('<b>bad</b>,35,"Complaints +10: 4 of 800')
