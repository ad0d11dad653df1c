"""The demo project."""

from __future__ import annotations

import stat
import threading

import pytest
from sqlalchemy import func, select

from mailhub import demo
from mailhub.accounts import service as accounts
from mailhub.campaigns import service as campaigns
from mailhub.models import Campaign, MailingList, Project, Sender, Subscriber, User


def test_it_is_there_and_ready_to_send(live):
    made = demo.ensure(live.registry)
    assert (made.email, made.link) == ("owner@demo.test", None)
    project = live.session.scalars(select(Project)).one()
    assert (project.slug, project.domain) == ("demo", "demo.test")
    assert live.session.scalars(select(Sender.email)).all() == ["news@demo.test"]
    people = live.session.scalars(select(Subscriber)).all()
    assert len(people) == 12
    assert any("\u0400" <= letter <= "\u04ff" for person in people for letter in person.name)
    campaign = live.session.scalars(select(Campaign)).one()
    report = campaigns.examine(live.session, project, campaign)
    assert report.blocks == []
    assert [check.code for check in report.warnings] == ["tested"] or report.warnings == []
    assert report.people.reachable == 12


def test_owner_signs_in_on_both_doors(live):
    made = demo.ensure(live.registry)
    form = live.client.get("/sign-in").forms[0]
    form["email"], form["password"] = made.email, made.password
    form.submit(status=303)
    assert live.client.get("/", status=303).location.endswith("/projects/demo")
    assert live.session.scalars(select(User)).one().is_admin


def test_a_second_time_changes_nothing_and_says_the_same(live):
    first = demo.ensure(live.registry)
    campaign = live.session.scalars(select(Campaign)).one()
    campaigns.remove(live.session, campaign)
    live.session.commit()
    assert demo.ensure(live.registry) == first
    for model, n in ((User, 1), (Project, 1), (MailingList, 1), (Subscriber, 12), (Campaign, 0)):
        assert live.session.scalar(select(func.count()).select_from(model)) == n


def test_two_at_once_make_one(live):
    threads = [threading.Thread(target=demo.ensure, args=(live.registry,)) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert live.session.scalar(select(func.count()).select_from(Project)) == 1


def test_password_is_readable_by_its_owner_only(live):
    made = demo.ensure(live.registry)
    file = live.registry.mailhub.home / "demo_password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == made.password


def test_changed_password_is_not_printed_any_more(live):
    demo.ensure(live.registry)
    owner = live.session.scalars(select(User)).one()
    accounts.set_password(live.session, owner, "my very own secret")
    live.session.commit()
    made = demo.ensure(live.registry)
    assert made.password is None
    assert not (live.registry.mailhub.home / "demo_password").exists()
    token = made.link.rpartition("/")[2]
    assert live.client.get(f"/sign-in/{token}").forms[0].submit(status=303).location == "http://localhost/"


def test_not_in_production(live, monkeypatch):
    class Production:
        environment = "production"

    monkeypatch.setattr(live.registry, "mailhub", Production)
    with pytest.raises(ValueError, match="production"):
        demo.ensure(live.registry)
