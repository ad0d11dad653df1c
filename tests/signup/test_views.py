"""Pages of forms for the project's people."""

import csv
import io

import pytest
from bs4 import BeautifulSoup

from mailhub.lists.fields import declare_fields
from mailhub.models import AuditEntry, Message, SignUpDay, SignUpForm, SignUpFormList, SignUpSubmission
from mailhub.signup.design import Design
from mailhub.signup.results import Numbers

PATHS = ["forms", "forms/new", "forms/{id}", "forms/{id}/edit", "forms/{id}/share", "forms/{id}/submissions",
         "forms/{id}/days.csv", "forms/preview", "forms/preview/look.css"]  # fmt: skip


@pytest.fixture
def form(forms, double, cast):
    return forms.make(cast.project, [double])


def fields_of(page_):
    """What a browser would send from the builder as it stands."""
    found = page_.html.select_one("form.form-builder")
    given = []
    for one in found.select("input, textarea, select"):
        kind = one.get("type")
        if one.get("name") == "csrf_token" or (kind in ("checkbox", "radio") and not one.has_attr("checked")):
            continue
        value = one.text.removeprefix("\n") if one.name == "textarea" else one.get("value", "")
        if one.name == "select":
            value = (one.select_one("option[selected]") or one.option)["value"]
        given.append((one["name"], value))
    return given


def changed(given, **changes):
    kept = [(name, value) for name, value in given if name not in changes]
    for name, value in changes.items():
        kept += [(name, one) for one in (value if isinstance(value, list) else [value])]
    return kept


@pytest.mark.parametrize("path", PATHS)
def test_strangers_find_nothing_and_the_signed_out_sign_in(cast, client, form, path):
    url = f"{cast.base}/{path.format(id=form.id)}"
    cast.as_(cast.charlie).get(url, status=404)
    assert "/sign-in" in client.get(url, status=303).location
    cast.as_(cast.bob).get(url, status=200)


def test_analyst_sees_numbers_but_no_address_and_changes_nothing(cast, form, forms):
    forms.send(form)
    ann = cast.as_(cast.ann)
    assert "anna@mail.ru" not in ann.get(f"{cast.base}/forms/{form.id}").text
    ann.get(f"{cast.base}/forms/{form.id}/submissions", status=403)
    for action in ("copy", "pause", "archive", "edit"):
        ann.post_form(f"{cast.base}/forms/{form.id}/{action}", {}, status=403)


def test_new_form_is_made_as_the_builder_offers_it(page, cast, double, dbsession):
    given = fields_of(page.get(f"{cast.base}/forms/new?list={double.id}"))
    assert ("list_ids", str(double.id)) in given
    answer = page.post_form(f"{cast.base}/forms/new", changed(given, name="Blog", tags="a, b ,A"), status=303)
    made = dbsession.query(SignUpForm).one()
    assert answer.location.endswith(f"/forms/{made.id}/share")
    assert (made.name, made.opt_in, made.tags, made.created_by) == ("Blog", "double", ["a", "b"], cast.alice.id)
    design = Design.model_validate(made.design)
    assert [one.name for one in design.fields] == ["email", "name"]
    assert [box.required for box in design.boxes] == [True, True]
    assert dbsession.query(AuditEntry).filter_by(action="form.created").count() == 1


def test_what_the_builder_shows_is_what_is_saved(page, cast, form, double, dbsession, build):
    declare_fields(dbsession, project_id=cast.project.id, labels={"city": "City", "дата": "Дата"})
    second = build.list(cast.project, "Second")
    dbsession.commit()
    url = f"{cast.base}/forms/{form.id}/edit"
    given = changed(
        fields_of(page.get(url)), name="Neu", list_ids=[str(double.id), str(second.id)], choose_lists="1",
        opt_in="single", language="ru", redirect_url="https://Example.com/Danke", use_city="1", required_city="1",
        label_city="Stadt", hint_city="Wo?", title="News", intro="Every week", button="Go", thanks="Thanks",
        already="Again", privacy_url="https://example.com/p", privacy_label="Data", box_text_2="I agree",
        box_required_2="1", colour_button="#0B6B42", show_brand=[],
    )  # fmt: skip
    page.post_form(url, given, status=303)
    assert sorted(fields_of(page.get(url))) == sorted(
        changed(given, redirect_url="https://example.com/Danke", colour_button="#0b6b42", box_text_0="I agree",
                box_required_0="1", box_text_2="", box_required_2=[])
    )  # fmt: skip
    dbsession.expire_all()
    assert dbsession.query(SignUpFormList).filter_by(form_id=form.id).count() == 2


