"""Pages and API of people's data: who may, what they say, what happens."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.events.service import Event, append_in
from mailhub.lists import consents
from mailhub.mail.tokens import Kind
from mailhub.models import (
    AuditEntry,
    Erasure,
    Message,
    ProjectJob,
    Subscriber,
    SubscriberField,
    SubscriberTag,
    Subscription,
    Suppression,
    Tag,
)
from mailhub.web import paging

EMAIL = "Dora@Mail.test"


@pytest.fixture
def dora(cast, build, dbsession):
    project = cast.project
    dora = build.subscriber(project, EMAIL, lists=[cast.list], name="Dora <b>", fields={"city": "Kazan", "age": 7})
    tag = Tag(project_id=project.id, name="VIP", name_key="vip")
    dbsession.add_all([SubscriberField(project_id=project.id, name="city", label="City"), tag])
    dbsession.flush()
    dbsession.add(SubscriberTag(project_id=project.id, tag_id=tag.id, subscriber_id=dora.id))
    consents.record(dbsession, project_id=project.id, subscriber_id=dora.id, list_id=cast.list.id, kind="given",
                    source="form:1", text="Write to me", ip="192.0.2.1")  # fmt: skip
    before = Message(project_id=project.id, kind="transactional", queue="transactional", state="sent",
                     email=EMAIL, email_domain="mail.test", subject="Receipt 7")  # fmt: skip
    dbsession.add(before)
    dbsession.flush()
    sent = Event("SENT", project.id, "transactional", at=datetime.now(UTC) - timedelta(days=1), message_id=before.id,
                 email=EMAIL, email_domain="mail.test")  # fmt: skip
    event = Event("OPENED", project.id, "campaign", at=datetime.now(UTC), subscriber_id=dora.id, email=EMAIL,
                  email_domain="mail.test", campaign_name="Spring", ip="192.0.2.2", user_agent="Mail/2")  # fmt: skip
    append_in(dbsession, [sent, event])
    dbsession.add(Suppression(project_id=project.id, email_key=EMAIL.lower(), reason="manual", note="phoned"))
    dbsession.commit()
    return dora


def opened(answer):
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    return json.loads(archive.read("data.json")), archive.read("data.html").decode()


def test_a_person_gets_everything_as_a_page_and_as_json(cast, page, dora, dbsession):
    answer = page.get(f"{cast.base}/subscribers/{dora.id}/export")
    assert answer.content_type == "application/zip"
    assert EMAIL.lower() not in answer.headers["Content-Disposition"].lower()
    data, html = opened(answer)
    assert (data["person"]["email"], data["person"]["name"]) == (EMAIL, "Dora <b>")
    assert (data["fields"], data["tags"]) == ({"City": "Kazan", "age": 7}, ["VIP"])
    assert [(one["list"], one["status"]) for one in data["lists"]] == [("News", "subscribed")]
    assert [(one["words"], one["ip"]) for one in data["consents"]] == [("Write to me", "192.0.2.1")]
    assert [(one["subject"], one["state"]) for one in data["letters"]] == [("Receipt 7", "sent")]
    assert [(one["type"], one["campaign"], one["ip"]) for one in data["events"]] == [
        ("OPENED", "Spring", "192.0.2.2"),
        # Of a letter to the address from before it was somebody's.
        ("SENT", "", ""),
    ]
    assert data["counts"] == {"letters": 1, "events": 2}
    assert [one["note"] for one in data["stop_list"]] == ["phoned"]
    for text in ("Dora &lt;b&gt;", "Kazan", "VIP", "Write to me", "Receipt 7", "Spring", "phoned"):
        assert text in html
    assert dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "person.exported")).one()


def test_who_may_erase_and_who_may_not_even_know(cast, dora):
    url = f"{cast.base}/subscribers/{dora.id}/erase"
    statuses = {cast.alice: 200, cast.bob: 200, cast.ann: 403, cast.charlie: 404}
    for who, status in statuses.items():
        assert cast.as_(who).get(url, status="*").status_int == status
        assert cast.as_(who).get(f"{cast.base}/privacy", status="*").status_int == status
        assert cast.as_(who).get(f"{cast.base}/subscribers/{dora.id}/export", status="*").status_int == status


def test_the_address_is_typed_to_confirm(cast, page, dora, dbsession):
    url = f"{cast.base}/subscribers/{dora.id}/erase"
    answer = page.post_form(url, {"email": "other@mail.test"}, status=422)
    assert "This is not the person" in answer.text
    assert dbsession.get(Subscriber, (cast.project.id, dora.id)) is not None
    project_id, number = cast.project.id, dora.id
    answer = page.post_form(url, {"email": "DORA@mail.test"})
    assert answer.status_int == 303
    dbsession.expire_all()
    assert dbsession.get(Subscriber, (project_id, number)) is None
    assert dbsession.query(Subscription).filter_by(subscriber_id=number).count() == 0
    shown = page.get(answer.headers["Location"])
    assert "Traces are looked for" in shown.text
    assert EMAIL.lower() not in shown.text.lower()
    assert page.get(f"{cast.base}/subscribers/{number}", status=404)


def test_many_are_erased_at_once_or_nobody(cast, page, build, dbsession, publisher):
    people = [build.subscriber(cast.project, f"many{n}@mail.test") for n in range(3)]
    url = f"{cast.base}/privacy"
    answer = page.post_form(url, {"emails": "many0@mail.test nonsense", "sure": "1"}, status=422)
    assert "nonsense" in answer.text
    assert dbsession.query(Erasure).count() == 0
    assert page.post_form(url, {"emails": "many0@mail.test"}, status=422)
    page.post_form(url, {"emails": "many0@mail.test,\nMANY1@mail.test; only-in-letters@mail.test", "sure": "1"})
    publisher.run_all()
    dbsession.expire_all()
    states = [one.state for one in dbsession.scalars(select(Erasure).order_by(Erasure.id))]
    assert states == ["following"] * 3
    assert [person.id for person in dbsession.scalars(select(Subscriber))] == [people[2].id]
    job = dbsession.scalars(select(ProjectJob)).one()
    assert (job.state, job.done) == ("done", 3)
    yes, no = page.get(f"{url}?email=Many1@mail.test"), page.get(f"{url}?email=many2@mail.test")
    assert "Asked for on" in yes.text
    assert "was erased here" in no.text


def test_the_page_costs_the_same_for_many(cast, page, statements, build, dbsession, monkeypatch):
    url = f"{cast.base}/privacy"
    page.get(url)
    with statements() as few:
        page.get(url)
    for n in range(4):
        dbsession.add(Erasure(project_id=cast.project.id, way="page", email_hash=bytes([n]), asked_by=cast.bob.id))
    dbsession.commit()
    with statements() as many:
        page.get(url)
    assert len(few) + 1 == len(many) <= 8
    assert page.fragment(url, "erasure-rows").status_int == 200
    monkeypatch.setattr(paging, "PAGE_SIZE", 3)
    pages = [page.get(url)]
    pages.append(page.get(pages[0].html.find(id="page-next")["href"]))
    ids = [[int(row["id"].removeprefix("erasure-")) for row in one.html.find_all("tr", id=True)] for one in pages]
    assert [len(found) for found in ids] == [3, 1]
    assert ids[0] + ids[1] == sorted(ids[0] + ids[1], reverse=True)


def own(client, cast, person, page="data"):
    token = client.registry.signer.sign(Kind.PREFERENCES, project=cast.project.id, subscriber=person.id)
    return f"/p/{token}/{page}"


def test_people_take_their_data_by_the_link_of_a_letter_and_their_address(cast, client, dora):
    url = own(client, cast, dora)
    page = client.get(url)
    assert EMAIL.lower() not in page.text.lower(), "who was forwarded the letter learns nothing"
    assert client.post(url, {"email": "thief@mail.test"}, status=422)
    data, _html = opened(client.post(url, {"action": "data", "email": " dora@MAIL.test "}))
    assert data["person"]["id"] == dora.id
    assert client.get("/p/forged/data", status=404)


def test_people_have_themselves_erased_after_a_day_in_which_they_may_change_their_mind(
    cast, client, page, dora, dbsession, publisher
):  # fmt: skip
    url = own(client, cast, dora, "erase")
    assert client.get(url).status_int == 200
    assert client.post(url, {"email": "no@mail.test", "action": "erase"}, status=422)
    answer = client.post(url, {"email": EMAIL, "action": "erase"})
    assert "Keep my data" in answer.text
    assert dbsession.query(Subscription).filter_by(subscriber_id=dora.id).one().status == "unsubscribed"
    assert "Keep my data" in client.get(url).text
    assert "Do not erase" in page.get(f"{cast.base}/privacy").text
    assert "Your data stays" in client.post(url, {"action": "keep"}).text
    client.post(url, {"email": EMAIL, "action": "erase"})
    wish = dbsession.scalars(select(Erasure).where(Erasure.state == "waiting")).one()
    assert wish.way == "own"
    assert page.post_form(f"{cast.base}/privacy/{wish.id}/withdraw").status_int == 303
    dbsession.expire_all()
    assert wish.state == "withdrawn"


def test_tries_are_counted(cast, client, dora):
    url = own(client, cast, dora)
    for _n in range(10):
        client.post(url, {"email": "thief@mail.test"}, status=422)
    assert client.post(url, {"email": EMAIL, "action": "data"}, status=429)


def test_programs_export_and_erase_by_scope(cast, client, dora, dbsession, publisher):
    reader = client.api(dbsession, cast.project.id, "subscribers:read")
    data = reader.get(f"/api/v1/subscribers/{dora.id}/data").json
    assert data["person"]["email"] == EMAIL
    assert reader.post_json(f"/api/v1/subscribers/{dora.id}/erase", {}, status=403)
    api = client.api(dbsession, cast.project.id, "subscribers:erase")
    number = dora.id
    made = api.post_json(f"/api/v1/subscribers/{number}/erase", {}, status=202).json
    assert (made["state"], made["subscriber_id"], made["letters"]) == ("erasing", str(number), 1)
    assert api.get(f"/api/v1/erasures/{made['id']}").json["id"] == made["id"]
    refused = api.post_json("/api/v1/erasures", {"emails": ["x@mail.test", "nonsense"]}, status=422).json
    assert [one["field"] for one in refused["errors"]] == ["emails.1"]
    assert api.post_json("/api/v1/erasures", {}, status=422)
    asked = api.post_json("/api/v1/erasures", {"emails": ["x@mail.test"], "ids": ["999999"]}, status=202).json
    assert (len(asked["results"]), asked["known"]) == (1, 0)
    assert len(api.get("/api/v1/erasures").json["results"]) == 2
    strangers = client.api(dbsession, cast.other.id, "subscribers:erase")
    assert strangers.get(f"/api/v1/erasures/{made['id']}", status=404)
