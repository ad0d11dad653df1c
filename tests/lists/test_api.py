"""The JSON API of lists, people and imports (contract §4)."""

import json

import pytest

from mailhub.models import ImportRejectedRow, MailingList, Message, Subscriber, SubscriberImport, Subscription

A = "/api/v1"


@pytest.fixture
def api(client, cast, dbsession):
    return client.api(dbsession, cast.project.id)


def test_lists_are_made_read_changed_and_deleted(api, cast, dbsession):
    made = api.post_json(f"{A}/lists", {"name": "API", "opt_in": "double", "visibility": "public"}, status=201).json
    assert made["opt_in"] == "double"
    assert "/s/" in made["form_url"]
    assert made["created_at"].endswith("Z")
    assert made["counts"] == {"subscribed": 0, "unconfirmed": 0, "unsubscribed": 0}
    url = f"{A}/lists/{made['id']}"
    assert api.get(url).json == made
    assert api.patch_json(url, {"name": "Other"}).json["name"] == "Other"
    assert [one["name"] for one in api.get(f"{A}/lists").json["results"]] == ["News", "Other"]
    api.delete(url, status=204)
    api.get(url, status=404)


def test_lists_come_in_pages(api, cast, build):
    for _n in range(4):
        build.list(cast.project)
    first = api.get(f"{A}/lists?limit=3").json
    assert len(first["results"]) == 3
    assert first["count"] == 5
    second = api.get(first["next"]).json
    assert len(second["results"]) == 2
    assert second["next"] is None


def test_list_in_use_is_409(api, cast, build):
    campaign = build.campaign(cast.project, lists=[cast.list])
    assert campaign.name in api.delete(f"{A}/lists/{cast.list.id}", status=409).json["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": 5},
        {"name": "x", "project_id": 1},
        {"name": "x", "id": 1},
        {"name": "x", "opt_in": "n"},
    ],
)
def test_bad_lists_are_422_with_the_field(api, dbsession, wrong):
    answer = api.post_json(f"{A}/lists", wrong, status=422)
    assert answer.content_type == "application/problem+json"
    assert answer.json["errors"][0]["field"]
    assert dbsession.query(MailingList).count() == 1


def test_post_upserts_by_address(api, cast, dbsession):
    fields = {"city": "Ufa", "age": 30}
    body = {"email": " Anna@Mail.RU", "name": "Anna", "fields": fields, "lists": [str(cast.list.id)]}
    made = api.post_json(f"{A}/subscribers", body, status=201).json
    assert (made["email"], made["lists"], made["status"]) == ("Anna@mail.ru", [str(cast.list.id)], "active")
    assert made["fields"] == {"city": "Ufa", "age": 30}
    again = api.post_json(f"{A}/subscribers", {"email": "anna@mail.ru", "fields": {"city": "Omsk"}}, status=200).json
    assert (again["id"], again["name"], again["fields"]) == (made["id"], "Anna", {"city": "Omsk", "age": 30})
    assert dbsession.query(Subscriber).count() == 1
    assert api.get(f"{A}/subscribers/{made['id']}").json == again


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({}, "email"),
        ({"email": "a@b.ru", "lists": ["999999"]}, "lists"),
        ({"email": "a@b.ru", "lists": ["x"]}, "lists.0"),
        ({"email": "a@b.ru", "fields": {"a": [1]}}, "fields"),
        ({"email": "a@b.ru", "fields": {"a": "x\0"}}, "fields"),
        ({"email": "a@b.ru", "fields": {"!!": "x"}}, "fields"),
        ({"email": "a@b.ru", "status": "bounced"}, "status"),
        ({"email": "a@b.ru", "project_id": "1"}, "project_id"),
    ],
)
def test_bad_people_are_422_and_nothing_changes(api, dbsession, wrong, field):
    assert api.post_json(f"{A}/subscribers", wrong, status=422).json["errors"][0]["field"] == field
    assert dbsession.query(Subscriber).count() == 0


def test_foreign_lists_and_people_are_not_there(api, cast, build):
    foreign_list, foreigner = build.list(cast.other), build.subscriber(cast.other)
    api.get(f"{A}/lists/{foreign_list.id}", status=404)
    api.post_json(f"{A}/subscribers", {"email": "a@b.ru", "lists": [str(foreign_list.id)]}, status=422)
    for method in ("get", "delete"):
        getattr(api, method)(f"{A}/subscribers/{foreigner.id}", status=404)
    api.patch_json(f"{A}/subscribers/{foreigner.id}", {"name": "x"}, status=404)
    assert api.get(f"{A}/subscribers?email={foreigner.email}").json["results"] == []


def test_patch_replaces_lists_and_status(api, cast, build, dbsession):
    other = build.list(cast.project)
    person = build.subscriber(cast.project, "anna@mail.ru", lists=[cast.list], fields={"a": "1", "b": "2"})
    url = f"{A}/subscribers/{person.id}"
    changed = api.patch_json(url, {"lists": [str(other.id)], "fields": {"a": None, "c": True}}).json
    assert changed["lists"] == [str(other.id)]
    assert changed["fields"] == {"b": "2", "c": True}
    assert api.patch_json(url, {"status": "unsubscribed"}).json["lists"] == []
    assert api.get(url).json["status"] == "unsubscribed"
    build.subscriber(cast.project, "taken@mail.ru")
    api.patch_json(url, {"email": "taken@mail.ru"}, status=409)


