"""A person's own page: every choice works without a cookie and a script, is written down, and says what it did."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mailhub.mail.tokens import Kind
from mailhub.models import (
    AddressChange,
    AuditEntry,
    Consent,
    Message,
    MessageContent,
    MessageEvent,
    Subscriber,
    SubscriberField,
    Subscription,
)


class Reader:
    """Anna is in a public and in a private list; two more lists are there that she is not in."""

    def __init__(self, build: Any, registry: Any) -> None:
        self.project = build.project(name="Shop")
        self.news = build.list(self.project, "News", visibility="public", description="Every Monday")
        self.club = build.list(self.project, "Club")
        self.offers = build.list(self.project, "Offers", visibility="public")
        self.secret = build.list(self.project, "Nobody knows this")
        self.person = build.subscriber(self.project, "anna@mail.test", lists=[self.news, self.club], name="Anna")
        self.campaign = build.started_campaign(self.project, lists=[self.news])
        self.token = registry.signer.sign(
            Kind.PREFERENCES, project=self.project.id, campaign=self.campaign.id, subscriber=self.person.id,
            list=self.news.id,
        )  # fmt: skip
        self.url = f"/p/{self.token}"


@pytest.fixture
def reader(build: Any, registry: Any) -> Reader:
    return Reader(build, registry)


def statuses(dbsession: Any, reader: Reader) -> dict[int, str]:
    dbsession.expire_all()
    rows = dbsession.scalars(select(Subscription).where(Subscription.subscriber_id == reader.person.id))
    return {row.list_id: row.status for row in rows}


def form_of(page: Any, action: str) -> Any:
    return next(form for form in page.forms.values() if form["action"].value == action)


def journal(dbsession: Any) -> list[str]:
    return list(dbsession.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_the_page_shows_public_lists_and_ones_own_and_no_other(client: Any, reader: Reader) -> None:
    page = client.get(reader.url)
    assert "Every Monday" in page.text
    assert "Club" in page.text
    assert "Offers" in page.text
    assert "Nobody knows this" not in page.text
    assert "a…@mail.test" in page.text
    assert "anna@mail.test" not in page.text
    assert "Set-Cookie" not in page.headers
    assert "<script" not in page.text
    assert "noindex" in page.text


def test_looking_changes_nothing(client: Any, reader: Reader, dbsession: Any) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        client.request(reader.url, method=method, status="*")
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}
    assert journal(dbsession) == []


def test_lists_are_joined_and_left_with_one_button(client: Any, reader: Reader, dbsession: Any) -> None:
    form = form_of(client.get(reader.url), "lists")
    ticked = {box.value if box.checked else None for box in form.fields["lists"]}
    assert ticked == {None, str(reader.news.id), str(reader.club.id)}
    for box in form.fields["lists"]:
        box.checked = box.id in (f"list-{reader.offers.id}", f"list-{reader.club.id}")
    page = form.submit(status=303).follow()
    assert "Your choice of letters is saved." in page.text
    assert statuses(dbsession, reader) == {
        reader.news.id: "unsubscribed", reader.club.id: "subscribed", reader.offers.id: "subscribed",
    }  # fmt: skip
    recorded = dbsession.execute(select(Consent.list_id, Consent.kind, Consent.source).order_by(Consent.id)).all()
    assert recorded == [
        (reader.offers.id, "given", "preferences"), (reader.news.id, "withdrawn", "preferences"),
    ]  # fmt: skip
    assert journal(dbsession) == ["preferences.joined", "preferences.left"]
    event = dbsession.scalars(select(MessageEvent)).one()
    assert (event.type, event.campaign_id, event.subscriber_id) == (
        "UNSUBSCRIBED",
        reader.campaign.id,
        reader.person.id,
    )


def test_a_list_that_is_not_shown_cannot_be_joined(client: Any, reader: Reader, build: Any, dbsession: Any) -> None:
    foreign = build.list(build.project(), "Foreign", visibility="public")
    wanted = [reader.secret.id, foreign.id, 10**12, reader.news.id, reader.club.id]
    client.post(reader.url, [("action", "lists"), *(("lists", str(one)) for one in wanted), ("lists", "x")], status=303)
    assert statuses(dbsession, reader) == {reader.news.id: "subscribed", reader.club.id: "subscribed"}
    # Nor is one left that came after the page.
    client.post(reader.url, [("action", "lists"), ("shown", str(reader.news.id))], status=303)
    assert statuses(dbsession, reader) == {reader.news.id: "unsubscribed", reader.club.id: "subscribed"}


def test_leaving_everything(client: Any, reader: Reader, dbsession: Any) -> None:
    page = form_of(client.get(reader.url), "leave_all").submit(status=303).follow()
    assert "You are unsubscribed from everything." in page.text
    assert set(statuses(dbsession, reader).values()) == {"unsubscribed"}
    assert dbsession.get(Subscriber, (reader.project.id, reader.person.id)).status == "unsubscribed"
    # The undo brings back just these, private ones too, and works for an hour.
    before = {reader.news.id: "subscribed", reader.club.id: "subscribed"}
    form_of(page, "undo").submit(status=303).follow()
    assert statuses(dbsession, reader) == before
    page = form_of(client.get(reader.url), "leave_all").submit(status=303)
    late = dbsession.query(Subscription).update({"unsubscribed_at": datetime.now(UTC) - timedelta(hours=2)})
    dbsession.commit()
    assert late == 2
    page = page.follow()
    assert not [one for one in page.forms.values() if "undo" in one.fields]
    client.post(reader.url, {"action": "undo", "undo": f"{reader.news.id},{reader.club.id},x"}, status=303)
    assert set(statuses(dbsession, reader).values()) == {"unsubscribed"}
    # A private list that was left is not shown any more; a public one brings them back.
    assert "Club" not in page.text
    form = form_of(page, "lists")
    form.fields["lists"][0].checked = True
    form.submit(status=303)
    dbsession.expire_all()
    assert dbsession.get(Subscriber, (reader.project.id, reader.person.id)).status == "active"


@pytest.mark.parametrize("days", [30, 90])
def test_a_pause_and_its_end(client: Any, reader: Reader, dbsession: Any, days: int) -> None:
    page = form_of(client.get(reader.url), "pause").submit("days", value=str(days), status=303).follow()
    assert "Your letters are paused." in page.text
    dbsession.expire_all()
    left = reader.person.paused_until - datetime.now(UTC)
    assert timedelta(days=days, minutes=-5) < left <= timedelta(days=days)
    page = form_of(page, "resume").submit(status=303).follow()
    assert "The pause is over" in page.text
    dbsession.expire_all()
    assert reader.person.paused_until is None
    assert journal(dbsession) == ["preferences.paused", "preferences.pause_ended"]


def test_a_pause_of_another_length_is_none(client: Any, reader: Reader, dbsession: Any) -> None:
    client.post(reader.url, {"action": "pause", "days": "36500"}, status=303)
    dbsession.expire_all()
    assert reader.person.paused_until is None


def test_opens_and_clicks_may_be_refused_and_allowed(client: Any, reader: Reader, dbsession: Any) -> None:
    form = form_of(client.get(reader.url), "tracking")
    form["uncounted"].checked = True
    page = form.submit(status=303).follow()
    assert "no longer counted" in page.text
    dbsession.expire_all()
    assert reader.person.tracking == "off"
    form = form_of(page, "tracking")
    assert form["uncounted"].checked
    form["uncounted"].checked = False
    form.submit(status=303)
    dbsession.expire_all()
    assert reader.person.tracking == "full"
    recorded = dbsession.execute(select(Consent.list_id, Consent.kind).order_by(Consent.id)).all()
    assert recorded == [(None, "withdrawn"), (None, "given")]


def test_a_stricter_mode_is_not_undone_by_saving_the_same(client: Any, reader: Reader, dbsession: Any) -> None:
    reader.person.tracking = "aggregate"
    dbsession.commit()
    client.post(reader.url, {"action": "tracking"}, status=303)
    dbsession.expire_all()
    assert reader.person.tracking == "aggregate"


def test_details_are_the_name_and_the_editable_fields(client: Any, reader: Reader, dbsession: Any) -> None:
    for name, kind, editable in (("city", "text", True), ("born", "date", True), ("age", "number", True),
                                 ("vip", "boolean", False)):  # fmt: skip
        dbsession.add(SubscriberField(project_id=reader.project.id, name=name, type=kind, editable=editable))
    reader.person.fields = {"city": "Tver", "vip": True}
    dbsession.commit()
    page = client.get(reader.url)
    assert "vip" not in page.text
    form = form_of(page, "details")
    assert form["field_city"].value == "Tver"
    form["name"], form["field_city"], form["field_age"] = "Anna B.", "Kazan", "many"
    wrong = form.submit(status=422)
    assert "This must be a number." in wrong.text
    assert form_of(wrong, "details")["field_city"].value == "Kazan"
    dbsession.expire_all()
    assert (reader.person.name, reader.person.fields["city"]) == ("Anna", "Tver")
    form = form_of(wrong, "details")
    form["field_age"], form["field_born"] = "41", "1984-02-29"
    assert "Your details are saved." in form.submit(status=303).follow().text
    client.post(reader.url, {"action": "details", "name": "Anna B.", "field_vip": "no", "field_new": "x"}, status=303)
    dbsession.expire_all()
    assert reader.person.name == "Anna B."
    assert reader.person.fields == {"city": "Kazan", "vip": True, "age": 41, "born": "1984-02-29"}
    (entry,) = dbsession.scalars(select(AuditEntry))
    assert entry.detail == {"fields": ["age", "born", "city", "name"]}


def letters(dbsession: Any) -> list[tuple[str, str, str]]:
    rows = dbsession.execute(
        select(Message.email, Message.tag, MessageContent.text)
        .join(MessageContent, MessageContent.message_id == Message.id)
        .order_by(Message.id)
    )
    return [tuple(row) for row in rows]


def secret_in(text: str) -> str:
    found = re.search(r"http\S+(/(?:address|p)/\S+)", text)
    assert found is not None
    return found[1]


def test_a_new_address_says_yes_first(client: Any, reader: Reader, dbsession: Any) -> None:
    form = form_of(client.get(reader.url), "address")
    form["email"] = "Anna.New@Mail.test"
    assert "We have written to the new address." in form.submit(status=303).follow().text
    dbsession.expire_all()
    assert reader.person.email == "anna@mail.test"
    (letter,) = letters(dbsession)
    assert letter[:2] == ("Anna.New@mail.test", "change_address")
    assert reader.token not in letter[2]
    url = secret_in(letter[2])
    page = client.get(url)
    dbsession.expire_all()
    assert reader.person.email == "anna@mail.test"
    assert "Your address is changed" in page.form.submit().text
    dbsession.expire_all()
    assert (reader.person.email, reader.person.email_key) == ("Anna.New@mail.test", "anna.new@mail.test")
    to_old = letters(dbsession)[1]
    assert to_old[:2] == ("anna@mail.test", "address_changed")
    assert "A…@mail.test" in to_old[2]
    assert "anna.new" not in to_old[2].lower()
    assert journal(dbsession) == ["preferences.address"]
    assert dbsession.scalars(select(Consent.kind)).all() == ["confirmed"]
    # The link worked once.
    client.get(url, status=410)
    client.post(url, status=410)


def test_an_address_of_somebody_else_is_told_to_its_owner_only(
    client: Any, reader: Reader, build: Any, dbsession: Any
) -> None:
    other = build.subscriber(reader.project, "boris@mail.test")
    answers = []
    for email in ("boris@mail.test", "nobody@mail.test"):
        reader.person.updated_at = datetime.now(UTC)
        page = client.post(reader.url, {"action": "address", "email": email}, status=303)
        answers.append((page.headers["Location"], page.follow().text))
        if email.startswith("boris"):
            url = secret_in(letters(dbsession)[0][2])
            assert "gets our letters already" in client.post(url).text
    assert answers[0] == answers[1]
    dbsession.expire_all()
    assert {reader.person.email, other.email} == {"anna@mail.test", "boris@mail.test"}
    assert [tag for _to, tag, _text in letters(dbsession)] == ["change_address", "change_address"]


def test_a_newer_wish_takes_the_place_of_the_older_one(client: Any, reader: Reader, dbsession: Any) -> None:
    for email in ("one@mail.test", "two@mail.test"):
        client.post(reader.url, {"action": "address", "email": email}, status=303)
    first, second = (secret_in(text) for _to, _tag, text in letters(dbsession))
    client.get(first, status=410)
    client.get(second, status=200)
    change = dbsession.scalars(select(AddressChange)).one()
    change.created_at = datetime.now(UTC) - timedelta(hours=49)
    dbsession.commit()
    client.post(second, status=410)


@pytest.mark.parametrize("email", ["", "no address", "anna@mail.test", "a\0b@mail.test"])
def test_what_is_no_new_address_is_refused(client: Any, reader: Reader, dbsession: Any, email: str) -> None:
    assert "Nothing was saved." in client.post(reader.url, {"action": "address", "email": email}, status="*").text or (
        email == "a\0b@mail.test"
    )
    assert [to for to, _tag, _text in letters(dbsession)] in ([], ["ab@mail.test"])


def test_who_bounced_can_be_reached_by_the_new_address(client: Any, reader: Reader, dbsession: Any) -> None:
    reader.person.status = "bounced"
    dbsession.commit()
    assert "came back from this address" in client.get(reader.url).text
    client.post(reader.url, {"action": "address", "email": "new@mail.test"}, status=303)
    client.post(secret_in(letters(dbsession)[0][2]))
    dbsession.expire_all()
    assert (reader.person.status, reader.person.email) == ("active", "new@mail.test")


def test_an_address_is_not_written_to_again_and_again(client: Any, reader: Reader, dbsession: Any) -> None:
    for _turn in range(4):
        client.post(reader.url, {"action": "address", "email": "victim@mail.test"}, status=303)
    assert len(letters(dbsession)) == 1
    client.post(reader.url, {"action": "address", "email": "victim+1@mail.test"}, status=303)
    client.post(reader.url, {"action": "address", "email": "v@mail.test"}, status=429)
    assert len(letters(dbsession)) == 1


def test_the_page_speaks_the_lists_language_or_the_chosen_one(client: Any, reader: Reader, dbsession: Any) -> None:
    reader.news.language = "ru"
    dbsession.commit()
    assert '<html lang="ru">' in client.get(reader.url).text
    english = client.get(f"{reader.url}?lang=en")
    assert '<html lang="en">' in english.text
    after = form_of(english, "pause").submit("days", value="30", status=303).follow()
    assert '<html lang="en">' in after.text


def test_an_action_that_nobody_knows_changes_nothing(client: Any, reader: Reader, dbsession: Any) -> None:
    for body in ({}, {"action": "erase everything"}, {"action": "\0"}, {"lists": "1"}):
        assert "Nothing has changed." in client.post(reader.url, body, status=303).follow().text
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


def test_a_token_of_another_kind_or_person_opens_nothing(
    client: Any, reader: Reader, registry: Any, dbsession: Any
) -> None:
    sign = registry.signer.sign
    for kind in ("open", "unsubscribe", "form", "web_version"):
        token = sign(kind, project=reader.project.id, subscriber=reader.person.id)
        client.get(f"/p/{token}", status=404)
    client.get("/p/x", status=404)
    client.post("/p/x/link", status=404)
    client.get("/address/x", status=410)
    gone = sign(Kind.PREFERENCES, project=reader.project.id, subscriber=10**9)
    assert "Ask for a new one here." in client.get(f"/p/{gone}", status=303).follow().text
    client.post(f"/p/{gone}", {"action": "leave_all"}, status=303)
    reader.project.archived_at = datetime.now(UTC)
    dbsession.commit()
    client.get(reader.url, status=404)


def test_how_many_statements_the_page_takes(client: Any, reader: Reader, statements: Any) -> None:
    client.get(reader.url)
    with statements() as seen:
        client.get(reader.url)
    assert len(seen) == 5  # project, person, list, choices, fields


def test_the_page_leads_to_ones_data_and_their_erasure(client: Any, reader: Reader) -> None:
    page = client.get(f"{reader.url}?lang=ru")
    for path in ("data", "erase"):
        (link,) = page.html.select(f'a[href*="{reader.url}/{path}"]')
        assert client.get(link["href"], status=200).html.html["lang"] == "ru"
