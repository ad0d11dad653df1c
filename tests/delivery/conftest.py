"""A post office on a database of its own, a sink for a relay, and a campaign that is ready to be fanned out."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from mailhub.delivery.dispatcher import forget_dispatcher
from mailhub.models import (
    Campaign,
    CampaignCount,
    CampaignState,
    CampaignVersion,
    Link,
    MailingList,
    Message,
    Project,
    Subscriber,
    Subscription,
)
from mailhub.setting_values import relay as parse_relay
from mailhub.tasks import TASKS, run, run_sweeps
from tests.conftest import CLONE, Live, _database, _maintain
from tests.delivery.brakes import TABLES, connect
from tests.sink import Script, Sink

HTML = '<p>Dear {{ name|default("friend") }}, <a href="https://example.com/shop">look</a>.</p>'


class Office:
    """`live` with a sink as its default relay."""

    def __init__(self, live: Any, sink: Sink) -> None:
        self.live = live
        self.sink = sink
        self.session = live.session
        self.registry = live.registry
        self.build = live.build

    def settings(self, **changes: Any) -> None:
        self.registry.mailhub = dataclasses.replace(self.registry.mailhub, **changes)

    def connections(self, n: int) -> None:
        """Let every process have so many connections to the relay."""
        relay = self.registry.mailhub.relays["default"]
        self.settings(relays={"default": dataclasses.replace(relay, max_connections=n)})

    def campaign(self, people: int, *, project: Project | None = None, **columns: Any) -> Campaign:
        """A campaign in state sending with a frozen version and a list of so many people, not fanned out yet."""
        session = self.session
        project = project or self.build.project()
        mailing_list: MailingList = self.build.list(project)
        rows = [
            Subscriber(
                project_id=project.id,
                email=f"p{n}@mail.test",
                email_key=f"p{n}@mail.test",
                email_domain="mail.test",
                name=f"Person {n}",
            )
            for n in range(people)
        ]
        session.add_all(rows)
        session.flush()
        session.add_all(
            Subscription(project_id=project.id, list_id=mailing_list.id, subscriber_id=row.id) for row in rows
        )
        campaign = self.build.campaign(
            project, lists=[mailing_list], state=CampaignState.SENDING, version=1, html=HTML, **columns
        )
        self.freeze(campaign, project, mailing_list)
        return campaign

    def freeze(self, campaign: Campaign, project: Project, mailing_list: MailingList) -> CampaignVersion:
        version = CampaignVersion(
            project_id=project.id,
            campaign_id=campaign.id,
            version=1,
            name=campaign.name,
            subject=campaign.subject,
            preheader="",
            from_email=f"news@{project.domain}",
            from_name="News",
            reply_to="",
            html=campaign.html,
            text="",
            language="en",
            project_name=project.name,
            project_domain=project.domain,
            postal_address="1 Road",
            list_id=mailing_list.id,
            list_name=mailing_list.name,
        )
        session = self.session
        session.add(version)
        session.add(Link(project_id=project.id, campaign_id=campaign.id, position=0, url="https://example.com/shop"))
        session.commit()
        return version

    def fan_out(self, campaign: Campaign, **options: Any) -> int:
        from mailhub.delivery.service import Audience, fan_out

        version = self.session.get(CampaignVersion, (campaign.project_id, campaign.id, 1))
        audience = (
            select(Subscription.subscriber_id)
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .where(Subscription.project_id == campaign.project_id)
        )
        size = fan_out(self.session, campaign, Audience(audience), version, **options)
        self.session.commit()
        return size

    def run(self, name: str, *args: Any) -> None:
        run(self.registry, TASKS[name], args)

    def pump(self) -> None:
        self.run("mailhub.delivery.pump")

    def sweep(self) -> list[str]:
        """Run the sweep; the wake-ups that it sends."""
        self.live.publisher.sent.clear()
        assert run_sweeps(self.registry)
        return self.live.publisher.names()

    def count(self, campaign: Campaign) -> CampaignCount:
        self.session.rollback()
        self.session.expire_all()
        return self.session.get(CampaignCount, (campaign.project_id, campaign.id))

    def parts(self, campaign: Campaign) -> dict[str, int]:
        return {name: n for name, n in self.count(campaign).parts().items() if n}

    def state(self, campaign: Campaign) -> str:
        self.session.rollback()
        return self.session.scalar(select(Campaign.state).where(Campaign.id == campaign.id))

    def recount(self, campaign: Campaign) -> dict[str, int]:
        """The ledger from the message rows themselves."""
        self.session.rollback()
        found: dict[str, int] = {}
        for (state,) in self.session.execute(select(Message.state).where(Message.campaign_id == campaign.id)):
            found[state] = found.get(state, 0) + 1
        return found

    def messages(self, campaign: Campaign) -> list[Message]:
        self.session.rollback()
        self.session.expire_all()
        return list(self.session.scalars(select(Message).where(Message.campaign_id == campaign.id)))


@pytest.fixture(scope="module")
def one_live(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One database and site for the tests of a module: making them costs more than emptying them."""
    name = f"mh_live_{secrets.token_hex(4)}"
    _maintain(server, CLONE, name, template)
    database = Live(_database(server, name), tmp_path_factory.mktemp("home"))
    yield database
    database.close()
    _maintain(server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def live(one_live: Live) -> Iterator[Live]:
    """The module's database, emptied behind each test; the site as it was."""
    settings = one_live.registry.mailhub
    one_live.publisher.sent.clear()
    yield one_live
    one_live.session.rollback()
    one_live.session.expunge_all()
    one_live.session.execute(
        text(
            "TRUNCATE project, message, message_content, message_event, worker_heartbeat, rate_bucket,"
            " connection_slot, relay_lane, relay_health RESTART IDENTITY CASCADE"
        )
    )
    one_live.session.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
    one_live.session.commit()
    one_live.registry.mailhub = settings
    one_live.registry.__dict__.pop("stop_flag", None)
    forget_dispatcher()


@pytest.fixture
def database(live: Live) -> Iterator[psycopg.Connection[Any]]:
    """A plain connection that commits each statement, as the post office's own."""
    with connect(live) as connection:
        yield connection


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def office(live: Any, sink: Sink) -> Office:
    given = Office(live, sink)
    given.settings(relays={"default": parse_relay("default", sink.url, {})})
    return given


def by_name(replies: dict[str, str]) -> Script:
    """A script with a reply at RCPT for the people it names: {"p3": "550 5.1.1 no such user"}."""
    return lambda stage, address, _attempt: replies.get(address.partition("@")[0]) if stage == "rcpt" else None
