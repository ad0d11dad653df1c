"""mailhub.web.htmx: pages and fragments, redirects, toasts, polls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

from mailhub.web import htmx

FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#rows"}


@pytest.fixture
def app() -> TestApp:
    """One view as page and fragment, and what a POST may do."""
    config = Configurator()
    config.include("mailhub.web.i18n")
    config.include("mailhub.web.htmx")
    for name in ("page", "go", "toast", "gone", "poll"):
        config.add_route(name, f"/{name}")

    def text(body: str) -> Any:
        return lambda request: Response(body, content_type="text/html")

    def toast(request: Request) -> Response:
        htmx.toast(request, "Сохранено", kind="info")
        htmx.trigger(request, "mh:other")
        return Response("saved")

    def gone(request: Request) -> Response:
        raise HTTPNotFound()

    def poll(request: Request) -> Response:
        response = Response("<p>5 of 10</p>")
        return htmx.not_modified("5") if htmx.ptag(request, response, 5) else response

    config.add_view(text("page"), route_name="page")
    config.add_view(text("rows"), route_name="page", hx_target="rows")
    config.add_view(lambda request: htmx.redirect(request, "/page"), route_name="go")
    config.add_view(toast, route_name="toast")
    config.add_view(gone, route_name="gone")
    config.add_view(poll, route_name="poll")
    return TestApp(config.make_wsgi_app())


def test_a_browser_gets_the_page_and_htmx_its_fragment(app: TestApp) -> None:
    assert app.get("/page").text == "page"
    assert app.get("/page", headers=FRAGMENT).text == "rows"


@pytest.mark.parametrize(
    "change",
    [
        {"HX-Target": "div#other"},
        {"HX-Target": "div"},
        {"HX-Request-Type": "full"},
        {"HX-History-Restore-Request": "true"},
        {"HX-Boosted": "true"},
        {"HX-Request": ""},
    ],
)
def test_everything_else_gets_the_page(app: TestApp, change: dict[str, str]) -> None:
    assert app.get("/page", headers={**FRAGMENT, **change}).text == "page"


def test_an_id_of_a_target_is_decoded() -> None:
    request = Request.blank("/", headers={"HX-Target": "tr#%D1%8F"})
    assert htmx.target_id(request) == "я"


def test_pages_vary_and_fragments_are_not_stored(app: TestApp) -> None:
    page, fragment = app.get("/page"), app.get("/page", headers=FRAGMENT)
    assert "HX-Request" in page.headers["Vary"]
    assert "HX-Request" in fragment.headers["Vary"]
    assert fragment.headers["Cache-Control"] == "no-store"
    assert "no-store" not in page.headers.get("Cache-Control", "")


def test_a_refused_fragment_is_not_stored_either(app: TestApp) -> None:
    answer = app.get("/gone", headers=FRAGMENT, status=404)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_redirect_is_a_303_for_a_form_and_a_header_for_htmx(app: TestApp) -> None:
    plain = app.post("/go")
    assert plain.status_int == 303
    assert plain.location.endswith("/page")
    htmx_answer = app.post("/go", headers=FRAGMENT)
    assert htmx_answer.status_int == 204
    assert htmx_answer.headers["HX-Redirect"] == "/page"


def test_a_toast_travels_in_ascii(app: TestApp) -> None:
    header = app.post("/toast", headers=FRAGMENT).headers["HX-Trigger"]
    assert header.isascii()
    assert json.loads(header) == {"mh:toast": {"text": "Сохранено", "kind": "info"}, "mh:other": True}
    assert "HX-Trigger" not in app.post("/toast").headers


def test_a_poll_gets_304_until_something_changes(app: TestApp) -> None:
    first = app.get("/poll", headers=FRAGMENT)
    assert first.headers["HX-PTag"] == "5"
    assert app.get("/poll", headers={**FRAGMENT, "HX-PTag": "5"}, status=304).headers["HX-PTag"] == "5"
    assert app.get("/poll", headers={**FRAGMENT, "HX-PTag": "4"}).text == "<p>5 of 10</p>"
    assert app.get("/poll", headers={"HX-PTag": "5"}).status_int == 200


def test_the_vendored_htmx_speaks_these_headers() -> None:
    from mailhub.web.assets import STATIC

    source = (STATIC / "vendor/htmx-4.0.1/htmx.min.js").read_text("utf-8")
    for header in ("HX-Request", "HX-Request-Type", "HX-Target", "HX-Boosted", "HX-History-Restore-Request"):
        assert header in source, header
    assert "HX-PTag" in (STATIC / "vendor/htmx-4.0.1/hx-ptag.min.js").read_text("utf-8")


def test_an_error_in_a_fragment_leaves_the_page_as_it_is(app: TestApp) -> None:
    request = Request.blank("/", headers=FRAGMENT)
    request.localizer = type("Plain", (), {"translate": staticmethod(lambda text, **_kw: text)})()
    response = Response(status=409)
    htmx.keep_page(request, response, "The campaign is sending.")
    assert response.headers["HX-Reswap"] == "none"
    assert request.environ["mailhub.hx_trigger"]["mh:toast"] == {"text": "The campaign is sending.", "kind": "bad"}
