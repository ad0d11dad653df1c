"""The demo project of `mailhub up`: made once, by the same services that a user's clicks call, and ready to send."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from mailhub.accounts import service as accounts
from mailhub.campaigns import service as campaigns
from mailhub.db import Lock
from mailhub.lists import service as lists
from mailhub.models import Project, User
from mailhub.projects import service as projects
from mailhub.security import audit
from mailhub.web.jinja import TEMPLATES

EMAIL = "owner@demo.test"
SLUG = "demo"
DOMAIN = "demo.test"
SENDER = "news@demo.test"
#: In `mailhub.home`, readable by its owner only; a second start prints the same password.
KEPT_IN = "demo_password"
LINK_HOURS = 24
LETTER = TEMPLATES / "email" / "demo" / "letter.html"

# Without the letters that are taken for one another.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"

#: Address, name, city: with and without each of them, in two alphabets.
_PEOPLE = (
    ("ann.baker@mail.test", "Ann Baker", "Leeds"),
    ("j.okafor@post.test", "Joy Okafor", "Lagos"),
    ("maria.garcia@correo.test", "María García", "Sevilla"),
    ("lukas@web.test", "Lukas Weiß", "Köln"),
    ("sam@mail.test", "Sam", ""),
    ("info@corner-cafe.test", "", "York"),
    ("noname@post.test", "", ""),
    ("e.petrova@pochta.test", "Елена Петрова", "Казань"),
    ("ivan.sidorov@pochta.test", "Иван Сидоров", "Москва"),
    ("olga@yashchik.test", "Ольга", "Томск"),
    ("dmytro.k@web.test", "Дмитро Коваль", ""),
    ("zoe@correo.test", "Zoë O’Neill", "Galway"),
)


@dataclass(frozen=True)
class DemoSignIn:
    """How to get into the demo project: with `password`, or with `link` (once) where somebody has changed it.

    The owner is an administrator too, so that the reports process can be seen.
    """

    email: str
    password: str | None
    link: str | None


def ensure(registry: Any) -> DemoSignIn:
    """Make what is missing and say how to sign in. `registry` has `mailhub` (settings) and `session_factory`.

    Two at once do it one after the other. What a user has changed or deleted since stays so. Raises ValueError in
    production, where an administrator with a printed password has no place.
    """
    settings = registry.mailhub
    if settings.environment == "production":
        raise ValueError("the demo project is not made in production")
    with registry.session_factory() as dbsession:
        dbsession.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": int(Lock.DEMO)})
        sign_in = _ensure(dbsession, settings)
        dbsession.commit()
    return sign_in


def _ensure(dbsession: Session, settings: Any) -> DemoSignIn:
    file = settings.home / KEPT_IN
    owner = accounts.find_user(dbsession, EMAIL)
    if owner is None:
        owner = accounts.create_user(dbsession, email=EMAIL, name="Demo Owner", is_admin=True)
        accounts.set_password(dbsession, owner, _kept_password(file))
        _note(dbsession, "user.created", owner, owner.email)
    if dbsession.scalar(select(Project.id).where(Project.slug == SLUG)) is None:
        _make_project(dbsession, owner)
    password = _read(file)
    if password and accounts.authenticate(dbsession, EMAIL, password) is not None:
        return DemoSignIn(EMAIL, password, None)
    # Somebody has chosen another password, or the file is gone: the old one would be a wrong answer.
    file.unlink(missing_ok=True)
    token = accounts.create_link(dbsession, owner, hours=LINK_HOURS)
    return DemoSignIn(EMAIL, None, accounts.link_url(settings.public_url, token))


def _make_project(dbsession: Session, owner: User) -> None:
    project = projects.create_project(dbsession, slug=SLUG, name="Corner Bakery", domain=DOMAIN, owner=owner)
    projects.update_project(
        dbsession,
        project,
        name=project.name,
        domain=project.domain,
        time_zone=project.time_zone,
        language=project.language,
        postal_address="1 High Street, Leeds LS1 1AA",
        notify_email=EMAIL,
    )
    _note(dbsession, "project.created", project, project.name, project_id=project.id)
    sender = projects.add_sender(dbsession, project, email=SENDER, name="Corner Bakery")
    _note(dbsession, "sender.added", sender, sender.email)
    customers = lists.create_list(
        dbsession, project_id=project.id, name="Customers", description="Everybody who buys our bread"
    )
    _note(dbsession, "list.created", customers, customers.name)
    for email, name, city in _PEOPLE:
        person = lists.upsert_subscriber(
            dbsession, project_id=project.id, email=email, name=name, fields={"city": city}, source="demo"
        ).subscriber
        lists.subscribe(dbsession, project_id=project.id, subscriber_id=person.id, list_id=customers.id, source="demo")
    campaign = campaigns.create(
        dbsession,
        project,
        name="The autumn loaf",
        created_by=owner.id,
        list_ids=[customers.id],
        content={
            "subject": '{{ first_name|default("Good morning") }}, the autumn loaf is back',
            "preheader": "Forty a day, usually gone by noon",
            "html": LETTER.read_text(encoding="utf-8"),
        },
    )
    _note(dbsession, "campaign.created", campaign, campaign.name)


def _note(dbsession: Session, action: str, target: Any, name: str, project_id: int | None = None) -> None:
    audit.write(dbsession, action, target, actor="mailhub up", name=name, project_id=project_id)


def _kept_password(file: Path) -> str:
    """The password in the file; a new one is put there where there is none."""
    password = _read(file)
    if password:
        return password
    password = "-".join("".join(secrets.choice(_LETTERS) for _n in range(5)) for _group in range(3))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(password + "\n")
    return password


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
