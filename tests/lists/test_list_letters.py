"""A list's own letters: their pages, what may stand in them, when they go out."""

import pytest

from mailhub.lists import letters, list_letters, service
from mailhub.lists.list_letters import Source
from mailhub.mail.tokens import Kind
from mailhub.models import ListLetter, Message, MessageContent
from mailhub.tasks import task_request

GOOD = {
    "subject": "Please confirm {{ list.name }}",
    "html": '<p>Yes? <a href="{{ confirm_url }}">Yes!</a></p>',
    "text": "Yes? {{ confirm_url }}",
}


@pytest.fixture
def tools(registry):
    return task_request(registry)


@pytest.fixture
def base(cast):
    return f"{cast.base}/lists/{cast.list.id}/letters"


def sent(dbsession, tag):
    dbsession.expire_all()
    wanted = dbsession.query(MessageContent).join(Message, Message.id == MessageContent.message_id)
    return wanted.filter(Message.tag == tag).all()


def test_everybody_sees_the_letters_and_editors_change_them(cast, base, dbsession):
    for user in (cast.alice, cast.bob, cast.ann):
        assert len(cast.as_(user).get(base).html.select("tbody tr")) == 3
    cast.as_(cast.ann).post_form(f"{base}/confirmation/en", GOOD, status=403)
    cast.as_(cast.bob).post_form(f"{base}/confirmation/en", GOOD, status=303)
    row = dbsession.query(ListLetter).one()
    assert (row.kind, row.language, row.enabled, row.updated_by) == ("confirmation", "en", True, cast.bob.id)


def test_number_of_queries_of_the_pages(base, page, statements, cast):
    page.get(base)
    for url in (base, f"{base}/welcome/ru"):
        with statements() as seen:
            page.get(url)
        assert len(seen) <= 6, seen


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("kind", ["confirmation", "welcome", "goodbye"])
def test_our_own_letters_are_right_and_fill_in(tools, cast, dbsession, kind, language):
    source = list_letters.default(tools, kind, language)
    assert list_letters.problems(dbsession, cast.project.id, kind, source) == []
    cast.project.postal_address = "Main <Street> 1"
    written = list_letters.render(
        dbsession, cast.project, [cast.list], source, list_letters.Reader("a@b.ru", "Anna"),
        confirm_url="https://x/c/1", sign_up_url="https://x/s/1", unsubscribe_url="https://x/u/1",
    )  # fmt: skip
    wanted = {"confirmation": "https://x/c/1", "welcome": "https://x/u/1", "goodbye": "https://x/s/1"}[kind]
    assert wanted in written.text
    assert wanted in written.html
    assert "Main &lt;Street&gt; 1" in written.html
    assert "{{" not in written.text + written.html + written.subject
    assert ("Anna" in written.text) == (kind == "welcome")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"html": "<p>{{ name }} {{ confirm_url }}</p>"}, "html"),
        ({"html": "<p>{{ subscriber.city }} {{ confirm_url }}</p>"}, "html"),
        ({"subject": "Hello {{ email }}"}, "subject"),
        ({"html": "<p>No link</p>"}, "html"),
        ({"text": "no link"}, "text"),
        ({"html": "{% for x in y %}{% endfor"}, "html"),
        ({"html": "{{ ''.__class__ }} {{ confirm_url }}"}, "html"),
        ({"subject": ""}, "subject"),
        ({"html": "", "text": ""}, "html"),
        ({"html": "{{ campaign.name }}{{ confirm_url }}"}, "html"),
    ],
)
def test_nothing_that_an_asker_typed_can_stand_in_a_confirmation(base, page, dbsession, change, field):
    answer = page.post_form(f"{base}/confirmation/en", GOOD | change, status=422)
    assert answer.html.select_one(f"[name={field}]")["aria-invalid"] == "true"
    assert dbsession.query(ListLetter).count() == 0


def test_own_confirmation_is_sent_in_the_lists_language_and_ours_again_after_a_reset(base, page, dbsession, cast, tools,
                                                                                    build):  # fmt: skip
    page.post_form(f"{base}/confirmation/en", GOOD, status=303)
    people = [
        build.subscriber(cast.project, f"a{n}@mail.ru", lists=[cast.list], status="unconfirmed") for n in range(2)
    ]
    with tools.tm:
        letters.send_confirmation(tools, cast.project, cast.list, people[0])
    assert sent(dbsession, "confirm_subscription")[0].subject == "Please confirm News"
    page.post_form(f"{base}/confirmation/en/reset", {}, status=303)
    with tools.tm:
        letters.send_confirmation(tools, cast.project, cast.list, people[1])
    # In no order: both may be of one moment.
    subjects = sorted(letter.subject for letter in sent(dbsession, "confirm_subscription"))
    assert subjects == ["Please confirm News", "Please confirm your subscription: News"]


