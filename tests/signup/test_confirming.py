"""The link in a confirmation letter."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from mailhub.lists import letters
from mailhub.mail.tokens import Kind
from mailhub.models import Consent, Message, SignUpDay, SignUpSubmission, Subscriber, Subscription, Suppression
from mailhub.signup import forgetting
from mailhub.signup.tasks import forget
from mailhub.tasks import TASKS, run


def link(letter):
    return re.search(r"http://localhost(/c/\S+)", letter.text).group(1)


def old_link(registry, person, mailing_list, submission=None, days=1):
    return "/c/" + registry.signer.sign(
        Kind.CONFIRM, project=person.project_id, list=mailing_list.id, subscriber=person.id, link=submission,
        expires=int(time.time()) - days * 86_400,
    )  # fmt: skip


def test_looking_at_the_link_confirms_nothing_and_the_button_does(dbsession, client, forms, double, cast):
    forms.send(forms.make(cast.project, [double]))
    url = link(forms.letters()[0])
    for _scanner in range(2):
        assert "Confirm" in client.new().get(url).text
    for method in ("HEAD", "OPTIONS"):
        client.request(url, method=method, headers={"User-Agent": "BingPreview/1.0b"}, status="*")
    assert forms.status(double) == "unconfirmed"
    assert "You are subscribed" in client.new().post(url).text
    assert forms.status(double) == "subscribed"
    assert dbsession.query(Subscription).one().confirmed_at is not None
    again = client.new().post(url)
    assert "already" in again.html.h1.text
    assert forms.states() == ["confirmed"]
    assert dbsession.query(SignUpDay).one().confirmations == 1


def test_one_letter_confirms_all_lists_and_what_was_asked_becomes_the_persons(
    dbsession, client, forms, double, cast, build
):
    other = build.list(cast.project, "Other", opt_in="double")
    known = build.subscriber(cast.project, "anna@mail.ru", name="")
    form = forms.make(cast.project, [double, other], tags=["blog"], design={"boxes": [{"text": "I agree"}],
                      "texts": {"already": "We know you"}})  # fmt: skip
    forms.send(form, name="Anna", box_0="1")
    (letter,) = forms.letters()
    assert "Double, Other" in letter.text
    assert dbsession.get(Subscriber, (cast.project.id, known.id)).name == ""
    browser = client.new()
    browser.post(link(letter), extra_environ={"REMOTE_ADDR": "10.7.7.7"})
    assert (forms.status(double), forms.status(other)) == ("subscribed", "subscribed")
    assert dbsession.get(Subscriber, (cast.project.id, known.id)).name == "Anna"
    kinds = [(row.kind, row.list_id, str(row.ip)) for row in dbsession.query(Consent).order_by(Consent.id)]
    assert [kind for kind, _list, _ip in kinds] == ["asked"] * 3 + ["confirmed"] * 3
    assert {ip for _kind, _list, ip in kinds[3:]} == {"10.7.7.7"}
    assert "We know you" in browser.post(link(letter)).text


def test_confirmation_is_worth_nothing_after_leaving(client, dbsession, tools, build, cast, double, forms):
    person = build.subscriber(cast.project, "anna@mail.ru", lists=[double], status="unsubscribed")
    dbsession.query(Subscription).one().unsubscribed_at = "2999-01-01T00:00:00Z"
    dbsession.commit()
    url = letters.confirm_url(tools, double, person.id).removeprefix("http://localhost")
    client.post(url, status=410)
    assert forms.status(double) == "unsubscribed"


def test_link_that_is_too_old_says_so_and_sends_another_once_a_day(
    dbsession, client, forms, registry, build, cast, double
):
    person = build.subscriber(cast.project, "anna@mail.ru", lists=[double], status="unconfirmed")
    stopped = build.subscriber(cast.project, "stop@mail.ru", lists=[double], status="unconfirmed")
    dbsession.add(Suppression(project_id=cast.project.id, email_key="stop@mail.ru", reason="complaint"))
    dbsession.commit()
    page = client.new().get(old_link(registry, person, double), status=410)
    assert "too old" in page.html.h1.text
    answers = {client.new().post(old_link(registry, who, double)).text for who in (person, person, stopped)}
    assert len(answers) == 1
    (letter,) = forms.letters()
    client.new().post(link(letter))
    assert forms.status(double) == "subscribed"


def test_forged_and_foreign_tokens(client, registry, cast, double):
    ids = {"project": cast.project.id, "list": double.id, "subscriber": 1}
    form = registry.signer.sign(Kind.FORM, project=cast.project.id, list=double.id)
    for token in ("x", form, registry.signer.sign(Kind.UNSUBSCRIBE, **ids), form[:-1]):
        client.get(f"/c/{token}", status=404)
        client.post(f"/c/{token}", status=404)


def test_link_of_one_person_never_takes_another_persons_submission(
    dbsession, client, forms, registry, cast, double, build
):
    other = build.list(cast.project, "Other", opt_in="double")
    forms.send(forms.make(cast.project, [double, other]), "anna@mail.ru", name="Anna")
    submission = dbsession.query(SignUpSubmission).one()
    person = build.subscriber(cast.project, "boris@mail.ru", lists=[double], status="unconfirmed")
    token = registry.signer.sign(
        Kind.CONFIRM, project=cast.project.id, list=double.id, subscriber=person.id, link=submission.id,
        expires=int(time.time()) + 3600,
    )  # fmt: skip
    client.post(f"/c/{token}")
    assert forms.status(double, "boris@mail.ru") == "subscribed"
    assert forms.status(other, "boris@mail.ru") is None
    assert dbsession.get(Subscriber, (cast.project.id, person.id)).name == ""
    assert forms.states() == ["asked"]


def test_owner_is_told_of_a_new_subscriber_once(dbsession, client, forms, single, double, cast):
    cast.project.notify_email = "boss@p.test"
    dbsession.commit()
    form = forms.make(cast.project, [single])
    forms.send(form, name="<b>Anna</b>")
    (told,) = forms.letters("new_subscriber")
    assert "anna@mail.ru" in told.subject
    forms.send(form)
    forms.send(forms.make(cast.project, [double, single], name="Two"), "b@mail.ru")
    assert len(forms.letters("new_subscriber")) == 2  # at once into the one
    client.post(link(forms.letters("confirm_subscription")[0]))
    assert len(forms.letters("new_subscriber")) == 3


def test_who_does_not_confirm_within_a_week_is_forgotten(dbsession, forms, double, cast, build, registry):
    form = forms.make(cast.project, [double])
    kept = build.subscriber(cast.project, "known@mail.ru", name="Known")
    for email in ("gone@mail.ru", "known@mail.ru", "late@mail.ru"):
        forms.send(form, email, name="X")
    week = datetime.now(UTC) - timedelta(days=8)
    for row in dbsession.query(SignUpSubmission).order_by(SignUpSubmission.id).limit(2):
        row.settled_at = week
    dbsession.commit()
    assert forgetting.expire(dbsession, now=datetime.now(UTC), most=100) == 2
    dbsession.commit()
    assert forgetting.expire(dbsession, now=datetime.now(UTC), most=100) == 0
    dbsession.expire_all()
    assert {person.email for person in dbsession.query(Subscriber)} == {"known@mail.ru", "late@mail.ru"}
    assert dbsession.get(Subscriber, (cast.project.id, kept.id)).name == "Known"
    assert forms.status(double, "known@mail.ru") is None
    assert forms.status(double, "late@mail.ru") == "unconfirmed"


def test_forgetting_keeps_who_has_confirmed_and_runs_twice(dbsession, client, forms, double, cast, registry):
    form = forms.make(cast.project, [double])
    forms.send(form, "anna@mail.ru")
    client.post(link(forms.letters()[0]))
    dbsession.query(SignUpSubmission).update({"settled_at": datetime.now(UTC) - timedelta(days=30)})
    dbsession.commit()
    for _twice in range(2):
        run(registry, TASKS[forget.spec.name], ())
    assert forms.status(double) == "subscribed"
    dbsession.query(SignUpSubmission).update({"created_at": datetime.now(UTC) - timedelta(days=365)})
    dbsession.commit()
    run(registry, TASKS[forget.spec.name], ())
    assert dbsession.query(SignUpSubmission).count() == 0
    assert dbsession.query(SignUpDay).one().confirmations == 1


@pytest.mark.parametrize("times", [1, 2])
def test_lost_wake_up_is_found_by_the_sweep_and_a_second_run_does_nothing(
    dbsession, forms, double, cast, registry, times
):
    from mailhub.signup.tasks import resume_submissions
    from mailhub.tasks import task_request as make

    form = forms.make(cast.project, [double])
    forms.send(form, settle=False)
    registry.publisher.sent.clear()
    dbsession.query(SignUpSubmission).update({"due_at": datetime.now(UTC) - timedelta(minutes=1)})
    dbsession.commit()
    for _time in range(times):
        request = make(registry)
        with request.tm:
            resume_submissions(request)
        forms.settle()
    assert forms.states() == ["asked"]
    assert dbsession.query(Message).filter_by(tag="confirm_subscription").count() == 1
