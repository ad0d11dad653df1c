"""People, members and keys, without the pages."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from mailhub.accounts import service
from mailhub.accounts.browser_name import browser_name
from mailhub.models import Membership, Role
from mailhub.web.local_path import local_path
from mailhub.web.time_zones import is_zone, zone_options


def test_address_is_kept_in_lower_case_and_unique(dbsession):
    user = service.create_user(dbsession, email=" Ann@Example.COM ", name=" Ann ", language="xx")
    assert (user.email, user.name, user.language, user.is_admin) == ("ann@example.com", "Ann", "en", False)
    assert service.find_user(dbsession, "ANN@example.com") is user
    with pytest.raises(service.AccountRefused, match="already"):
        service.create_user(dbsession, email="ann@EXAMPLE.com")


def test_two_at_once_make_one_account(live):
    """The second one waits for the first one's commit, and is then refused like one who came later."""
    service.create_user(live.session, email="ann@example.com")
    refused = []

    def create():
        with live.registry.session_factory() as dbsession:
            try:
                service.create_user(dbsession, email="ann@example.com")
            except service.AccountRefused as refusal:
                refused.append(refusal.field)

    thread = threading.Thread(target=create)
    thread.start()
    wait_for_lock = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
    with live.engine.connect() as watcher:
        for _turn in range(500):
            if watcher.scalar(wait_for_lock):
                break
            thread.join(0.01)
    live.session.commit()
    thread.join(60)
    assert refused == ["email"]


@pytest.mark.parametrize("bad", ["", "ann", "a@b@c", "a b@c.test", "a@localhost"])
def test_bad_address_is_refused(dbsession, bad):
    with pytest.raises(service.AccountRefused):
        service.create_user(dbsession, email=bad)


def test_last_owner_stays(dbsession, build):
    alice, bob = build.user(), build.user()
    project = build.project(alice)
    member = build.member(project, bob)
    owner = dbsession.get(Membership, (project.id, alice.id))
    with pytest.raises(service.AccountRefused, match="needs an owner"):
        service.change_role(dbsession, owner, Role.ANALYST)
    with pytest.raises(service.AccountRefused, match="needs an owner"):
        service.remove_member(dbsession, owner)
    assert service.change_role(dbsession, member, Role.OWNER) is True
    assert service.change_role(dbsession, member, Role.OWNER) is False
    service.remove_member(dbsession, owner)
    assert [one.user_id for one in service.members(dbsession, project.id)] == [bob.id]


def test_disabled_owner_does_not_count(dbsession, build):
    alice, gone = build.user(), build.user(disabled_at=datetime.now(UTC))
    project = build.project(alice)
    build.member(project, gone, Role.OWNER)
    with pytest.raises(service.AccountRefused):
        service.remove_member(dbsession, dbsession.get(Membership, (project.id, alice.id)))


def test_two_owners_who_demote_each_other_leave_one(live):
    alice, bob = live.build.user(), live.build.user()
    project = live.build.project(alice)
    live.build.member(project, bob, Role.OWNER)
    refused = []
    together = threading.Barrier(2)

    def demote(user_id):
        with live.registry.session_factory() as dbsession:
            member = dbsession.get(Membership, (project.id, user_id))
            together.wait(60)
            try:
                service.change_role(dbsession, member, Role.MARKETER)
                dbsession.commit()
            except service.AccountRefused:
                refused.append(user_id)

    threads = [threading.Thread(target=demote, args=(user.id,)) for user in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 1
    live.session.expire_all()
    assert [one.role for one in service.members(live.session, project.id)] == [Role.OWNER, Role.MARKETER]


def test_link_is_used_by_one_of_two_at_once(live):
    user = live.build.user()
    token = service.create_link(live.session, user)
    live.session.commit()
    found = []
    together = threading.Barrier(2)

    def use():
        with live.registry.session_factory() as dbsession:
            together.wait(60)
            found.append(service.use_link(dbsession, token))
            dbsession.commit()

    threads = [threading.Thread(target=use) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one is None for one in found) == [False, True]


def test_link_is_handed_over_only_for_who_is_nobody_elsewhere(dbsession, build):
    new = build.user()
    first = build.project()
    build.member(first, new)
    assert service.may_be_handed_a_link(dbsession, new)
    build.member(build.project(), new)
    assert not service.may_be_handed_a_link(dbsession, new)
    for columns in ({"password_hash": "x"}, {"is_admin": True}, {"disabled_at": datetime.now(UTC)}):
        other = build.user(**columns)
        build.member(first, other)
        assert not service.may_be_handed_a_link(dbsession, other)


def test_admin_token_is_for_admins(dbsession, build):
    with pytest.raises(service.AccountRefused, match="no admin"):
        service.create_admin_token(dbsession, user=build.user(), name="x")
    issued = service.create_admin_token(dbsession, user=build.user(is_admin=True), name="x")
    assert issued.shown.startswith(f"mha_{issued.row.key_id}_")
    service.revoke_admin_token(dbsession, issued.row)
    assert issued.row.revoked_at is not None


def test_key_for_a_time_that_has_passed_or_a_scope_that_is_not_there_is_refused(dbsession, build):
    project = build.project()
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(service.AccountRefused):
        service.create_api_key(dbsession, project_id=project.id, name="x", expires_at=past)
    with pytest.raises(service.AccountRefused):
        service.create_api_key(dbsession, project_id=project.id, name="x", scopes=["all"])


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/projects/a?b=c&d=%20#e", "/projects/a?b=c&d=%20#e"),
        ("/", "/"),
        ("", "/"),
        (None, "/"),
        ("projects", "/"),
        ("//evil.test", "/"),
        ("///evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/\tevil", "/"),
        ("/\r\nLocation: x", "/"),
        ("/ä", "/"),
        ("https://evil.test", "/"),
        ("javascript:alert(1)", "/"),
        ("/" + "x" * 3000, "/"),
    ],
)
def test_local_path(given, path):
    assert local_path(given) == path


def test_zones_are_cities_with_their_offset():
    options = dict(zone_options(datetime(2026, 1, 1, tzinfo=UTC)))
    assert options["Europe/Moscow"] == "Europe/Moscow (UTC+03:00)"
    assert options["America/New_York"] == "America/New York (UTC-05:00)"
    assert is_zone("UTC")
    assert not is_zone("Etc/GMT+5")


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/141 Safari/537.36 Edg/141", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) Version/18 Safari/604", "Safari, iPhone"),
        ("robot", ""),
        ("", ""),
    ],
)
def test_browser_name(agent, name):
    assert browser_name(agent) == name
