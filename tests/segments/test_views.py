"""Pages of segments: the table, the builder with and without a script, one segment, why somebody is in it, its end."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from mailhub.models import AuditEntry, CampaignSegment, ProjectJob, Segment
from mailhub.segments import counting, service
from mailhub.segments.people import MOST_SECONDS, people_of

MOSCOW = {"match": "all", "rules": [{"field": "name", "op": "contains", "value": "ann"}]}


@pytest.fixture
def segment(cast: Any, dbsession: Session) -> Segment:
    tree = service.read(dbsession, cast.project.id, MOSCOW)
    made = service.create(dbsession, project_id=cast.project.id, name="Anns", tree=tree)
    dbsession.commit()
    return made


def rule(**fields: str) -> dict[str, str]:
    """The form of a segment with one rule about the name."""
    base = {"name": "Anns", "description": "", "match": "all", "r0-kind": "leaf", "r0-field": "name",
            "r0-op": "contains", "r0-value": "ann", "do": "save"}  # fmt: skip
    return base | fields


PATHS = ["segments", "segments/new", "segments/{id}", "segments/{id}/edit", "segments/{id}/people"]
POSTS = ["preview", "{id}/count", "{id}/copy", "{id}/archive", "{id}/restore", "{id}/delete"]


@pytest.mark.parametrize("path", PATHS)
def test_owner_and_teammate_come_in_and_a_stranger_does_not(
    cast: Any, client: Any, segment: Segment, path: str
) -> None:
    url = f"{cast.base}/{path.format(id=segment.id)}"
    for user in (cast.alice, cast.bob):
        cast.as_(user).get(url, status=200)
    cast.as_(cast.charlie).get(url, status=404)
    assert "/sign-in" in client.get(url, status=303).location


@pytest.mark.parametrize("path", POSTS)
def test_a_stranger_and_an_analyst_may_do_nothing(cast: Any, segment: Segment, path: str) -> None:
    url = f"{cast.base}/segments/{path.format(id=segment.id)}"
    cast.as_(cast.charlie).post_form(url, status=404)
    cast.as_(cast.ann).post_form(url, status=403)


def test_an_analyst_sees_numbers_and_no_address(cast: Any, build: Any, segment: Segment) -> None:
    build.subscriber(cast.project, "ann@secret.test", name="Ann")
    ann = cast.as_(cast.ann)
    ann.get(f"{cast.base}/segments")
    answer = ann.get(f"{cast.base}/segments/{segment.id}?q=ann@secret.test")
    assert answer.html.select_one("#segment-why") is None
    assert "secret.test" not in answer.html.select_one("main").text
    ann.get(f"{cast.base}/segments/{segment.id}/people", status=403)
    ann.get(f"{cast.base}/segments/{segment.id}/edit", status=403)


def test_a_segment_of_another_project_is_not_found(cast: Any, page: Any, dbsession: Session) -> None:
    foreign = service.create(
        dbsession, project_id=cast.other.id, name="X", tree=service.read(dbsession, cast.other.id, MOSCOW)
    )
    dbsession.commit()
    for path in ("", "/edit", "/people"):
        page.get(f"{cast.base}/segments/{foreign.id}{path}", status=404)
    for path in ("count", "copy", "archive", "restore", "delete"):
        page.post_form(f"{cast.base}/segments/{foreign.id}/{path}", status=404)


def test_saving_counts_and_writes_the_journal(cast: Any, build: Any, page: Any, dbsession: Session) -> None:
    build.subscriber(cast.project, name="Hannah")
    build.subscriber(cast.project, name="Bob")
    answer = page.post_form(f"{cast.base}/segments/new", rule(), status=303).follow()
    assert answer.html.h1.text == "Anns"
    assert "the name contains “ann”" in answer.text
    assert answer.html.select_one("#segment-numbers .tile-v").text == "1"
    made = dbsession.query(Segment).filter_by(project_id=cast.project.id).one()
    assert made.definition == MOSCOW
    assert dbsession.query(AuditEntry).filter_by(action="segment.created", object_id=str(made.id)).count() == 1


def test_a_count_that_takes_long_becomes_a_job(
    cast: Any, build: Any, page: Any, dbsession: Session, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.subscriber(cast.project, name="Hannah")
    truly = counting.guarded
    monkeypatch.setattr(counting, "guarded", lambda db, what, s: None if s < 5 else truly(db, what, s))
    answer = page.post_form(f"{cast.base}/segments/new", rule(), status=303).follow()
    assert "It is being counted" in answer.text
    assert answer.html.select_one("#segment-numbers[data-live]") is not None
    publisher.run_all()
    job = dbsession.query(ProjectJob).one()
    assert (job.kind, job.state, job.result) == ("segment_count", "done", {"people": 1})
    done = page.get(answer.request.url)
    assert done.html.select_one("#segment-numbers .tile-v").text == "1"
    assert done.html.select_one("#segment-numbers[data-live]") is None


def test_the_builder_adds_and_removes_without_a_script(cast: Any, page: Any, dbsession: Session) -> None:
    url = f"{cast.base}/segments/new"
    answer = page.post_form(url, rule(do="add"))
    assert len(answer.html.select("#segment-rules > .rule")) == 2
    assert answer.html.select_one("#f-r0-value")["value"] == "ann"
    answer = page.post_form(url, rule(do="group"))
    assert len(answer.html.select(".rule-group .rule")) == 2
    form = answer.forms["segment-builder"]
    form["name"] = "Mixed"
    form["r1-r0-field"].select("added")
    form["r1-r1-field"].select("status")
    answer = form.submit("do", value="change")
    form = answer.forms["segment-builder"]
    assert form["r1-r0-op"].value == "is"
    form["r1-r0-op"] = "last"
    form["r1-r0-value"] = "7"
    form.set("r1-r1-values", True, index=1)
    answer = form.submit("do", value="preview")
    assert "Who is in it" in answer.text
    assert answer.html.select_one("#segment-preview .tile-v").text == "0"
    answer.forms["segment-builder"].submit("do", value="save", status=303)
    made = dbsession.query(Segment).filter_by(name="Mixed").one()
    assert made.definition["rules"][1] == {
        "match": "any",
        "rules": [
            {"field": "added", "op": "last", "value": 7},
            {"field": "status", "op": "any", "value": ["unsubscribed"]},
        ],
    }
    answer = page.post_form(url, rule(do="remove-r0"))
    assert answer.html.select(".rule") == []


def test_the_builder_answers_htmx_with_its_form_alone(cast: Any, page: Any) -> None:
    headers = {"HX-Request": "true", "HX-Target": "form#segment-builder"}
    answer = page.post_form(f"{cast.base}/segments/new", rule(do="add"), headers=headers)
    assert answer.html.find("h1") is None
    assert "segment:changed" in answer.headers["HX-Trigger"]
    answer = page.post_form(f"{cast.base}/segments/new", rule(), headers=headers, status=204)
    assert "/segments/" in answer.headers["HX-Redirect"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"r0-value": ""}, "r0-value"),
        ({"r0-value": "x" * 501}, "r0-value"),
        ({"r0-field": "password"}, "r0-field"),
        ({"r0-field": "added", "r0-op": "last", "r0-value": "many"}, "r0-value"),
        ({"r0-field": "tag", "r0-op": "any"}, "r0-values"),
        ({"r0-field": "list", "r0-op": "subscribed", "r0-values": "99999"}, "r0-values"),
        ({"r0-field": "opened", "r0-op": "did", "r0-days": "0"}, "r0-days"),
        ({"r0-field": "clicked", "r0-op": "did", "r0-scope": "link", "r0-link": ""}, "r0-link"),
        ({"r0-field": "opened", "r0-op": "did", "r0-scope": "campaigns"}, "r0-campaigns"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    cast: Any, page: Any, dbsession: Session, wrong: dict[str, str], field: str
) -> None:
    answer = page.post_form(f"{cast.base}/segments/new", rule(**wrong), status=422)
    assert answer.html.select_one(f'#form-errors a[href="#f-{field}"]') is not None
    assert dbsession.query(Segment).count() == 0


def test_the_preview_shows_number_words_and_people(cast: Any, build: Any, page: Any) -> None:
    build.subscriber(cast.project, "one@x.test", name="Hannah")
    build.subscriber(cast.other, "other@x.test", name="Hannah")
    answer = page.post_form(f"{cast.base}/segments/preview", rule())
    assert answer.html.select_one(".tile-v").text == "1"
    assert "one@x.test" in answer.text
    assert "other@x.test" not in answer.text
    assert "Fill in the rules" in page.post_form(f"{cast.base}/segments/preview", rule(**{"r0-value": ""})).text


def test_editing_notices_the_other_tab(cast: Any, page: Any, dbsession: Session, segment: Segment) -> None:
    url = f"{cast.base}/segments/{segment.id}/edit"
    form = page.get(url).forms["segment-builder"]
    page.post_form(url, rule(name="First", revision="1"), status=303)
    form["name"] = "Second"
    answer = form.submit("do", value="save", status=409)
    assert "Somebody else has changed" in answer.text
    dbsession.expire_all()
    assert segment.name == "First"
    answer.forms["segment-builder"].submit("do", value="save", status=303)
    dbsession.expire_all()
    assert segment.name == "Second"


def test_the_page_says_why_somebody_is_in_it_or_not(cast: Any, build: Any, page: Any, segment: Segment) -> None:
    build.subscriber(cast.project, "one@x.test", name="Hannah")
    build.subscriber(cast.project, "two@x.test", name="Bob")
    url = f"{cast.base}/segments/{segment.id}"
    assert "in the segment" in page.get(f"{url}?q=ONE@x.test ").html.select_one("#segment-why").text
    answer = page.fragment(f"{url}?q=two@x.test", "segment-why")
    assert answer.html.find("h1") is None
    assert "not in the segment" in answer.text
    assert answer.html.select_one(".verdicts li").text.strip().endswith("the name contains “ann”")
    assert "Nobody in this project" in page.get(f"{url}?q=three@x.test").text


def test_people_are_paged(cast: Any, build: Any, page: Any, segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailhub.segments.views.PAGE_SIZE", 2)
    monkeypatch.setattr("mailhub.segments.views.FIRST_SECONDS", 30.0)
    for n in range(3):
        build.subscriber(cast.project, f"p{n}@x.test", name="Ann")
    answer = page.get(f"{cast.base}/segments/{segment.id}/people")
    assert [link.text for link in answer.html.select("tbody a.t")] == ["p2@x.test", "p1@x.test"]
    answer = answer.click("Next", index=0)
    assert [link.text for link in answer.html.select("tbody a.t")] == ["p0@x.test"]
    assert "p2@x.test" in page.fragment(f"{cast.base}/segments/{segment.id}/people", "segment-sample").text


def test_people_who_are_not_found_at_once_come_after_their_page(
    cast: Any, build: Any, page: Any, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.subscriber(cast.project, "ann@x.test", name="Ann")

    def slow(*args: Any, seconds: float, **more: Any) -> Any:
        return people_of(*args, seconds=seconds, **more) if seconds == MOST_SECONDS else None

    monkeypatch.setattr("mailhub.segments.views.people_of", slow)
    url = f"{cast.base}/segments/{segment.id}/people"
    answer = page.get(url)
    assert "ann@x.test" not in answer.text
    asked = answer.html.select_one("#segment-people")["hx-get"]
    assert "ann@x.test" in page.fragment(asked, "segment-people").text
    # Without a script there is a link.
    assert "ann@x.test" in page.get(answer.html.select_one("#segment-people noscript a")["href"]).text


def test_a_segment_in_use_is_not_put_away(
    cast: Any, build: Any, page: Any, dbsession: Session, segment: Segment
) -> None:
    campaign = build.campaign(cast.project, name="Spring")
    dbsession.add(CampaignSegment(project_id=cast.project.id, campaign_id=campaign.id, segment_id=segment.id))
    dbsession.commit()
    url = f"{cast.base}/segments/{segment.id}"
    for deed in ("archive", "delete"):
        answer = page.post_form(f"{url}/{deed}", status=303).follow()
        assert "while these use the segment: Spring" in answer.text
    assert "Spring" in answer.html.select_one("table").text
    campaign.state = "sent"
    dbsession.merge(campaign)
    dbsession.commit()
    assert "put into the archive" in page.post_form(f"{url}/delete", status=303).follow().text
    assert "Anns" in page.get(f"{cast.base}/segments?archived=1").text
    page.post_form(f"{url}/restore", status=303)
    dbsession.expire_all()
    assert segment.archived_at is None


def test_a_segment_is_copied_archived_and_deleted(cast: Any, page: Any, dbsession: Session, segment: Segment) -> None:
    url = f"{cast.base}/segments/{segment.id}"
    answer = page.post_form(f"{url}/copy", status=303).follow()
    assert answer.forms["segment-builder"]["name"].value == "Copy of Anns"
    page.post_form(f"{url}/archive", status=303)
    assert "Anns" not in page.get(f"{cast.base}/segments").html.select_one("tbody").text.replace("Copy of Anns", "")
    page.post_form(f"{url}/delete", status=303)
    assert [one.name for one in dbsession.query(Segment)] == ["Copy of Anns"]


def test_a_rule_that_does_not_fit_any_more_is_said(cast: Any, build: Any, page: Any, dbsession: Session) -> None:
    gone = build.list(cast.project, "Gone")
    definition = {"match": "all", "rules": [{"field": "list", "op": "subscribed", "value": [str(gone.id)]}]}
    tree = service.read(dbsession, cast.project.id, definition)
    made = service.create(dbsession, project_id=cast.project.id, name="Old", tree=tree)
    dbsession.delete(dbsession.merge(gone))
    dbsession.commit()
    url = f"{cast.base}/segments/{made.id}"
    assert "does not fit the project" in page.get(url).text
    assert page.get(f"{url}/edit").html.select_one("#form-errors") is not None
    assert "does not fit" in page.post_form(f"{url}/count", status=303).follow().text


def test_number_of_queries_of_the_pages(cast: Any, build: Any, page: Any, segment: Segment, statements: Any) -> None:
    build.subscriber(cast.project, "one@x.test", name="Hannah")
    most = {"segments": 8, f"segments/{segment.id}": 14, f"segments/{segment.id}?q=one@x.test": 16,
            f"segments/{segment.id}/people": 12, f"segments/{segment.id}/edit": 11, "segments/new": 9}  # fmt: skip
    for path, limit in most.items():
        page.get(f"{cast.base}/{path}")
        with statements() as seen:
            page.get(f"{cast.base}/{path}")
        assert len(seen) <= limit, (path, seen)
    with statements() as few:
        page.get(f"{cast.base}/segments")
    for _n in range(5):
        page.post_form(f"{cast.base}/segments/{segment.id}/copy")
    page.get(f"{cast.base}/segments")
    with statements() as many:
        page.get(f"{cast.base}/segments")
    assert len(many) == len(few)
