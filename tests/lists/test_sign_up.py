"""Signing up by a list's own page, and confirming."""

import re
import time

import pytest

from mailhub.lists import letters, sign_up
from mailhub.mail.tokens import Kind
from mailhub.models import Message, MessageContent, Subscriber, Subscription, Suppression
from mailhub.tasks import task_request
from mailhub.web import limits


@pytest.fixture
def tools(registry):
    return task_request(registry)


@pytest.fixture
def single(cast, build):
    return build.list(cast.project, "Single", visibility="public", opt_in="single", language="ru")


@pytest.fixture
def double(cast, build):
    return build.list(cast.project, "Double", visibility="public", opt_in="double")


@pytest.fixture
def submit(client, tools):
    def post(mailing_list, email="anna@mail.ru", age=5.0, ip="10.0.0.1", **fields):
        url = sign_up.form_url(tools, mailing_list).removeprefix("http://localhost")
        given = {"email": email, "stamp": sign_up.stamp(tools, time.time() - age), **fields}
        status = given.pop("status", 200)
        return client.new().post(url, given, extra_environ={"REMOTE_ADDR": ip}, status=status)

    return post


def in_list(dbsession, mailing_list, email="anna@mail.ru"):
    dbsession.expire_all()
    row = (
        dbsession.query(Subscription)
        .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
        .filter(Subscriber.email_key == email, Subscription.list_id == mailing_list.id)
        .one_or_none()
    )
    return row.status if row else None


def sent(dbsession):
    return dbsession.query(MessageContent).join(Message, Message.id == MessageContent.message_id).all()


def test_form_is_in_the_lists_language_and_sets_no_cookie(client, tools, single):
    answer = client.get(sign_up.form_url(tools, single), headers={"Accept-Language": "en"})
    assert answer.html.html["lang"] == "ru"
    assert "Set-Cookie" not in answer.headers
    assert not answer.html.find("script")


def test_single_opt_in_subscribes_at_once_with_source_and_address(dbsession, submit, single, cast):
    submit(single, name="Анна")
    row = dbsession.query(Subscription).one()
    assert (row.status, row.source, str(row.ip)) == ("subscribed", "form", "10.0.0.1")
    assert dbsession.query(Subscriber).one().name == "Анна"
    assert sent(dbsession) == []


def test_double_opt_in_asks_by_a_letter_without_anything_the_asker_typed(dbsession, submit, double, cast, client,
                                                                        publisher):  # fmt: skip
    submit(double, name="Buy now http://spam.example")
    assert in_list(dbsession, double) == "unconfirmed"
    (letter,) = sent(dbsession)
    assert "spam.example" not in letter.html + letter.text + letter.subject + letter.to_name
    message = dbsession.query(Message).one()
    assert (message.kind, message.queue, message.email) == ("service", "transactional", "anna@mail.ru")
    assert ("mailhub.delivery.send_due", ("transactional",), "transactional") in publisher.sent
    url = re.search(r"http://localhost(/c/\S+)", letter.text).group(1)
    for _scanner in range(2):
        assert "Confirm" in client.get(url).text
    for method in ("HEAD", "OPTIONS"):
        client.request(url, method=method, headers={"User-Agent": "BingPreview/1.0b"}, status="*")
    assert in_list(dbsession, double) == "unconfirmed"
    client.post(url)
    assert in_list(dbsession, double) == "subscribed"
    assert dbsession.query(Subscription).one().confirmed_at is not None
    client.post(url)
    assert in_list(dbsession, double) == "subscribed"


def test_answer_is_the_same_for_new_known_and_suppressed(dbsession, submit, single, double, build, cast):
    for mailing_list in (single, double):
        build.subscriber(cast.project, f"known{mailing_list.id}@mail.ru", lists=[mailing_list])
        build.subscriber(cast.project, f"left{mailing_list.id}@mail.ru", lists=[mailing_list], status="unsubscribed")
        dbsession.add(Suppression(project_id=cast.project.id, email_key=f"stop{mailing_list.id}@mail.ru",
                                  reason="complaint"))  # fmt: skip
        dbsession.commit()
        pages = {
            submit(mailing_list, f"{who}{mailing_list.id}@mail.ru", ip=f"10.1.{mailing_list.id % 250}.{n}").text
            for n, who in enumerate(("new", "known", "left", "stop"))
        }
        assert len(pages) == 1
        assert in_list(dbsession, mailing_list, f"stop{mailing_list.id}@mail.ru") is None
        assert in_list(dbsession, mailing_list, f"left{mailing_list.id}@mail.ru") == "unsubscribed"


