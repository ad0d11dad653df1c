"""A form's page: what strangers see, what comes in, and that nobody learns whether an address is known."""

import json
import re
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup

from mailhub.lists import caps
from mailhub.lists.fields import declare_fields
from mailhub.lists.sign_up import form_url
from mailhub.lists.tags import tags_of_people
from mailhub.mail.address import parse_address
from mailhub.models import Consent, ConsentText, SignUpDay, SignUpSubmission, Subscriber, Subscription, Suppression
from mailhub.signup import counting, opened, proof

FULL = {
    "fields": [
        {"name": "name"},
        {"name": "city", "required": True},
        *({"name": one} for one in ("born", "vip", "size")),
    ],
    "texts": {"title": "Our news", "button": "Let me in", "privacy_url": "https://example.com/privacy"},
    "boxes": [{"text": "I agree to the [policy](https://example.com/p)", "required": True}, {"text": "And to calls"}],
    "colours": {"button": "#0b6b42"},
}


@pytest.fixture
def typed(dbsession, cast):
    declare_fields(
        dbsession, project_id=cast.project.id, labels={"city": "City", "born": "Born", "vip": "VIP", "size": "Size"},
        types={"born": "date", "vip": "boolean", "size": "choice"}, choices={"size": ["S", "M"]},
    )  # fmt: skip
    dbsession.commit()


def test_page_speaks_the_forms_language_without_cookie_script_or_index(client, forms, single, cast):
    answer = client.get(forms.path(forms.make(cast.project, [single])), headers={"Accept-Language": "en"})
    assert answer.html.html["lang"] == "ru"
    assert "Set-Cookie" not in answer.headers
    assert not answer.html.find("script")
    assert answer.html.find("meta", {"name": "robots"})["content"] == "noindex"
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'self';" in policy
    assert "'unsafe" not in policy


def test_form_of_its_own_asks_what_its_design_says(client, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL, language="en")
    page = client.get(forms.path(form))
    assert [one["name"] for one in page.html.select("main input:not([type=hidden]), main select")] == [
        "email", "name", "field_city", "field_born", "field_vip", "field_size", "box_0", "box_1", "website",
    ]  # fmt: skip
    assert not page.html.select("input[checked]")
    sheet = client.get(page.html.select_one("link[href*=look]")["href"])
    assert "--brand:#0b6b42" in sheet.text
    assert sheet.content_type == "text/css"


def test_answers_consents_and_tags_are_kept_with_their_words(dbsession, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL, tags=["blog", "new"])
    forms.send(form, name="Анна", field_city="Казань", field_born="27.11.1990", field_vip="yes", field_size="M",
               box_0="1", ip="10.0.0.9", headers={"User-Agent": "Browser/1"})  # fmt: skip
    person = dbsession.query(Subscriber).one()
    assert (person.name, person.source) == ("Анна", f"form:{form.id}")
    assert person.fields == {"city": "Казань", "born": "1990-11-27", "vip": True, "size": "M"}
    row = dbsession.query(Subscription).one()
    assert (row.status, row.source, str(row.ip)) == ("subscribed", f"form:{form.id}", "10.0.0.9")
    found = dbsession.query(Consent, ConsentText.text).join(ConsentText, ConsentText.id == Consent.text_id).all()
    assert {(one.kind, one.list_id, text) for one, text in found} == {
        ("given", single.id, "Our news\nSingle\n[Let me in]"),
        ("given", None, "I agree to the policy (https://example.com/p)"),
    }
    assert {(str(one.ip), one.user_agent, one.source) for one, _text in found} == {
        ("10.0.0.9", "Browser/1", f"form:{form.id}")
    }
    assert [tag.name for tag in tags_of_people(dbsession, cast.project.id, [person.id])[person.id]] == ["blog", "new"]
    assert forms.states() == ["subscribed"]
    submission = dbsession.query(SignUpSubmission).one()
    assert (submission.email, submission.name, submission.fields) == ("", "", {})