def test_letter_that_cannot_be_filled_in_any_more_gives_way_to_ours(dbsession, cast, tools, build):
    source = Source("Hi", "<p>{{ confirm_url }} {{ city }}</p>", "")
    list_letters.save(dbsession, cast.list, "confirmation", "en", source, user_id=None)
    person = build.subscriber(cast.project, "a@mail.ru", lists=[cast.list], status="unconfirmed")
    with tools.tm:
        letters.send_confirmation(tools, cast.project, cast.list, person)
    assert "Please confirm" in sent(dbsession, "confirm_subscription")[0].subject


def test_test_letter_goes_to_who_asks_and_to_nobody_else(base, page, dbsession, cast):
    page.post_form(f"{base}/welcome/ru/test", {"email": "victim@mail.ru"}, status=303)
    (letter,) = sent(dbsession, "test_welcome")
    assert dbsession.query(Message).one().email == cast.alice.email
    assert "Anna" in letter.html


def test_preview_shows_what_is_typed_and_saves_nothing(base, page, dbsession):
    typed = {"subject": "x", "html": "<p>Hello {{ name }}</p>", "enabled": "1"}
    seen = page.post_form(f"{base}/welcome/en/preview", typed)
    assert "Hello Anna" in seen.text
    assert "sandbox" in seen.headers["Content-Security-Policy"]
    assert "There is no field" in page.post_form(f"{base}/confirmation/en/preview", typed).text
    assert page.get(f"{base}/welcome/en/preview").content_type == "text/html"
    assert dbsession.query(ListLetter).count() == 0


def test_welcome_names_only_people_who_have_confirmed(dbsession, cast, tools, build):
    source = Source("Hi {{ name|default('you') }}", "<p>Hi {{ name }}</p>", "")
    list_letters.save(dbsession, cast.list, "welcome", "en", source, user_id=None)
    person = build.subscriber(cast.project, "a@mail.ru", lists=[cast.list], name="Buy http://spam.example")
    with tools.tm:
        letters.send_welcome(tools, cast.project, cast.list, person, is_confirmed=False)
        letters.send_welcome(tools, cast.project, cast.list, person, is_confirmed=True)
    unconfirmed, confirmed = sent(dbsession, "list_welcome")
    assert "spam" not in unconfirmed.subject + unconfirmed.html + unconfirmed.text + unconfirmed.to_name
    assert "spam" in confirmed.html
    list_letters.save(dbsession, cast.list, "welcome", "en", Source("Hi", "x", "", enabled=False), user_id=None)
    with tools.tm:
        assert not letters.send_welcome(tools, cast.project, cast.list, person, is_confirmed=True)


def test_goodbye_goes_out_once_a_day_when_somebody_leaves_by_a_link(dbsession, cast, client, registry, build):
    list_letters.save(dbsession, cast.list, "goodbye", "en", Source("Bye", "<p>Bye, {{ name }}</p>", ""), user_id=None)
    person = build.subscriber(cast.project, "a@mail.ru", lists=[cast.list], name="Anna")
    token = registry.signer.sign(Kind.UNSUBSCRIBE, project=cast.project.id, list=cast.list.id, subscriber=person.id)
    for _twice in range(2):
        client.new().post(f"/u/{token}")
        service.resubscribe(dbsession, project_id=cast.project.id, subscriber_id=person.id, list_ids=[cast.list.id])
        dbsession.commit()
    (letter,) = sent(dbsession, "list_goodbye")
    assert "Bye, Anna" in letter.html


@pytest.mark.parametrize("path", ["", "/confirmation/en"])
def test_strangers_find_nothing_and_the_signed_out_sign_in(cast, client, base, path):
    cast.as_(cast.charlie).get(base + path, status=404)
    assert "/sign-in" in client.get(base + path, status=303).location


@pytest.mark.parametrize("path", ["/nothing/en", "/welcome/de", "/welcome/en%00"])
def test_letters_that_there_are_not(page, base, path):
    page.get(base + path, status=404)
