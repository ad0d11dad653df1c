"""Before the router: the same answers as by way of it, and nothing else."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from webtest import TestApp

from mailhub.mail.tokens import Kind
from mailhub.models import Link, MessageEvent
from mailhub.tracking import door, spool
from mailhub.tracking.desk import Desk, desk_of
from mailhub.tracking.door import Door
from mailhub.web.headers import EveryAnswer

EXTRA = {"HTTP_HOST": "localhost", "REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def letter(build: Any, dbsession: Any, registry: Any) -> Any:
    """A sent campaign's open and click."""
    project = build.project()
    reader = build.subscriber(project, "anna@mail.test")
    campaign = build.started_campaign(project)
    link = dbsession.scalars(select(Link).where(Link.campaign_id == campaign.id)).one()
    ids = {"project": project.id, "campaign": campaign.id, "subscriber": reader.id}

    class Letter:
        open = f"/t/o/{registry.signer.sign(Kind.OPEN, **ids)}"
        click = f"/t/c/{registry.signer.sign(Kind.CLICK, **ids, link=link.id)}"
        url = link.url

    return Letter


@pytest.fixture
def front(app: Any) -> TestApp:
    return TestApp(Door(app), extra_environ=EXTRA)


@pytest.fixture
def router_is_shut(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> Any:
        raise AssertionError("this went to the router")

    monkeypatch.setattr(Door, "_rest", refuse)


def events(dbsession: Any) -> list[MessageEvent]:
    dbsession.expire_all()
    return list(dbsession.scalars(select(MessageEvent).order_by(MessageEvent.id)))


@pytest.mark.usefixtures("router_is_shut")
def test_hits_do_not_reach_the_router(front: TestApp, letter: Any, dbsession: Any) -> None:
    front.get(letter.open, status=200)
    front.get("/t/o/forged", status=200)
    assert front.get(letter.click, status=302).headers["Location"] == letter.url
    assert [event.type for event in events(dbsession)] == ["OPENED", "REDIRECTED"]


@pytest.mark.parametrize("name", ["open", "click"])
def test_the_answer_is_the_routers(app: Any, front: TestApp, letter: Any, name: str) -> None:
    path = getattr(letter, name)
    through, before = TestApp(app, extra_environ=EXTRA).get(path), front.get(path)
    assert before.status_int == through.status_int
    for headers in (before.headers, through.headers):
        assert len(headers.pop("X-Request-ID")) == 22
        if name == "click":  # the router says in words where it leads
            del headers["Content-Length"]
            headers.pop("Content-Type", None)
            headers.pop("Vary", None)
    assert dict(before.headers) == dict(through.headers)
    if name == "open":
        assert before.body == through.body


@pytest.mark.parametrize("path", ["/t/c/forged", "/t/c/", "/t/o/", "/t/o/a/b", "/t/x/a", "/t/", "/u/forged"])
def test_what_leads_nowhere_gets_a_page(front: TestApp, path: str) -> None:
    assert "Set-Cookie" not in front.get(path, status=404).headers


def test_other_methods_are_the_routers(front: TestApp, letter: Any, dbsession: Any) -> None:
    front.head(letter.open, status=200)
    assert front.head(letter.click, status=302).headers["Location"] == letter.url
    front.options(letter.open, status=404)
    front.post(letter.click, status=404)
    assert events(dbsession) == []


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch;anonymous-client-ip"}, {"Purpose": "Preview"}, {"X-Moz": "prefetch"}]
)
def test_a_hit_ahead_of_its_reader_says_so(front: TestApp, letter: Any, dbsession: Any, headers: Any) -> None:
    front.get(letter.open, headers=headers)
    front.get(letter.open)
    assert sorted(event.detail for event in events(dbsession)) == ["", "prefetch"]


def test_who_asks_for_privacy_has_no_address_in_an_open(front: TestApp, letter: Any, dbsession: Any) -> None:
    for path in (letter.open, letter.click):
        front.get(path, headers={"Sec-GPC": "1"})
    assert {event.type: str(event.ip) for event in events(dbsession)} == {"OPENED": "None", "REDIRECTED": "192.0.2.7"}


def test_an_address_that_a_reader_claims_is_not_believed(front: TestApp, letter: Any, dbsession: Any) -> None:
    front.get(letter.open, headers={"X-Forwarded-For": "203.0.113.9"})
    assert [str(event.ip) for event in events(dbsession)] == ["192.0.2.7"]


def test_production_answers_to_its_names_only(app: Any, front: TestApp, letter: Any, dbsession: Any) -> None:
    front.app._every = EveryAnswer("", True, frozenset({"t.example.org"}))

    def refuse(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"no"]

    front.app.router = refuse
    front.get(letter.open, status=400)
    front.get(letter.open, headers={"Host": "t.example.org"}, status=200)
    assert len(events(dbsession)) == 1


def test_the_picture_comes_whatever_is_wrong(front: TestApp, letter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Desk, "_take", broken)
    assert len(front.get(letter.open, status=200).body) == 43


def test_few_wait_for_the_database_where_hits_go_first(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ROUTER_AT_ONCE", 1)
    monkeypatch.setattr(door, "ROUTER_WAIT_SECONDS", 0.0)
    inside, leave = threading.Event(), threading.Event()

    class Slow:
        registry = app.registry

        def __call__(self, environ: Any, start_response: Any) -> Any:
            inside.set()
            leave.wait(30)
            return app(environ, start_response)

    front = TestApp(Door(Slow(), keeps_free=True), extra_environ=EXTRA)  # type: ignore[arg-type]
    first = threading.Thread(target=front.get, args=("/u/forged",), kwargs={"status": 404})
    first.start()
    assert inside.wait(30)
    assert front.get("/u/forged", status=503).headers["Retry-After"]
    front.get("/t/o/forged", status=200)
    leave.set()
    first.join(30)


def test_a_full_disk_loses_nothing(
    app: Any, front: TestApp, letter: Any, dbsession: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spool can't be written: the hit goes into the database at once."""

    def full(*_given: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(Desk, "is_open", True)
    front.get(letter.open, status=200)
    assert [event.type for event in events(dbsession)] == ["OPENED"]
    assert spool.files(desk_of(app.registry).spool.folder) == []


def test_a_forged_token_costs_no_write(
    app: Any, front: TestApp, letter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk, "is_open", True)
    monkeypatch.setattr(spool.Spool, "add", lambda *_given: pytest.fail("it was written"))
    for path in ("/t/o/x", letter.open[:-1], letter.click.replace("/t/c/", "/t/o/")):
        front.get(path, status=200)
    front.get(letter.open.replace("/t/o/", "/t/c/"), status=404)
