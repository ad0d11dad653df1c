"""The page of a project's API keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.accounts import service
from mailhub.models import ApiKey, AuditEntry, Role
from mailhub.security.secrets import digest


@pytest.fixture
def project(build):
    return build.project(slug="bakery", time_zone="Europe/Moscow")


@pytest.fixture
def alice(build, project):
    user = build.user("alice@people.test")
    build.member(project, user, Role.OWNER)
    return user


@pytest.fixture
def page(project):
    return "/projects/bakery/api-keys"


def make(client, page, status=201, **fields):
    given = {"name": "Shop", "access": "full"} | fields
    pairs = [(key, one) for key, value in given.items() for one in (value if isinstance(value, list) else [value])]
    return client.post_form(page, pairs, status=status)


def test_signed_out_visitor_is_asked_to_sign_in(client, page):
    assert "/sign-in" in client.get(page, status=303).location


def test_stranger_finds_nothing(client, build, page):
    client.sign_in(build.user()).get(page, status=404)


@pytest.mark.parametrize(
    ("role", "status"), [(Role.OWNER, 200), (Role.DEVELOPER, 200), (Role.MARKETER, 403), (Role.ANALYST, 403)]
)
def test_page_is_for_owners_and_developers(client, build, project, page, role, status):
    user = build.user()
    build.member(project, user, role)
    client.sign_in(user).get(page, status=status)
    client.post_form(page, {"name": "x", "access": "full"}, status=201 if status == 200 else 403)


def test_secret_is_shown_once_and_works(client, alice, page, dbsession):
    answer = make(client.sign_in(alice), page)
    secret = re.search(r"mh_[a-z2-7]{12}_[\w-]{43}", answer.text).group()
    assert secret not in client.get(page).text
    key = dbsession.scalars(select(ApiKey)).one()
    assert key.secret_hash == digest(secret.split("_", 2)[2])
    assert (key.scopes, key.expires_at, key.created_by) == ([], None, alice.id)
    answer = client.new().get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_int == 200
    assert secret not in str(dbsession.scalars(select(AuditEntry.detail)).all())


def test_limited_key_with_a_last_day(client, alice, page, dbsession):
    day = datetime.now(UTC).date() + timedelta(days=30)
    make(
        client.sign_in(alice),
        page,
        access="limited",
        scopes=["lists:read", "messages:send"],
        expires_on=day.isoformat(),
    )
    key = dbsession.scalars(select(ApiKey)).one()
    assert key.scopes == ["lists:read", "messages:send"]
    # Midnight in Moscow, after the last day.
    assert key.expires_at == datetime(day.year, day.month, day.day, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"name": ""}, "name"),
        ({"access": "limited"}, "scopes"),
        ({"access": "limited", "scopes": ["project:edit"]}, "scopes"),
        ({"access": "all"}, "access"),
        ({"expires_on": "2020-01-01"}, "expires_on"),
        ({"expires_on": "9999-12-31"}, "expires_on"),
        ({"expires_on": "soon"}, "expires_on"),
    ],
)
def test_bad_key_is_refused(client, alice, page, dbsession, bad, field):
    answer = make(client.sign_in(alice), page, status=422, **bad)
    assert f'id="f-{field}-e"' in answer.text
    assert dbsession.scalars(select(ApiKey)).all() == []


def test_revoked_key_no_longer_works(client, alice, project, page, dbsession):
    issued = service.create_api_key(dbsession, project_id=project.id, name="Shop")
    dbsession.commit()
    headers = {"Authorization": f"Bearer {issued.shown}"}
    before = client.new().get("/api/v1/campaigns", headers=headers, expect_errors=True).status_int
    client.sign_in(alice).post_form(f"{page}/{issued.row.id}/revoke", status=303)
    assert before != 401
    client.new().get("/api/v1/campaigns", headers=headers, status=401)
    assert "Revoked" in client.get(page).text
    client.post_form(f"{page}/{issued.row.id}/revoke", status=404)
    assert dbsession.scalars(select(AuditEntry.action)).all() == ["api_key.revoked"]


def test_another_projects_key_cannot_be_revoked(client, alice, build, page, dbsession):
    issued = service.create_api_key(dbsession, project_id=build.project().id, name="Theirs")
    dbsession.commit()
    client.sign_in(alice).post_form(f"{page}/{issued.row.id}/revoke", status=404)
    dbsession.refresh(issued.row)
    assert issued.row.revoked_at is None


def test_expired_key_says_so(client, alice, project, page, dbsession):
    issued = service.create_api_key(dbsession, project_id=project.id, name="Old")
    issued.row.expires_at = datetime.now(UTC) - timedelta(minutes=1)
    dbsession.commit()
    assert "Expired" in client.sign_in(alice).get(page).text