def test_rows_move_without_a_script_and_nothing_is_saved_meanwhile(page, cast, form, dbsession):
    declare_fields(dbsession, project_id=cast.project.id, labels={"city": "City"})
    dbsession.commit()
    url = f"{cast.base}/forms/{form.id}/edit"
    given = changed(fields_of(page.get(url)), use_city="1", name="Half")
    moved = page.post_form(url, [*given, ("move", "up:city")])
    order = [value for name, value in fields_of(moved) if name == "order"]
    assert order == ["email", "city", "name"]
    assert ("name", "Half") in fields_of(moved)
    page.post_form(url, fields_of(moved), status=303)
    dbsession.expire_all()
    saved = dbsession.get(SignUpForm, (form.project_id, form.id))
    assert [one["name"] for one in saved.design["fields"]] == ["email", "city", "name"]
    for wish in ("up:email", "down:nothing", "x"):
        assert page.post_form(url, [*given, ("move", wish)]).status_int == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"list_ids": []}, "list_ids"),
        ({"list_ids": ["999999"]}, "list_ids"),
        ({"redirect_url": "http://example.com"}, "redirect_url"),
        ({"redirect_url": "javascript:alert(1)"}, "redirect_url"),
        ({"redirect_url": "https://user@example.com"}, "redirect_url"),
        ({"redirect_url": "//evil.example"}, "redirect_url"),
        ({"privacy_url": "data:text/html,x"}, "privacy_url"),
        ({"box_text_1": "[x](http://example.com)"}, "box_text_1"),
        ({"colour_text": "#dddddd"}, "colour_text"),
        ({"colour_page": "red;}body{display:none"}, "colour_page"),
        ({"label_name": "a\nb"}, "label_name"),
        ({"title": "x" * 301}, "title"),
        ({"tags": "x" * 100}, "tags"),
        ({"language": "de"}, "language"),
    ],
)
def test_what_is_wrong_is_said_beside_it_and_what_was_typed_stays(page, cast, form, dbsession, changes, field):
    before = dict(form.design)
    url = f"{cast.base}/forms/{form.id}/edit"
    given = changed(fields_of(page.get(url)), intro="Long text", **changes)
    answer = page.post_form(url, given, status=422)
    assert answer.html.select(f"#f-{field}-e"), field
    assert ("intro", "Long text") in fields_of(answer)
    dbsession.expire_all()
    assert form.design == before


def test_lists_of_another_project_and_other_lists_for_a_lists_own_page_are_refused(
    page, cast, build, dbsession, double
):
    from mailhub.signup.opened import of_list

    foreign = build.list(cast.other)
    given = changed(fields_of(page.get(f"{cast.base}/forms/new")), name="x", list_ids=[str(foreign.id)])
    page.post_form(f"{cast.base}/forms/new", given, status=422)
    own = of_list(dbsession, double)
    dbsession.commit()
    url = f"{cast.base}/forms/{own.id}/edit"
    page.post_form(url, changed(fields_of(page.get(url)), list_ids=[str(cast.list.id)]), status=422)
    page.post_form(url, fields_of(page.get(url)), status=303)
    page.post_form(f"{cast.base}/forms/{own.id}/archive", {}, status=303)
    dbsession.expire_all()
    assert own.archived_at is None


def test_preview_shows_what_is_typed_saves_nothing_and_can_do_nothing(page, cast, form, dbsession):
    given = changed(fields_of(page.get(f"{cast.base}/forms/{form.id}/edit")), title="Typed <b>just</b> now", name="",
                    colour_button="#aa0000", list_ids=[])  # fmt: skip
    seen = page.post_form(f"{cast.base}/forms/preview", given)
    assert seen.html.h1.text == "Typed <b>just</b> now"
    assert "form-action 'none'" in seen.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in seen.headers["Content-Security-Policy"]
    look = page.get(seen.html.select_one("link[href*=look]")["href"])
    assert "--brand:#aa0000" in look.text
    wrong = page.post_form(f"{cast.base}/forms/preview", changed(given, colour_text="#eeeeee"), status=422)
    assert "contrast" in wrong.text
    assert page.get(f"{cast.base}/forms/preview?form={form.id}").html.h1.text == "Double"
    assert page.get(f"{cast.base}/forms/preview?form=99999999999999999999").html.select("form")
    dbsession.expire_all()
    assert "Typed" not in str(form.design)
    evil = page.get(f"{cast.base}/forms/preview/look.css?page=red;x&button=%23111111&text=url(x)")
    assert "red" not in evil.text
    assert "url(" not in evil.text


def test_pause_resume_copy_and_archive(page, client, cast, form, forms, dbsession):
    url = f"{cast.base}/forms/{form.id}"
    page.post_form(f"{url}/pause", {}, status=303)
    client.get(forms.path(form), status=403)
    page.post_form(f"{url}/resume", {}, status=303)
    client.get(forms.path(form), status=200)
    copied = page.post_form(f"{url}/copy", {}, status=303)
    twin = dbsession.query(SignUpForm).order_by(SignUpForm.id.desc()).first()
    assert copied.location.endswith(f"/forms/{twin.id}/edit")
    assert (twin.name, twin.design) == ("Form (copy)", form.design)
    assert forms.path(twin) != forms.path(form)
    page.post_form(f"{url}/archive", {}, status=303)
    client.get(forms.path(form), status=404)
    page.get(url, status=404)
    client.get(forms.path(twin), status=200)


