"""Mail by API, the log and the page of a message."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import func, select

from mailhub.delivery.service import SingleLetter, accept
from mailhub.models import Link, Message, MessageContent, MessageEvent, MessageKind, Suppression
from tests.build import Builder
from tests.client import Client

LETTER = {"from": "shop@p.test", "to": "Ann <ann@mail.test>", "subject": "Your order", "text": "Thank you."}


@pytest.fixture
def project(build: Builder) -> Any:
    return build.project(build.user("alice@people.test"), domain="p.test", slug="shop")


@pytest.fixture
def api(client: Client, dbsession: Any, project: Any) -> Any:
    return client.api(dbsession, project.id)


def send(api: Any, status: int = 202, http: Any = None, **changes: Any) -> Any:
    body = {name: value for name, value in (LETTER | changes).items() if value is not None}
    return api.post_json("/api/v1/messages", body, headers=http or {}, status=status).json


def test_a_letter_is_accepted_and_wakes_the_post_office(api: Any, dbsession: Any, publisher: Any) -> None:
    answer = send(api, html="<p><a href='https://example.com/o/1'>order</a></p>", tag="receipt")
    assert answer["state"] == "queued"
    message = dbsession.scalars(select(Message)).one()
    assert (str(message.id), message.email, message.tag, message.queue) == (
        answer["id"], "ann@mail.test", "receipt", "transactional",
    )  # fmt: skip
    assert dbsession.scalars(select(MessageContent.to_name)).one() == "Ann"
    assert dbsession.scalars(select(Link.url)).all() == ["https://example.com/o/1"]
    assert dbsession.scalars(select(MessageEvent.type)).all() == ["QUEUED"]
    assert publisher.sent == [("mailhub.delivery.send_due", ("transactional",), "transactional")]


def test_status_with_events(api: Any) -> None:
    found = api.get(f"/api/v1/messages/{send(api)['id']}").json
    assert (found["state"], found["to"], found["subject"]) == ("queued", "ann@mail.test", "Your order")
    assert [event["type"] for event in found["events"]] == ["QUEUED"]
    assert found["events"][0]["at"].endswith("Z")


def test_variables_fill_the_letter_in_and_are_escaped(api: Any, dbsession: Any) -> None:
    send(api, subject="Hi {{ who }}", html="<b>{{ who }}</b>", text="{{ who }}", variables={"who": "<Ann>"})
    content = dbsession.scalars(select(MessageContent)).one()
    assert (content.subject, content.html, content.text) == ("Hi <Ann>", "<b>&lt;Ann&gt;</b>", "<Ann>")


def test_without_variables_braces_are_only_braces(api: Any, dbsession: Any) -> None:
    send(api, text="{{ who }}")
    assert dbsession.scalars(select(MessageContent.text)).one() == "{{ who }}"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "shop@elsewhere.test"}, "from"),
        ({"to": "nobody"}, "to"),
        ({"to": {"email": "a@b.test", "name": "x\r\nBcc: y@z.test"}}, "to.name"),
        ({"subject": ""}, "subject"),
        ({"subject": "x\r\nBcc: y@z.test"}, "subject"),
        ({"text": None}, ""),
        ({"headers": {"Bcc": "x@y.test"}}, "headers"),
        ({"headers": {"X-Order": "1\r\nBcc: x@y.test"}}, "headers"),
        ({"attachments": [{"filename": "a", "content": "!!"}]}, "attachments.0.content"),
        ({"text": "{{ nobody }}", "variables": {}}, "text"),
        ({"text": "{{ ''.__class__ }}", "variables": {}}, "text"),
        ({"project_id": 7}, "project_id"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(api: Any, dbsession: Any, changes: Any, field: str) -> None:
    problem = send(api, status=422, **changes)
    assert [error["field"] for error in problem["errors"]][:1] == [field]
    assert dbsession.scalar(select(func.count()).select_from(Message)) == 0


def test_more_than_ten_megabytes_of_attachments_are_refused(api: Any) -> None:
    content = base64.b64encode(b"x" * 6_000_000).decode()
    files = [{"filename": name, "content": content} for name in ("a", "b")]
    assert "10 MB" in send(api, status=422, attachments=files)["errors"][0]["message"]


def test_a_sender_of_another_domain_may_be_used(api: Any, build: Builder, project: Any) -> None:
    build.sender(project, "me@elsewhere.test")
    assert send(api, **{"from": "Me@elsewhere.test"})["state"] == "queued"


def test_a_suppressed_address_is_skipped(api: Any, dbsession: Any, project: Any) -> None:
    dbsession.add(Suppression(project_id=project.id, email_key="ann@mail.test", reason="hard_bounce"))
    dbsession.commit()
    answer = send(api)
    assert answer["state"] == "skipped"
    assert api.get(f"/api/v1/messages/{answer['id']}").json["reason"] == "suppressed"


def test_who_has_unsubscribed_still_gets_the_receipt(api: Any, dbsession: Any, project: Any) -> None:
    dbsession.add(Suppression(project_id=project.id, email_key="ann@mail.test", reason="unsubscribed"))
    dbsession.commit()
    assert send(api)["state"] == "queued"


def test_a_repeated_request_gets_the_first_answer_and_sends_nothing(api: Any, dbsession: Any) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = send(api, http=key)
    assert send(api, http=key) == first
    assert dbsession.scalar(select(func.count()).select_from(Message)) == 1
    assert send(api, status=422, http=key, subject="Another")["status"] == 422
    assert send(api, http={"Idempotency-Key": "order-2"}) != first


def test_another_project_may_use_the_same_key(api: Any, build: Builder, client: Client, dbsession: Any) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = send(api, http=key)
    other = client.api(dbsession, build.project(domain="p.test").id)
    assert send(other, http=key)["id"] != first["id"]


def test_a_key_without_the_scope_may_not_send(client: Client, dbsession: Any, project: Any) -> None:
    send(client.api(dbsession, project.id, "messages:read"), status=403)


def test_the_list_is_filtered_and_paged_newest_first(api: Any) -> None:
    ids = [send(api, to=f"p{n}@mail.test", tag="odd" if n % 2 else "even")["id"] for n in range(5)]
    first = api.get("/api/v1/messages?limit=2").json
    assert [row["id"] for row in first["results"]] == [ids[4], ids[3]]
    second = api.get(first["next"]).json
    assert [row["id"] for row in second["results"]] == [ids[2], ids[1]]
    assert api.get(second["next"]).json["next"] is None
    assert [row["id"] for row in api.get("/api/v1/messages?tag=odd").json["results"]] == [ids[3], ids[1]]
    assert [row["id"] for row in api.get("/api/v1/messages?to=P2@mail.test").json["results"]] == [ids[2]]
    assert api.get("/api/v1/messages?state=sent").json["results"] == []
    api.get("/api/v1/messages?state=nonsense", status=422)


def test_another_projects_message_is_not_found(api: Any, build: Builder, client: Client, dbsession: Any) -> None:
    message_id = send(api)["id"]
    stranger = client.api(dbsession, build.project().id)
    stranger.get(f"/api/v1/messages/{message_id}", status=404)
    assert stranger.get("/api/v1/messages").json["results"] == []
    charlie = client.new().sign_in(build.user("charlie@people.test"))
    charlie.get("/projects/shop/messages", status=404)
    charlie.get(f"/projects/shop/messages/{message_id}", status=404)
    charlie.get(f"/projects/shop/messages/{message_id}/frame", status=404)


def owner(client: Client, dbsession: Any) -> Client:
    from mailhub.models import User

    return client.new().sign_in(dbsession.scalars(select(User).where(User.email == "alice@people.test")).one())


def test_the_log_shows_single_letters_of_all_kinds(api: Any, client: Client, dbsession: Any, project: Any) -> None:
    send(api)
    for kind in (MessageKind.TEST, MessageKind.SERVICE):
        letter = SingleLetter(from_email="a@p.test", to_email=f"{kind}@mail.test", subject="S", text="t")
        accept(dbsession, project=project, kind=kind, letter=letter)
    dbsession.commit()
    alice = owner(client, dbsession)
    page = alice.get("/projects/shop/messages")
    for address in ("ann@mail.test", "test@mail.test", "service@mail.test"):
        assert address in page
    rows = alice.fragment("/projects/shop/messages?kind=test", "message-rows")
    assert "test@mail.test" in rows
    assert "ann@mail.test" not in rows
    assert "<html" not in rows
    assert "ann@mail.test" in alice.get("/projects/shop/messages?q=ORDER")
    assert "Nothing matches" in alice.get("/projects/shop/messages?q=100%25")


def test_an_empty_log_says_what_will_be_here(client: Client, dbsession: Any, project: Any) -> None:
    assert "No messages yet" in owner(client, dbsession).get("/projects/shop/messages")


def test_an_analyst_sees_no_addresses(client: Client, build: Builder, project: Any) -> None:
    bob = build.user("bob@people.test")
    build.member(project, bob, "analyst")
    client.sign_in(bob).get("/projects/shop/messages", status=403)


def test_the_page_of_a_message(api: Any, client: Client, dbsession: Any) -> None:
    message_id = send(api, html="<script>alert(1)</script><p>Hello</p>", headers={"X-Order": "17"})["id"]
    alice = owner(client, dbsession)
    page = alice.get(f"/projects/shop/messages/{message_id}")
    assert "The letter waits to be sent." in page
    assert "Accepted" in page
    assert "<script>alert" not in page
    frame = alice.get(f"/projects/shop/messages/{message_id}/frame")
    assert "default-src 'none'" in frame.headers["Content-Security-Policy"]
    assert "Thank you." in alice.get(f"/projects/shop/messages/{message_id}?view=text")
    assert "X-Order" in alice.get(f"/projects/shop/messages/{message_id}?view=headers")


@pytest.mark.parametrize(
    "message_id", ["x", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
)
def test_what_is_no_message_is_not_found(client: Client, dbsession: Any, project: Any, message_id: str) -> None:
    owner(client, dbsession).get(f"/projects/shop/messages/{message_id}", status=404)