def test_what_is_missing_or_wrong_is_said_and_nothing_is_lost(dbsession, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL, language="en")
    answer = forms.send(form, "nobody", field_born="31.02.2020", field_size="XXL", name="Anna <b>", status=422)
    invalid = {one["name"] for one in answer.html.select("[aria-invalid]")}
    assert invalid == {"email"}
    answer = forms.send(form, "a@mail.ru", field_born="31.02.2020", field_size="XXL", name="Anna <b>", status=422)
    invalid = {one["name"] for one in answer.html.select("[aria-invalid]")}
    assert invalid == {"field_city", "field_born", "field_size", "box_0"}
    assert answer.html.select_one("#name")["value"] == "Anna <b>"
    forms.send(form, "a@mail.ru", field_city="x", box_0="1", project_id="1", status=422)
    assert dbsession.query(SignUpSubmission).count() == 0


def test_people_choose_among_lists_and_only_among_the_forms(dbsession, forms, single, double, cast, build):
    foreign = build.list(cast.project, "Private things")
    form = forms.make(cast.project, [single, double], choose_lists=True)
    forms.send(form, lists=[str(foreign.id)], status=422)
    forms.send(form, status=422)
    forms.send(form, lists=[str(single.id)])
    assert (forms.status(single), forms.status(double)) == ("subscribed", None)
    assert forms.letters() == []


def test_old_page_of_a_list_is_its_own_form_and_follows_the_list(client, tools, forms, single, double, dbsession):
    for mailing_list, state in ((single, "subscribed"), (double, "unconfirmed")):
        path = form_url(tools, mailing_list).removeprefix("http://localhost")
        page = client.get(path)
        assert page.html.h1.text == mailing_list.name
        stamp = page.html.select_one("[name=stamp]")["value"]
        assert proof.read(tools.registry, f"{mailing_list.project_id}:list-{mailing_list.id}", stamp)
        client.get(path)
        form = opened.of_list(dbsession, mailing_list)
        forms.send(form, name="Anna")
        assert forms.status(mailing_list) == state


@pytest.mark.parametrize("change", [{"visibility": "private"}, {"archived_at": "2026-01-01T00:00:00Z"}])
def test_private_and_archived_lists_have_no_page(client, tools, single, dbsession, change):
    url = form_url(tools, single)
    client.get(url)
    for name, value in change.items():
        setattr(single, name, value)
    dbsession.commit()
    client.get(url, status=404)
    client.get(urlsplit(url).path + "/look.css", status=404)


def test_double_opt_in_asks_by_a_letter_without_anything_the_asker_typed(dbsession, forms, double, cast, publisher):
    form = forms.make(cast.project, [double])
    forms.send(form, name="Buy now http://spam.example")
    assert forms.status(double) == "unconfirmed"
    (letter,) = forms.letters()
    assert "spam.example" not in letter.html + letter.text + letter.to_name
    assert "Double" in letter.text
    assert ("mailhub.delivery.send_due", ("transactional",), "transactional") in publisher.sent


def test_answer_is_the_same_for_new_known_left_stopped_and_capped(
    dbsession, forms, single, double, build, cast, registry
):
    for mailing_list in (single, double):
        form, mark = forms.make(cast.project, [mailing_list]), mailing_list.id
        build.subscriber(cast.project, f"known{mark}@mail.ru", lists=[mailing_list])
        build.subscriber(cast.project, f"left{mark}@mail.ru", lists=[mailing_list], status="unsubscribed")
        build.subscriber(cast.project, f"dead{mark}@mail.ru", status="subscribed").status = "bounced"
        dbsession.add(Suppression(project_id=cast.project.id, email_key=f"stop{mark}@mail.ru", reason="complaint"))
        dbsession.commit()
        caps.take(registry, caps.letter_caps(parse_address(f"capped{mark}@mail.ru"), [mark], with_domain=True))
        who = ("new", "known", "left", "dead", "stop", "capped")
        pages = {forms.send(form, f"{one}{mark}@mail.ru").text for one in who}
        assert len(pages) == 1
        assert forms.status(mailing_list, f"stop{mark}@mail.ru") is None
        assert forms.status(mailing_list, f"left{mark}@mail.ru") == "unsubscribed"
    assert forms.states() == ["subscribed", "already", "asked", "stopped", "stopped", "subscribed",
                              "asked", "already", "asked", "stopped", "stopped", "capped"]  # fmt: skip


