"""Sending domains: pages, API, the look at the DNS, and keys that nobody sees."""

from __future__ import annotations

import base64
import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from mailhub.mail.dkim import load_private, public_text
from mailhub.models import AuditEntry, Role, SendingDomain
from mailhub.models.sending_domain import keys_about
from mailhub.projects import domains
from mailhub.projects.tasks import check_domain
from mailhub.security.sealed import Sealer, sealer_of
from mailhub.tasks import TASKS, run, run_sweeps

PAGE = "/projects/bakery/domains"


class Table:
    """A DNS of one's own. Every question notes whether a transaction was open."""

    def __init__(self, dbsession, records=()):
        self.records = {record.name: [record.value] for record in records}
        self.asked = []
        self.silent = set()

    def texts(self, name):
        self.asked.append(name)
        return None if name in self.silent else self.records.get(name, [])


@pytest.fixture
def domain(build, project, settings):
    return build.sending_domain(project, settings)


@pytest.fixture
def table(registry, dbsession, domain, settings, monkeypatch):
    found = Table(dbsession, domains.records_of(domain, settings))
    monkeypatch.setattr(registry, "text_records", found, raising=False)
    return found


def check(registry, dbsession, domain, *, asked=True):
    """Run the task as a worker does, in transactions of its own."""
    if asked:
        domain.checking_since = datetime.now(UTC)
        dbsession.commit()
    run(registry, TASKS["mailhub.projects.check_domain"], (domain.project_id, domain.id))
    dbsession.refresh(domain)
    return domain


# Who may


@pytest.mark.parametrize(
    ("role", "status"), [(Role.OWNER, 200), (Role.DEVELOPER, 200), (Role.MARKETER, 403), (Role.ANALYST, 403)]
)
def test_pages_are_for_owners_and_developers(client, build, project, domain, role, status):
    user = build.user()
    build.member(project, user, role)
    client.sign_in(user).get(PAGE, status=status)
    client.get(f"{PAGE}/{domain.id}", status=status)
    for action in ("verify", "delete"):
        client.post_form(f"{PAGE}/{domain.id}/{action}", {}, status=303 if status == 200 else 403)


def test_strangers_and_visitors_see_nothing(client, domain, charlie):
    assert "/sign-in" in client.get(PAGE, status=303).location
    client.sign_in(charlie).get(PAGE, status=404)
    client.get(f"{PAGE}/{domain.id}", status=404)


# Pages


def test_a_domain_is_added_with_keys_of_its_own(client, project, alice, dbsession, settings):
    answer = client.sign_in(alice).post_form(PAGE, {"domain": "News.Bakery.test "}, status=303)
    row = dbsession.scalars(select(SendingDomain)).one()
    assert answer.location == f"http://localhost{PAGE}/{row.id}"
    assert (row.domain, row.status, row.checking_since) == ("news.bakery.test", "pending", None)
    sealer, about = sealer_of(settings), keys_about(project.id, row.domain)
    assert public_text(load_private(sealer.open(row.rsa_private, about))) == row.rsa_public
    assert public_text(load_private(sealer.open(row.ed25519_private, about))) == row.ed25519_public
    page = client.get(f"{PAGE}/{row.id}").text
    assert f"{row.selector}._domainkey.news.bakery.test" in page
    assert f"v=DKIM1; k=rsa; p={row.rsa_public}" in page
    assert f"{row.selector}-ed._domainkey.news.bakery.test" in page
    assert "v=spf1 include:bounces.mailhub.test ~all" in page
    assert "_dmarc.news.bakery.test" in page
    assert page.count("data-copy=") == 8
    assert dbsession.scalars(select(AuditEntry.action)).all() == ["domain.added"]


@pytest.mark.parametrize("name", ["", "bakery", "a b.test", "other.test", "xbakery.test", "bakery.test.evil.test"])
def test_a_domain_of_somebody_else_is_refused(client, project, alice, dbsession, name):
    answer = client.sign_in(alice).post_form(PAGE, {"domain": name}, status=422)
    assert 'id="f-domain-e"' in answer.text
    assert dbsession.scalars(select(SendingDomain)).all() == []


def test_a_domain_is_there_once(client, domain, alice, dbsession):
    assert "there already" in client.sign_in(alice).post_form(PAGE, {"domain": "bakery.test"}, status=422).text
    assert len(dbsession.scalars(select(SendingDomain)).all()) == 1


