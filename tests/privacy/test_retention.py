"""A project that keeps less: its old letters and events go, its numbers stay, and a recount finds nothing wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from mailhub.delivery.ids import new_message_id
from mailhub.events.service import Event, append_in
from mailhub.models import (
    CampaignStats,
    Message,
    MessageContent,
    MessageEvent,
    Project,
    ProjectDay,
    Subscriber,
    Subscription,
    Suppression,
)
from mailhub.privacy.tasks import keep_less
from mailhub.reporting import erasure, partitions
from mailhub.reporting.verify import verify
from mailhub.tasks import run


class Keeper:
    """Two projects with letters and events of forty days, of a campaign and single ones; only one keeps less."""

    def __init__(self, live) -> None:
        self.live, self.session = live, live.session
        build, now = live.build, datetime.now(UTC)
        partitions.ensure(live.engine, now=now, since=now - timedelta(days=49))
        self.projects = [build.project(build.user(), time_zone=zone) for zone in ("Asia/Vladivostok", "UTC")]
        for project in self.projects:
            person = build.subscriber(project, f"reader{project.id}@mail.test")
            for age in range(0, 40, 3):
                self.letter(project, person, now - timedelta(days=age, hours=1))
        self.session.commit()
        self.session.execute(text("UPDATE project SET retention_days = 10 WHERE id = :id"), {"id": self.projects[0].id})
        self.session.commit()

    def letter(self, project, person, at) -> None:
        campaign = self.live.build.started_campaign(project, created_at=at, started_at=at)
        for kind in ("campaign", "transactional"):
            letter = Message(
                project_id=project.id, id=new_message_id(at), created_at=at, kind=kind, queue="bulk", state="sent",
                email=person.email, email_domain="mail.test", subscriber_id=person.id,
                campaign_id=campaign.id if kind == "campaign" else None,
            )  # fmt: skip
            self.session.add(letter)
            self.session.flush()
            self.session.add(MessageContent(project_id=project.id, created_at=at, message_id=letter.id,
                                            from_email="a@p.test", subject="x"))  # fmt: skip
            facts = {"message_id": letter.id, "subscriber_id": person.id, "email": person.email,
                     "email_domain": "mail.test", "campaign_id": letter.campaign_id}  # fmt: skip
            append_in(self.session, [Event(one, project.id, kind, at=at, **facts) for one in ("SENT", "OPENED")])

    def count(self, table, project) -> int:
        return self.session.scalar(select(func.count()).select_from(table).where(table.project_id == project.id))

    def run(self) -> None:
        run(self.live.registry, keep_less.spec, ())
        self.session.rollback()
        self.session.expire_all()


@pytest.fixture
def keeper(live) -> Keeper:
    return Keeper(live)


def test_old_letters_and_events_go_and_every_number_stays(keeper, monkeypatch):
    monkeypatch.setattr(erasure, "SLICE", 3)
    less, other = keeper.projects
    waiting = keeper.session.scalars(
        select(Message).where(Message.project_id == less.id).order_by(Message.created_at).limit(1)
    ).one()
    waiting.state = "deferred"
    keeper.session.commit()
    assert verify(keeper.live.engine) == []
    before = {
        table: keeper.session.execute(select(table.__table__).order_by(*table.__table__.primary_key)).all()
        for table in (CampaignStats, ProjectDay)
    }
    keeper.run()
    # Four of fourteen dates are younger than ten days; what still waits to be sent stays.
    assert [keeper.count(table, less) for table in (Message, MessageContent, MessageEvent)] == [9, 9, 16]
    assert [keeper.count(table, other) for table in (Message, MessageContent, MessageEvent)] == [28, 28, 56]
    assert before == {
        table: keeper.session.execute(select(table.__table__).order_by(*table.__table__.primary_key)).all()
        for table in before
    }
    assert verify(keeper.live.engine) == []
    keeper.run()
    assert keeper.count(MessageEvent, less) == 16


def test_a_recount_still_sees_what_is_wrong_within_what_is_kept(keeper):
    less, other = keeper.projects
    keeper.run()
    for project in keeper.projects:
        keeper.session.execute(
            text("UPDATE project_day SET sent = sent + 1 WHERE project_id = :id AND day > now() - interval '5 days'"),
            {"id": project.id},
        )
    keeper.session.execute(
        text(
            "UPDATE project_day SET opened = opened + 1"
            " WHERE day BETWEEN now() - interval '35 days' AND now() - interval '30 days'"
        )
    )
    keeper.session.commit()
    found = verify(keeper.live.engine)
    assert {one.project_id for one in found if one.column == "sent"} == {less.id, other.id}
    assert {one.project_id for one in found if one.column == "opened"} == {other.id}, (
        "of the first nothing is left there"
    )
    assert verify(keeper.live.engine, repair=True)
    left = verify(keeper.live.engine)
    assert left == []


def test_who_keeps_more_again_is_recounted_from_what_there_is(keeper):
    less = keeper.projects[0]
    keeper.run()
    keeper.session.get(Project, less.id).retention_days = None
    keeper.session.commit()
    keeper.run()
    assert keeper.session.get(Project, less.id).raw_since is not None
    assert verify(keeper.live.engine) == []


def test_who_never_confirmed_is_forgotten_and_may_come_again(live):
    build, session = live.build, live.session
    project = build.project(build.user(), unconfirmed_days=7)
    one, two = build.list(project), build.list(project)
    old = datetime.now(UTC) - timedelta(days=8)

    def person(email, status="unconfirmed", at=old, source="form", lists=(one,)):
        made = build.subscriber(project, email, lists=lists, status=status, source=source, created_at=at)
        session.execute(
            text("UPDATE subscription SET created_at = :at WHERE subscriber_id = :id"), {"at": at, "id": made.id}
        )
        session.commit()
        return made

    forgotten = person("never@mail.test")
    letter = Message(project_id=project.id, kind="service", queue="transactional", state="sent",
                     email="never@mail.test", email_domain="mail.test", subscriber_id=forgotten.id)  # fmt: skip
    session.add_all([letter, Suppression(project_id=project.id, email_key="never@mail.test", reason="complaint")])
    stays = [
        person("young@mail.test", at=datetime.now(UTC)).id,
        person("confirmed@mail.test", status="subscribed").id,
        person("customer@mail.test", source="api").id,
    ]
    both = person("both@mail.test", status="subscribed", lists=(one,))
    session.add(Subscription(project_id=project.id, list_id=two.id, subscriber_id=both.id, status="unconfirmed",
                             created_at=old))  # fmt: skip
    session.commit()
    both_id = both.id
    run(live.registry, keep_less.spec, ())
    session.rollback()
    session.expire_all()
    assert list(session.scalars(select(Subscriber.id).order_by(Subscriber.id))) == [*stays, both_id]
    assert list(session.scalars(select(Subscription.list_id).where(Subscription.subscriber_id == both_id))) == [one.id]
    assert session.scalars(select(Message.email)).one() == ""
    # Nothing is put on the stop list; whoever has complained stays on it.
    assert list(session.scalars(select(Suppression.email_key))) == ["never@mail.test"]


def test_the_settings_page_says_how_long_and_refuses_more_than_the_operator_keeps(cast, page, settings, dbsession):
    url = f"{cast.base}/settings"
    form = {"name": "P", "domain": "p.test", "time_zone": "UTC", "language": "en"}
    answer = page.post_form(url, form | {"retention_days": "91", "unconfirmed_days": ""}, status=422)
    assert "This must be at most 90." in answer.text
    assert page.post_form(url, form | {"retention_days": "5"}, status=422)
    assert page.post_form(url, form | {"retention_days": "30", "unconfirmed_days": "14"}).status_int == 303
    dbsession.expire_all()
    assert (cast.project.retention_days, cast.project.unconfirmed_days) == (30, 14)
    assert page.post_form(url, form | {"retention_days": ""}).status_int == 303
    dbsession.expire_all()
    assert cast.project.retention_days is None
