"""Segments over the JSON API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from mailhub.models import CampaignSegment, Segment

NAMES = {"match": "all", "rules": [{"field": "name", "op": "contains", "value": "ann"}]}


@pytest.fixture
def api(cast: Any, client: Any, dbsession: Session) -> Any:
    return client.api(dbsession, cast.project.id)


def test_a_segment_is_made_counted_changed_and_deleted(api: Any, cast: Any, build: Any, dbsession: Session) -> None:
    person = build.subscriber(cast.project, "one@x.test", name="Hannah")
    stranger = build.subscriber(cast.other, "other@x.test", name="Hannah")
    made = api.post_json("/api/v1/segments", {"name": "Anns", "definition": NAMES}, status=201).json
    assert (made["count"], made["words"]) == (1, "People for whom this holds: the name contains “ann”.")
    url = f"/api/v1/segments/{made['id']}"
    assert api.get("/api/v1/segments").json["results"] == [api.get(url).json]
    people = api.get(f"{url}/subscribers").json["results"]
    assert people == [{"id": str(person.id), "email": "one@x.test", "name": "Hannah", "status": "active"}]
    why = api.get(f"{url}/subscribers/{person.id}").json
    assert why == {"subscriber_id": str(person.id), "in_segment": True, "rules": [
        {"path": "rules.0", "words": "the name contains “ann”", "holds": True}]}  # fmt: skip
    api.get(f"{url}/subscribers/{stranger.id}", status=404)
    other = {"match": "all", "rules": [NAMES["rules"][0] | {"not": True}]}
    changed = api.patch_json(url, {"definition": other, "revision": made["revision"]}).json
    assert (changed["count"], changed["revision"]) == (0, 2)
    api.patch_json(url, {"name": "Late", "revision": 1}, status=409)
    assert api.patch_json(url, {"archived": True}).json["archived"]
    assert api.get("/api/v1/segments").json["results"] == []
    api.delete(url, status=204)
    assert dbsession.query(Segment).count() == 0


def test_faults_are_told_by_path(api: Any, cast: Any, build: Any) -> None:
    foreign = build.list(cast.other)
    rules = [{"field": "name", "op": "is", "value": 5}, {"match": "any", "rules": [
        {"field": "list", "op": "subscribed", "value": [str(foreign.id)]}]}]  # fmt: skip
    for path, body in (("", {"name": "x"}), ("/preview", {})):
        answer = api.post_json(
            f"/api/v1/segments{path}", body | {"definition": {"match": "all", "rules": rules}}, status=422
        )
        fields = {one["field"]: one["message"] for one in answer.json["errors"]}
        assert fields == {
            "definition.rules.0.value": "This must be text.",
            "definition.rules.1.rules.0.value": "There is no such list.",
        }
    api.post_json("/api/v1/segments", {"name": "x", "definition": NAMES, "project_id": 1}, status=422)


def test_a_preview_counts_and_keeps_nothing(api: Any, cast: Any, build: Any, dbsession: Session) -> None:
    build.subscriber(cast.project, name="Ann")
    build.subscriber(cast.project, name="Annie", status="active")
    answer = api.post_json("/api/v1/segments/preview", {"definition": NAMES}).json
    assert (answer["count"], answer["active"]) == (2, 2)
    assert dbsession.query(Segment).count() == 0


def test_a_segment_in_use_is_kept(api: Any, cast: Any, build: Any, dbsession: Session) -> None:
    made = api.post_json("/api/v1/segments", {"name": "Anns", "definition": NAMES}, status=201).json
    campaign = build.campaign(cast.project, name="Spring")
    dbsession.add(CampaignSegment(project_id=cast.project.id, campaign_id=campaign.id, segment_id=int(made["id"])))
    dbsession.commit()
    assert "Spring" in api.delete(f"/api/v1/segments/{made['id']}", status=409).json["detail"]
    api.patch_json(f"/api/v1/segments/{made['id']}", {"archived": True}, status=409)


def test_another_projects_segment_is_not_found(api: Any, cast: Any, client: Any, dbsession: Session) -> None:
    theirs = client.api(dbsession, cast.other.id)
    made = theirs.post_json("/api/v1/segments", {"name": "Theirs", "definition": NAMES}, status=201).json
    url = f"/api/v1/segments/{made['id']}"
    for path in ("", "/subscribers", "/subscribers/1"):
        api.get(url + path, status=404)
    api.patch_json(url, {"name": "Mine"}, status=404)
    api.delete(url, status=404)


def test_scopes_hold(cast: Any, client: Any, dbsession: Session) -> None:
    reader = client.api(dbsession, cast.project.id, "subscribers:read")
    reader.get("/api/v1/segments")
    reader.post_json("/api/v1/segments", {"name": "x", "definition": NAMES}, status=403)
    client.api(dbsession, cast.project.id, "lists:read").get("/api/v1/segments", status=403)
