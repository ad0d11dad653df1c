"""The report's own queries on rows counted by hand, and what the planner makes of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.delivery.ids import new_message_id
from mailhub.models import Campaign, CampaignDevice, CampaignHour, CampaignStats, Message, Project
from mailhub.reporting import campaign_pages, queries
from mailhub.reporting.campaign_pages import DeviceHits, Rate, Refusal
from mailhub.reporting.named import SQL

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def project(build: Any) -> Project:
    return build.project()


@pytest.fixture
def campaign(build: Any, project: Project) -> Campaign:
    return build.campaign(project, state="sent", started_at=NOON)


def finished(build: Any, project: Project, days_ago: int, sent: int = 100, **stats: int) -> None:
    at = NOON - timedelta(days=days_ago)
    one = build.campaign(project, state="sent", started_at=at, finished_at=at)
    build._add(CampaignStats(project_id=project.id, campaign_id=one.id, sent=sent, **stats))


def test_usual_is_the_median_of_the_last_finished_ones(
    build: Any, dbsession: Session, project: Project, campaign: Campaign
) -> None:
    for days, opened in ((1, 10), (2, 20)):
        finished(build, project, days, unique_opened=opened + 4, unique_machine_opened=4, unsubscribed=1)
    assert campaign_pages.campaign_usual(dbsession, project.id, campaign.id, NOON) is None, "two are too few"
    finished(build, project, 3, unique_opened=40, unique_redirected=6, unique_machine_redirected=2, complained=2)
    finished(build, project, 4, unique_opened=50, hardbounced=60, softbounced=40)
    finished(build, project, 5, sent=0)
    finished(build, build.project(), 1, unique_opened=100)
    usual = campaign_pages.campaign_usual(dbsession, project.id, campaign.id, NOON)
    assert usual is not None
    assert (usual.n, usual.opened, usual.clicked, usual.bounced, usual.unsubscribed, usual.complained) == (
        4, pytest.approx(0.3), 0.0, 0.0, pytest.approx(0.005), 0.0
    )  # fmt: skip
    for days in range(6, 20):
        finished(build, project, days, unique_opened=90)
    usual = campaign_pages.campaign_usual(dbsession, project.id, campaign.id, NOON)
    assert usual is not None
    assert (usual.n, usual.opened) == (10, pytest.approx(0.9))


def test_rates_are_peoples_and_know_their_difference() -> None:
    counts = queries.Counts(sent=200, unsubscribed=1, hardbounced=50)
    totals = queries.CampaignTotals(counts, 250, 80, 30, 20, 10, None, NOON)
    usual = campaign_pages.Usual(5, 0.25, 0.1, 0.1, 0.0045, 0.0)
    rates = campaign_pages.rates_of(totals, usual)
    assert {name: (rate.now, rate.points, rate.good) for name, rate in rates.items()} == {
        "opened": (0.3, 5.0, True),
        "clicked": (0.1, 0.0, None),
        "bounced": (0.2, 10.0, False),
        "unsubscribed": (0.005, 0.05, False),
        "complained": (0.0, 0.0, None),
    }
    assert Rate("opened", None, 0.2).points is None
    assert Rate("opened", 0.2, None).good is None
    assert Rate("unsubscribed", 0.0, 0.001).good is True


def test_hours_are_filled_up(dbsession: Session, project: Project, campaign: Campaign) -> None:
    assert campaign_pages.campaign_hours(dbsession, project.id, campaign.id) == []
    for hour, opened in ((1, 7), (47, 2), (48, 9)):
        dbsession.add(CampaignHour(project_id=project.id, campaign_id=campaign.id, hour=hour, opened=opened))
    dbsession.flush()
    hours = campaign_pages.campaign_hours(dbsession, project.id, campaign.id)
    assert [one.hour for one in hours] == list(range(48))
    assert [one.counts.opened for one in hours if one.counts.opened] == [7, 2]


def test_devices_begin_with_the_most_used(dbsession: Session, project: Project, campaign: Campaign) -> None:
    own = {"project_id": project.id, "campaign_id": campaign.id}
    dbsession.add(CampaignDevice(**own, device="mobile", client="Gmail", opened=3, redirected=1))
    dbsession.add(CampaignDevice(**own, device="", client="", opened=9, machine_opened=9))
    dbsession.flush()
    found = campaign_pages.campaign_devices(dbsession, project.id, campaign.id)
    assert found == [DeviceHits("", "", 9, 0, 9, 0), DeviceHits("mobile", "Gmail", 3, 1, 0, 0)]
    assert (found[0].human_opened, found[1].human_redirected) == (0, 1)
    assert campaign_pages.campaign_devices(dbsession, project.id + 1, campaign.id) == []


def letters(dbsession: Session, campaign: Campaign, *ends: tuple[str, int | None, str], started: datetime) -> None:
    for n, (state, code, reason) in enumerate(ends):
        at = started + timedelta(seconds=n)
        dbsession.add(
            Message(
                project_id=campaign.project_id, created_at=at, id=new_message_id(at), kind="campaign", queue="bulk",
                state=state, reason=reason, smtp_code=code, smtp_reply=f"reply {n}", campaign_id=campaign.id,
                email="a@b.test", email_domain="b.test",
            )
        )  # fmt: skip
    dbsession.flush()


def test_refusals_are_grouped_with_the_latest_words(
    dbsession: Session, project: Project, campaign: Campaign
) -> None:
    started = datetime.now(UTC)
    letters(
        dbsession, campaign, ("failed", 550, "userunknown"), ("failed", 550, "userunknown"),
        ("failed", None, "expired"), ("deferred", 451, "greylist"), ("sent", 250, ""),
        ("failed", 550, "spamdetected"), started=started,
    )  # fmt: skip
    found = campaign_pages.campaign_refusals(dbsession, project.id, campaign.id, started)
    assert found == [
        Refusal("failed", 550, "userunknown", 2, "reply 1"), Refusal("deferred", 451, "greylist", 1, "reply 3"),
        Refusal("failed", 550, "spamdetected", 1, "reply 5"), Refusal("failed", None, "expired", 1, "reply 2"),
    ]  # fmt: skip
    assert sum(one.n for one in campaign_pages.campaign_refusals(
        dbsession, project.id, campaign.id, started, most=2
    ) if one.state == "failed") == 2  # fmt: skip
    assert len(campaign_pages.campaign_refusals(dbsession, project.id, campaign.id, started, kinds=1)) == 1
    assert campaign_pages.campaign_refusals(dbsession, project.id + 1, campaign.id, started) == []


def test_refusals_walk_the_index_of_states_and_prune(dbsession: Session, project: Project, campaign: Campaign) -> None:
    since = datetime.now(UTC) + timedelta(days=30)
    binds = {"project_id": project.id, "campaign_id": campaign.id, "since": since, "most": 2000, "kinds": 40}
    dbsession.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(dbsession.execute(text("EXPLAIN " + SQL["campaign_refusals"].sql), binds).scalars())
    used = re.findall(r"using (\w+)_\w*?project_id_(\w+)_idx", plan)
    assert {columns for _table, columns in used} == {"campaign_id_state_id"}, plan
    assert "Filter: (state" not in plan
    partitions = dbsession.execute(text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'message'::regclass"))
    assert 0 < len(used) < partitions.scalar_one(), plan
