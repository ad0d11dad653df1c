"""The overview's and the comparison's statements against rows counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from mailhub.models import Campaign, CampaignCount, CampaignHour, CampaignStats, Project, ProjectProviderDay
from mailhub.reporting import overview
from mailhub.reporting.queries import Counts
from tests.build import Builder

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def project(build: Builder) -> Project:
    return build.project()


@pytest.fixture
def campaign(build: Builder, project: Project) -> Campaign:
    found = build.campaign(project, name="First", state="sent", started_at=NOON, archived_at=NOON)
    own = {"project_id": project.id, "campaign_id": found.id}
    build._add(CampaignCount(**own, audience=12, sent=10))
    build._add(
        CampaignStats(
            **own, sent=10, opened=9, redirected=4, machine_opened=3, machine_redirected=1, unique_opened=6,
            unique_redirected=3, unique_machine_opened=2, unique_machine_redirected=1, hardbounced=2, unsubscribed=1,
            complained=1,
        )
    )  # fmt: skip
    build._add(CampaignHour(**own, hour=0, opened=5, machine_opened=2, redirected=1))
    build._add(CampaignHour(**own, hour=71, opened=1, sent=3))
    return found


def test_providers(dbsession: Session, project: Project) -> None:
    for day, provider, sent in ((1, "gmail", 5), (2, "gmail", 7), (2, "yahoo", 20), (3, "yahoo", 9)):
        dbsession.add(
            ProjectProviderDay(project_id=project.id, day=date(2026, 11, day), provider=provider, sent=sent,
                               hardbounced=1, opened=2, machine_opened=1)
        )  # fmt: skip
    dbsession.commit()
    found = overview.providers(dbsession, project.id, date(2026, 11, 1), date(2026, 11, 3))
    assert found == [
        overview.Provider("yahoo", Counts(sent=20, opened=2, hardbounced=1, machine_opened=1)),
        overview.Provider("gmail", Counts(sent=12, opened=4, hardbounced=2, machine_opened=2)),
    ]
    assert found[1].bounce_rate == 2 / 14
    assert overview.providers(dbsession, project.id + 1, date(2026, 11, 1), date(2026, 11, 3)) == []


def test_campaigns_of_a_range(dbsession: Session, build: Builder, project: Project, campaign: Campaign) -> None:
    build.campaign(project, name="Draft")
    later = build.campaign(project, name="Later", state="sending", started_at=NOON + timedelta(hours=1))
    found = overview.campaigns(dbsession, project.id, NOON, NOON + timedelta(hours=2), most=9)
    assert [one.name for one in found] == ["Later", "First"]
    assert overview.campaigns(dbsession, project.id, NOON, later.started_at, most=9) == found[1:]
    assert overview.campaigns(dbsession, project.id, NOON, NOON + timedelta(hours=2), most=1) == found[:1]
    empty, first = found
    assert (empty.open_rate, empty.click_rate, empty.bounce_rate, empty.complaint_rate) == (None,) * 4
    assert (first.audience, first.human_opened, first.human_redirected, first.is_archived) == (12, 4, 2, True)
    assert (first.open_rate, first.all_open_rate) == (0.4, 0.6)
    assert (first.click_rate, first.all_click_rate) == (0.2, 0.3)
    assert (first.unsubscribe_rate, first.complaint_rate, first.bounce_rate) == (0.1, 0.1, 2 / 12)


def test_only_started_campaigns_of_the_project_are_compared(
    dbsession: Session, build: Builder, project: Project, campaign: Campaign
) -> None:
    draft = build.campaign(project)
    foreign = build.campaign(build.project(), state="sent", started_at=NOON)
    found = overview.compared(dbsession, project.id, [campaign.id, draft.id, foreign.id])
    assert list(found) == [campaign.id]
    assert found[campaign.id] == overview.campaigns(dbsession, project.id, NOON, NOON + timedelta(1), most=1)[0]
    assert [one.campaign_id for one in overview.started_campaigns(dbsession, project.id, most=9)] == [campaign.id]


def test_hours_are_peoples(dbsession: Session, project: Project, campaign: Campaign) -> None:
    found = overview.hours(dbsession, project.id, [campaign.id, 77])
    assert (found[campaign.id].opened[0], found[campaign.id].opened[71], sum(found[campaign.id].opened)) == (3, 1, 4)
    assert sum(found[campaign.id].redirected) == 1
    assert found[77] == overview.Hours()
