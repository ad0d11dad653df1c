"""Imports over the API: rules, a dry run, cancel and roll-back; and who may."""

from __future__ import annotations

import json

import pytest

from mailhub.imports.service import folder
from mailhub.models import Subscriber, SubscriberImport
from tests.client import ApiClient

FILE = b"email,name\na@b.ru,Anna\nnobody,X\n"


@pytest.fixture
def api(cast, client, dbsession) -> ApiClient:
    return client.api(dbsession, cast.project.id)


def send(api, cast, status=202, data=FILE, **fields):
    fields = {"list_id": str(cast.list.id)} | fields
    fields = {name: value for name, value in fields.items() if value is not None}
    return api.post("/api/v1/imports", fields, upload_files=[("file", "people.csv", data)], status=status).json


def test_upload_with_rules_fills_several_lists(cast, api, build, publisher, dbsession):
    other = build.list(cast.project)
    rules = {"status": "unconfirmed", "existing": "skip", "tags": ["fair"], "consent_source": "Fair"}
    ids = [str(cast.list.id), str(other.id)]
    sent = send(api, cast, list_id=None, list_ids=json.dumps(ids), rules=json.dumps(rules))
    assert (sent["state"], sorted(sent["list_ids"]), sent["list_id"]) == ("pending", sorted(ids), ids[0])
    assert sent["rules"] == rules | {"bad_values": "reject"}
    publisher.run_all()
    done = api.get(f"/api/v1/imports/{sent['id']}").json
    assert (done["state"], done["rows_created"], done["rows_rejected"], done["grade"]) == ("done", 1, 1, "A")
    assert [one["id"] for one in api.get("/api/v1/imports").json["results"]] == [sent["id"]]


def test_dry_run_imports_nothing_until_it_is_started(cast, api, publisher, dbsession):
    sent = send(api, cast, dry_run="true")
    assert (sent["state"], sent["check"]["state"]) == ("draft", "pending")
    publisher.run_all()
    checked = api.get(f"/api/v1/imports/{sent['id']}").json["check"]
    assert checked == {
        "state": "done", "error": "",
        "counts": {"total": 2, "created": 1, "updated": 0, "unchanged": 0, "skipped": 0, "rejected": 1},
    }  # fmt: skip
    assert dbsession.query(Subscriber).count() == 0
    assert b"nobody" in api.get(f"/api/v1/imports/{sent['id']}/rejected.csv").body
    assert api.post(f"/api/v1/imports/{sent['id']}/start", status=202).json["state"] == "pending"
    api.post(f"/api/v1/imports/{sent['id']}/start", status=409)
    publisher.run_all()
    assert dbsession.query(Subscriber).count() == 1


def test_cancelled_and_rolled_back(cast, api, publisher, dbsession):
    first, second = send(api, cast), send(api, cast, data=b"email\nc@d.ru\n")
    api.post(f"/api/v1/imports/{first['id']}/rollback", status=409)
    assert api.post(f"/api/v1/imports/{first['id']}/cancel").json["state"] == "cancelled"
    publisher.run_all()
    assert api.get(f"/api/v1/imports/{first['id']}").json["rows_created"] == 0
    api.post(f"/api/v1/imports/{second['id']}/cancel", status=409)
    assert api.post(f"/api/v1/imports/{second['id']}/rollback", status=202).json["state"] == "rolling_back"
    publisher.run_all()
    done = api.get(f"/api/v1/imports/{second['id']}").json
    assert (done["state"], done["rows_undone"], done["rows_kept"]) == ("rolled_back", 1, 0)
    assert dbsession.query(Subscriber).count() == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rules": "{"}, "rules"),
        ({"rules": '{"status": "king"}'}, "rules.status"),
        ({"rules": '{"colour": "red"}'}, "rules.colour"),
        ({"list_ids": '["0"]'}, "list_ids"),
        ({"list_ids": "7"}, "list_ids"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"mapping": '{"name": "name"}'}, "mapping"),
    ],
)
def test_bad_upload_is_refused_and_nothing_stays(cast, api, dbsession, settings, fields, field):
    before = set(folder(settings).iterdir())
    refused = send(api, cast, status=422, **fields)
    assert field in [one["field"] for one in refused["errors"]]
    assert dbsession.query(SubscriberImport).count() == 0
    assert set(folder(settings).iterdir()) == before


@pytest.mark.parametrize("path", ["", "/rejected.csv", "/start", "/cancel", "/rollback"])
def test_imports_of_others_are_not_there(cast, api, client, dbsession, path):
    sent = send(api, cast)
    stranger = client.api(dbsession, cast.other.id)
    method = stranger.get if path in ("", "/rejected.csv") else stranger.post
    method(f"/api/v1/imports/{sent['id']}{path}", status=404)
    assert stranger.get("/api/v1/imports").json["results"] == []
