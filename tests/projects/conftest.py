"""The cast: alice owns the bakery, bob works in it, charlie must see nothing of it."""

from __future__ import annotations

import pytest

from mailhub.models import Role


@pytest.fixture
def alice(build):
    return build.user("alice@people.test", name="Alice", password_hash="x")


@pytest.fixture
def bob(build, project):
    user = build.user("bob@people.test", password_hash="x")
    build.member(project, user, Role.MARKETER)
    return user


@pytest.fixture
def charlie(build):
    return build.user("charlie@people.test", password_hash="x")


@pytest.fixture
def project(build, alice):
    return build.project(alice, slug="bakery", name="Corner Bakery", domain="bakery.test")
