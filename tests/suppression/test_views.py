"""The project's stop list as people and programs use it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from webtest import Upload

from mailhub.background.tasks import run_job
from mailhub.models import AuditEntry, GlobalSuppression, ProjectJob, Subscriber, Suppression
from mailhub.suppression import service, tasks
from mailhub.suppression.reading import read
from mailhub.tasks import run


def put(dbsession, cast, email="ann@mail.test", reason="manual", **more):
    service.suppress(dbsession, project_id=cast.project.id, email=email, reason=reason, **more)
    dbsession.commit()
    return dbsession.scalars(select(Suppression).where(Suppression.email_key == email)).one()


def listed(dbsession):
    dbsession.expire_all()
    return {row.email_key: row.reason for row in dbsession.scalars(select(Suppression))}


@pytest.fixture
def api(client, cast, dbsession):
    return client.api(dbsession, cast.project.id)


def test_the_list_is_searched_filtered_and_read_by_a_fixed_number_of_statements(
    page, dbsession, build, cast, statements
):
    campaign = build.campaign(cast.project, lists=[cast.list], name="May news")
    build.subscriber(cast.project, "ann@mail.test", lists=[cast.list])
    put(dbsession, cast, "ann@mail.test", "hard_bounce", campaign_id=campaign.id)
    put(dbsession, cast, "annie@mail.test", user_id=cast.bob.id, note="by phone")
    put(dbsession, cast, "bob@mail.test", expires_at=datetime.now(UTC) - timedelta(days=1))
    service.suppress_erased(dbsession, project_id=cast.project.id, email_key="gone@mail.test")
    dbsession.commit()
    with statements() as few:
        shown = page.get(cast.base + "/stop-list")
    for word in ("ann@mail.test", "May news", cast.bob.email, "by phone", "has run out", "(erased)", "4 entries"):
        assert word in shown, word
    assert "gone@mail.test" not in shown
    for n in range(20):
        put(dbsession, cast, f"more{n}@mail.test")
    with statements() as many:
        page.get(cast.base + "/stop-list")
    assert len(few) == len(many)
    found = page.fragment(cast.base + "/stop-list?q=ANN", "entry-rows")
    assert "annie@mail.test" in found
    assert "bob@mail.test" not in found
    assert "bob@mail.test" not in page.get(cast.base + "/stop-list?reason=hard_bounce")


def test_pages_of_the_list_lead_through_all_of_it(page, dbsession, cast):
    service.suppress_many(
        dbsession, cast.project.id, [f"p{n:03}@mail.test" for n in range(70)], service.Entry("manual")
    )
    dbsession.commit()
    for start in ("/stop-list", "/stop-list?q=p"):
        first = page.get(cast.base + start)
        following = first.html.find("a", rel="next")["href"] if first.html.find("a", rel="next") else None
        seen = set()
        while True:
            seen |= {one for one in (f"p{n:03}@mail.test" for n in range(70)) if one in first.text}
            if following is None:
                break
            first = page.get(following)
            link = first.html.find("a", rel="next")
            following = link["href"] if link else None
        assert len(seen) == 70


def test_who_may(cast, dbsession):
    entry = put(dbsession, cast)
    for path in ("/stop-list", "/stop-list/new", f"/stop-list/{entry.id}/remove"):
        cast.as_(cast.bob).get(cast.base + path, status=200)
        cast.as_(cast.charlie).get(cast.base + path, status=404)
        cast.as_(cast.ann).get(cast.base + path, status=403)
        cast._client.new().get(cast.base + path, status=303)
    other = service.suppress(dbsession, project_id=cast.other.id, email="x@mail.test", reason="manual")
    assert other
    foreign = dbsession.scalar(select(Suppression.id).where(Suppression.project_id == cast.other.id))
    cast.as_(cast.bob).get(cast.base + f"/stop-list/{foreign}/remove", status=404)


def test_one_address_or_many_are_added_at_once(page, dbsession, cast):
    page.post_form(
        cast.base + "/stop-list/new",
        {"addresses": "One@mail.test\n<two@mail.test>, three@mail.test;", "reason": "complaint", "note": "old list",
         "days": "30"},
        status=303,
    )  # fmt: skip
    assert listed(dbsession) == dict.fromkeys(("one@mail.test", "two@mail.test", "three@mail.test"), "complaint")
    row = dbsession.scalars(select(Suppression)).first()
    assert row.created_by == cast.alice.id
    assert timedelta(days=29) < row.expires_at - datetime.now(UTC) < timedelta(days=31)
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "suppression.added")).one()
    assert entry.detail == {"reason": "complaint", "addresses": 3}


def test_the_form_as_a_browser_sends_it_has_an_empty_file(page, dbsession, cast):
    shown = page.get(cast.base + "/stop-list/new?email=ann@mail.test").forms.values()
    form = next(one for one in shown if "addresses" in one.fields)
    assert form["addresses"].value.strip() == "ann@mail.test"
    form.submit(status=303)
    assert listed(dbsession) == {"ann@mail.test": "manual"}


@pytest.mark.parametrize("typed", ["", "nobody", "ok@mail.test\nwrong@\n"])
def test_what_is_no_address_changes_nothing_and_is_shown_again(page, dbsession, cast, typed):
    answer = page.post_form(cast.base + "/stop-list/new", {"addresses": typed}, status=422)
    assert listed(dbsession) == {}
    assert typed.strip() in answer


def test_a_file_is_read_by_a_worker(live, monkeypatch):
    monkeypatch.setattr(tasks, "SLICE", 10)
    project = live.build.project(owner := live.build.user())
    lines = ["E-mail;Name"] + [f"P{n}@mail.test;Person {n}" for n in range(35)] + ["nobody;x", "", "p1@mail.test"]
    client = live.client.sign_in(owner)
    forms = client.get(f"/projects/{project.slug}/stop-list/new").forms.values()
    form = next(one for one in forms if "addresses" in one.fields)
    form["file"] = Upload("stops.csv", "\ufeff".encode() + "\r\n".join(lines).encode())
    form["reason"] = "unsubscribed"
    file = form["file"].value
    form["file"] = Upload("stops.xlsx", "p1@mail.test".encode("utf-16"))
    assert "Save the table as CSV" in form.submit(status=422)
    form["file"] = file
    form.submit(status=303)
    job = live.session.scalars(select(ProjectJob)).one()
    assert "being put on the stop list" in client.get(f"/projects/{project.slug}/stop-list")
    run(live.registry, run_job.spec, (project.id, job.id))
    live.session.rollback()
    live.session.expire_all()
    job = live.session.scalars(select(ProjectJob)).one()
    told = {"read": 36, "added": 35, "wrong": 1, "shown": ["nobody;x"]}
    assert (job.state, job.result, job.file) == ("done", told, "")
    assert len(live.session.scalars(select(Suppression.id)).all()) == 35
    # Nothing is left of the upload.
    assert not list((live.registry.mailhub.home / "exports").iterdir())
    page = client.get(f"/projects/{project.slug}/stop-list").text
    assert "New on the stop list: 35" in page
    assert "The first of them: nobody;x" in page


@pytest.mark.parametrize("reason", ["manual", "hard_bounce", "complaint"])
def test_an_entry_is_removed_with_a_reason_and_heavy_ones_only_by_who_is_sure(page, dbsession, build, cast, reason):
    person = build.subscriber(cast.project, "ann@mail.test")
    if reason != "manual":
        person.status = {"hard_bounce": "bounced", "complaint": "complained"}[reason]
    path = cast.base + f"/stop-list/{put(dbsession, cast, reason=reason).id}/remove"
    page.post_form(path, {"note": ""}, status=422)
    if reason != "manual":
        page.post_form(path, {"note": "asked"}, status=422)
    assert "ann@mail.test" in listed(dbsession)
    page.post_form(path, {"note": "asked", "sure": "1"}, status=303)
    assert listed(dbsession) == {}
    assert dbsession.scalar(select(Subscriber.status)) == "active"
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "suppression.removed")).one()
    assert entry.detail == {"reason": reason, "why": "asked"}
    assert "ann@mail.test" not in json.dumps(entry.detail) + entry.object_name


def test_the_api_lists_adds_checks_and_removes(api, dbsession, cast):
    made = api.post_json("/api/v1/suppressions", {"email": "Ann@mail.test", "note": "x"}, status=201).json
    assert made == {"given": 1, "changed": 1}
    many = {"emails": ["b@mail.test", "ann@mail.test"], "reason": "complaint", "expires_at": "2100-01-01T00:00:00Z"}
    assert api.post_json("/api/v1/suppressions", many, status=201).json == {"given": 2, "changed": 2}
    answer = api.get("/api/v1/suppressions").json
    assert [(one["email"], one["reason"]) for one in answer["results"]] == [
        ("b@mail.test", "complaint"),
        ("ann@mail.test", "complaint"),
    ]
    assert answer["count"] == 2
    first = api.get("/api/v1/suppressions?limit=1").json
    assert len(api.get(first["next"]).json["results"]) == 1
    assert [one["email"] for one in api.get("/api/v1/suppressions?email=AN").json["results"]] == ["ann@mail.test"]
    checked = api.get("/api/v1/suppressions/check/ANN@mail.test").json
    assert (checked["suppressed"], checked["reason"]) == (True, "complaint")
    api.delete("/api/v1/suppressions?email=ann@mail.test", status=409)
    api.delete("/api/v1/suppressions?email=ann@mail.test&confirm=true", status=204)
    api.delete("/api/v1/suppressions?email=ann@mail.test&confirm=true", status=404)
    assert not api.get("/api/v1/suppressions/check/ann@mail.test").json["suppressed"]
    dbsession.add(GlobalSuppression(domain="mail.test"))
    dbsession.commit()
    assert api.get("/api/v1/suppressions/check/x@shop.mail.test").json["reason"] == "global"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"emails": ["a@mail.test", "x@"]}, "emails.1"),
        ({"email": "a@mail.test", "emails": ["b@mail.test"]}, "email"),
        ({"email": "a@mail.test", "reason": "erased"}, "reason"),
        ({"email": "a@mail.test", "expires_at": "2000-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_the_api_names_what_is_wrong(api, dbsession, body, field):
    answer = api.post_json("/api/v1/suppressions", body, status=422).json
    assert [one["field"] for one in answer["errors"]] == [field]
    assert listed(dbsession) == {}


def test_addresses_are_found_in_whatever_was_pasted():
    found = read(["email,name", '"A@x.test",Ann', "b@x.test c@x.test", "", "no address here", "a@x.test", "x@"])
    assert found.keys == ["a@x.test", "b@x.test", "c@x.test"]
    assert (found.wrong, found.shown) == (2, ["no address here", "x@"])
