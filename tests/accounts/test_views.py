"""One's own account: profile, appearance, password, sessions."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from mailhub.models import WebSession
from mailhub.security import passwords
from tests.accounts.test_sign_in import PASSWORD

NEW = "seven slow brown rivers"
PAGES = ["/account", "/account/appearance", "/account/password", "/account/sessions"]


@pytest.fixture(scope="module")
def stored():
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def alice(build, stored):
    return build.user("alice@people.test", name="Alice", password_hash=stored)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_for_the_signed_in_only(client, alice, page):
    assert "/sign-in?next=" in client.get(page, status=303).location
    assert "alice@people.test" in client.sign_in(alice).get(page).text


def test_profile_is_saved_and_shown_in_the_new_language(client, alice, dbsession):
    client.sign_in(alice)
    client.post_form("/account", {"name": " Alice B. ", "language": "ru", "time_zone": "Europe/Moscow"}, status=303)
    dbsession.refresh(alice)
    assert (alice.name, alice.language, alice.time_zone) == ("Alice B.", "ru", "Europe/Moscow")
    assert '<html lang="ru"' in client.get("/account").text


def test_profile_without_a_zone_takes_the_projects(client, alice, dbsession):
    client.sign_in(alice).post_form("/account", {"name": "", "language": "en", "time_zone": ""}, status=303)
    dbsession.refresh(alice)
    assert alice.time_zone is None


@pytest.mark.parametrize(
    "bad",
    [{"language": "xx"}, {"time_zone": "Moon/Sea"}, {"name": "x" * 201}, {"is_admin": "1"}, {"email": "b@c.test"}],
)
def test_bad_profile_changes_nothing(client, alice, dbsession, bad):
    fields = {"name": "Eve", "language": "en", "time_zone": ""} | bad
    client.sign_in(alice).post_form("/account", fields, status=422)
    dbsession.refresh(alice)
    assert (alice.name, alice.is_admin, alice.email) == ("Alice", False, "alice@people.test")


def test_theme_from_the_menu_goes_back_to_its_page(client, alice, dbsession):
    client.sign_in(alice)
    answer = client.post_form("/account/appearance", {"theme": "dark", "next": "/projects?a=1"}, status=303)
    assert answer.location == "http://localhost/projects?a=1"
    dbsession.refresh(alice)
    assert alice.theme == "dark"
    assert 'data-theme="dark"' in client.get("/account").text


def test_appearance_page_saves_both(client, alice, dbsession):
    client.sign_in(alice)
    client.post_form("/account/appearance", {"theme": "light", "language": "ru"}, status=303)
    dbsession.refresh(alice)
    assert (alice.theme, alice.language) == ("light", "ru")


def test_bad_theme_is_refused(client, alice):
    client.sign_in(alice).post_form("/account/appearance", {"theme": "pink"}, status=422)


def test_appearance_goes_to_no_other_site(client, alice):
    client.sign_in(alice)
    answer = client.post_form("/account/appearance", {"theme": "dark", "next": "//evil.test"}, status=303)
    assert answer.location == "http://localhost/account/appearance"


# Password


def change(client, **changes):
    fields = {"current": PASSWORD, "password": NEW, "repeat": NEW} | changes
    return client.post_form("/account/password", fields, expect_errors=True)


def test_changed_password_ends_the_other_sessions(client, alice, dbsession):
    other = client.new().sign_in(alice)
    client.sign_in(alice)
    assert change(client).status_int == 303
    client.get("/account", status=200)
    other.get("/account", status=303)
    dbsession.refresh(alice)
    assert passwords.verify(alice.password_hash, NEW)
    assert alice.password_changed_at is not None


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"current": "nonsense"}, "current"),
        ({"current": ""}, "current"),
        ({"repeat": "something else"}, "repeat"),
        ({"password": "short", "repeat": "short"}, "password"),
        ({"password": "alice@people.test", "repeat": "alice@people.test"}, "password"),
        ({"password": "x" * 129, "repeat": "x" * 129}, "password"),
        ({"password": "", "repeat": ""}, "password"),
    ],
)
def test_bad_password_changes_nothing(client, alice, dbsession, bad, field):
    before = alice.password_hash
    client.sign_in(alice)
    answer = change(client, **bad)
    assert answer.status_int == 422
    assert f'id="f-{field}-e"' in answer.text
    assert NEW not in answer.text
    dbsession.refresh(alice)
    assert alice.password_hash == before


def test_current_password_cannot_be_guessed_for_ever(live, stored):
    alice = live.build.user("alice@people.test", password_hash=stored)
    live.client.sign_in(alice)
    tries = live.registry.mailhub.sign_in_attempts
    assert [change(live.client, current="guess").status_int for _n in range(tries)] == [422] * tries
    refused = change(live.client)
    assert refused.status_int == 429
    assert int(refused.headers["Retry-After"]) > 0


def test_first_password_needs_no_current_one(client, build, dbsession):
    user = build.user("new@people.test")
    client.sign_in(user)
    assert 'name="current"' not in client.get("/account/password").text
    client.post_form("/account/password", {"password": NEW, "repeat": NEW}, status=303)
    dbsession.refresh(user)
    assert passwords.verify(user.password_hash, NEW)


def test_spaces_at_an_end_belong_to_the_password(client, build, dbsession):
    user = build.user("new@people.test")
    client.sign_in(user).post_form("/account/password", {"password": NEW + " ", "repeat": NEW + " "}, status=303)
    dbsession.refresh(user)
    assert passwords.verify(user.password_hash, NEW + " ")


# Sessions


def test_sessions_are_listed_and_one_is_ended(client, alice, build, dbsession):
    other = client.new().sign_in(alice)
    client.sign_in(alice)
    stranger = client.new().sign_in(build.user("bob@people.test"))
    page = client.get("/account/sessions")
    assert page.text.count("/end") == 1
    ids = dict(
        dbsession.execute(select(WebSession.user_id, func.max(WebSession.id)).group_by(WebSession.user_id)).all()
    )
    oldest = dbsession.scalar(select(func.min(WebSession.id)).where(WebSession.user_id == alice.id))
    client.post_form(f"/account/sessions/{oldest}/end", status=303)
    other.get("/account", status=303)
    client.get("/account", status=200)
    bobs = next(session for user, session in ids.items() if user != alice.id)
    client.post_form(f"/account/sessions/{bobs}/end", status=404)
    stranger.get("/account", status=200)


def test_all_other_sessions_are_ended(client, alice, dbsession):
    others = [client.new().sign_in(alice) for _n in range(3)]
    client.sign_in(alice)
    client.post_form("/account/sessions", status=303)
    client.get("/account", status=200)
    for other in others:
        other.get("/account", status=303)


def test_ending_ones_own_session_signs_out(client, alice, dbsession):
    client.sign_in(alice)
    mine = dbsession.scalar(select(WebSession.id))
    assert client.post_form(f"/account/sessions/{mine}/end", status=303).location.endswith("/sign-in")


def test_session_with_a_strange_id_is_not_found(client, alice):
    client.sign_in(alice)
    for bad in ("0", "9" * 30, "x", "-1"):
        client.post_form(f"/account/sessions/{bad}/end", status=404)


@pytest.mark.parametrize("page", [*PAGES, "/sign-out"])
def test_post_without_the_token_is_refused(client, alice, page):
    client.sign_in(alice).post(page, {}, status=400)
