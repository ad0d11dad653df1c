"""Pages and API of fields, tags, views, notes, bulk changes: what they do, and what they refuse."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.lists import field_changes
from mailhub.lists.fields import declare_fields
from mailhub.models import ProjectJob, Subscriber, SubscriberField, SubscriberNote, SubscriberView, Suppression, Tag

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
