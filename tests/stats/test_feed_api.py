"""`/api/v1/events`: pages that a program follows, and comes back to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from mailhub.events.service import Event, append_in

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def project(live: Any) -> Any:
    """A project whose campaign has been sent to one person, who has clicked."""
    live.project = live.build.project(live.build.user("alice@people.test"))
    live.message_id = uuid4()
    common = {
        "message_id": live.message_id,
        "campaign_id": 8,
        "list_id": 9,
        "subscriber_id": 7,
        "email": "ann@mail.test",
    }
    append_in(live.session, [
        Event("SENT", live.project.id, "campaign", datetime.now(UTC), code=250, **common),  # type: ignore[arg-type]
        Event("REDIRECTED", live.project.id, "campaign", link_id=3, url="https://x.test/", user_agent=AGENT, **common),  # type: ignore[arg-type]
        Event("QUEUED", live.project.id, "transactional"),
    ])  # fmt: skip
    live.session.commit()
    live.api = live.client.api(live.session, live.project.id, "messages:read")
    return live


def test_an_event_is_told_with_its_ids(project: Any) -> None:
    answer = project.api.get("/api/v1/events").json
    assert answer["next"] is None
    sent, clicked, queued = answer["results"]
    assert (sent["type"], sent["code"], sent["email"], sent["device"], sent["actor"]) == (
        "SENT", 250, "ann@mail.test", "", ""
    )  # fmt: skip
    assert sent["at"].endswith("Z")
    assert clicked == clicked | {
        "type": "REDIRECTED", "kind": "campaign", "message_id": str(project.message_id), "campaign_id": "8",
        "list_id": "9", "subscriber_id": "7", "link_id": "3", "url": "https://x.test/", "device": "desktop",
        "client": "Firefox", "actor": "",
    }  # fmt: skip
    assert queued["campaign_id"] is queued["message_id"] is None


def test_a_program_follows_next_and_comes_back_to_the_last_id(project: Any) -> None:
    first = project.api.get("/api/v1/events?limit=2").json
    second = project.api.get(first["next"].removeprefix("http://localhost")).json
    assert [len(first["results"]), len(second["results"]), second["next"]] == [2, 1, None]
    last = second["results"][-1]["id"]
    assert project.api.get(f"/api/v1/events?after={last}").json == {"results": [], "next": None}
    append_in(project.session, [Event("SENT", project.project.id, "test")])
    project.session.commit()
    new = project.api.get(f"/api/v1/events?after={last}").json["results"]
    assert [event["kind"] for event in new] == ["test"]


@pytest.mark.parametrize("query", ["after=nonsense", "limit=0", "limit=501", "type=SENT"])
def test_what_makes_no_sense_is_refused(project: Any, query: str) -> None:
    project.api.get(f"/api/v1/events?{query}", status=422)


def test_another_projects_events_are_not_told(project: Any) -> None:
    stranger = project.build.project()
    api = project.client.api(project.session, stranger.id, "messages:read")
    assert api.get("/api/v1/events").json == {"results": [], "next": None}


def test_a_key_for_numbers_may_not_read_addresses(project: Any) -> None:
    project.client.api(project.session, project.project.id, "stats:read").get("/api/v1/events", status=403)
    project.client.new().get("/api/v1/events", status=401)


def test_it_is_described(project: Any) -> None:
    described = project.client.get("/api/v1/openapi.json").json
    assert "get" in described["paths"]["/api/v1/events"]
