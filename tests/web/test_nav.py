"""mailhub.web.nav: who sees which door."""

from __future__ import annotations

import pytest

from mailhub.security.permissions import PERMISSIONS
from mailhub.web.nav import CREATIONS, DOORS, creations, navigation
from tests.web.rendering import asking


def labels(granted: frozenset[str] | None, route: str | None = None) -> list[str]:
    with asking(granted=granted, route=route) as request:
        return [entry.label for group in navigation(request) for entry in group.entries]


def test_an_owner_sees_every_door() -> None:
    assert labels(PERMISSIONS["owner"]) == [door.label for _label, doors in DOORS for door in doors]


def test_an_analyst_sees_no_addresses_and_no_settings() -> None:
    assert labels(PERMISSIONS["analyst"]) == ["Overview", "Campaigns", "Lists", "Segments", "Sign-up forms"]


def test_without_permissions_there_are_no_empty_groups() -> None:
    assert labels(frozenset()) == []


def test_every_permission_of_a_door_is_in_the_table() -> None:
    known = frozenset().union(*PERMISSIONS.values())
    assert {door.permission for _label, doors in DOORS for door in doors} <= known
    assert {permission for *_rest, permission in CREATIONS} <= known


@pytest.mark.parametrize(
    ("route", "current"),
    [
        ("imports.new", "Imports"),
        ("lists.subscriber_edit", "Subscribers"),
        ("lists.edit", "Lists"),
        ("campaigns.review", "Campaigns"),
        ("stats.campaign", "Campaigns"),
        ("stats.overview", "Overview"),
        ("projects.member_role", "Team"),
        ("accounts.api_key_revoke", "API keys"),
        ("accounts.profile", None),
    ],
)
def test_the_current_door_is_the_one_that_fits_best(route: str, current: str | None) -> None:
    with asking(route=route) as request:
        assert [e.label for g in navigation(request) for e in g.entries if e.current] == ([current] if current else [])


def test_outside_a_project_there_is_no_sidebar() -> None:
    with asking() as request:
        request.__dict__["project"] = None
        assert navigation(request) == ()
        assert creations(request) == []


def test_the_create_menu_offers_what_one_may_make() -> None:
    with asking(granted=frozenset({"campaigns:edit"})) as request:
        assert [url for _label, url, _icon in creations(request)] == ["/projects/demo/campaigns/new"]
