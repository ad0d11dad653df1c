"""Who has no letter asks for the link: it goes to the mailbox, and the page never says who is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from mailhub.mail.tokens import Kind
from mailhub.models import Message, MessageContent
from mailhub.preferences import links
from tests.preferences.test_page import secret_in


@pytest.fixture
def project(build: Any) -> Any:
    return build.project(name="Shop")


@pytest.fixture
def url(project: Any, registry: Any) -> str:
    return links.ask_url("", registry.signer, project.id)


def letters(dbsession: Any) -> list[tuple[str, str]]:
    found = select(Message.email, MessageContent.text).join(MessageContent, MessageContent.message_id == Message.id)
    return [tuple(row) for row in dbsession.execute(found)]


def test_the_link_goes_to_the_mailbox_and_opens_the_page(client: Any, build: Any, project: Any, url: str,
                                                        dbsession: Any) -> None:  # fmt: skip
    build.subscriber(project, "Anna@mail.test")
    page = client.get(url)
    assert "Set-Cookie" not in page.headers
    page.form["email"] = "anna@MAIL.test"
    assert "Look into your mailbox" in page.form.submit().text
    ((to, text),) = letters(dbsession)
    assert to == "Anna@mail.test"
    assert "A…@mail.test" in client.get(secret_in(text)).text


def test_the_answer_is_the_same_for_the_known_the_unknown_and_the_greedy(
    client: Any, build: Any, project: Any, url: str, dbsession: Any
) -> None:
    build.subscriber(project, "anna@mail.test")
    build.subscriber(project, "gone@mail.test", status="unsubscribed")
    build.subscriber(build.project(), "elsewhere@mail.test")
    answers = {
        client.post(url, {"email": email}).text
        for email in ("anna@mail.test", "anna@mail.test", "nobody@mail.test", "elsewhere@mail.test", "gone@mail.test")
    }
    assert len(answers) == 1
    assert sorted(to for to, _text in letters(dbsession)) == ["anna@mail.test", "gone@mail.test"]
    client.post(url, {"email": "one.more@mail.test"}, status=429)


def test_the_request_does_the_same_work_whether_the_address_is_known_or_not(
    client: Any, build: Any, project: Any, url: str, publisher: Any, statements: Any
) -> None:
    build.subscriber(project, "anna@mail.test")
    done, woken = [], []
    for email in ("warm@mail.test", "anna@mail.test", "nobody@mail.test"):
        del publisher.sent[:]
        with statements() as seen:
            client.post(url, {"email": email})
        done.append([one.split()[:3] for one in seen])
        woken.append(list(publisher.sent))
    assert done[1] == done[2]
    assert woken[1] == woken[2] != []


def test_a_program_that_fills_in_everything_gets_nothing(client: Any, build: Any, project: Any, url: str,
                                                       dbsession: Any) -> None:  # fmt: skip
    build.subscriber(project, "anna@mail.test")
    client.post(url, {"email": "anna@mail.test", "website": "https://spam.test"}, status=200)
    assert letters(dbsession) == []


def test_what_is_no_address_is_said(client: Any, url: str) -> None:
    answer = client.post(url, {"email": "no address"}, status=422)
    assert 'aria-invalid="true"' in answer.text
    assert answer.form["email"].value == "no address"


def test_a_link_that_was_asked_for_works_for_a_week(client: Any, build: Any, project: Any, registry: Any) -> None:
    person = build.subscriber(project, "anna@mail.test")
    now = datetime.now(UTC).timestamp()

    def url_of(then: float) -> str:
        return links.asked_url("", registry.signer, project_id=project.id, subscriber_id=person.id, now=then)

    old = url_of(now - links.LINK_SECONDS - 3600)
    page = client.get(old, status=303).follow()
    assert "This link does not work any more." in page.text
    assert "anna@mail.test" not in page.text
    client.get(url_of(now - links.LINK_SECONDS + 7200), status=200)
    # Its own pages stay its own: a token without a person opens nobody's.
    nobody = registry.signer.sign(Kind.PREFERENCES, project=project.id)
    client.post(f"/p/{nobody}", {"action": "leave_all"}, status=303)
