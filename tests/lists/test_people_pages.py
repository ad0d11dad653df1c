"""Pages and API of fields, tags, views, notes, bulk changes: what they do, and what they refuse."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.lists import columns as table_columns
from mailhub.lists import field_changes, tags
from mailhub.lists.fields import declare_fields
from mailhub.models import (
    AuditEntry,
    ProjectJob,
    SignUpForm,
    SignUpFormList,
    Subscriber,
    SubscriberField,
    SubscriberNote,
    SubscriberView,
    Suppression,
    Tag,
)
from mailhub.segments import service as segments

A = "/api/v1"


@pytest.fixture
def person(cast, build, dbsession):
    declare_fields(dbsession, project_id=cast.project.id, labels={"age": "Age", "vip": "VIP"},
                   types={"age": "number", "vip": "boolean"})  # fmt: skip
    return build.subscriber(cast.project, "anna@mail.test", lists=[cast.list], fields={"age": 30})


@pytest.fixture
def api(client, cast, dbsession):
    return client.api(dbsession, cast.project.id)


def form_with(answer, field):
    """The form of the page that has this field."""
    return next(form for form in answer.forms.values() if field in form.fields)


def test_columns_are_remembered_and_a_view_brings_the_whole_table_back(cast, page, person, dbsession):
    table = f"{cast.base}/subscribers"
    shown = page.get(f"{table}?q=anna&sort=email")
    token = shown.html.find("input", {"name": "csrf_token"})["value"]
    page.post(f"{table}/columns", {"csrf_token": token, "columns": ["name", "field:age"], "back": "q=anna"}, status=303)
    heads = [one.text.strip() for one in page.get(table).html.find_all("th")]
    assert heads == ["E-mail", "Name", "Age"]
    saved = page.post(
        f"{table}/views", {"csrf_token": token, "name": "Annas", "shared": "1", "back": "q=anna&sort=email&x=1"}
    )
    assert saved.status_int == 303
    view = dbsession.scalars(select(SubscriberView)).one()
    assert (view.query, view.columns, view.shared) == ({"q": "anna", "sort": "email"}, ["name", "field:age"], True)
    theirs = cast.as_(cast.bob).get(saved.location)
    assert "anna@mail.test" in theirs.text
    assert [one.text.strip() for one in theirs.html.find_all("th")] == ["E-mail", "Name", "Age"]


def test_a_field_is_changed_in_its_place_and_a_wrong_value_is_told(cast, page, person, dbsession):
    url = f"{cast.base}/subscribers/{person.id}"
    form = form_with(page.get(f"{url}/field?name=age"), "value")
    form["value"] = "1,234"
    answer = form.submit(status=422)
    assert "two ways" in answer.text
    form["value"] = "1 234,5"
    assert form.submit().status_int == 303
    dbsession.refresh(person)
    assert person.fields == {"age": 1234.5}


def test_tags_notes_and_the_stop_list_of_a_person(cast, page, person, dbsession):
    url = f"{cast.base}/subscribers/{person.id}"
    token = page.get(url).html.find("input", {"name": "csrf_token"})["value"]
    page.post(f"{url}/tags", {"csrf_token": token, "add": "VIP, new one,vip"}, status=303)
    assert [(tag.name, tag.n) for tag in dbsession.scalars(select(Tag).order_by(Tag.name))] == [
        ("VIP", 1),
        ("new one", 1),
    ]
    page.post(f"{url}/notes", {"csrf_token": token, "body": "Called.\nTwice."}, status=303)
    note = dbsession.scalars(select(SubscriberNote)).one()
    assert note.user_id == cast.alice.id
    assert "Called." in page.get(url).html.find(id="person-history").text
    page.post(f"{url}/notes/{note.id}/delete", {"csrf_token": token}, status=303)
    page.post(f"{url}/suppress", {"csrf_token": token}, status=303)
    assert dbsession.scalars(select(Suppression.email_key)).one() == "anna@mail.test"
    assert "stop list" in page.get(url).text


def test_deleting_many_asks_for_their_number(cast, page, person, dbsession):
    url = f"{cast.base}/subscribers/bulk"
    form = form_with(page.get(f"{url}?act=delete&all=1&q=anna"), "number")
    form["number"] = "2"
    assert "not the number" in form.submit(status=422).text
    form["number"] = "1"
    started = form.submit()
    assert started.status_int == 303
    job = dbsession.scalars(select(ProjectJob)).one()
    assert job.parameters["filter"] == {"q": "anna"}
    assert job.parameters["most"] == 1
    assert "Waiting" in page.get(started.location).text


def test_tags_are_made_renamed_and_merged(cast, page, person, dbsession):
    url = f"{cast.base}/subscribers/tags"
    for name in ("One", "Two"):
        form = page.get(url).forms[0 if len(page.get(url).forms) == 1 else 1]
        token = form["csrf_token"].value
        page.post(url, {"csrf_token": token, "name": name}, status=303)
    one, two = dbsession.scalars(select(Tag).order_by(Tag.name)).all()
    assert page.post(f"{url}/{one.id}", {"csrf_token": token, "name": "two"}, status=422)
    page.post(f"{url}/{one.id}", {"csrf_token": token, "into": str(two.id)}, status=303)
    assert [tag.name for tag in dbsession.scalars(select(Tag))] == ["Two"]


def test_what_asks_for_a_field_a_list_or_a_tag_is_told_before_it_goes(cast, page, api, build, person, dbsession):
    project, news = cast.project, build.list(cast.project, "News")
    tag, twin = tags.ensure_tags(dbsession, project.id, ["VIP", "Gold"])
    rules = [
        {"field": "tag", "op": "any", "value": [str(tag.id), str(twin.id)]},
        {"field": "list", "op": "subscribed", "value": [str(news.id)]},
        {"field": "fields.age", "op": "greater", "value": 3},
    ]
    tree = segments.read(dbsession, project.id, {"match": "all", "rules": rules})
    segment = segments.create(dbsession, project_id=project.id, name="Regulars", tree=tree)
    form = SignUpForm(project_id=project.id, name="Footer", tags=["VIP"], design={"fields": [{"name": "age"}]})
    dbsession.add(form)
    dbsession.flush()
    dbsession.add(SignUpFormList(project_id=project.id, form_id=form.id, list_id=news.id))
    view = table_columns.save_view(
        dbsession, project_id=project.id, user_id=cast.alice.id, name="Mine", shared=True,
        query={"tag": str(tag.id), "list": str(news.id)}, columns=["field:age"],
    )  # fmt: skip
    build.campaign(project, name="Draft", html="<p>{{ age|default('') }}</p>")
    build.campaign(project, name="Not it", html="<p>{{ page }} age</p>")
    dbsession.commit()
    people = f"{cast.base}/subscribers"
    told = ("Regulars", "Mine", "Footer")
    for url, shown in ((f"{people}/fields/age", (*told, "Draft")), (f"{people}/tags/{tag.id}", told),
                       (f"{cast.base}/lists/{news.id}/delete", told)):  # fmt: skip
        answer = page.get(url)
        assert [name for name in shown if name not in answer.text] == []
        assert "Not it" not in answer.text
    for url in (f"{A}/fields/age", f"{A}/tags/{tag.id}", f"{A}/lists/{news.id}"):
        assert "Regulars" in api.delete(url, status=409).json["detail"]

    # A tag that becomes another one takes everything with it that asks for it.
    merged = api.patch_json(f"{A}/tags/{tag.id}", {"into": str(twin.id)}).json
    assert merged["name"] == "Gold"
    dbsession.expire_all()
    assert segment.definition["rules"][0]["value"] == [str(twin.id)]
    assert (view.query["tag"], form.tags) == (str(twin.id), ["Gold"])
    api.patch_json(f"{A}/tags/{twin.id}", {"name": "Silver"})
    dbsession.expire_all()
    assert form.tags == ["Silver"]
    # What goes all the same leaves a segment that nothing is sent to.
    api.delete(f"{A}/tags/{twin.id}?force=true", status=204)
    with pytest.raises(segments.SegmentRefused):
        segments.tree_of(dbsession, segment)


def test_what_changes_nothing_is_not_in_the_journal(cast, page, person, dbsession):
    def journal():
        return [one.action for one in dbsession.scalars(select(AuditEntry).order_by(AuditEntry.id))]

    url = f"{cast.base}/subscribers/{person.id}"
    token = form_with(page.get(url), "csrf_token")["csrf_token"].value
    before = journal()
    for what, form in (("tags", {"add": "One"}), ("tags", {"add": "one"}), ("tags", {"remove": "\u00b2"}),
                       ("tags", {"remove": "9" * 20}), ("suppress", {}), ("suppress", {}), ("unsubscribe", {}),
                       ("unsubscribe", {})):  # fmt: skip
        page.post(f"{url}/{what}", {"csrf_token": token, **form}, status=303)
    tag = dbsession.scalars(select(Tag)).one()
    for name in ("One", "One"):
        page.post(f"{cast.base}/subscribers/tags", {"csrf_token": token, "name": name}, status=303)
        page.post(f"{cast.base}/subscribers/tags/{tag.id}", {"csrf_token": token, "name": name}, status=303)
    page.post(f"{cast.base}/subscribers/tags/{tag.id}", {"csrf_token": token, "into": "\u00b2"}, status=422)
    form = {"csrf_token": token, "act": "tag_add", "id": str(person.id), "tag_id": "\u00b2"}
    page.post(f"{cast.base}/subscribers/bulk", form, status=422)
    assert journal()[len(before) :] == ["subscriber.tagged", "subscriber.suppressed", "subscriber.unsubscribed"]


def test_fields_of_the_api_are_typed(api, cast, person):
    made = api.post_json(f"{A}/fields", {"label": "T-shirt", "type": "choice", "choices": ["S", "L"]}, status=201).json
    assert (made["name"], made["type"], made["choices"]) == ("t_shirt", "choice", ["S", "L"])
    wrong = api.post_json(
        f"{A}/subscribers", {"email": "b@mail.test", "fields": {"t_shirt": "XXL", "age": "x"}}, status=422
    )
    assert {one["field"] for one in wrong.json["errors"]} == {"fields.t_shirt", "fields.age"}
    fields = {"t_shirt": "l", "age": "41", "member": True}
    right = api.post_json(
        f"{A}/subscribers", {"email": "b@mail.test", "fields": fields, "tags": ["New"]}, status=201
    ).json
    assert (right["fields"], right["tags"]) == ({"t_shirt": "L", "age": 41, "member": True}, ["New"])
    assert [one["type"] for one in api.get(f"{A}/fields").json["results"]] == ["number", "boolean", "choice", "boolean"]
    moved = api.patch_json(f"{A}/fields/t_shirt", {"position": 1}).json
    assert (moved["position"], api.get(f"{A}/fields").json["results"][0]["name"]) == (1, "t_shirt")
    assert api.patch_json(f"{A}/subscribers/{right['id']}", {"tags": ["Old"]}).json["tags"] == ["Old"]
    found = api.get(f"{A}/tags").json["results"]
    assert [(one["name"], one["count"]) for one in found] == [("New", 0), ("Old", 1)]
    tagged = api.get(f"{A}/subscribers?tag_id={found[1]['id']}").json
    assert [one["email"] for one in tagged["results"]] == ["b@mail.test"]
    api.get(f"{A}/subscribers?tag_id=999", status=422)


def test_bulk_changes_and_merging_by_the_api(api, cast, build, person, dbsession):
    other = build.subscriber(cast.project, "anna.k@mail.test", fields={"vip": True})
    api.post_json(f"{A}/subscribers/bulk", {"action": "unsubscribe"}, status=422)
    api.post_json(f"{A}/subscribers/bulk", {"action": "unsubscribe", "filter": {"email": "x@mail.test"}}, status=422)
    api.post_json(f"{A}/subscribers/bulk", {"action": "delete", "filter": {}, "expected": 1}, status=409)
    job = api.post_json(
        f"{A}/subscribers/bulk", {"action": "tag_add", "tag": "X", "filter": {"q": "anna"}}, status=202
    ).json
    assert api.get(f"{A}/subscribers/bulk/{job['id']}").json["state"] == "pending"
    api.post_json(f"{A}/subscribers/bulk", {"action": "tag_remove", "tag": "Nobody's", "filter": {}}, status=422)
    api.post_json(f"{A}/subscribers/bulk/{job['id']}/undo", {}, status=409)
    assert api.post_json(f"{A}/subscribers/bulk/{job['id']}/cancel", {}, status=202).json["state"] == "cancelled"
    merged = api.post_json(f"{A}/subscribers/{person.id}/merge", {"other_id": str(other.id)}).json
    assert merged["fields"] == {"age": 30, "vip": True}
    api.get(f"{A}/subscribers/{other.id}", status=404)
    api.post_json(f"{A}/subscribers/{person.id}/merge", {"other_id": str(person.id)}, status=422)


class Job:
    """A job as a handler sees it, without a worker."""

    def __init__(self, project_id, **parameters):
        self.project_id, self.parameters, self.place, self.result, self.done = project_id, parameters, {}, {}, 0

    def move(self, _dbsession, *, done=0, place=None, result=None, **_rest):
        self.done, self.place, self.result = self.done + done, place or self.place, {**self.result, **(result or {})}


def test_a_new_type_is_refused_while_values_do_not_fit_and_converts_those_that_do(cast, build, dbsession, monkeypatch):
    from contextlib import nullcontext
    from types import SimpleNamespace

    from mailhub.background.running import Failed

    monkeypatch.setattr(field_changes, "SLICE", 2)
    declare_fields(dbsession, project_id=cast.project.id, labels={"size": "Size"})
    people = [build.subscriber(cast.project, fields={"size": value}) for value in ("1", "2,5", "many", "4")]
    # These come while the others are gone through.
    late = [build.subscriber(cast.project, fields={"size": value}) for value in ("7", "lots", "8")]
    request = SimpleNamespace(tm=nullcontext(), dbsession=dbsession)
    asked = {"field": "size", "type": "number", "choices": [], "drop": False, "upto": people[-1].id}
    seen = field_changes.do(request, Job(cast.project.id, step="check", **asked))
    assert seen == {"fits": 3, "misfits": 1, "examples": ["many"]}
    with pytest.raises(Failed):
        field_changes.do(request, Job(cast.project.id, step="change", **asked))
    field_changes.do(request, Job(cast.project.id, step="change", **asked | {"drop": True}))
    dbsession.flush()
    dbsession.expire_all()
    held = dbsession.scalars(select(Subscriber.fields).order_by(Subscriber.id)).all()
    assert [one.get("size") for one in held] == [1, 2.5, None, 4, 7, None, 8]
    assert dbsession.scalars(select(SubscriberField.type)).one() == "number"
    field_changes.do(request, Job(cast.project.id, step="delete", **asked))
    dbsession.expire_all()
    assert dbsession.scalars(select(Subscriber.fields)).all() == [{}] * len(people + late)
    assert dbsession.scalars(select(SubscriberField.name)).all() == []
