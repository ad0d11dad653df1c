"""A project with as many people as a drill wants, made by set statements, and campaigns that are started by the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailhub.models import MailingList

if TYPE_CHECKING:
    from tests.faults.stand import Stand

HTML = (
    '<p>Dear {{ name|default("friend") }}, <a href="https://example.com/shop">look</a>: '
    + "everything for the garden. " * 20
    + "</p>"
)

# The people of a project have a domain of their own, by which a relay's record is told apart.
_PEOPLE = """
    INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields)
    SELECT %(project)s, 'p' || n || '@' || %(domain)s, 'p' || n || '@' || %(domain)s, %(domain)s, 'Person ' || n,
           jsonb_build_object('city', 'City ' || n)
    FROM generate_series(1, %(n)s) AS n
"""
_SUBSCRIBE = """
    INSERT INTO subscription (project_id, list_id, subscriber_id)
    SELECT project_id, %(list)s, id FROM subscriber WHERE project_id = %(project)s
"""


@dataclass
class Crowd:
    """A project, its people on one list, and its campaigns, which are drafts until they are started."""

    stand: Stand
    project_id: int
    project: Any
    list_id: int
    sender_id: int
    domain: str
    people: int
    campaigns: list[int] = field(default_factory=list)

    @property
    def campaign(self) -> int:
        """The only campaign, or the first."""
        return self.campaigns[0]

    def add_campaign(self, html: str = HTML, **columns: Any) -> int:
        live = self.stand.live
        mailing_list = live.session.get(MailingList, (self.project_id, self.list_id))
        campaign = live.build.campaign(
            self.project, lists=[mailing_list], sender_id=self.sender_id, html=html, **columns
        )
        self.campaigns.append(campaign.id)
        return int(campaign.id)

    def do(self, action: str, campaign: int = 0, status: int = 202) -> None:
        """start, pause, resume or cancel, as a program does it."""
        path = f"/api/v1/campaigns/{campaign or self.campaign}/{action}"
        self.stand.api(self.project_id).post_json(path, {}, status=status)

    def start(self) -> None:
        for campaign in self.campaigns:
            self.do("start", campaign)


def crowd(stand: Stand, people: int, *, relay: str = "default", html: str = HTML, campaigns: int = 1) -> Crowd:
    """Make it, and drafts of its campaigns; the key for its API with them."""
    build = stand.live.build
    project = build.project(postal_address="1 Main Street", relay=relay)
    sender = build.sender(project, is_default=True)
    mailing_list = build.list(project)
    stand.query("INSERT INTO subscriber_field (project_id, name) VALUES (%s, 'city')", [project.id])
    made = Crowd(
        stand, project.id, project, mailing_list.id, sender.id, f"people{project.id}.test", people
    )  # fmt: skip
    binds = {"project": project.id, "list": mailing_list.id, "domain": made.domain, "n": people}
    stand.query(_PEOPLE, binds)
    stand.query(_SUBSCRIBE, binds)
    for table in ("subscriber", "subscription"):
        stand.query(f"ANALYZE {table}")
    for _n in range(campaigns):
        made.add_campaign(html)
    stand.api(project.id)
    return made
