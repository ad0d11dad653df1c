"""Single letters: accept to relay, refusals, letters in doubt, tracking."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest
from sqlalchemy import select, text

from mailhub.delivery.service import Attachment, SingleLetter, accept
from mailhub.models import Message, MessageEvent, MessageKind, Project
from tests.delivery.conftest import Office, by_name
from tests.delivery.test_leases import Killed, die_at


@pytest.fixture
def project(office: Office) -> Project:
    return office.build.project(domain="p.test")


def accepted(
    office: Office, project: Project, to: str = "ann@mail.test", kind: Any = "transactional", **parts: Any
) -> Message:
    letter = SingleLetter(
        **({"from_email": "shop@p.test", "to_email": to, "subject": "Order", "text": "Hello"} | parts)
    )
    message = accept(office.session, project=project, kind=MessageKind(kind), letter=letter)
    office.session.commit()
    return message


def send_due(office: Office) -> None:
    office.run("mailhub.delivery.send_due", "transactional")
    office.session.rollback()
    office.session.expire_all()


def events(office: Office) -> list[str]:
    return list(office.session.scalars(select(MessageEvent.type).order_by(MessageEvent.at)))


def test_a_letter_is_sent_once_however_often_the_task_runs(office: Office, project: Project) -> None:
    message = accepted(office, project, to_name="Ann", headers={"X-Order": "7"})
    for _twice in range(2):
        send_due(office)
    assert (message.state, message.attempts, message.in_flight, message.smtp_code) == ("sent", 1, False, 250)
    assert events(office) == ["QUEUED", "SENT"]
    (caught,) = office.sink.letters
    letter = email.message_from_bytes(caught.data, policy=email.policy.default)
    assert (str(letter["To"]), letter["X-Order"]) == ("Ann <ann@mail.test>", "7")
    assert message.header_id == caught.message_id


def test_attachments_and_tracked_links(office: Office, project: Project) -> None:
    html = '<p><a href="https://example.com/a?b=1&amp;c=2">order</a></p>'
    accepted(office, project, html=html, attachments=[Attachment("bill.pdf", "application/pdf", "JVBERi0=")])
    send_due(office)
    letter = email.message_from_bytes(office.sink.letters[0].data, policy=email.policy.default)
    body = letter.get_body(("html",)).get_content()
    assert "example.com" not in body
    claims = office.registry.signer.read("click", body.partition("/t/c/")[2].partition('"')[0])
    assert claims.message == office.session.scalars(select(Message.id)).one()
    assert office.session.scalar(text("SELECT url FROM link WHERE id = :id"), {"id": claims.link}) == (
        "https://example.com/a?b=1&c=2"
    )
    (file,) = letter.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("bill.pdf", b"%PDF-")


def test_test_letters_are_not_tracked(office: Office, project: Project) -> None:
    accepted(office, project, kind="test", html='<a href="https://example.com/">x</a>')
    send_due(office)
    assert b"/t/c/" not in office.sink.letters[0].data


def test_refusals_of_single_letters(office: Office, project: Project) -> None:
    office.sink.script = by_name({"hard": "550 5.1.1 no such user", "later": "451 4.3.0 later"})
    hard, later = (accepted(office, project, f"{name}@mail.test") for name in ("hard", "later"))
    send_due(office)
    assert (hard.state, later.state, later.attempts) == ("failed", "deferred", 1)
    assert later.due_at is not None
    assert sorted(events(office)) == ["DEFERRED", "HARDBOUNCED", "QUEUED", "QUEUED"]
    assert accepted(office, project, "hard@mail.test").state == "skipped"


def test_a_dead_relay_leaves_letters_queued(office: Office, project: Project) -> None:
    message = accepted(office, project)
    office.sink.stop_listening()
    send_due(office)
    assert (message.state, message.attempts, message.in_flight) == ("queued", 0, False)
    office.sink.listen()
    office.session.rollback()
    assert "mailhub.delivery.send_due" in office.sweep()


def test_a_single_letter_in_doubt_is_repeated_once_with_its_message_id(office: Office, project: Project) -> None:
    office.sink.script = lambda stage, _address, _n: "drop" if stage == "body" else None
    message = accepted(office, project)
    for _attempt in range(3):
        send_due(office)
        office.session.execute(text("UPDATE message SET due_at = clock_timestamp() WHERE state = 'queued'"))
        office.session.commit()
    assert (message.state, message.attempts) == ("unknown", 2)
    assert len(office.sink.letters) == 2
    assert len({letter.message_id for letter in office.sink.letters}) == 1
    assert events(office) == ["QUEUED", "UNKNOWN"]


def test_a_letter_whose_worker_died_is_sent_by_the_next(
    office: Office, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = accepted(office, project)
    with monkeypatch.context() as patch:
        die_at(patch, 1, after=True)
        with pytest.raises(Killed):
            send_due(office)
    send_due(office)
    assert (message.state, message.in_flight) == ("queued", True)
    office.session.execute(text("UPDATE message SET lease_until = clock_timestamp() - interval '1 s'"))
    office.session.commit()
    assert "mailhub.delivery.send_due" in [*office.sweep(), *office.sweep()]
    send_due(office)
    assert message.state == "sent"
    assert len({letter.message_id for letter in office.sink.letters}) == 1


def test_a_campaigns_retry_whose_worker_died_is_in_doubt(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.sink.script = lambda stage, _a, n: "451 4.3.0 later" if stage == "rcpt" and n == 1 else None
    office.settings(delivery_retry_schedule=(0,))
    campaign = office.campaign(1)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, 1, after=True)
        with pytest.raises(Killed):
            office.pump()
    office.session.execute(text("UPDATE message SET lease_until = clock_timestamp() - interval '1 s'"))
    office.session.commit()
    office.sweep()
    assert office.parts(campaign) == {"audience": 1, "unknown": 1}
    assert office.state(campaign) == "sent"


def test_a_paused_campaigns_retry_waits(office: Office) -> None:
    office.sink.script = by_name({"p0": "451 4.3.0 later"})
    campaign = office.campaign(1)
    office.fan_out(campaign)
    office.pump()
    office.session.execute(text("UPDATE campaign SET state = 'paused'"))
    office.session.execute(text("UPDATE message SET due_at = clock_timestamp()"))
    office.session.commit()
    tries = office.sink.envelopes["p0@mail.test"]
    office.pump()
    assert office.sink.envelopes["p0@mail.test"] == tries