def test_request_itself_does_the_same_work_whatever_the_address_is(dbsession, forms, double, build, cast, statements):
    form = forms.make(cast.project, [double])
    build.subscriber(cast.project, "known@mail.ru", lists=[double])
    dbsession.add(Suppression(project_id=cast.project.id, email_key="stop@mail.ru", reason="complaint"))
    dbsession.commit()
    seen = []
    for email in ("known@mail.ru", "new@mail.ru", "stop@mail.ru"):
        with statements() as done:
            forms.send(form, email, settle=False)
        seen.append(list(done))
    assert seen[0] == seen[1] == seen[2]
    assert not [one for one in seen[0] if re.search(r"FROM (subscriber|suppression|subscription)\b", one)]
    assert len(seen[0]) <= 20, seen[0]


def test_who_has_left_a_single_opt_in_list_has_to_confirm(dbsession, forms, single, build, cast):
    form = forms.make(cast.project, [single])
    build.subscriber(cast.project, "anna@mail.ru", lists=[single], status="unsubscribed", name="Anna")
    forms.send(form, name="Evil")
    assert forms.status(single) == "unsubscribed"
    assert len(forms.letters()) == 1
    assert dbsession.query(Subscriber).one().name == "Anna"


def test_bait_speed_and_foreign_stamps(dbsession, forms, single, double, cast):
    form, other = forms.make(cast.project, [single]), forms.make(cast.project, [double])
    assert forms.send(form, website="http://spam.example").status_int == 200
    forms.send(form, age=0.0, status=422)
    forms.send(form, age=100_000.0, status=422)
    for stamp in ("", "1.x", forms.stamp(other), forms.stamp(form)[:-1] + "0"):
        forms.send(form, stamp=stamp, status=422)
    assert dbsession.query(SignUpSubmission).count() == 0


def test_page_without_a_stamp_comes_back_filled_in_and_needs_one_press_more(forms, single, cast, client):
    """The way of a plain form on another site."""
    form = forms.make(cast.project, [single])
    answer = forms.send(form, stamp="", name="Anna", status=422)
    assert answer.html.select_one("#email")["value"] == "anna@mail.ru"
    stamp = answer.html.select_one("[name=stamp]")["value"]
    assert proof.read(client.registry, f"{cast.project.id}:{form.id}", stamp) is not None


def test_page_that_is_sent_twice_counts_once(dbsession, forms, double, cast):
    form = forms.make(cast.project, [double])
    stamp = forms.stamp(form)
    pages = {forms.send(form, email, stamp=stamp).text for email in ("a@mail.ru", "a@mail.ru", "b@mail.ru")}
    assert len(pages) == 1
    assert len(forms.letters()) == 1
    assert dbsession.query(SignUpDay).one().submits == 1


def test_five_forms_a_minute_from_one_network(forms, single, cast):
    form = forms.make(cast.project, [single])
    for n in range(5):
        forms.send(form, f"a{n}@mail.ru", ip=f"2001:db8::{n}")
    answer = forms.send(form, "a6@mail.ru", ip="2001:db8::99", name="Anna", status=429)
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.html.select_one("#name")["value"] == "Anna"
    forms.send(form, "a7@mail.ru", ip="2001:db8:1::1")
    # So a server that listens on IPv6 names clients that come by IPv4.
    assert caps.network_of("::ffff:192.0.2.7") == "192.0.2.7"