def test_numbers_come_from_counters_and_agree_with_the_csv(page, cast, form, dbsession, statements):
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).date()
    for days, host, views, sent, joined in ((0, "a.example", 10, 4, 2), (0, "", 5, 1, 1), (3, "a.example", 5, 2, 1),
                                            (40, "b.example", 100, 50, 30)):  # fmt: skip
        dbsession.add(SignUpDay(project_id=cast.project.id, form_id=form.id, day=today - timedelta(days=days),
                                host=host, views=views, submits=sent, confirmations=joined))  # fmt: skip
    dbsession.commit()
    shown = page.get(f"{cast.base}/forms/{form.id}?days=7")
    values = [one.text.strip() for one in shown.html.select(".tile-v")]
    assert values == ["20", "7", "4", "20.0%"]
    sites = [[cell.text.strip() for cell in row.select("td")] for row in shown.html.select("#form-sites tbody tr")]
    assert sites == [["a.example", "15", "6", "3", "20.0%"], ["Not known", "5", "1", "1", "20.0%"]]
    rows = list(csv.reader(io.StringIO(page.get(f"{cast.base}/forms/{form.id}/days.csv?days=7").text.lstrip("\ufeff"))))
    assert rows[0] == ["day", "views", "submits", "confirmations"]
    assert len(rows) == 8
    assert rows[-1][1:] == ["15", "5", "3"]
    # Other sites' pages send without a view: then there is nothing to divide by.
    assert Numbers(views=5, submits=9, confirmations=4).conversion is None
    part = page.fragment(f"{cast.base}/forms/{form.id}?days=90", "form-results")
    assert "b.example" in part.text
    assert not BeautifulSoup(part.text, "lxml").select("nav.tabs")
    assert "20" in page.get(f"{cast.base}/forms").text


@pytest.mark.parametrize(
    ("path", "most"),
    [("forms", 6), ("forms/new", 6), ("forms/{id}", 8), ("forms/{id}/edit", 8), ("forms/{id}/share", 7),
     ("forms/{id}/submissions", 6), ("forms/preview?form={id}", 6)],
)  # fmt: skip
def test_number_of_queries_of_each_page(page, cast, form, forms, double, statements, path, most):
    url = f"{cast.base}/{path.format(id=form.id)}"
    page.get(url)
    with statements() as few:
        page.get(url)
    for n in range(3):
        forms.make(cast.project, [double], name=f"F{n}")
        forms.send(form, f"a{n}@mail.ru")
    with statements() as many:
        page.get(url)
    assert len(many) == len(few) <= most, many


def test_what_came_in_is_listed_filtered_and_asked_again_within_the_caps(page, cast, form, forms, dbsession, build):
    build.subscriber(cast.project, "known@mail.ru", lists=[])
    forms.send(form, "anna@mail.ru")
    forms.send(form, "stop@mail.ru")
    url = f"{cast.base}/forms/{form.id}/submissions"
    assert page.get(url).text.count("Not confirmed yet") >= 2
    part = page.fragment(f"{url}?state=capped", "submission-rows")
    assert "anna@mail.ru" not in part.text
    row = dbsession.query(SignUpSubmission).order_by(SignUpSubmission.id).first()
    refused = page.post_form(f"{url}/{row.id}/ask", {}, status=303).follow()
    assert "Try again tomorrow" in refused.text
    from sqlalchemy import text

    dbsession.execute(text("DELETE FROM sign_up_cap"))
    dbsession.commit()
    page.post_form(f"{url}/{row.id}/ask", {}, status=303)
    assert dbsession.query(Message).filter_by(tag="confirm_subscription", email="anna@mail.ru").count() == 2
    page.post_form(f"{url}/999999/ask", {}, status=404)
    other = forms.make(cast.project, [cast.list])
    page.post_form(f"{cast.base}/forms/{other.id}/submissions/{row.id}/ask", {}, status=404)


def test_pages_of_submissions_do_not_overlap(page, cast, form, dbsession):
    dbsession.add_all(
        SignUpSubmission(project_id=cast.project.id, form_id=form.id, email="", list_ids=[], state="stopped",
                         host=f"h{n}.example")
        for n in range(70)
    )  # fmt: skip
    dbsession.commit()
    first = page.get(f"{cast.base}/forms/{form.id}/submissions")
    second = page.get(first.html.select_one("#page-next")["href"])
    hosts = [{row.text for row in one.html.select("td.break")} for one in (first, second)]
    assert (len(hosts[0]), len(hosts[1]), hosts[0] & hosts[1]) == (50, 20, set())
