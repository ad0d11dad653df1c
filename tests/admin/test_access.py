"""Who may come in by the second front door."""

from __future__ import annotations

import pytest
from pyramid.interfaces import IRoutesMapper
from sqlalchemy import update

from mailhub.accounts import service
from mailhub.models import Role, User, WebSession
from mailhub.security.secrets import new_secret
from tests.admin.conftest import PASSWORD
from tests.client import ApiClient
from tests.flows.world import doors, made_report, make_world

PAGES = ["/admin", "/admin/projects", "/admin/projects.csv", "/admin/projects/1", "/admin/queues"]
NUMBERS = ("volume", "bounces", "complaints", "movers", "suspects", "events", "reasons", "recipients")
PAGES += [f"/admin/numbers/{name}" for name in NUMBERS] + [
    "/admin/numbers/volume.csv",
    "/admin/jobs",
    "/admin/jobs/1.csv",
]
POSTS = [f"/admin/periodic/mailhub.imports.clean/{action}" for action in ("pause", "resume", "run")]
POSTS += ["/admin/suspects/1/look", "/admin/jobs", "/admin/jobs/1/cancel", "/admin/jobs/1/forget"]
DOCUMENTS = [f"/api/v1/reports/{name}" for name in ("projects", "projects/1", "queues")]
DOCUMENTS += [f"/api/v1/reports/{name}" for name in ("volume", "bounces", "complaints", "movers", "suspects", "jobs")]
#: Everything that may be opened without being an admin.
OPEN = {"accounts.sign_in", "accounts.sign_out", "static", "health.heartbeat", "health.lbheartbeat", "health.version"}


def sign_in(client, email, password=PASSWORD, **kw):
    form = client.get("/sign-in").forms[0]
    form["email"], form["password"] = email, password
    return form.submit(**kw)


@pytest.mark.parametrize("page", PAGES)
def test_signed_out_visitor_is_asked_to_sign_in(visitor, page):
    assert "/sign-in?next=%2Fadmin" in visitor.get(page, status=303).location


@pytest.mark.parametrize("page", [*PAGES, "/"])
def test_site_session_does_not_count_here(visitor, root, page):
    visitor.sign_in(root, app="site")
    visitor.set_cookie("mailhub-reports", visitor.token)
    assert "/sign-in" in visitor.get(page, status=303).location


def test_reports_session_does_not_count_on_the_site(client, root):
    client.sign_in(root, app="reports")
    client.set_cookie("mailhub", client.token)
    assert "/sign-in" in client.get("/account", status=303).location


@pytest.mark.parametrize("page", PAGES)
def test_member_without_office_is_refused(visitor, build, page):
    owner = build.user()
    build.project(owner)
    visitor.sign_in(owner, app="reports").get(page, status=403)


@pytest.mark.parametrize("page", POSTS)
def test_decisions_are_for_admins(visitor, build, root, page, reports_app):
    visitor.sign_in(build.user(), app="reports").post_form(page, status=403)
    assert reports_app.registry.publisher.sent == []
    visitor.new().sign_in(root, app="reports").post(page, {}, status=400)


def test_admin_signs_in_and_out(visitor, root, dbsession):
    assert sign_in(visitor, "root@people.test", status=303).location == "http://localhost/"
    cookie = next(one for one in visitor.cookiejar if one.name == "mailhub-reports")
    assert (cookie.get_nonstandard_attr("SameSite"), cookie.has_nonstandard_attr("HttpOnly")) == ("Strict", True)
    page = visitor.get("/admin")
    assert "root@people.test" in page.text
    assert "All projects of this installation" in page.text
    form = next(one for one in page.forms.values() if one.action == "/sign-out")
    form.submit(status=303)
    visitor.get("/admin", status=303)


def test_member_with_the_right_password_is_answered_like_a_wrong_one(visitor, build, root, stored, dbsession):
    member = build.user("bob@people.test", password_hash=stored)
    build.member(build.project(), member, Role.OWNER)
    right = sign_in(visitor, "bob@people.test", status=422)
    wrong = sign_in(visitor, "root@people.test", "nonsense", status=422)
    for answer in (right, wrong):
        assert "or it is not an administrator&#39;s" in answer.text
    assert dbsession.query(WebSession).count() == 0


def test_office_that_is_taken_away_counts_at_once(admin, dbsession):
    admin.get("/admin", status=200)
    dbsession.execute(update(User).values(is_admin=False))
    dbsession.commit()
    admin.get("/admin", status=403)