def test_a_domain_in_cyrillic_is_shown_as_people_write_it(client, build, alice, settings):
    project = build.project(alice, slug="tea", domain="xn--80as4b.xn--p1ai")
    answer = client.sign_in(alice).post_form("/projects/tea/domains", {"domain": "чай.рф"}, status=303)
    assert "чай.рф" in client.get("/projects/tea/domains").text
    page = client.get(answer.location.removeprefix("http://localhost")).text
    assert "<h1>чай.рф</h1>" in page
    assert "._domainkey.xn--80as4b.xn--p1ai" in page
    assert project.domain in page


def test_pages_work_without_scripts_and_show_the_check(client, domain, alice, dbsession, publisher, registry, table):
    client.sign_in(alice)
    assert "not verified yet" in client.get(f"{PAGE}/{domain.id}").text
    client.post_form(f"{PAGE}/{domain.id}/verify", {}, status=303)
    assert publisher.sent == [("mailhub.projects.check_domain", (domain.project_id, domain.id), "celery")]
    page = client.get(f"{PAGE}/{domain.id}")
    assert "looking for the records" in page.text
    assert "data-live" in page.text
    fragment = client.fragment(f"{PAGE}/{domain.id}", "domain-state")
    assert "<html" not in fragment.text
    assert "data-live" in fragment.text
    publisher.run_all()
    fragment = client.fragment(f"{PAGE}/{domain.id}", "domain-state")
    assert "The domain is verified" in fragment.text
    assert "data-live" not in fragment.text
    assert "Verified" in client.get(PAGE).text


def test_a_removed_domain_is_gone(client, domain, alice, dbsession):
    client.sign_in(alice).post_form(f"{PAGE}/{domain.id}/delete", {}, status=303)
    assert dbsession.scalars(select(SendingDomain)).all() == []
    client.get(f"{PAGE}/{domain.id}", status=404)
    assert "domain.deleted" in dbsession.scalars(select(AuditEntry.action)).all()


def test_no_private_key_leaves_the_row(client, domain, alice, dbsession, project, settings):
    api = client.api(dbsession, project.id)
    shown = client.sign_in(alice).get(f"{PAGE}/{domain.id}").text + api.get(f"/api/v1/domains/{domain.id}").text
    sealer, about = sealer_of(settings), keys_about(project.id, domain.domain)
    for sealed in (domain.rsa_private, domain.ed25519_private):
        for secret in (sealed, sealer.open(sealed, about)):
            assert base64.b64encode(secret).decode()[8:60] not in shown
            assert secret.hex()[:40] not in shown
    assert not re.search("PRIVATE", shown)


# The look at the DNS


def test_a_domain_whose_key_is_found_is_verified(registry, dbsession, domain, table):
    check(registry, dbsession, domain)
    assert (domain.status, domain.problem, domain.checking_since) == ("verified", "", None)
    assert domain.results == {"dkim_rsa": "ok", "dkim_ed25519": "ok", "spf": "ok", "dmarc": "ok"}
    assert domain.checked_at is not None
    assert len(table.asked) == 4


def test_a_check_that_nobody_wants_asks_nobody(registry, dbsession, domain, table):
    check(registry, dbsession, domain, asked=False)
    assert table.asked == []
    assert domain.checked_at is None
    run(registry, TASKS["mailhub.projects.check_domain"], (domain.project_id, 12345))


def test_a_second_run_changes_nothing(registry, dbsession, domain, table):
    first = check(registry, dbsession, domain).checked_at
    assert check(registry, dbsession, domain, asked=False).checked_at == first


@pytest.mark.parametrize(("change", "problem"), [("missing", "missing"), ("other", "differs")])
def test_a_domain_whose_key_is_gone_is_no_longer_verified(registry, dbsession, domain, table, change, problem):
    check(registry, dbsession, domain)
    name = f"{domain.selector}._domainkey.bakery.test"
    table.records[name] = [] if change == "missing" else ["v=DKIM1; k=rsa; p=AAAA"]
    check(registry, dbsession, domain)
    assert (domain.status, domain.problem) == ("pending", problem)


def test_a_silent_dns_takes_nothing_away(registry, dbsession, domain, table):
    check(registry, dbsession, domain)
    before = domain.results
    table.silent = set(table.records)
    check(registry, dbsession, domain)
    assert (domain.status, domain.problem, domain.results) == ("verified", "unreachable", before)


def test_only_the_required_record_decides(registry, dbsession, domain, table):
    for name in list(table.records):
        if not name.startswith(f"{domain.selector}._domainkey"):
            del table.records[name]
    check(registry, dbsession, domain)
    assert domain.status == "verified"
    assert domain.results == {"dkim_rsa": "ok", "dkim_ed25519": "missing", "spf": "missing", "dmarc": "missing"}