def test_one_victim_over_many_lists_and_projects_gets_three_letters(forms, build, cast):
    spellings = ["victim@gmail.com", "vic.tim@gmail.com", "victim+1@gmail.com", "v.i.c.tim@googlemail.com"]
    for n in range(5):
        project = cast.project if n % 2 else cast.other
        form = forms.make(project, [build.list(project, opt_in="double")])
        for email in spellings:
            forms.send(form, email)
    assert len(forms.letters()) == 3


def test_ten_letters_a_minute_at_a_small_domain(forms, double, cast):
    form = forms.make(cast.project, [double])
    for n in range(12):
        forms.send(form, f"person{n}@small.example")
    for n in range(12):
        forms.send(form, f"person{n}@gmail.com")
    assert forms.states() == ["asked"] * 10 + ["capped"] * 2 + ["asked"] * 12


def test_redirect_goes_where_the_form_says_and_nowhere_else(client, forms, single, cast):
    form = forms.make(cast.project, [single], redirect_url="https://example.com/thanks")
    policy = client.get(forms.path(form)).headers["Content-Security-Policy"]
    assert "form-action 'self' https://example.com;" in policy
    answer = forms.send(form, status=303)
    assert answer.location == "https://example.com/thanks"
    forms.send(form, redirect_url="https://evil.example", next="https://evil.example", status=422)


def test_hostile_texts_are_shown_as_they_are(client, forms, single, cast, dbsession):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    design = {
        "fields": [{"name": "name", "label": evil, "hint": evil}],
        "texts": {"title": evil, "intro": evil, "button": evil[:60], "thanks": evil},
        "boxes": [{"text": evil + " [x](javascript:alert) [y](https://good.example/)"}],
    }
    with pytest.raises(ValueError, match="https"):
        forms.make(cast.project, [single], design=design)
    design["boxes"][0]["text"] = evil + " [y](https://good.example/)"
    form = forms.make(cast.project, [single], design=design, name=evil)
    for answer in (client.get(forms.path(form)), forms.send(form, name="Anna"),
                   forms.send(form, name=evil, stamp="", status=422)):  # fmt: skip
        assert not answer.html.select("script, img")
        assert "alert(1)" in answer.text


def test_paused_form_says_so_and_takes_nothing(client, forms, single, cast, dbsession):
    form = forms.make(cast.project, [single])
    form.state = "paused"
    dbsession.commit()
    assert "form" not in [one.name for one in client.get(forms.path(form), status=403).html.select("form")]
    forms.send(form, status=403)
    assert dbsession.query(SignUpSubmission).count() == 0


def test_forged_and_foreign_tokens(client, forms, single, cast, registry):
    path = forms.path(forms.make(cast.project, [single]))
    for token in ("x", path[3:-1], registry.signer.sign("confirm", project=cast.project.id, list=single.id)):
        client.get(f"/s/{token}", status=404)
        client.post(f"/s/{token}", {}, status=404)
    client.get("/s/" + registry.signer.sign("form", project=cast.project.id, link=999999), status=404)


# Pages of other sites


def test_json_describes_the_form_and_takes_it_from_any_site(dbsession, client, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL)
    path = forms.path(form)
    asked = client.get(path, headers={"Accept": "application/json", "Origin": "https://shop.example"})
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    document = asked.json
    assert [one["name"] for one in document["fields"]] == ["email", "name", "city", "born", "vip", "size"]
    assert document["work_bits"] == 0
    body = {"email": "anna@mail.ru", "fields": {"city": "Kazan", "vip": True}, "consents": [0],
            "stamp": forms.stamp(form)}  # fmt: skip
    sent = client.new().post_json(path, body, headers={"Origin": "https://shop.example"}, status=202)
    assert sent.json == {"state": "accepted", "redirect_url": None}
    assert sent.headers["Access-Control-Allow-Origin"] == "*"
    forms.settle()
    assert dbsession.query(Subscriber).one().fields == {"city": "Kazan", "vip": True}
    assert dbsession.query(SignUpSubmission).one().host == "shop.example"
    by_fields = client.new().post(path, {"email": "b@mail.ru", "field_city": "Kazan", "box_0": "1",
                                         "stamp": forms.stamp(form)}, headers={"Accept": "application/json"},
                                  status=202)  # fmt: skip
    assert by_fields.headers["Access-Control-Allow-Origin"] == "*"
    flight = client.new().options(path, headers={"Origin": "https://shop.example"}, status=204)
    assert "POST" in flight.headers["Access-Control-Allow-Methods"]


