"""The team's side: which fields people may change, a person's mode and pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mailhub.models import AuditEntry, SubscriberField
from mailhub.preferences.service import strictest


@pytest.fixture
def field(cast: Any, dbsession: Any) -> SubscriberField:
    made = SubscriberField(project_id=cast.project.id, name="city", label="City")
    dbsession.add(made)
    dbsession.commit()
    return made


def test_fields_are_opened_and_closed_to_people(cast: Any, page: Any, field: Any, dbsession: Any) -> None:
    url = f"{cast.base}/preferences"
    shown = page.get(url)
    assert "/link" in shown.text
    form = next(form for form in shown.forms.values() if "fields" in form.fields)
    form["fields"].checked = True
    form.submit(status=303)
    dbsession.expire_all()
    assert field.editable
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "preferences.settings")).one()
    assert entry.detail == {"fields": ["city"]}
    page.post(url, {"fields": "no such field", "csrf_token": page.csrf_token()}, status=422)
    page.post(url, {"csrf_token": page.csrf_token()}, status=303)
    dbsession.expire_all()
    assert not field.editable


def test_who_may_see_and_change_it(cast: Any, client: Any, field: Any) -> None:
    url = f"{cast.base}/preferences"
    cast.as_(cast.bob).get(url, status=(200, 403))
    cast.as_(cast.ann).get(url, status=403)
    cast.as_(cast.charlie).get(url, status=404)
    client.new().get(url, status=303)


def test_a_persons_mode_and_pause(cast: Any, page: Any, build: Any, dbsession: Any) -> None:
    person = build.subscriber(cast.project, "anna@mail.test", lists=[cast.list])
    address = f"{cast.base}/subscribers/{person.id}"
    form = next(form for form in page.get(address).forms.values() if form.action.endswith("/preferences"))
    form["tracking"], form["pause"] = "aggregate", "30"
    form.submit(status=303)
    dbsession.expire_all()
    assert person.tracking == "aggregate"
    assert timedelta(days=29) < person.paused_until - datetime.now(UTC) <= timedelta(days=30)
    shown = page.get(address)
    assert "Paused until" in shown.text
    form = next(form for form in shown.forms.values() if form.action.endswith("/preferences"))
    form["pause"] = "0"
    form.submit(status=303)
    dbsession.expire_all()
    assert (person.tracking, person.paused_until) == ("aggregate", None)
    page.post(f"{address}/preferences", {"tracking": "x", "csrf_token": page.csrf_token()}, status=303)
    cast.as_(cast.charlie).post(f"{address}/preferences", {"tracking": "off"}, status=(404, 400))
    dbsession.expire_all()
    assert person.tracking == "aggregate"


def test_modes_of_projects_and_lists_are_settings(cast: Any, page: Any, dbsession: Any) -> None:
    for url in (f"{cast.base}/settings", f"{cast.base}/lists/{cast.list.id}/edit"):
        form = next(form for form in page.get(url).forms.values() if "tracking" in form.fields)
        assert form["tracking"].value == "full"
        form["tracking"] = "off"
        form.submit(status=303)
    dbsession.expire_all()
    assert (cast.project.tracking, cast.list.tracking) == ("off", "off")


def test_the_strictest_of_several_holds() -> None:
    assert strictest(["full", "aggregate"]) == "aggregate"
    assert strictest(["off", "aggregate", "full"]) == "off"
    assert strictest(["full"]) == "full"
