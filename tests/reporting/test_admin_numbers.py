"""The admins' numbers on hand-counted rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from mailhub.delivery.ids import new_message_id
from mailhub.models import CampaignDay, Message, ProjectDay, ProjectProviderDay
from mailhub.reporting import admin_numbers, raw_reports
from mailhub.reporting.named import SQL

D = date(2026, 11, 10)


def at(day: int) -> date:
    return D + timedelta(days=day)


@pytest.fixture
def two(build, dbsession):
    first, second = build.project(slug="first", name="First"), build.project(slug="second", name="Second")
    rows = (
        (first, 0, "gmail", {"sent": 10, "hardbounced": 1}),
        (first, 0, "yahoo", {"sent": 5, "softbounced": 2, "blocked": 3}),
        (first, 2, "gmail", {"sent": 7, "complained": 1, "unsubscribed": 2}),
        (second, 0, "gmail", {"sent": 100, "deferred": 4}),
        (second, -7, "gmail", {"sent": 40, "complained": 2}),
        (second, 9, "gmail", {"sent": 999}),
    )
    for project, day, provider, counts in rows:
        dbsession.add(ProjectProviderDay(project_id=project.id, day=at(day), provider=provider, **counts))
    dbsession.add(ProjectDay(project_id=first.id, day=at(0), sent=15, hardbounced=1, softbounced=2, blocked=3))
    dbsession.add(ProjectDay(project_id=first.id, day=at(2), sent=7, complained=1, unsubscribed=2))
    dbsession.add(ProjectDay(project_id=second.id, day=at(0), sent=100, deferred=4))
    dbsession.add(ProjectDay(project_id=second.id, day=at(-7), sent=40, complained=2))
    dbsession.add(ProjectDay(project_id=second.id, day=at(9), sent=999))
    dbsession.commit()
    return first, second


def sent(found):
    return sorted((row.day, row.project_id, row.provider, row.counts.sent) for row in found)


def test_numbers_by_day_project_and_provider(dbsession, two):
    first, second = two
    of = {"since": at(0), "until": at(3)}
    assert sent(admin_numbers.numbers(dbsession, **of)) == [(at(0), None, None, 115), (at(2), None, None, 7)]
    by_project = admin_numbers.numbers(dbsession, **of, by=("project",))
    assert sent(by_project) == [(None, first.id, None, 22), (None, second.id, None, 100)]
    by_provider = {row.provider: row.counts for row in admin_numbers.numbers(dbsession, **of, by=("provider",))}
    assert by_provider.keys() == {"gmail", "yahoo"}
    assert (by_provider["yahoo"].sent, by_provider["yahoo"].bounced, by_provider["yahoo"].blocked) == (5, 2, 3)
    all_three = admin_numbers.numbers(dbsession, **of, by=("day", "project", "provider"), project_id=first.id)
    assert sent(all_three) == [
        (at(0), first.id, "gmail", 10), (at(0), first.id, "yahoo", 5), (at(2), first.id, "gmail", 7)
    ]  # fmt: skip
    assert sent(admin_numbers.numbers(dbsession, **of, provider="yahoo")) == [(at(0), None, None, 5)]
    assert admin_numbers.numbers(dbsession, **of, project_id=2**40) == []


def test_names_and_ids(dbsession, two):
    first, second = two
    assert admin_numbers.project_id_of(dbsession, "second") == second.id
    assert admin_numbers.project_id_of(dbsession, "nobody") is None
    assert admin_numbers.project_names(dbsession, [first.id])[first.id].name == "First"
    assert [one.slug for one in admin_numbers.project_list(dbsession)] == ["first", "second"]


def test_movers_have_both_periods(dbsession, two):
    first, second = two
    found = {one.project_id: one for one in admin_numbers.movers(dbsession, since=at(0), until=at(7))}
    assert (found[first.id].sent, found[first.id].bounced, found[first.id].sent_before) == (22, 6, 0)
    assert (found[second.id].sent, found[second.id].sent_before, found[second.id].complained_before) == (100, 40, 2)


def test_rates_with_the_best_day_and_the_past(dbsession, two):
    first, second = two
    found = {one.id: one for one in admin_numbers.rates(dbsession, since=at(0), until=at(3), past=28)}
    assert (found[first.id].tried, found[first.id].peak, found[first.id].peak_day) == (28, 15, at(0))
    assert found[first.id].usual is None
    assert (found[second.id].past_days, found[second.id].usual) == (1, 40.0)
    assert second.id not in {one.id for one in admin_numbers.rates(dbsession, since=at(1), until=at(3), past=28)}


def test_blocked_by_a_provider(dbsession, two):
    first, _second = two
    found = admin_numbers.blocked(dbsession, since=at(0), until=at(3), least=10)
    assert [(one.project_id, one.provider, one.blocked, one.tried) for one in found] == [(first.id, "yahoo", 3, 10)]
    assert admin_numbers.blocked(dbsession, since=at(0), until=at(3), least=11) == []


def test_the_worst_campaign_and_its_unknown_users(dbsession, build, two):
    first, second = two
    good, bad = build.campaign(first, name="Good"), build.campaign(first, name="Bad")
    dbsession.add(CampaignDay(project_id=first.id, campaign_id=good.id, day=at(0), sent=10, unsubscribed=1))
    dbsession.add(CampaignDay(project_id=first.id, campaign_id=bad.id, day=at(0), sent=5, hardbounced=3, complained=1))
    now = datetime(2026, 11, 10, 12, tzinfo=UTC)
    letters = (
        ("failed", "userunknown", 0), ("failed", "userunknown", 0), ("failed", "mailboxfull", 0), ("sent", "", 0),
        ("failed", "userunknown", 30),
    )  # fmt: skip
    for state, reason, ago in letters:
        when = now - timedelta(days=ago)
        dbsession.add(
            Message(
                project_id=first.id, id=new_message_id(when), created_at=when, kind="campaign", queue="bulk",
                state=state, reason=reason, campaign_id=bad.id, email="x@y.test", email_domain="y.test",
            )
        )  # fmt: skip
    dbsession.commit()
    of = {"since": at(0), "until": at(3)}
    worst = admin_numbers.worst_campaigns(dbsession, [first.id, second.id], **of)
    assert (worst.keys(), worst[first.id].name, worst[first.id].bounced) == ({first.id}, "Bad", 3)
    since_at = now - timedelta(days=1)
    assert admin_numbers.unknown_users(dbsession, [first.id], **of, since_at=since_at) == {first.id: 2}
    assert admin_numbers.unknown_users(dbsession, [], **of, since_at=since_at) == {}


def test_twins_are_young_and_their_letters_differ_by_the_domain_only(dbsession, build):
    now = datetime.now(UTC)
    html = "<p>You  have won a million, {name}, click at https://{domain}/now</p>"
    names = ("One", "Two", "Old", "Other")
    projects = {name: build.project(name=f"Prize {name}", domain=f"{name.lower()}.test") for name in names}
    for name, project in projects.items():
        text_of = html.format(name=project.name.upper(), domain=project.domain).replace("  ", " " * len(name))
        letter = (
            text_of if name != "Other" else "<p>Dear reader, the garden is open again from the first of May on.</p>"
        )
        build.started_campaign(project, html=letter, name=f"To {name}", started_at=now - timedelta(days=1))
    projects["Old"].created_at = now - timedelta(days=400)
    dbsession.commit()
    found = admin_numbers.twins(dbsession, young_at=now - timedelta(days=30), since_at=now - timedelta(days=7))
    one, two = projects["One"].id, projects["Two"].id
    assert [(twin.project_id, twin.others, twin.name) for twin in found] == [
        (one, (two,), "To One"),
        (two, (one,), "To Two"),
    ]
    assert admin_numbers.twins(dbsession, young_at=now - timedelta(days=30), since_at=now) == []


def explained(dbsession, name, **binds):
    return "\n".join(row[0] for row in dbsession.execute(text(f"EXPLAIN {SQL[name].sql}"), binds))


@pytest.mark.parametrize("name", ["raw_events", "raw_reasons", "raw_recipients"])
def test_raw_reports_read_the_weeks_of_their_days_only(dbsession, build, name):
    build.project()
    today = datetime.now(UTC).date()
    window = raw_reports.window(dbsession, today, today + timedelta(days=1))
    plan = explained(
        dbsession, name, since=window.since, until=window.until, since_at=window.since_at, until_at=window.until_at,
        project_ids=[1], most=10,
    )  # fmt: skip
    weeks = {word for word in plan.replace("(", " ").split() if word.startswith("message_event_2")}
    assert 1 <= len({week.split("_at_idx")[0][:22] for week in weeks}) <= 2, plan


def test_a_single_rollup_answers_without_its_sister(dbsession, two):
    binds = {
        "since": D, "until": at(3), "project_id": 0, "provider": "", "by_day": True, "by_project": False,
        "by_provider": False,
    }  # fmt: skip
    plan = explained(dbsession, "numbers", **binds)
    assert "project_day" in plan
    assert "project_provider_day" not in plan