def test_upsert_does_not_bring_back_who_has_left(api, cast, build):
    build.subscriber(cast.project, "anna@mail.ru", lists=[cast.list], status="unsubscribed")
    answer = api.post_json(f"{A}/subscribers", {"email": "anna@mail.ru", "lists": [str(cast.list.id)]}).json
    assert answer["lists"] == []
    assert answer["subscriptions"][0]["status"] == "unsubscribed"


def test_double_opt_in_list_asks_once(api, cast, build, dbsession):
    double = build.list(cast.project, opt_in="double")
    body = {"email": "anna@mail.ru", "lists": [str(double.id)]}
    assert api.post_json(f"{A}/subscribers", body, status=201).json["subscriptions"][0]["status"] == "unconfirmed"
    api.post_json(f"{A}/subscribers", body, status=200)
    assert dbsession.query(Message).filter_by(tag="confirm_subscription").count() == 1


def test_filters_and_pages(api, cast, build):
    people = [build.subscriber(cast.project, f"u{n}@mail.ru", lists=[cast.list] if n % 2 else []) for n in range(7)]
    assert api.get(f"{A}/subscribers?email=U3@mail.ru").json["results"][0]["id"] == str(people[3].id)
    answer = api.get(f"{A}/subscribers?list_id={cast.list.id}&status=subscribed").json
    assert answer["count"] == 3
    assert len(answer["results"]) == 3
    seen, url = [], f"{A}/subscribers?limit=3"
    while url:
        answer = api.get(url).json
        seen += [one["email"] for one in answer["results"]]
        url = answer["next"]
    assert sorted(seen) == [f"u{n}@mail.ru" for n in range(7)]
    assert api.get(f"{A}/subscribers?q=u5").json["count"] == 1
    for query in ("limit=0", "limit=501", "status=x", "list_id=9999", "unknown=1"):
        api.get(f"{A}/subscribers?{query}", status=422)


def test_batch_has_a_result_for_each_row(api, cast, build, dbsession):
    build.subscriber(cast.project, "known@mail.ru")
    rows = [{"email": "new@mail.ru", "lists": [str(cast.list.id)]}, {"email": "bad"}, {"email": "known@mail.ru"},
            {"email": "x@mail.ru", "lists": ["9999"]}, "what"]  # fmt: skip
    answer = api.post_json(f"{A}/subscribers/batch", {"subscribers": rows}).json
    assert [row["status"] for row in answer["results"]] == ["created", "rejected", "updated", "rejected", "rejected"]
    assert answer["results"][1]["errors"][0]["field"] == "email"
    assert (answer["created"], answer["updated"], answer["rejected"]) == (1, 1, 3)
    assert dbsession.query(Subscriber).count() == 2
    api.post_json(f"{A}/subscribers/batch", {"subscribers": [{}] * 501}, status=422)


def imported(api, cast, data, status=202, **fields):
    given = {"list_id": str(cast.list.id), **fields}
    given = {name: value for name, value in given.items() if value is not None}
    return api.post(f"{A}/imports", given, upload_files=[("file", "a.csv", data)], status=status)


def test_import_from_upload_to_counters(api, cast, publisher, dbsession):
    mapping = {"Почта": "email", "Имя": "name", "Город": "City"}
    started = imported(api, cast, "Почта;Имя;Город\na@b.ru;A;Ufa\nbad;;\n".encode(), mapping=json.dumps(mapping)).json
    assert started["state"] == "pending"
    assert started["mapping"]["Город"] == "city"
    publisher.run_all()
    done = api.get(f"{A}/imports/{started['id']}").json
    assert done["state"] == "done"
    assert [done[f"rows_{name}"] for name in ("total", "created", "updated", "skipped", "rejected")] == [2, 1, 0, 0, 1]
    listed = api.get(done["rejected_url"])
    assert listed.content_type == "text/csv"
    assert "3,no_at," in listed.text
    assert dbsession.query(Subscription).count() == 1
    assert dbsession.query(ImportRejectedRow).count() == 1


@pytest.mark.parametrize(
    ("data", "fields", "field"),
    [
        (b"", {}, "file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 30, {}, "file"),
        (b"name\nAnna\n", {}, "file"),
        (b"email\na@b.ru\n", {"list_id": "999"}, "list_id"),
        (b"email\na@b.ru\n", {"list_id": None}, "list_id"),
        (b"email\na@b.ru\n", {"mapping": "{"}, "mapping"),
        (b"email\na@b.ru\n", {"mapping": '{"x": "email"}'}, "mapping.x"),
        (b"email\na@b.ru\n", {"mapping": '{"email": "name"}'}, "mapping"),
        (b"email\na@b.ru\n", {"state": "done"}, "state"),
    ],
)
def test_bad_imports_are_422_and_nothing_changes(api, cast, dbsession, publisher, data, fields, field):
    answer = imported(api, cast, data, status=422, **fields)
    assert answer.json["errors"][0]["field"] == field
    dbsession.expire_all()
    assert dbsession.query(SubscriberImport).count() == 0
    assert publisher.names() == []


def test_scopes(client, cast, dbsession, build):
    reader = client.api(dbsession, cast.project.id, "lists:read")
    reader.get(f"{A}/lists")
    reader.get(f"{A}/subscribers", status=403)
    reader.post_json(f"{A}/lists", {"name": "x"}, status=403)
    row = build.subscriber(cast.project)
    client.api(dbsession, cast.project.id, "subscribers:read").delete(f"{A}/subscribers/{row.id}", status=403)
    client.get(f"{A}/subscribers", status=401)
