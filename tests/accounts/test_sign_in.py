"""Signing in and out, by password and by link."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from mailhub.accounts import service
from mailhub.models import AuditEntry, OneTimeLink, RateLimit, User, WebSession
from mailhub.security import passwords

PASSWORD = "four small grey clouds"


@pytest.fixture(scope="module")
def stored():
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def alice(build, stored):
    return build.user("alice@people.test", name="Alice", password_hash=stored)


def fill(client, url="/sign-in", **fields):
    form = client.get(url).forms[0]
    for name, value in fields.items():
        form[name] = value
    return form


def sign_in(client, email="alice@people.test", password=PASSWORD, url="/sign-in", **kw):
    return fill(client, url, email=email, password=password).submit(**kw)


def sessions_of(dbsession, user):
    return dbsession.scalar(select(func.count()).select_from(WebSession).where(WebSession.user_id == user.id))


def test_signed_out_visitor_is_asked_to_sign_in_and_comes_back(client, alice):
    answer = client.get("/account?tab=1", status=303)
    assert answer.location == "http://localhost/sign-in?next=%2Faccount%3Ftab%3D1"
    answer = sign_in(client, url=answer.location, status=303)
    assert answer.location == "http://localhost/account?tab=1"
    assert "Alice" in client.get("/account").text


def test_address_is_taken_in_any_case(client, alice):
    sign_in(client, email="ALICE@People.test", status=303)


def test_signed_in_visitor_does_not_see_the_sign_in_page(client, alice):
    client.sign_in(alice)
    assert client.get("/sign-in?next=/projects", status=303).location == "http://localhost/projects"


def test_wrong_password_and_unknown_address_get_the_same_answer(client, alice):
    wrong = sign_in(client, password="nonsense", status=422)
    unknown = sign_in(client, email="nobody@people.test", status=422)
    assert "The address or the password is not right." in wrong.text
    assert _without_noise(wrong).replace("alice@", "nobody@") == _without_noise(unknown)
    assert "nonsense" not in wrong.text
    assert 'value="alice@people.test"' in wrong.text


def _without_noise(answer):
    """The page without its token."""
    return answer.text.replace(answer.forms[0]["csrf_token"].value, "")


def test_unknown_address_costs_a_hash_too(dbsession, alice, monkeypatch):
    asked = []
    real = passwords._hasher.verify
    monkeypatch.setattr(type(passwords._hasher), "verify", lambda self, *args: asked.append(1) or real(*args))
    service.authenticate(dbsession, "nobody@people.test", "nonsense")
    service.authenticate(dbsession, "no address", "nonsense")
    assert len(asked) == 2


def test_disabled_person_and_person_without_password_cannot_sign_in(client, build, stored):
    build.user("gone@people.test", password_hash=stored, disabled_at=datetime.now(UTC))
    build.user("new@people.test")
    sign_in(client, email="gone@people.test", status=422)
    sign_in(client, email="new@people.test", status=422)


def test_form_without_password_is_refused_with_the_field_named(client):
    answer = sign_in(client, password="", status=422)
    assert 'id="f-password-e"' in answer.text


def test_form_with_a_field_of_the_row_is_refused(client, alice):
    form = fill(client, email=alice.email, password=PASSWORD)
    client.post("/sign-in", [*form.submit_fields(), ("is_admin", "1")], status=422)
    client.get("/account", status=303)


def test_sign_in_without_the_forms_token_is_refused(client, alice):
    client.get("/sign-in")
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD}, status=400)


# The counts stay although the request is refused, so these need real transactions.


@pytest.fixture
def live_alice(live, stored):
    return live.build.user("alice@people.test", password_hash=stored)


def test_twenty_wrong_passwords_are_slowed_down_and_the_owner_is_not_shut_out(live, live_alice):
    client, settings, dbsession = live.client, live.registry.mailhub, live.session
    statuses = [sign_in(client, password=f"wrong {n}", expect_errors=True).status_int for n in range(20)]
    assert statuses == [422] * settings.sign_in_attempts + [429] * (20 - settings.sign_in_attempts)
    refused = sign_in(client, status=429)
    assert 0 < int(refused.headers["Retry-After"]) <= settings.sign_in_window_seconds
    assert "Too many attempts" in refused.text
    assert sessions_of(dbsession, live_alice) == 0
    # Another person is not held up; nor is the owner with a link, or once a try has been refilled.
    live.build.user("bob@people.test", password_hash=live_alice.password_hash)
    sign_in(client.new(), email="bob@people.test", status=303)
    token = service.create_link(dbsession, live_alice)
    dbsession.commit()
    client.new().get(f"/sign-in/{token}").forms[0].submit(status=303)
    refill = settings.sign_in_window_seconds / settings.sign_in_attempts + 1
    dbsession.execute(update(RateLimit).values(at=RateLimit.at - timedelta(seconds=refill)))
    dbsession.commit()
    sign_in(client, status=303)


def test_unknown_address_is_slowed_down_like_a_known_one(live, monkeypatch):
    monkeypatch.setattr(passwords, "verify", lambda stored, password: False)
    tries = live.registry.mailhub.sign_in_attempts + 1
    answers = [sign_in(live.client, "nobody@people.test", "x", expect_errors=True) for _n in range(tries)]
    assert answers[-1].status_int == 429


def test_one_network_is_slowed_down_over_many_addresses(live, monkeypatch):
    monkeypatch.setattr(passwords, "verify", lambda stored, password: False)
    # A hundred tries take as long as the usual window needs to give one of them back.
    live.registry.mailhub = dataclasses.replace(live.registry.mailhub, sign_in_window_seconds=86_400)
    tries = live.registry.mailhub.sign_in_attempts * 10 + 1
    answers = [sign_in(live.client, f"p{n}@people.test", "x", expect_errors=True) for n in range(tries)]
    assert [answer.status_int for answer in answers] == [422] * (tries - 1) + [429]


def test_right_passwords_are_not_counted(live, live_alice):
    for _n in range(live.registry.mailhub.sign_in_attempts + 2):
        sign_in(live.client.new(), status=303)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "javascript:alert(1)",
        "/%09/evil.test\n",
        "evil",
        "/a b",
        "/ä",
    ],
)
def test_only_paths_of_the_site_are_gone_to_afterwards(client, alice, target):
    form = fill(client, email=alice.email, password=PASSWORD)
    form["next"].force_value(target)
    assert form.submit(status=303).location == "http://localhost/"


def test_cookie_that_was_set_before_is_worth_nothing_after(client, alice):
    client.get("/sign-in")
    before = client.cookies["mailhub"]
    sign_in(client, status=303)
    assert client.cookies["mailhub"] != before
    thief = client.new()
    thief.set_cookie("mailhub", before)
    thief.get("/account", status=303)


def test_signing_in_ends_what_the_browser_had(client, alice, build, dbsession):
    bob = build.user("bob@people.test")
    client.sign_in(bob)
    token = service.create_link(dbsession, alice)
    dbsession.commit()
    client.post_form(f"/sign-in/{token}", status=303)
    assert sessions_of(dbsession, bob) == 0
    assert "alice@people.test" in client.get("/account").text


def test_old_hash_is_made_again(client, build, dbsession):
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    user = build.user("old@people.test", password_hash=old)
    sign_in(client, email=user.email, status=303)
    dbsession.refresh(user)
    assert user.password_hash != old
    assert passwords.verify(user.password_hash, PASSWORD)


def test_sign_in_is_written_in_the_journal(client, alice, dbsession):
    sign_in(client, status=303)
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "session.started")).one()
    assert (entry.actor, entry.detail["way"], str(entry.ip)) == ("alice@people.test", "password", "127.0.0.1")


def test_sign_out_ends_the_session(client, alice, dbsession):
    client.sign_in(alice)
    assert client.post_form("/sign-out", status=303).location == "http://localhost/sign-in"
    assert sessions_of(dbsession, alice) == 0
    client.get("/account", status=303)


def test_sign_out_needs_a_post(client, alice, dbsession):
    client.sign_in(alice)
    client.get("/sign-out", status=404)
    assert sessions_of(dbsession, alice) == 1


# One-time links


@pytest.fixture
def token(dbsession, build):
    token = service.create_link(dbsession, build.user("new@people.test"))
    dbsession.commit()
    return token


def test_opening_a_link_uses_nothing_up(client, token, dbsession):
    for _n in range(2):
        answer = client.get(f"/sign-in/{token}")
        assert "new@people.test" in answer.text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dbsession.scalars(select(OneTimeLink.used_at)).one() is None


def test_link_signs_in_once_and_asks_for_a_password(client, token):
    answer = client.get(f"/sign-in/{token}").forms[0].submit(status=303)
    assert answer.location == "http://localhost/account/password"
    assert "Choose a password" in client.get("/account/password").text
    again = client.new()
    assert "no longer works" in again.get(f"/sign-in/{token}", status=404).text
    form = again.get("/sign-in").forms[0]
    again.post(f"/sign-in/{token}", {"csrf_token": form["csrf_token"].value}, status=404)


def test_link_of_a_person_with_a_password_leads_home(client, alice, dbsession):
    token = service.create_link(dbsession, alice)
    dbsession.commit()
    assert client.get(f"/sign-in/{token}").forms[0].submit(status=303).location == "http://localhost/"


def test_old_link_and_made_up_link_do_not_work(client, token, dbsession):
    client.get("/sign-in/" + "a" * 43, status=404)
    dbsession.execute(update(OneTimeLink).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    dbsession.commit()
    client.get(f"/sign-in/{token}", status=404)


def test_link_of_a_disabled_person_does_not_work(client, token, dbsession):
    dbsession.execute(update(User).values(disabled_at=datetime.now(UTC)))
    dbsession.commit()
    client.get(f"/sign-in/{token}", status=404)


def test_recovery_takes_the_forgotten_password_away(client, alice, dbsession):
    elsewhere = client.new().sign_in(alice)
    token = service.create_link(dbsession, alice, recover=True)
    dbsession.commit()
    answer = client.get(f"/sign-in/{token}").forms[0].submit(status=303)
    assert answer.location == "http://localhost/account/password"
    elsewhere.get("/account", status=303)


def test_link_is_kept_as_a_digest_only(token, dbsession):
    assert token.encode() not in dbsession.scalars(select(OneTimeLink.token_hash)).one()


def test_link_is_built_from_the_setting(token):
    assert service.link_url("https://mail.example.org", "t") == "https://mail.example.org/sign-in/t"
