"""Every query against rows counted by hand, and what the planner makes of those that must prune or use an index."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append_in
from mailhub.models import Campaign, CampaignCount, Link, Project
from mailhub.reporting import overview, queries
from mailhub.reporting.named import SQL
from mailhub.reporting.queries import Counts

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def project(build: Any) -> Project:
    return build.project()


@pytest.fixture
def campaign(build: Any, project: Project) -> Campaign:
    found = build.campaign(project, state="sent", started_at=NOON, name="First")
    build._add(CampaignCount(project_id=project.id, campaign_id=found.id, audience=5, sent=3, failed=1, skipped=1))
    return found


@pytest.fixture
def links(build: Any, project: Project, campaign: Campaign) -> list[Link]:
    return [
        build._add(Link(project_id=project.id, campaign_id=campaign.id, position=n, url=f"https://x.test/{n}"))
        for n in range(2)
    ]


@pytest.fixture
def hits(dbsession: Session, project: Project, campaign: Campaign, links: list[Link]) -> None:
    def event(type_: str, person: int, day: int = 0, link: Link | None = None) -> Event:
        return Event(
            type_, project.id, "campaign", NOON + timedelta(days=day), campaign_id=campaign.id, subscriber_id=person,
            email_domain="a.test" if person == 1 else "b.test", link_id=link.id if link else None,
        )  # fmt: skip

    append_in(dbsession, [
        event("SENT", 1), event("SENT", 2), event("SENT", 3), event("SOFTBOUNCED", 4),
        event("OPENED", 1), event("OPENED", 1, 2), event("OPENED", 2, 2),
        event("REDIRECTED", 1, 2, links[1]), event("REDIRECTED", 1, 2, links[1]), event("UNSUBSCRIBED", 2, 2),
    ])  # fmt: skip
    dbsession.commit()


def test_project_days_include_the_empty_ones(dbsession: Session, project: Project, hits: None) -> None:
    days = queries.project_days(dbsession, project.id, date(2026, 11, 19), date(2026, 11, 23))
    assert [day.date.day for day in days] == [19, 20, 21, 22]
    assert [day.counts.opened for day in days] == [0, 1, 0, 2]
    assert days[1].counts == Counts(sent=3, opened=1, softbounced=1)


def test_campaign_totals(dbsession: Session, project: Project, campaign: Campaign, hits: None) -> None:
    totals = queries.campaign_totals(dbsession, project.id, campaign.id)
    assert totals.counts == Counts(sent=3, opened=3, redirected=2, softbounced=1, unsubscribed=1)
    assert (totals.audience, totals.unique_opened, totals.unique_redirected) == (5, 2, 1)
    assert totals.last_event_at == NOON + timedelta(days=2)
    assert (totals.open_rate, totals.bounce_rate) == (2 / 3, 1 / 4)


def test_a_campaign_without_events_has_zeros_and_no_rates(dbsession: Session, project: Project) -> None:
    totals = queries.campaign_totals(dbsession, project.id, 12345)
    assert totals.counts == Counts()
    assert (totals.open_rate, totals.click_rate, totals.bounce_rate, totals.unsubscribe_rate) == (None,) * 4


def test_campaign_report(
    dbsession: Session, project: Project, campaign: Campaign, links: list[Link], hits: None
) -> None:
    report = queries.campaign_report(dbsession, project.id, campaign.id)
    assert [(one.link_id, one.redirected, one.unique_redirected) for one in report.links] == [
        (links[0].id, 0, 0), (links[1].id, 2, 1)
    ]  # fmt: skip
    assert [(day.date.day, day.counts.opened) for day in report.days] == [(20, 1), (21, 0), (22, 2)]
    assert [(one.domain, one.counts.sent, one.counts.opened) for one in report.domains] == [
        ("b.test", 2, 1), ("a.test", 1, 2)
    ]  # fmt: skip
    assert (report.best_day.date.day if report.best_day else None, report.link_clicks) == (22, 2)


def test_campaign_days_are_bounded(dbsession: Session, project: Project, campaign: Campaign, hits: None) -> None:
    assert len(queries.campaign_days(dbsession, project.id, campaign.id, most=2)) == 2
    assert queries.campaign_days(dbsession, project.id, 12345) == []


def test_campaign_summaries(
    dbsession: Session, build: Any, project: Project, campaign: Campaign, hits: None
) -> None:
    draft = build.campaign(project)
    found = queries.campaign_summaries(dbsession, project.id, [campaign.id, draft.id])
    assert list(found) == [campaign.id]
    one = found[campaign.id]
    assert (one.audience, one.sent, one.unique_opened, one.bounced, one.open_rate) == (5, 3, 2, 1, 2 / 3)
    assert queries.campaign_summaries(dbsession, project.id + 1, [campaign.id]) == {}
    # Of letters that nobody counts by name, nobody can have opened one.
    dbsession.execute(text("UPDATE campaign_count SET sent_untracked = 1"))
    assert queries.campaign_summaries(dbsession, project.id, [campaign.id])[campaign.id].open_rate == 1
    assert queries.recent_campaigns(dbsession, project.id)[0].open_rate == 1
    began = campaign.started_at
    (shown,) = overview.campaigns(dbsession, project.id, began, began + timedelta(1), most=9)
    assert (shown.open_rate, shown.sent_tracked, shown.sent_by_name) == (1, 2, 2)


def test_recent_campaigns_begin_with_those_on_their_way(
    dbsession: Session, build: Any, project: Project, campaign: Campaign, hits: None
) -> None:
    build.campaign(project, name="Draft")
    build.campaign(project, name="Later", state="sent", started_at=NOON + timedelta(days=1))
    build.campaign(project, name="Old", state="sending", started_at=NOON - timedelta(days=9))
    build.campaign(project, name="Put away", state="sent", started_at=NOON, archived_at=NOON)
    found = queries.recent_campaigns(dbsession, project.id)
    assert [one.name for one in found] == ["Old", "Later", "First"]
    assert (found[2].settled, found[2].unsubscribed) == (5, 1)


def test_setup_steps(dbsession: Session, build: Any, project: Project) -> None:
    assert queries.setup_steps(dbsession, project.id) == queries.SetupSteps(False, False, False, False, False)
    mailing_list = build.list(project)
    build.subscriber(project, lists=[mailing_list])
    assert queries.setup_steps(dbsession, project.id) == queries.SetupSteps(False, True, True, False, False)


def test_a_persons_timeline_pages_backwards(dbsession: Session, project: Project, hits: None) -> None:
    first = queries.subscriber_timeline(dbsession, project.id, 1, most=3)
    assert [one.type for one in first] == ["REDIRECTED", "REDIRECTED", "OPENED"]
    rest = queries.subscriber_timeline(dbsession, project.id, 1, before=(first[-1].at, first[-1].id))
    assert {one.type for one in rest} == {"SENT", "OPENED"}
    assert queries.subscriber_timeline(dbsession, project.id, 1, since=NOON + timedelta(days=9)) == []


def test_a_letters_timeline(dbsession: Session, project: Project) -> None:
    letter = UUID(int=int(NOON.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)
    append_in(dbsession, [
        Event(type_, project.id, "transactional", NOON + timedelta(seconds=n), message_id=letter)
        for n, type_ in enumerate(("QUEUED", "SENT"))
    ])  # fmt: skip
    found = queries.message_timeline(dbsession, project.id, letter)
    assert [one.type for one in found] == ["QUEUED", "SENT"]
    assert queries.message_timeline(dbsession, project.id, UUID(int=0)) == []


def plan(session: Session, name: str, **binds: Any) -> str:
    session.execute(text("SET LOCAL enable_seqscan = off"))
    return "\n".join(session.execute(text("EXPLAIN " + SQL[name].sql), binds).scalars())


def test_a_letters_timeline_leaves_older_weeks_alone(dbsession: Session, project: Project) -> None:
    since = datetime.now(UTC) + timedelta(weeks=3)
    found = plan(dbsession, "message_timeline", project_id=project.id, message_id=UUID(int=0), since=since)
    this_week = datetime.now(UTC) - timedelta(days=datetime.now(UTC).weekday())
    assert f"message_event_{this_week:%Y%m%d}" not in found
    assert "Seq Scan" not in found


@pytest.mark.parametrize("name", ["campaign_totals", "campaign_links", "campaign_days", "campaign_domains"])
def test_a_campaigns_numbers_are_found_by_their_keys(dbsession: Session, project: Project, name: str) -> None:
    binds = {"project_id": project.id, "campaign_id": 1, "most": 50}
    found = plan(dbsession, name, **{bind: binds[bind] for bind in SQL[name].binds})
    assert "Seq Scan" not in found, found
