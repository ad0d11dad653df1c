"""The record of consents."""

import time
from datetime import UTC, datetime

import pytest

from mailhub.lists import consents, letters, service
from mailhub.mail.tokens import Kind
from mailhub.models import Consent, ConsentText
from mailhub.tasks import task_request


@pytest.fixture
def person(cast, build):
    return build.subscriber(cast.project, "anna@mail.ru")


def record(dbsession, person, **values):
    given = {"project_id": person.project_id, "subscriber_id": person.id, "kind": "given"} | values
    return consents.record(dbsession, **given)


def kinds(dbsession, person):
    found = consents.of_person(dbsession, person.project_id, person.id)
    return [(one.consent.kind, one.consent.source, one.list_name) for one in reversed(found)]


def test_same_words_are_kept_once_and_changed_words_are_a_new_version(dbsession, person):
    first = record(
        dbsession, person, text="I agree to get letters.", source="form:1", ip="10.0.0.1", user_agent="M" * 999
    )
    second = record(dbsession, person, text="I agree to get letters.")
    third = record(dbsession, person, text="I agree to get letters and calls.")
    assert first.text_id == second.text_id != third.text_id
    assert dbsession.query(ConsentText).count() == 2
    newest, *_rest, oldest = consents.of_person(dbsession, person.project_id, person.id)
    assert newest.text == "I agree to get letters and calls."
    assert (oldest.text, str(oldest.consent.ip), len(oldest.consent.user_agent)) == (
        "I agree to get letters.",
        "10.0.0.1",
        400,
    )


def test_everything_that_happens_to_a_subscription_is_recorded_once(dbsession, cast, build, person):
    double = build.list(cast.project, "Double", opt_in="double")
    whom = {"project_id": cast.project.id, "subscriber_id": person.id}
    for _twice in range(2):
        service.subscribe(dbsession, **whom, list_id=cast.list.id, source="manual")
        service.subscribe(
            dbsession, **whom, list_id=double.id, source="form:7", status="unconfirmed", text="Yes, letters"
        )
    for _twice in range(2):
        service.confirm(dbsession, **whom, list_id=double.id, asked_at=datetime.now(UTC), ip="10.0.0.9")
    for _twice in range(2):
        service.unsubscribe(dbsession, **whom, list_ids=[double.id], source="one_click")
        service.resubscribe(dbsession, **whom, list_ids=[double.id], source="page")
    service.unsubscribe(dbsession, **whom, source="manual")
    assert kinds(dbsession, person) == [
        ("added", "manual", "News"),
        ("asked", "form:7", "Double"),
        ("confirmed", "form:7", "Double"),
        *[("withdrawn", "one_click", "Double"), ("given", "page", "Double")] * 2,
        ("withdrawn", "manual", "News"),
        ("withdrawn", "manual", "Double"),
    ]


def test_record_of_one_person_or_project_is_not_shown_for_another(dbsession, cast, build, person):
    other = build.subscriber(cast.other, "anna@mail.ru")
    record(dbsession, person, text="Ours")
    record(dbsession, other, text="Theirs")
    assert [one.text for one in consents.of_person(dbsession, cast.project.id, person.id)] == ["Ours"]
    assert consents.of_person(dbsession, cast.project.id, other.id) == []


def test_pages_and_links_write_who_from_where(dbsession, registry, client, cast, build, person):
    double = build.list(cast.project, "Double", opt_in="double")
    tools = task_request(registry)
    service.subscribe(dbsession, project_id=cast.project.id, subscriber_id=person.id, list_id=double.id,
                      status="unconfirmed", source="api")  # fmt: skip
    dbsession.commit()
    url = letters.confirm_url(tools, double, person.id).removeprefix("http://localhost")
    agent = {"User-Agent": "Browser/1.0"}
    client.new().post(url, headers=agent, extra_environ={"REMOTE_ADDR": "10.9.9.9"})
    leave = registry.signer.sign(Kind.UNSUBSCRIBE, project=cast.project.id, list=double.id, subscriber=person.id)
    client.new().post(f"/u/{leave}", headers=agent, extra_environ={"REMOTE_ADDR": "10.9.9.8"})
    dbsession.expire_all()
    rows = dbsession.query(Consent).order_by(Consent.id).all()
    assert [(row.kind, row.source, str(row.ip), row.user_agent) for row in rows[1:]] == [
        ("confirmed", "api", "10.9.9.9", "Browser/1.0"),
        ("withdrawn", "one_click", "10.9.9.8", "Browser/1.0"),
    ]
    assert time.time() - rows[-1].at.timestamp() < 600
