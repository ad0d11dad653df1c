"""The team's pages."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from mailhub.models import AuditEntry, Membership, OneTimeLink, Role, User

URL = "/projects/bakery/members"


def invite(client, email, role="marketer", status=303):
    return client.post_form(URL, {"email": email, "role": role}, status=status)


def role_of(dbsession, project, user):
    dbsession.expire_all()
    found = dbsession.get(Membership, (project.id, user.id))
    return found.role if found is not None else None


def test_members_are_listed(client, project, alice, bob):
    page = client.sign_in(alice).get(URL).text
    assert "Alice" in page
    assert "bob@people.test" in page


def test_unknown_person_gets_an_account_and_a_link_to_hand_over(client, project, alice, dbsession):
    client.sign_in(alice)
    answer = invite(client, "Dora@People.test", "analyst", status=201)
    token = re.search(r"http://localhost/sign-in/([\w-]{43})", answer.text).group(1)
    dora = dbsession.scalars(select(User).where(User.email == "dora@people.test")).one()
    assert role_of(dbsession, project, dora) == Role.ANALYST
    assert token not in client.get(URL).text
    guest = client.new()
    guest.get(f"/sign-in/{token}").forms[0].submit(status=303)
    assert "dora@people.test" in guest.get("/account").text
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "member.added")).one()
    assert (entry.object_name, entry.detail) == ("dora@people.test", {"role": "analyst"})


def test_known_person_is_added_without_a_link(client, project, alice, charlie, dbsession):
    client.sign_in(alice)
    invite(client, "charlie@people.test")
    assert role_of(dbsession, project, charlie) == Role.MARKETER
    assert dbsession.scalars(select(OneTimeLink)).all() == []


@pytest.mark.parametrize(
    ("email", "role", "field"),
    [("nobody", "owner", "email"), ("", "owner", "email"), ("x@y.test", "boss", "role"), ("x@y.test", "", "role")],
)
def test_bad_invitation_is_refused(client, project, alice, dbsession, email, role, field):
    client.sign_in(alice)
    answer = invite(client, email, role, status=422)
    assert f'id="f-{field}-e"' in answer.text
    assert len(dbsession.scalars(select(User)).all()) == 1


def test_member_is_not_invited_twice(client, project, alice, bob):
    client.sign_in(alice)
    assert "in the team already" in invite(client, "bob@people.test", status=422).text


def test_role_is_changed_and_counts_at_once(client, project, alice, bob, dbsession):
    bobs = client.new().sign_in(bob)
    bobs.get(URL, status=403)
    client.sign_in(alice).post_form(f"{URL}/{bob.id}/role", {"role": "owner"}, status=303)
    bobs.get(URL, status=200)
    entry = dbsession.scalars(select(AuditEntry)).one()
    assert entry.detail == {"before": "marketer", "role": "owner"}


def test_strange_role_changes_nothing(client, project, alice, bob, dbsession):
    client.sign_in(alice).post_form(f"{URL}/{bob.id}/role", {"role": "admin"}, status=303)
    assert role_of(dbsession, project, bob) == Role.MARKETER


def test_last_owner_can_be_neither_demoted_nor_removed(client, project, alice, dbsession):
    client.sign_in(alice)
    client.post_form(f"{URL}/{alice.id}/role", {"role": "analyst"}, status=303)
    assert "A project needs an owner." in client.get(URL).text
    client.post_form(f"{URL}/{alice.id}/remove", status=303)
    assert "A project needs an owner." in client.get(URL).text
    assert role_of(dbsession, project, alice) == Role.OWNER


def test_owner_who_steps_down_lands_where_they_still_may(client, build, project, alice, bob):
    client.sign_in(alice).post_form(f"{URL}/{bob.id}/role", {"role": "owner"}, status=303)
    answer = client.post_form(f"{URL}/{alice.id}/role", {"role": "marketer"}, status=303)
    assert answer.location == "http://localhost/projects/bakery"


def test_removed_member_sees_nothing_any_more(client, project, alice, bob, dbsession):
    bobs = client.new().sign_in(bob)
    client.sign_in(alice).post_form(f"{URL}/{bob.id}/remove", status=303)
    bobs.get(URL, status=404)
    assert role_of(dbsession, project, bob) is None


def test_stranger_is_no_member(client, project, alice, charlie):
    client.sign_in(alice)
    for action in ("role", "remove", "link"):
        client.post_form(f"{URL}/{charlie.id}/{action}", {"role": "owner"}, status=404)


def test_marketer_can_do_none_of_it(client, project, alice, bob):
    client.sign_in(bob)
    for action in ("role", "remove", "link"):
        client.post_form(f"{URL}/{alice.id}/{action}", {"role": "analyst"}, status=403)


def test_who_never_came_in_can_get_another_link(client, project, alice, dbsession):
    client.sign_in(alice)
    invite(client, "dora@people.test", status=201)
    dora = dbsession.scalars(select(User).where(User.email == "dora@people.test")).one()
    answer = client.post_form(f"{URL}/{dora.id}/link", status=201)
    assert re.search(r"/sign-in/[\w-]{43}", answer.text)


def test_nobody_gets_a_link_for_somebody_with_a_password(client, project, alice, bob, dbsession):
    client.sign_in(alice).post_form(f"{URL}/{bob.id}/link", status=303)
    assert dbsession.scalars(select(OneTimeLink)).all() == []
    assert "Only an administrator" in client.get(URL).text
