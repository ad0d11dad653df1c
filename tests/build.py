"""Builders: the rows that a test arranges, made by the same services that a user's clicks call where there is one.

The cast: alice owns the project, bob works in it, charlie must see nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from mailhub.mail.dkim import generate_keys
from mailhub.models import (
    Campaign,
    CampaignList,
    CampaignVersion,
    Link,
    MailingList,
    Membership,
    Project,
    Role,
    Sender,
    SendingDomain,
    Subscriber,
    Subscription,
    User,
)
from mailhub.projects import domains
from mailhub.security.sealed import sealer_of
from mailhub.settings import Settings

_number = count(1)


@cache
def dkim_keys() -> domains.Keys:
    """A pair of keys for the whole run."""
    return generate_keys()


def _user(email: str = "", **columns: Any) -> User:
    return User(email=email or f"user{next(_number)}@people.test", **columns)


def _project(**columns: Any) -> Project:
    n = next(_number)
    return Project(**{"slug": f"project-{n}", "name": f"Project {n}", "domain": f"p{n}.test"} | columns)


class Builder:
    """Every method commits, so that the site (on the same connection) sees the row."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._later = False

    def _add(self, row: Any) -> Any:
        return self._add_all(row)[0]

    def _add_all(self, *rows: Any) -> tuple[Any, ...]:
        self.session.add_all(rows)
        if self._later:
            self.session.flush()
        else:
            self.session.commit()
        return rows

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is made in the block is committed at its end, all at once: a savepoint costs as much as a row."""
        self._later = True
        try:
            yield
            self.session.commit()
        finally:
            self._later = False

    def user(self, email: str = "", **columns: Any) -> User:
        return self._add(_user(email, **columns))

    def users(self, count: int) -> tuple[User, ...]:
        """So many people, in one statement."""
        return self._add_all(*(_user() for _one in range(count)))

    def projects(self, count: int) -> tuple[Project, ...]:
        """So many projects of nobody, in one statement."""
        return self._add_all(*(_project() for _one in range(count)))

    def project(self, owner: User | None = None, **columns: Any) -> Project:
        project = self._add(_project(**columns))
        if owner is not None:
            self.member(project, owner, Role.OWNER)
        return project

    def member(self, project: Project, user: User, role: str = Role.MARKETER) -> Membership:
        return self._add(Membership(project_id=project.id, user_id=user.id, role=role))

    def members(self, *members: tuple[Project, User, str]) -> None:
        """Each with their role in a project, in one statement."""
        self._add_all(
            *(Membership(project_id=project.id, user_id=user.id, role=role) for project, user, role in members)
        )

    def sender(self, project: Project, email: str = "", **columns: Any) -> Sender:
        return self._add(Sender(project_id=project.id, email=email or f"news@{project.domain}", name="News", **columns))

    def sending_domain(self, project: Project, settings: Settings, domain: str = "", **columns: Any) -> SendingDomain:
        """The project's domain, not verified. Its keys are the same in all tests, because making them is slow."""
        row = domains.add_domain(
            self.session, project, sealer_of(settings), domain=domain or project.domain, keys=dkim_keys()
        )
        for name, value in columns.items():
            setattr(row, name, value)
        self.session.commit()
        return row

    def list(self, project: Project, name: str = "", **columns: Any) -> MailingList:
        return self._add(MailingList(project_id=project.id, name=name or f"List {next(_number)}", **columns))

    def subscriber(
        self, project: Project, email: str = "", *, lists: Any = (), status: str = "subscribed", **columns: Any
    ) -> Subscriber:
        """A person; `lists` are the lists they are in, with the subscription `status`."""
        email = email or f"person{next(_number)}@mail.test"
        person = self._add(
            Subscriber(
                project_id=project.id,
                email=email,
                email_key=email.lower(),
                email_domain=email.rpartition("@")[2].lower(),
                **columns,
            )
        )
        for mailing_list in lists:
            self._add(
                Subscription(project_id=project.id, list_id=mailing_list.id, subscriber_id=person.id, status=status)
            )
        return person

    def campaign(self, project: Project, *, lists: Any = (), **columns: Any) -> Campaign:
        """A draft that is ready to be sent if `lists` has somebody and the project has a sender."""
        values = {
            "name": f"Campaign {next(_number)}",
            "subject": "Hello, {{ name|default('friend') }}",
            "html": '<p>Dear {{ name|default("friend") }}, <a href="https://example.com/shop">look</a>.</p>',
        } | columns
        campaign = self._add(Campaign(project_id=project.id, **values))
        for mailing_list in lists:
            self._add(CampaignList(project_id=project.id, campaign_id=campaign.id, list_id=mailing_list.id))
        return campaign

    def started_campaign(
        self, project: Project, *, lists: Any = (), links: Any = ("https://example.com/shop",), **columns: Any
    ) -> Campaign:
        """A campaign whose version 1 is frozen with these links; nothing is fanned out."""
        campaign = self.campaign(project, lists=lists, state=columns.pop("state", "sent"), version=1, **columns)
        first = next(iter(lists), None)
        self._add(
            CampaignVersion(
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
                language=project.language or "en",
                project_name=project.name,
                project_domain=project.domain,
                postal_address="",
                list_id=first.id if first is not None else None,
                list_name=first.name if first is not None else "",
            )
        )
        for position, url in enumerate(links):
            self._add(Link(project_id=project.id, campaign_id=campaign.id, position=position, url=url))
        return campaign