def test_who_has_left_a_single_opt_in_list_has_to_confirm(dbsession, submit, single, build, cast, client):
    build.subscriber(cast.project, "anna@mail.ru", lists=[single], status="unsubscribed")
    dbsession.query(Subscription).one().unsubscribed_at = "2026-01-01T00:00:00Z"
    dbsession.commit()
    submit(single)
    assert in_list(dbsession, single) == "unsubscribed"
    url = re.search(r"http://localhost(/c/\S+)", sent(dbsession)[0].text).group(1)
    client.post(url)
    assert in_list(dbsession, single) == "subscribed"


def test_name_of_a_known_person_is_not_changed_by_strangers(dbsession, submit, single, build, cast):
    build.subscriber(cast.project, "anna@mail.ru", name="Anna")
    submit(single, name="Evil")
    dbsession.expire_all()
    assert dbsession.query(Subscriber).one().name == "Anna"


def test_bait_speed_and_foreign_stamps(dbsession, submit, single):
    assert submit(single, website="http://spam.example").status_int == 200
    submit(single, age=0.0, status=422)
    submit(single, age=100_000.0, status=422)
    submit(single, stamp="1.x", status=422)
    assert dbsession.query(Subscriber).count() == 0
    submit(single, "nobody", ip="10.0.0.2", status=422)
    submit(single, ip="10.0.0.2", project_id="1", status=422)
    assert dbsession.query(Subscriber).count() == 0


def test_five_forms_a_minute_from_one_network(submit, single, monkeypatch):
    taken = []
    take = limits.take

    def in_a_minute(registry, key, *, burst, per_seconds):
        taken.append((key.partition(":")[0], burst, per_seconds))
        return take(registry, key, burst=burst, per_seconds=per_seconds * 1000)  # of which this test is no part

    monkeypatch.setattr(limits, "take", in_a_minute)
    for n in range(5):
        submit(single, f"a{n}@mail.ru", ip=f"2001:db8::{n}")
    answer = submit(single, "a6@mail.ru", ip="2001:db8::99", status=429)
    assert int(answer.headers["Retry-After"]) > 0
    assert ("sign_up.ip", 5, 60) in taken
    submit(single, "a7@mail.ru", ip="2001:db8:1::1")


def test_one_victim_over_many_lists_gets_three_letters(dbsession, submit, build, cast):
    spellings = ["victim@gmail.com", "vic.tim@gmail.com", "victim+1@gmail.com", "v.i.c.tim@googlemail.com"]
    lists = [build.list(cast.project, visibility="public", opt_in="double") for _n in range(5)]
    for n, mailing_list in enumerate(lists):
        for m, email in enumerate(spellings):
            submit(mailing_list, email, ip=f"10.2.{n}.{m}")
    assert len(sent(dbsession)) == 3


@pytest.mark.parametrize("change", [{"visibility": "private"}, {"archived_at": "2026-01-01T00:00:00Z"}])
def test_private_and_archived_lists_have_no_page(client, tools, single, dbsession, change):
    url = sign_up.form_url(tools, single)
    client.get(url)
    for name, value in change.items():
        setattr(single, name, value)
    dbsession.commit()
    client.get(url, status=404)


def test_forged_expired_and_foreign_tokens(client, registry, cast, double):
    ids = {"project": cast.project.id, "list": double.id, "subscriber": 1}
    old = registry.signer.sign(Kind.CONFIRM, **ids, expires=int(time.time()) - 7200)
    form = registry.signer.sign(Kind.FORM, project=cast.project.id, list=double.id)
    for token in ("x", old, form, registry.signer.sign(Kind.UNSUBSCRIBE, **ids), form[:-1]):
        client.get(f"/c/{token}", status=404)
        client.post(f"/c/{token}", status=404)
    client.get(f"/s/{old}", status=404)


def test_confirmation_is_worth_nothing_after_leaving(client, tools, dbsession, build, cast, double):
    person = build.subscriber(cast.project, "anna@mail.ru", lists=[double], status="unsubscribed")
    dbsession.query(Subscription).one().unsubscribed_at = "2999-01-01T00:00:00Z"
    dbsession.commit()
    url = letters.confirm_url(tools, double, person.id).removeprefix("http://localhost")
    client.post(url, status=410)
    assert in_list(dbsession, double) == "unsubscribed"


def test_owner_is_told_of_a_new_subscriber(dbsession, submit, single, cast):
    cast.project.notify_email = "boss@p.test"
    dbsession.commit()
    submit(single, name="<b>Anna</b>")
    (letter,) = sent(dbsession)
    assert "anna@mail.ru" in letter.subject
    assert "Single" in letter.text
    assert dbsession.query(Message).one().email == "boss@p.test"
    submit(single)
    assert len(sent(dbsession)) == 1
