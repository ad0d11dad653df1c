"""People, campaigns, imports and letters of all projects as JSON, and their deletion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from mailhub.accounts import service as accounts
from mailhub.delivery import service as delivery
from mailhub.delivery.ids import new_message_id
from mailhub.models import (
    AdminToken,
    AuditEntry,
    Campaign,
    CampaignCount,
    CampaignState,
    ImportRejectedRow,
    Message,
    MessageContent,
    MessageEvent,
    MessageKind,
    Project,
    ProjectDay,
    Role,
    Subscriber,
    SubscriberImport,
    User,
    WebSession,
)
from tests.client import ApiClient

BASE = "/api/v1/reports"


@pytest.fixture
def two(build):
    """Alice owns the bakery, bob works in it; the shop is another project."""
    alice, bob = build.user("alice@people.test", name="Alice"), build.user("bob@people.test", name="Bob")
    bakery = build.project(alice, slug="bakery", name="Corner Bakery", domain="bakery.test")
    build.member(bakery, bob, Role.ANALYST)
    shop = build.project(build.user("carol@people.test"), slug="shop", name="Shop", domain="shop.test")
    return bakery, shop


def ids(answer):
    return [one["id"] for one in answer.json["results"]]


def journal(dbsession):
    columns = (AuditEntry.action, AuditEntry.actor, AuditEntry.object_name, AuditEntry.project_id)
    return [tuple(row) for row in dbsession.execute(select(*columns).order_by(AuditEntry.id))]


# People


def test_people_have_their_projects_and_no_secret(admin_api, two, dbsession, root):
    answer = admin_api.get(f"{BASE}/users")
    assert (answer.json["count"], answer.json["count_is_exact"], answer.json["next"]) == (4, True, None)
    assert [one["email"] for one in answer.json["results"]] == [
        "carol@people.test", "bob@people.test", "alice@people.test", "root@people.test",
    ]  # fmt: skip
    bob = answer.json["results"][1]
    assert bob["projects"] == [
        {"project_id": str(two[0].id), "project": "bakery", "name": "Corner Bakery", "role": "analyst"}
    ]
    assert "argon2" not in answer.text
    assert root.password_hash not in answer.text
    assert not [name for name in bob if "hash" in name or "secret" in name or name == "password"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("project=bakery", ["bob", "alice"]),
        ("text=ALI", ["alice"]),
        ("text=%25", []),
        ("state=admin", ["root"]),
        ("state=disabled", ["carol"]),
        ("state=active&project=shop", []),
        ("since=2001-01-01&until=2001-02-01", []),
        ("limit=1", ["carol"]),
    ],
)
def test_people_are_filtered(admin_api, two, dbsession, query, names):
    dbsession.execute(text("UPDATE user_account SET disabled_at = now() WHERE email = 'carol@people.test'"))
    dbsession.commit()
    answer = admin_api.get(f"{BASE}/users?{query}").json
    assert [one["email"].split("@")[0] for one in answer["results"]] == names
    assert answer["count"] == (4 if "limit" in query else len(names))


def test_people_page_by_page(admin_api, two):
    first = admin_api.get(f"{BASE}/users?limit=3").json
    assert first["next"].startswith("http://localhost:6544/api/v1/reports/users?limit=3&after=")
    second = admin_api.get(first["next"].removeprefix("http://localhost:6544")).json
    assert [one["email"] for one in second["results"]] == ["root@people.test"]
    assert (second["next"], second["count"]) == (None, 4)


def test_a_person_alone_says_where_they_are_signed_in(admin_api, two, root, client):
    client.sign_in(root, app="reports")
    one = admin_api.get(f"{BASE}/users/{root.id}").json
    assert (one["email"], one["sessions"], one["admin_tokens"]) == ("root@people.test", 1, 1)
    admin_api.get(f"{BASE}/users/999999", status=404)


def test_a_disabled_person_is_out_at_once_and_stays_known(admin_api, two, dbsession, client, build):
    bob = dbsession.scalars(select(User).where(User.email == "bob@people.test")).one()
    client.sign_in(bob).get("/projects/bakery", status=200)
    admin_api.delete(f"{BASE}/users/{bob.id}", status=204)
    admin_api.delete(f"{BASE}/users/{bob.id}", status=204)  # a second time changes nothing
    client.get("/projects/bakery", status=303)
    assert admin_api.get(f"{BASE}/users/{bob.id}").json["disabled_at"]
    assert journal(dbsession) == [("user.disabled", "root@people.test", "bob@people.test", None)]


def test_admins_tokens_of_a_disabled_person_end(admin_api, reports_app, dbsession, build):
    other = build.user("other@people.test", is_admin=True)
    token = accounts.create_admin_token(dbsession, user=other, name="x").shown
    dbsession.commit()
    ApiClient(reports_app, token).get(f"{BASE}/queues", status=200)
    admin_api.delete(f"{BASE}/users/{other.id}", status=204)
    dbsession.execute(text("UPDATE user_account SET disabled_at = NULL"))  # even if the account works again
    dbsession.commit()
    ApiClient(reports_app, token).get(f"{BASE}/queues", status=401)
    assert dbsession.scalar(select(func.count(AdminToken.id)).where(AdminToken.revoked_at.is_not(None))) == 1


def test_the_last_owner_oneself_and_the_last_admin_stay(admin_api, two, root, dbsession, build):
    alice = dbsession.scalars(select(User).where(User.email == "alice@people.test")).one()
    answer = admin_api.delete(f"{BASE}/users/{alice.id}", status=409).json
    assert "needs an owner" in answer["detail"]
    assert [one["message"] for one in answer["errors"]] == ["Corner Bakery"]
    assert "disable themselves" in admin_api.delete(f"{BASE}/users/{root.id}", status=409).json["detail"]
    with pytest.raises(accounts.AccountRefused, match="last administrator"):
        accounts.disable_user(dbsession, root)
    dbsession.refresh(alice)
    assert alice.disabled_at is None
    build.member(two[0], build.user(), Role.OWNER)
    admin_api.delete(f"{BASE}/users/{alice.id}", status=204)


# Projects


def test_an_archived_project_is_gone_for_its_people_and_keys_and_nothing_of_it_is_lost(
    admin_api, two, dbsession, client, today
):
    bakery, _shop = two
    dbsession.add(ProjectDay(project_id=bakery.id, day=today, sent=7))
    key = client.api(dbsession, bakery.id)
    key.get("/api/v1/lists", status=200)
    admin_api.delete(f"{BASE}/projects/{bakery.id}", status=204)
    key.get("/api/v1/lists", status=401)
    alice = dbsession.scalars(select(User).where(User.email == "alice@people.test")).one()
    client.sign_in(alice).get("/projects/bakery", status=404)
    answer = admin_api.get(f"{BASE}/projects?project=bakery").json["results"][0]
    assert answer["archived_at"]
    assert answer["counts"]["sent"] == 7
    assert journal(dbsession) == [("project.archived", "root@people.test", "Corner Bakery", bakery.id)]
    admin_api.delete(f"{BASE}/projects/999999", status=404)


def test_a_project_with_something_on_its_way_is_not_archived(admin_api, two, dbsession, build):
    bakery, _shop = two
    build.campaign(bakery, state=CampaignState.SENDING, name="Spring")
    build.campaign(bakery, state=CampaignState.SENT, name="Winter")
    import_(dbsession, build, bakery, state="running", file_name="people.csv")
    answer = admin_api.delete(f"{BASE}/projects/{bakery.id}", status=409).json
    assert [one["message"] for one in answer["errors"]] == ["Spring", "people.csv"]
    assert dbsession.scalar(select(func.count(Project.id)).where(Project.archived_at.is_not(None))) == 0
    assert journal(dbsession) == []


# Campaigns


def test_campaigns_of_all_projects_but_those_in_the_archive(admin_api, two, dbsession, build):
    bakery, shop = two
    spring = build.campaign(bakery, name="Spring", state=CampaignState.SENT)
    sale = build.campaign(shop, name="Sale")
    build.campaign(shop, name="Old", archived_at=datetime.now(UTC))
    dbsession.add(CampaignCount(project_id=bakery.id, campaign_id=spring.id, audience=10, sent=7, failed=1))
    dbsession.commit()
    answer = admin_api.get(f"{BASE}/campaigns")
    assert (ids(answer), answer.json["count"]) == ([str(sale.id), str(spring.id)], 2)
    assert answer.json["results"][0]["counts"] is None
    counts = {"audience": 10, "queued": 2, "deferred": 0, "sent": 7, "failed": 1, "unknown": 0, "skipped": 0}
    assert admin_api.get(f"{BASE}/campaigns/{spring.id}").json["counts"] == counts
    assert ids(admin_api.get(f"{BASE}/campaigns?state=sent")) == [str(spring.id)]
    assert ids(admin_api.get(f"{BASE}/campaigns?project=shop")) == [str(sale.id)]
    assert ids(admin_api.get(f"{BASE}/campaigns?text=sal")) == [str(sale.id)]
    admin_api.get(f"{BASE}/campaigns?state=old", status=422)


def test_a_draft_is_deleted_and_what_was_sent_goes_to_the_archive(admin_api, two, dbsession, build):
    bakery, _shop = two
    draft, sent = build.campaign(bakery, name="Draft"), build.campaign(bakery, name="Sent", state="sent", version=1)
    for one in (draft, sent):
        admin_api.delete(f"{BASE}/campaigns/{one.id}", status=204)
        admin_api.delete(f"{BASE}/campaigns/{one.id}", status=404)
    left = dbsession.execute(select(Campaign.name, Campaign.archived_at.is_not(None))).all()
    assert left == [("Sent", True)]
    assert [(action, name) for action, _actor, name, _id in journal(dbsession)] == [
        ("campaign.deleted", "Draft"), ("campaign.archived", "Sent"),
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["scheduled", "sending", "paused"])
def test_a_campaign_on_its_way_is_not_deleted(admin_api, two, dbsession, build, state):
    campaign = build.campaign(two[0], state=state, version=1)
    assert "being sent" in admin_api.delete(f"{BASE}/campaigns/{campaign.id}", status=409).json["detail"]
    assert journal(dbsession) == []


# Imports


def import_(dbsession, build, project, **columns):
    reading = {"encoding": "utf-8", "delimiter": ",", "mapping": {"E": "email"}}
    values = {"file_name": "a.csv", "stored_name": "x.csv", **reading}
    row = SubscriberImport(project_id=project.id, list_id=build.list(project).id, **(values | columns))
    dbsession.add(row)
    dbsession.commit()
    return row


def test_imports_of_all_projects(admin_api, two, dbsession, build):
    bakery, shop = two
    done = import_(dbsession, build, bakery, state="done", rows_total=9, file_name="people.csv")
    running = import_(dbsession, build, shop, state="running")
    answer = admin_api.get(f"{BASE}/imports")
    assert ids(answer) == [str(running.id), str(done.id)]
    assert ids(admin_api.get(f"{BASE}/imports?state=running")) == [str(running.id)]
    assert ids(admin_api.get(f"{BASE}/imports?text=PEOPLE&project=bakery")) == [str(done.id)]
    one = admin_api.get(f"{BASE}/imports/{done.id}").json
    assert (one["project"], one["rows_total"], one["state"]) == ("bakery", 9, "done")
    assert "stored_name" not in one


def test_an_import_is_stopped_goes_on_and_is_forgotten(admin_api, two, dbsession, build, settings):
    row = import_(dbsession, build, two[0], state="running", lease_owner="w", line_done=5, rows_total=4)
    url = f"{BASE}/imports/{row.id}"
    assert "Stop it first" in admin_api.delete(url, status=409).json["detail"]
    admin_api.post(f"{url}/cancel", status=204)
    admin_api.post(f"{url}/cancel", status=409)
    assert (admin_api.get(url).json["state"], admin_api.get(url).json["error"]) == ("cancelled", "cancelled")
    admin_api.post(f"{url}/retry", status=204)
    admin_api.post(f"{url}/retry", status=409)
    dbsession.refresh(row)
    assert (row.state, row.error, row.line_done, row.finished_at) == ("pending", "", 5, None)
    admin_api.post(f"{url}/cancel", status=204)
    dbsession.add(ImportRejectedRow(project_id=row.project_id, import_id=row.id, line=3, reason="email"))
    dbsession.commit()
    person = build.subscriber(two[0])
    admin_api.delete(url, status=204)
    admin_api.get(url, status=404)
    assert dbsession.get(Subscriber, (two[0].id, person.id)) is not None
    assert [one[0] for one in journal(dbsession)] == [
        "import.cancelled", "import.retried", "import.cancelled", "import.deleted",
    ]  # fmt: skip


def test_a_file_that_is_gone_does_not_come_back(admin_api, two, dbsession, build):
    row = import_(dbsession, build, two[0], state="failed", error="file_gone")
    admin_api.post(f"{BASE}/imports/{row.id}/retry", status=409)


# Letters


def single(dbsession, project, to="buyer@mail.test", **columns):
    letter = delivery.SingleLetter(
        from_email=f"shop@{project.domain}", from_name="", to_email=to, to_name="", subject="Receipt", html="<p>Hi</p>"
    )
    message = delivery.accept(dbsession, project=project, kind=MessageKind.TRANSACTIONAL, letter=letter)
    for name, value in columns.items():
        setattr(message, name, value)
    dbsession.commit()
    return message


def of_campaign(dbsession, project, campaign, state, **columns):
    now = datetime.now(UTC) - timedelta(minutes=1)
    message = Message(
        project_id=project.id, created_at=now, id=new_message_id(now), kind="campaign", queue="bulk", state=state,
        campaign_id=campaign.id, campaign_name=campaign.name, email="reader@mail.test", email_domain="mail.test",
        **columns,
    )  # fmt: skip
    dbsession.add(message)
    dbsession.commit()
    return message


def test_letters_of_all_projects_the_newest_first(admin_api, two, dbsession, build):
    bakery, shop = two
    campaign = build.campaign(bakery, name="Spring")
    read = of_campaign(dbsession, bakery, campaign, "sent")
    first, second = single(dbsession, bakery), single(dbsession, shop, "other@mail.test", state="failed")
    answer = admin_api.get(f"{BASE}/messages")
    assert ids(answer) == [str(second.id), str(first.id), str(read.id)]
    assert (answer.json["count"], answer.json["count_is_exact"]) == (3, True)
    assert ids(admin_api.get(f"{BASE}/messages?project=bakery")) == [str(first.id), str(read.id)]
    assert ids(admin_api.get(f"{BASE}/messages?kind=campaign")) == [str(read.id)]
    assert ids(admin_api.get(f"{BASE}/messages?state=failed")) == [str(second.id)]
    assert ids(admin_api.get(f"{BASE}/messages?to=BUYER@mail.test")) == [str(first.id)]
    assert ids(admin_api.get(f"{BASE}/messages?to=buyer")) == []
    page = admin_api.get(f"{BASE}/messages?limit=2")
    assert (ids(page), page.json["count"]) == ([str(second.id), str(first.id)], 3)
    rest = admin_api.get(page.json["next"].removeprefix("http://localhost:6544"))
    assert ids(rest) == [str(read.id)]


def test_letters_of_other_days_are_asked_for(admin_api, two, dbsession, build, today):
    campaign = build.campaign(two[0])
    of_campaign(dbsession, two[0], campaign, "sent")
    dbsession.execute(text("UPDATE message SET created_at = created_at - interval '3 days', id = :id"),
                      {"id": new_message_id(datetime.now(UTC) - timedelta(days=3))})  # fmt: skip
    dbsession.commit()
    dbsession.expire_all()
    assert ids(admin_api.get(f"{BASE}/messages")) == []
    since, until = today - timedelta(days=4), today - timedelta(days=1)
    assert len(ids(admin_api.get(f"{BASE}/messages?since={since}&until={until}"))) == 1
    assert ids(admin_api.get(f"{BASE}/messages?since={until}")) == []
    assert len(ids(admin_api.get(f"{BASE}/messages?to=reader@mail.test"))) == 1


def test_a_letter_alone_has_what_happened_to_it(admin_api, two, dbsession):
    message = single(dbsession, two[0])
    one = admin_api.get(f"{BASE}/messages/{message.id}").json
    assert (one["to"], one["project"], one["has_content"]) == ("buyer@mail.test", "bakery", True)
    assert [event["type"] for event in one["events"]] == ["QUEUED"]
    admin_api.get(f"{BASE}/messages/{new_message_id(datetime.now(UTC))}", status=404)
    admin_api.get(f"{BASE}/messages/x", status=404)
    admin_api.get(f"{BASE}/messages/ffffffff-ffff-7fff-bfff-ffffffffffff", status=404)


def test_a_waiting_letter_is_taken_back_and_a_sent_one_loses_its_content_only(admin_api, two, dbsession):
    waiting, sent = single(dbsession, two[0]), single(dbsession, two[0], state="sent", due_at=None)
    for message in (waiting, sent):
        admin_api.delete(f"{BASE}/messages/{message.id}", status=204)
        assert "Nothing" in admin_api.delete(f"{BASE}/messages/{message.id}", status=409).json["detail"]
    dbsession.expire_all()
    assert dbsession.scalar(select(func.count(MessageContent.message_id))) == 0
    assert dbsession.scalar(select(func.count(MessageEvent.id))) == 2
    rows = dict(dbsession.execute(select(Message.id, Message.state)).all())
    assert (rows[waiting.id], rows[sent.id]) == ("skipped", "sent")
    assert [one[0] for one in journal(dbsession)] == ["message.withdrawn", "message.erased"]
    assert "buyer" not in str(journal(dbsession))


def test_a_letter_on_the_wire_is_not_taken_back(admin_api, two, dbsession):
    message = single(dbsession, two[0], in_flight=True, lease_owner="w")
    assert "on the wire" in admin_api.delete(f"{BASE}/messages/{message.id}", status=409).json["detail"]
    assert admin_api.get(f"{BASE}/messages/{message.id}").json["state"] == "queued"


def test_the_ledger_follows_a_campaigns_letter_that_is_taken_back(admin_api, two, dbsession, build):
    campaign = build.campaign(two[0], state="sending", version=1)
    dbsession.add(CampaignCount(project_id=two[0].id, campaign_id=campaign.id, audience=3, deferred=2, sent=1))
    put_off = of_campaign(dbsession, two[0], campaign, "deferred")
    again = of_campaign(dbsession, two[0], campaign, "queued")
    admin_api.delete(f"{BASE}/messages/{put_off.id}", status=204)
    admin_api.delete(f"{BASE}/messages/{again.id}", status=409)
    counts = dbsession.execute(select(CampaignCount.deferred, CampaignCount.skipped, CampaignCount.audience)).one()
    assert tuple(counts) == (1, 1, 3)


# The description


def test_openapi_describes_every_document_and_nothing_of_the_site(admin_api, reports_app):
    described = admin_api.get(f"{BASE}/openapi.json").json
    assert described["servers"] == [{"url": "http://localhost:6544"}]
    paths = {path: set(methods) for path, methods in described["paths"].items()}
    assert paths[f"{BASE}/users/{{user_id}}"] == {"get", "delete"}
    assert paths[f"{BASE}/messages/{{message_id}}"] == {"get", "delete"}
    assert all(path.startswith(BASE) for path in paths)
    assert "mha_" in described["components"]["securitySchemes"]["key"]["description"]


@pytest.mark.parametrize("kind", ["users", "campaigns", "imports", "messages"])
@pytest.mark.parametrize("query", ["limit=0", "limit=501", "since=x", "after=x!", "colour=red", "since=2001-01-01"])
def test_bad_filters_are_refused(admin_api, kind, query):
    assert admin_api.get(f"{BASE}/{kind}?{query}", status=422).json["errors"]


def test_sessions_of_a_disabled_person_are_gone(dbsession, build, client):
    person = build.user("x@people.test")
    client.sign_in(person)
    accounts.disable_user(dbsession, person)
    assert dbsession.scalar(select(func.count(WebSession.id))) == 0