def test_the_dns_is_asked_while_no_transaction_is_open(live, settings):
    project = live.build.project(domain="p.test")
    row = live.build.sending_domain(project, live.registry.mailhub, checking_since=datetime.now(UTC))
    open_ones = []

    class Watching:
        def texts(self, name):
            with live.engine.connect() as connection:
                found = connection.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
                    )
                )
            open_ones.append(found)
            return []

    live.session.rollback()
    live.registry.text_records = Watching()
    run(live.registry, TASKS["mailhub.projects.check_domain"], (row.project_id, row.id))
    assert open_ones == [0, 0, 0, 0]


def test_a_lost_check_is_asked_for_again(registry, dbsession, domain, publisher):
    domain.checking_since = datetime.now(UTC) - timedelta(seconds=61)
    dbsession.commit()
    assert run_sweeps(registry)
    assert ("mailhub.projects.check_domain", (domain.project_id, domain.id), "celery") in publisher.sent
    publisher.sent.clear()
    assert run_sweeps(registry)
    assert publisher.names() == []
    assert check_domain.spec.queue == "celery"


# Keys


def test_keys_are_sealed_again_after_a_change_of_the_secret_key(
    build, project, settings, registry, dbsession, domain, monkeypatch
):
    lost = build.sending_domain(project, settings, domain="x.bakery.test")
    lost.rsa_private = Sealer(["a key that nobody has kept"]).seal(b"x", "y")
    dbsession.commit()
    before = domain.rsa_private
    run(registry, TASKS["mailhub.projects.seal_again"], ())
    dbsession.refresh(domain)
    assert domain.rsa_private == before
    dbsession.execute(text("DELETE FROM periodic_run"))
    dbsession.commit()
    new = "another secret of the tests, also long enough"
    changed = dataclasses.replace(settings, secret_key=new, secret_keys_old=(settings.secret_key,))
    monkeypatch.setattr(registry, "mailhub", changed)
    run(registry, TASKS["mailhub.projects.seal_again"], ())
    dbsession.refresh(domain)
    about = keys_about(project.id, domain.domain)
    assert public_text(load_private(Sealer([new]).open(domain.rsa_private, about))) == domain.rsa_public
    assert public_text(load_private(Sealer([new]).open(domain.ed25519_private, about))) == domain.ed25519_public


# The API


def test_the_api_adds_checks_and_removes(client, project, dbsession, publisher, registry, settings):
    api = client.api(dbsession, project.id, "domains:write")
    made = api.post_json("/api/v1/domains", {"domain": "bakery.test"}, status=201).json
    assert (made["status"], made["checking"], made["problem"], made["checked_at"]) == ("pending", False, "", None)
    assert [record["purpose"] for record in made["records"]] == ["dkim_rsa", "dkim_ed25519", "spf", "dmarc"]
    assert {record["found"] for record in made["records"]} == {None}
    row = dbsession.scalars(select(SendingDomain)).one()
    registry.text_records = Table(dbsession, domains.records_of(row, settings))
    try:
        assert api.post_json(f"/api/v1/domains/{made['id']}/verify", {}, status=202).json["checking"] is True
        publisher.run_all()
    finally:
        del registry.text_records
    seen = api.get(f"/api/v1/domains/{made['id']}").json
    assert (seen["status"], seen["checking"]) == ("verified", False)
    assert {record["found"] for record in seen["records"]} == {"ok"}
    assert [one["id"] for one in api.get("/api/v1/domains").json["results"]] == [made["id"]]
    api.delete(f"/api/v1/domains/{made['id']}", status=204)
    api.get(f"/api/v1/domains/{made['id']}", status=404)


def test_the_api_pages_and_names_what_is_wrong(client, build, project, settings, dbsession):
    ids = [str(build.sending_domain(project, settings, domain=f"{name}.bakery.test").id) for name in "bca"]
    api = client.api(dbsession, project.id, "domains:read")
    first = api.get("/api/v1/domains?limit=2").json
    assert [one["id"] for one in first["results"]] == ids[:2]
    rest = api.get(first["next"].removeprefix("http://localhost")).json
    assert [one["id"] for one in rest["results"]] == ids[2:]
    assert rest["next"] is None
    api.post_json("/api/v1/domains", {"domain": "x.bakery.test"}, status=403)
    writer = client.api(dbsession, project.id, "domains:write")
    wrong = writer.post_json("/api/v1/domains", {"domain": "evil.test"}, status=422).json
    assert wrong["errors"][0]["field"] == "domain"


def test_there_are_not_endlessly_many(client, project, alice, dbsession, monkeypatch, domain):
    monkeypatch.setattr(domains, "MAX_DOMAINS", 1)
    answer = client.sign_in(alice).post_form(PAGE, {"domain": "more.bakery.test"}, status=422)
    assert "at most 1" in answer.text