def test_json_says_what_is_wrong_and_gives_a_fresh_stamp(client, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL)
    path = forms.path(form)
    wrong = client.new().post_json(path, {"email": "a@mail.ru", "fields": {"nope": 1}}, status=422)
    assert {one["field"] for one in wrong.json["errors"]} == {"fields.nope", "fields.city", "consents"}
    assert wrong.headers["Access-Control-Allow-Origin"] == "*"
    assert wrong.json["stamp"]
    bodies = (
        "[]",
        "{",
        json.dumps({"email": "x", "list": 1}),
        json.dumps({"email": "a@b.ru", "fields": {"city": "\0"}}),
    )
    for body in bodies:
        answer = client.new().post(path, body, content_type="application/json", status="4*")
        assert answer.status_int in (400, 422)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_plain_code_for_other_sites_has_the_inputs_of_the_page(client, page, forms, single, cast, typed):
    form = forms.make(cast.project, [single], design=FULL)
    shared = page.get(f"{cast.base}/forms/{form.id}/share")
    plain, scripted, _script = (one.text for one in shared.html.select("pre"))
    html = BeautifulSoup(plain, "lxml")
    inputs = {one["name"]: one.get("value") for one in html.select("input, select")}
    assert set(inputs) == {"email", "name", "field_city", "field_born", "field_vip", "field_size", "box_0", "box_1",
                           "website"}  # fmt: skip
    assert html.form["action"].endswith(forms.path(form))
    assert "data-mailhub" in scripted
    assert "sign-up.js" in scripted
    answer = forms.send(form, stamp="", field_city="Kazan", box_0="1", status=422,
                        headers={"Origin": "https://blog.example"})  # fmt: skip
    stamp = answer.html.select_one("[name=stamp]")["value"]
    assert proof.read(client.registry, f"{cast.project.id}:{form.id}", stamp).host == "blog.example"


# Numbers


def test_views_submits_and_confirmations_are_counted_by_day_and_site(dbsession, client, forms, single, double, cast):
    form = forms.make(cast.project, [single])
    for _n in range(3):
        client.new().get(forms.path(form), headers={"Referer": "https://blog.example/post?x=1"})
    client.new().get(forms.path(form), headers={"Referer": "http://localhost/s/x"})
    stamp = forms.stamp(form, host="blog.example")
    forms.send(form, stamp=stamp)
    asking = forms.make(cast.project, [double])
    forms.send(asking, "b@mail.ru", headers={"Origin": "https://shop.example"})
    dbsession.expire_all()
    rows = {(row.form_id, row.host): (row.views, row.submits, row.confirmations) for row in dbsession.query(SignUpDay)}
    assert rows == {
        (form.id, "blog.example"): (3, 1, 1),
        (form.id, ""): (1, 0, 0),
        (asking.id, "shop.example"): (0, 1, 0),
    }


def test_invented_sites_do_not_fill_the_table(dbsession, client, forms, single, cast, monkeypatch):
    monkeypatch.setattr(counting, "MAX_HOSTS", 3)
    form = forms.make(cast.project, [single])
    for n in range(6):
        client.new().get(forms.path(form), headers={"Referer": f"https://site{n}.example/"})
    for host in ('"><script>', "a" * 300, "x y"):
        client.new().get(forms.path(form), headers={"Referer": f"https://{host}/"})
    found = {row.host: row.views for row in dbsession.query(SignUpDay)}
    assert found == {"site0.example": 1, "site1.example": 1, "site2.example": 1, "other": 6}