@pytest.mark.parametrize("page", DOCUMENTS)
def test_documents_are_for_admins_tokens_only(visitor, admin, admin_api, volumes, dbsession, build, page):
    page = page.replace("/1", f"/{volumes.id}")
    admin_api.get(page, status=200)
    answer = visitor.new().get(page, status=401)
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    admin.get(page, status=401)
    visitor.api(dbsession, volumes.id).get(page, status=401)
    ApiClient(visitor.wsgi, new_secret("mha").shown).get(page, status=401)


def test_token_of_who_is_no_longer_admin_or_was_revoked_does_not_work(admin_api, reports_app, dbsession, root):
    issued = service.create_admin_token(dbsession, user=root, name="other")
    service.revoke_admin_token(dbsession, issued.row)
    dbsession.commit()
    ApiClient(reports_app, issued.shown).get(DOCUMENTS[0], status=401)
    dbsession.execute(update(User).values(is_admin=False))
    dbsession.commit()
    admin_api.get(DOCUMENTS[0], status=401)


def test_admin_token_does_not_open_the_sites_api(app, admin_api):
    ApiClient(app, admin_api.authorization[1]).get("/api/v1/lists", status=401)


def test_every_view_is_for_admins_but_the_known_few(reports_app):
    """A new view that says nothing about permission turns this red."""
    introspector = reports_app.registry.introspector
    mapper = reports_app.registry.queryUtility(IRoutesMapper)
    routes = {route.name for route in mapper.get_routes()}
    guarded = {}
    for entry in introspector.get_category("views"):
        name = entry["introspectable"]["route_name"]
        permissions = {one["value"] for one in entry["related"] if one.category_name == "permissions"}
        if name is not None:
            guarded.setdefault(name, set()).update(permissions or {"none"})
    assert routes - guarded.keys() == set()
    assert {name for name, asked in guarded.items() if asked != {"admin"}} == OPEN


def test_everybody_sees_exactly_what_they_may(reports_app, visitor, admin_api, root, dbsession, build, settings):
    """Every method of every route, by introspection: a stranger, an analyst, a project's owner, its key, an admin."""
    world = make_world(build, settings, reports_app.registry.signer, "world")
    analyst = build.user("analyst@people.test")
    build.member(world.project, analyst, Role.ANALYST)
    values = world.values | {"project_id": str(world.project.id), "pid": "1", "name": "mailhub.imports.clean"}
    values |= {"report": "suspects", "job_id": str(made_report(dbsession, reports_app.registry.mailhub).id)}
    people = {
        "stranger": visitor,
        "analyst": visitor.new().sign_in(analyst, app="reports"),
        "owner": visitor.new().sign_in(world.owner, app="reports"),
        "admin": visitor.new().sign_in(root, app="reports"),
    }
    programs = {"key": visitor.api(dbsession, world.project.id), "token": admin_api}
    seen, expected = {}, {}
    for door in doors(reports_app.registry):
        if door.route in OPEN or door.target:
            continue
        url, is_get = door.url(values), door.method == "GET"
        assert door.names <= values.keys(), f"tests/flows/world.py has no value for {door.pattern}"
        if door.route.startswith("api."):
            allowed = 200
            wanted = dict.fromkeys(people, 401) | {"key": 401, "token": allowed if is_get else None}
        else:
            # Without the form's token an admin's POST is refused, after it was looked at who asks.
            allowed = (303 if door.route == "admin.home" else 200) if is_get else 400
            wanted = {"stranger": 303, "analyst": 403, "owner": 403, "admin": allowed}
        for who, status in wanted.items():
            if status is not None:
                answer = ({**people, **programs}[who]).request(url, method=door.method, expect_errors=True)
                seen[door.method, url, who], expected[door.method, url, who] = answer.status_int, status
                assert status != 303 or door.route == "admin.home" or "/sign-in" in answer.location
    assert len(seen) > 150
    assert {at: status for at, status in seen.items() if status != expected[at]} == {}


def test_the_process_does_not_know_the_sites_routes(reports_app):
    mapper = reports_app.registry.queryUtility(IRoutesMapper)
    assert mapper.get_route("campaigns.index") is None


def test_style_sheet_needs_no_sign_in(visitor, client):
    for browser in (visitor, client):
        browser.get("/static/css/mh.css", status=200)


def test_theme_is_changed_from_the_menu(admin, root, dbsession):
    answer = admin.post_form("/account/appearance", {"theme": "dark", "next": "/admin/queues"}, status=303)
    assert answer.location == "http://localhost/admin/queues"
    assert 'data-theme="dark"' in admin.get("/admin").text


def test_unknown_page_is_not_found(admin):
    admin.get("/projects/bakery", status=404)
    admin.get("/admin/projects/x", status=404)
    admin.get("/admin/projects/999999", status=404)
