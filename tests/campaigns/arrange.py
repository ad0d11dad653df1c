"""The cast of the campaign tests: a project with a list, people, a sender and a draft that could be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mailhub.models import Campaign, MailingList, Project, Role, Sender, Subscriber, User
from tests.build import Builder


@dataclass
class Cast:
    """alice owns, bob works, the analyst looks, charlie is a stranger."""

    alice: User
    bob: User
    analyst: User
    charlie: User
    project: Project
    list: MailingList
    sender: Sender
    people: list[Subscriber]
    campaign: Campaign
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    roles: tuple[str, ...] = (Role.OWNER, Role.MARKETER, Role.ANALYST)

    def path(self, page: str = "", campaign: Any = None) -> str:
        return f"/projects/{self.project.slug}/campaigns/{(campaign or self.campaign).id}{page}"

    def api_path(self, page: str = "") -> str:
        return f"/api/v1/campaigns/{self.campaign.id}{page}"


def start_now(client: Any, cast: Cast) -> None:
    """Start the campaign from its page, without waiting for the end of the grace."""
    client.post_form(cast.path("/start"), {"when": "now"}, status=303)
    client.post_form(cast.path("/send-now"), {}, status=303)


def make_cast(build: Builder, people: int = 3) -> Cast:
    alice, bob, analyst, charlie = (build.user() for _name in range(4))
    project = build.project(alice, postal_address="1 Main Street")
    build.member(project, bob, Role.MARKETER)
    build.member(project, analyst, Role.ANALYST)
    sender = build.sender(project, is_default=True)
    mailing_list = build.list(project, name="Readers")
    persons = [build.subscriber(project, lists=[mailing_list], name=f"Person {n}") for n in range(people)]
    campaign = build.campaign(project, lists=[mailing_list], sender_id=sender.id)
    return Cast(alice, bob, analyst, charlie, project, mailing_list, sender, persons, campaign)

