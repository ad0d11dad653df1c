"""The operator's stop list: what is on it no project writes to."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.models import AuditEntry, GlobalSuppression
from mailhub.suppression import service


def test_an_address_and_a_domain_are_stopped_for_every_project_and_let_go_again(admin, build, dbsession):
    project = build.project()
    for what in ("@Trap.test", "Judge@mail.test"):
        admin.post_form("/admin/stop-list", {"what": what, "note": "court", "days": "0"}, status=303)
    assert service.is_suppressed(dbsession, project.id, "x@deep.trap.test")
    assert service.is_suppressed(dbsession, project.id, "judge@mail.test")
    page = admin.get("/admin/stop-list")
    for word in ("@trap.test", "judge@mail.test", "root@people.test"):
        assert word in page
    assert "judge@mail.test" not in admin.fragment("/admin/stop-list?q=@trap", "stop-rows")
    domain = dbsession.scalars(select(GlobalSuppression).where(GlobalSuppression.domain == "trap.test")).one()
    admin.post_form(f"/admin/stop-list/{domain.id}/note", {"note": "settled"}, status=303)
    admin.post_form(f"/admin/stop-list/{domain.id}/remove", {}, status=303)
    admin.post_form(f"/admin/stop-list/{domain.id}/remove", {}, status=404)
    assert not service.is_suppressed(dbsession, project.id, "x@trap.test")
    written = dbsession.execute(select(AuditEntry.action, AuditEntry.object_name).order_by(AuditEntry.id)).all()
    assert [tuple(one) for one in written] == [
        ("global_suppression.added", "@trap.test"),
        ("global_suppression.added", ""),
        ("global_suppression.changed", "@trap.test"),
        ("global_suppression.removed", "@trap.test"),
    ]


@pytest.mark.parametrize("what", ["", "nobody", "@", "@no domain", "@x..test"])
def test_what_is_neither_address_nor_domain_is_refused(admin, dbsession, what):
    admin.post_form("/admin/stop-list", {"what": what}, status=422)
    assert dbsession.scalars(select(GlobalSuppression.id)).all() == []


def test_programs_have_the_same_list(admin_api, dbsession):
    one = {"what": "@trap.test", "note": "x", "expires_at": "2100-01-01T00:00:00Z"}
    made = admin_api.post_json("/api/v1/reports/suppressions", one, status=201).json
    again = admin_api.post_json("/api/v1/reports/suppressions", {"what": "@trap.test"}, status=201).json
    assert again == made
    admin_api.post_json("/api/v1/reports/suppressions", {"what": "a@b.test"}, status=201)
    answer = admin_api.get("/api/v1/reports/suppressions?limit=1").json
    assert (answer["count"], answer["results"][0]["email"]) == (2, "a@b.test")
    rest = admin_api.get(answer["next"]).json["results"]
    assert [(row["domain"], row["note"], row["expires_at"]) for row in rest] == [("trap.test", "", None)]
    admin_api.post_json("/api/v1/reports/suppressions", {"what": "trap"}, status=422)
    admin_api.delete(f"/api/v1/reports/suppressions/{made['id']}", status=204)
    admin_api.delete(f"/api/v1/reports/suppressions/{made['id']}", status=404)
