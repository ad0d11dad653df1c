"""Campaigns over the JSON API: the contract's shapes, refusals with reasons, scopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailhub.models import Campaign, CampaignCount, CampaignReaction, CampaignState, Message
from tests.campaigns.arrange import Cast


@pytest.fixture
def api(client, dbsession, cast: Cast):
    return client.api(dbsession, cast.project.id)


def reread(dbsession, cast: Cast) -> Campaign:
    dbsession.expire_all()
    return dbsession.get(Campaign, (cast.project.id, cast.campaign.id))


def test_a_campaign_is_written_changed_started(api, cast: Cast, dbsession, publisher):
    made = api.post_json("/api/v1/campaigns", {
        "name": "News", "subject": "Hello", "preheader": "Look", "list_ids": [str(cast.list.id)],
        "from": {"email": cast.sender.email.upper(), "name": "The editors"}, "reply_to": "answers@example.com",
        "html": "<p>Hello {{ name|default('friend') }} <a href='https://example.com/a'>a</a></p>",
    }, status=201).json  # fmt: skip
    assert made["state"] == "draft"
    assert isinstance(made["id"], str)
    assert made["from"] == {"email": cast.sender.email, "name": "The editors"}
    assert made["counts"] == dict.fromkeys(
        ("audience", "queued", "deferred", "sent", "failed", "unknown", "skipped"), 0
    )
    url = f"/api/v1/campaigns/{made['id']}"
    changed = api.patch_json(url, {"subject": "Hello again", "revision": 1}).json
    assert (changed["subject"], changed["revision"], changed["preheader"]) == ("Hello again", 2, "Look")
    started = api.post_json(f"{url}/start", {}, status=202).json
    assert started["state"] == "sending"
    assert started["started_at"].endswith("Z")
    assert publisher.names() == ["mailhub.campaigns.fan_out"]
    assert api.get(url).json["subject"] == "Hello again"
    assert [one["id"] for one in api.get("/api/v1/campaigns?state=sending").json["results"]] == [made["id"]]
    api.delete(url, status=409)
    problem = api.post_json(f"{url}/start", {}, status=409).json
    assert problem["status"] == 409
    assert "already" in problem["detail"]


def test_from_may_be_an_address_string_and_names_the_sender_by_default(api, cast: Cast):
    made = api.post_json("/api/v1/campaigns", {"name": "N", "from": cast.sender.email}, status=201).json
    assert made["from"] == {"email": cast.sender.email, "name": "News"}
    assert api.post_json("/api/v1/campaigns", {"name": "N"}, status=201).json["from"]["email"] == cast.sender.email


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "from": {"email": "other@example.com"}}, "from.email"),
        ({"name": "x", "list_ids": ["999999"]}, "list_ids"),
        ({"name": "x", "list_ids": ["abc"]}, "list_ids.0"),
        ({"name": "x", "html": "<p>\n{{ nickname }}"}, "html"),
        ({"name": "x", "html": "{% for a in range(99) %}{% endfor %}"}, "html"),
        ({"name": "x", "html": "{{ name.__init__() }}"}, "html"),
        ({"name": "x", "state": "sent"}, "state"),
        ({"name": "x", "project_id": 1}, "project_id"),
        ({"name": "x", "send_at": "2027-01-01T10:00:00"}, "send_at"),
        ({"name": "x", "reply_to": "nobody"}, "reply_to"),
        ({"name": 7}, "name"),
    ],
)
def test_wrong_fields_are_named_and_nothing_is_written(api, cast: Cast, dbsession, document, field):
    before = dbsession.query(Campaign).count()
    problem = api.post_json("/api/v1/campaigns", document, status=422).json
    assert field in [one["field"] for one in problem["errors"]]
    assert all(one["message"] for one in problem["errors"])
    assert dbsession.query(Campaign).count() == before


def test_a_refused_letter_says_the_line(api):
    problem = api.post_json("/api/v1/campaigns", {"name": "x", "html": "<p>\n{{ nickname }}"}, status=422).json
    assert problem["errors"] == [{"field": "html", "message": "Line 2: There is no field “nickname”."}]


def test_start_answers_409_with_every_reason(api, cast: Cast, dbsession, publisher):
    made = api.post_json("/api/v1/campaigns", {"name": "empty", "from": cast.sender.email}, status=201).json
    problem = api.post_json(f"/api/v1/campaigns/{made['id']}/start", {}, status=409).json
    assert {one["field"] for one in problem["errors"]} >= {"list_ids", "subject", "html"}
    assert api.get(f"/api/v1/campaigns/{made['id']}").json["state"] == "draft"
    assert publisher.sent == []


def test_grace_can_be_cancelled(api, cast: Cast):
    started = api.post_json(cast.api_path("/start"), {"grace_seconds": 60}, status=202).json
    assert started["state"] == "scheduled"
    assert api.post_json(cast.api_path("/cancel"), {}, status=202).json["state"] == "cancelled"


def test_send_at_is_kept_and_used_by_start(api, cast: Cast):
    moment = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    api.patch_json(cast.api_path(), {"send_at": moment.isoformat()})
    started = api.post_json(cast.api_path("/start"), {}, status=202).json
    assert started["state"] == "scheduled"
    assert started["send_at"] == moment.isoformat().replace("+00:00", "Z")


def test_pause_resume_cancel_archive(api, cast: Cast):
    api.post_json(cast.api_path("/start"), {}, status=202)
    assert api.post_json(cast.api_path("/archive"), {}, status=409)
    assert api.post_json(cast.api_path("/pause"), {}, status=202).json["state"] == "paused"
    assert api.post_json(cast.api_path("/pause"), {}, status=409)
    assert api.post_json(cast.api_path("/resume"), {}, status=202).json["state"] == "sending"
    assert api.post_json(cast.api_path("/cancel"), {}, status=202).json["state"] == "cancelled"
    assert api.post_json(cast.api_path("/archive"), {}, status=202).json["archived_at"] is not None


def test_delete_a_draft(api, cast: Cast, dbsession):
    api.delete(cast.api_path(), status=204)
    api.get(cast.api_path(), status=404)


def test_a_stale_revision_is_refused(api, cast: Cast, dbsession):
    api.patch_json(cast.api_path(), {"subject": "one", "revision": 1})
    api.patch_json(cast.api_path(), {"subject": "two", "revision": 1}, status=409)
    assert reread(dbsession, cast).subject == "one"


def test_test_letters_are_accepted(api, cast: Cast, dbsession, publisher):
    answer = api.post_json(cast.api_path("/test"), {"to": ["me@example.com", "you@example.com"]}, status=202).json
    assert [(one["to"], one["state"]) for one in answer["messages"]] == [
        ("me@example.com", "queued"), ("you@example.com", "queued"),
    ]  # fmt: skip
    assert publisher.names() == ["mailhub.delivery.send_due"]
    api.post_json(cast.api_path("/test"), {"to": ["nobody"]}, status=422)
    api.post_json(cast.api_path("/test"), {"to": [f"a{n}@example.com" for n in range(6)]}, status=422)


def test_scopes_limit_a_key(client, dbsession, cast: Cast):
    reader = client.api(dbsession, cast.project.id, "campaigns:read")
    assert reader.get(cast.api_path())
    reader.post_json("/api/v1/campaigns", {"name": "x"}, status=403)
    reader.post_json(cast.api_path("/start"), {}, status=403)
    writer = client.api(dbsession, cast.project.id, "campaigns:write")
    writer.patch_json(cast.api_path(), {"name": "x"})
    writer.post_json(cast.api_path("/start"), {}, status=403)


def test_another_projects_campaign_is_404(client, build, dbsession, cast: Cast):
    stranger = client.api(dbsession, build.project().id)
    for method, page in (("get", ""), ("patch_json", ""), ("delete", ""), ("get", "/recipients"),
                         ("post_json", "/start"), ("post_json", "/test")):  # fmt: skip
        getattr(stranger, method)(cast.api_path(page), status=404)
    assert stranger.get("/api/v1/campaigns").json["results"] == []


def test_no_key_is_401(client, cast: Cast):
    client.sign_in(cast.alice)
    client.get(cast.api_path(), status=401)


def test_list_pages_by_key(api, cast: Cast, build):
    for _n in range(4):
        build.campaign(cast.project)
    first = api.get("/api/v1/campaigns?limit=3").json
    assert len(first["results"]) == 3
    assert first["next"]
    second = api.get(first["next"]).json
    assert len(second["results"]) == 2
    assert second["next"] is None
    assert "html" not in first["results"][0] or first["results"][0]["html"] is None


def settle(dbsession, cast: Cast) -> None:
    """Three letters: sent and opened, failed, left out."""
    cast.campaign.state, cast.campaign.started_at = CampaignState.SENT, cast.now
    dbsession.add(CampaignCount(project_id=cast.project.id, campaign_id=cast.campaign.id, audience=3, sent=1,
                                failed=1, skipped=1))  # fmt: skip
    outcomes = (("sent", "", ""), ("failed", "", "550 5.1.1 <no> such user"), ("skipped", "suppressed", ""))
    for person, (state, reason, reply) in zip(cast.people, outcomes, strict=True):
        dbsession.add(Message(
            project_id=cast.project.id, kind="campaign", queue="bulk", state=state, reason=reason,
            campaign_id=cast.campaign.id, subscriber_id=person.id, email=person.email,
            email_domain=person.email_domain, smtp_reply=reply, settled_at=cast.now,
        ))  # fmt: skip
    dbsession.add(CampaignReaction(project_id=cast.project.id, campaign_id=cast.campaign.id,
                                   subscriber_id=cast.people[0].id, opened=2, first_opened_at=cast.now))  # fmt: skip
    dbsession.commit()


def test_recipients_say_who_and_why(api, cast: Cast, dbsession):
    settle(dbsession, cast)
    rows = api.get(cast.api_path("/recipients")).json["results"]
    assert {(row["email"], row["state"]) for row in rows} == {
        (cast.people[0].email, "sent"), (cast.people[1].email, "failed"), (cast.people[2].email, "skipped"),
    }  # fmt: skip
    skipped = api.get(cast.api_path("/recipients?state=skipped&reason=suppressed")).json["results"]
    assert [row["reason"] for row in skipped] == ["suppressed"]
    assert api.get(cast.api_path("/recipients?state=queued")).json["results"] == []
    api.get(cast.api_path("/recipients?state=nothing"), status=422)
    first = api.get(cast.api_path("/recipients?limit=2")).json
    assert len(first["results"]) == 2
    assert len(api.get(first["next"]).json["results"]) == 1
    counts = api.get(cast.api_path()).json["counts"]
    assert counts["audience"] == 3 == sum(counts.values()) - counts["audience"]


def test_recipients_have_no_address_for_a_key_without_the_scope(client, cast: Cast, dbsession):
    settle(dbsession, cast)
    reader = client.api(dbsession, cast.project.id, "campaigns:read")
    rows = reader.get(cast.api_path("/recipients")).json["results"]
    assert {row["email"] for row in rows} == {None}


def test_people_page_filters_by_the_url(cast: Cast, client, dbsession):
    settle(dbsession, cast)
    client.sign_in(cast.bob)
    page = client.get(cast.path("/people"))
    assert all(person.email in page for person in cast.people)
    assert "550 5.1.1 &lt;no&gt; such user" in page
    assert f"/subscribers/{cast.people[0].id}" in page
    failed = client.fragment(cast.path("/people?state=failed"), "people-rows")
    assert cast.people[1].email in failed
    assert cast.people[0].email not in failed
    assert "<html" not in failed
    opened = client.get(cast.path("/people?did=opened"))
    assert cast.people[0].email in opened
    assert cast.people[1].email not in opened
    assert "on the stop list" in client.get(cast.path("/people?state=skipped"))
    assert "Nothing matches" in client.get(cast.path("/people?did=clicked"))
    assert client.get(cast.path("/people?state=nonsense&after=rubbish&did=x"))


def test_people_page_shows_an_analyst_no_address(cast: Cast, client, dbsession):
    settle(dbsession, cast)
    client.sign_in(cast.analyst)
    page = client.get(cast.path("/people"))
    assert not any(person.email in page for person in cast.people)
    assert "@mail.test" in page
    assert "such user" not in page


def test_a_start_waits_only_where_it_is_told_to(api, cast: Cast, publisher):
    assert api.post_json(cast.api_path("/start"), {"grace_seconds": 60}, status=202).json["state"] == "scheduled"
    assert publisher.names() == []
    assert api.post_json(cast.api_path("/cancel"), {}, status=202).json["state"] == "cancelled"


def test_spread_is_written_changed_and_frozen(api, cast: Cast):
    made = api.post_json("/api/v1/campaigns", {"name": "N", "spread_seconds": 3600}, status=201).json
    assert made["spread_seconds"] == 3600
    changed = api.patch_json(cast.api_path(), {"spread_seconds": 7200}).json
    assert (changed["spread_seconds"], changed["revision"]) == (7200, 2)
    for wrong in (-1, 604_801, "soon", None, 1.5):
        problem = api.patch_json(cast.api_path(), {"spread_seconds": wrong}, status=422).json
        assert problem["errors"][0]["field"] == "spread_seconds"
    started = api.post_json(cast.api_path("/start"), {"spread_seconds": 604_800}, status=202).json
    assert (started["state"], started["spread_seconds"]) == ("sending", 604_800)
    api.patch_json(cast.api_path(), {"spread_seconds": 1}, status=409)


def test_start_keeps_the_drafts_own_spread(api, cast: Cast):
    api.patch_json(cast.api_path(), {"spread_seconds": 7200})
    assert api.post_json(cast.api_path("/start"), {}, status=202).json["spread_seconds"] == 7200
