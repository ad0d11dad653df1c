"""`/_ui`: every component on one page, in development only. The browser tests look at it in both themes."""

from __future__ import annotations

import math
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from mailhub.web import htmx
from mailhub.web.charts import Chart, Series, bar_chart, line_chart
from mailhub.web.i18n import use_language

#: Polls of each visit's progress bar.
_beats: Counter[str] = Counter()
NOON = datetime(2026, 11, 24, 11, 2, 11, tzinfo=UTC)
ROWS = (
    ("mail.ru", 6120, 0.991, 0.298, "sent"),
    ("yandex.ru", 4870, 0.996, 0.352, "sent"),
    ("gmail.com", 3340, 0.972, 0.301, "deferred"),
    ("a-very-long-domain-name-that-nobody-would-type.example.corporation.test", 600, 0.88, 0.0, "failed"),
)
TOTAL = 25_000


def show(request: Request) -> dict[str, Any]:
    """The page, as `?theme=`, `?lang=`, `?errors=1` and `?signed_out=1` say."""
    return _values(request)


def rows(request: Request) -> dict[str, Any]:
    """The table's fragment, by the same view as any list page."""
    return _values(request)


def progress(request: Request) -> Any:
    """A poll that moves by a quarter each second time it is asked, and ends."""
    run = request.params.get("run", "")
    _beats[run] += 1
    while len(_beats) > 100:
        del _beats[next(iter(_beats))]
    version = str(_beats[run] // 2)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    _dress(request)
    return _progress(run)


def _progress(run: str) -> dict[str, Any]:
    quarters = min(_beats[run] // 2, 4)
    return {"done": TOTAL * quarters // 4, "total": TOTAL, "version": quarters, "run": run, "live": quarters < 4}


def save(request: Request) -> Any:
    """The form: refuses an empty subject, else says that it is saved."""
    for given in request.POST.values():
        if hasattr(given, "file"):
            given.file.close()
    if not request.POST.get("subject", "").strip():
        request.response.status_int = 422
        return {**_values(request), "values": dict(request.POST), "errors": ERRORS}
    if htmx.is_fragment(request):
        htmx.toast(request, "Сохранено · Saved")
        return {**_values(request), "values": dict(request.POST), "errors": {}}
    return htmx.redirect(request, request.route_path("ui.styleguide"))


def broken(request: Request) -> Response:
    """Answers with a status of one's choice, to see what the page does with it."""
    response = Response("<p>broken</p>", status=int(request.matchdict["status"]))
    if response.status_int == 409:
        htmx.keep_page(request, response, "The campaign is sending already.")
    return response


def frame(request: Request) -> Response:
    """A letter for the preview frame, with the policy that real previews have."""
    response = Response(
        '<!doctype html><html lang="en"><head><title>Letter</title></head><body>'
        '<div style="font:16px sans-serif;padding:24px"><h1 style="color:#3b4fd8">Hello, Alice</h1>'
        "<p>What you preview is what is sent.</p>"
        "<p><a href='https://example.test/'>Read more</a></p></div></body></html>"
    )
    response.headers["Content-Security-Policy"] = (
        "sandbox allow-same-origin; default-src 'none'; img-src https: data:; "
        "style-src 'unsafe-inline'; font-src https:"
    )
    return response


ERRORS = {"subject": "Write a subject.", "sender": "This sender is not confirmed.", "": "The campaign was not saved."}


def _values(request: Request) -> dict[str, Any]:
    _dress(request)
    query, sort = request.params.get("q", ""), request.params.get("sort", "-sent")
    found = [row for row in ROWS if query.lower() in row[0]]
    column = {"domain": 0, "sent": 1}.get(sort.lstrip("-"), 1)
    found.sort(key=lambda row: row[column], reverse=sort.startswith("-"))
    return {
        "noon": NOON,
        "timedelta": timedelta,
        "rows": found,
        "q": query,
        "sort": sort,
        "values": {"subject": "Autumn sale", "lists": ["1"], "opt_in": "double", "tracking": "1"},
        "errors": ERRORS if request.params.get("errors") else {},
        "charts": (_opens(), _days(), _one(), _none()),
        **_progress(secrets.token_hex(4)),
    }


def _opens() -> Chart:
    hours = range(49)
    opens = [round(980 * math.exp(-hour / 9) + 60 * (1 + math.sin(hour / 4))) for hour in hours]
    clicks: list[float | None] = [None if 20 <= hour < 24 else round(value * 0.22) for hour, value in enumerate(opens)]
    return line_chart(
        "chart-opens",
        "Opens and clicks by hour",
        "Most people opened in the first hour: 1,040 of 4,720.",
        [f"{hour}:00" for hour in hours],
        (Series("Opens", opens), Series("Clicks", clicks)),
        label_name="Hour",
    )


def _days() -> Chart:
    days = [f"{day} Nov" for day in range(1, 31)]
    sent = [((day * 7919) % 23) * 1250 for day in range(30)]
    return bar_chart(
        "chart-days",
        "Letters sent by day",
        "27,500 letters on the busiest day.",
        days,
        (Series("Sent", sent), Series("Opened", [value * 0.31 for value in sent])),
        label_name="Day",
    )


def _one() -> Chart:
    return line_chart("chart-one", "One day", "One day so far.", ["24 Nov"], (Series("Sent", [12]),), label_name="Day")


def _none() -> Chart:
    zeros = [0.0] * 7
    labels = [f"{day} Nov" for day in range(18, 25)]
    return line_chart(
        "chart-none", "A quiet week", "Nothing was sent.", labels, (Series("Sent", zeros),), label_name="Day"
    )


def _dress(request: Request) -> None:
    """The same made-up person and project for everybody who looks: the page shows components, not data."""
    out = bool(request.params.get("signed_out"))
    theme, language = request.params.get("theme", "auto"), request.params.get("lang", "en")
    person = SimpleNamespace(id=0, name="Alice Ivanova", email="alice@example.test", theme=theme, language=language)
    project = SimpleNamespace(slug="demo", name="Corner bookshop", domain="demo.test")
    request.__dict__.update(
        user=None if out else person,
        project=None if out else project,
        my_projects=[project, SimpleNamespace(slug="other", name="Garden tools", domain="garden.test")],
        has_permission=lambda permission, context=None: True,
        notices=lambda: [("ok", "The sender is confirmed."), ("bad", "The campaign could not be started: no sender.")],
    )
    use_language(request, language)


def error(request: Request) -> dict[str, Any]:
    """An error page by its number."""
    status = int(request.matchdict["status"])
    request.override_renderer = f"errors/{status}.html"
    request.response.status_int = status
    use_language(request, request.params.get("lang", "en"))
    return {"status": status, "detail": "", "request_id": "k3v9q0d2", "fragment": bool(request.params.get("fragment"))}


def includeme(config: Configurator) -> None:
    """In development only."""
    settings = getattr(config.registry, "mailhub", None)
    if settings is not None and settings.environment != "development":
        return
    views: tuple[tuple[str, str | None, Any, str | None, dict[str, Any]], ...] = (
        ("ui.styleguide", "/_ui", show, "ui/styleguide.html", {"request_method": "GET"}),
        ("ui.styleguide", None, save, "ui/styleguide.html", {"request_method": "POST"}),
        ("ui.styleguide", None, save, "ui/_form.html", {"request_method": "POST", "hx_target": "form"}),
        ("ui.styleguide", None, rows, "ui/_rows.html", {"request_method": "GET", "hx_target": "rows"}),
        ("ui.progress", "/_ui/progress", progress, "ui/_progress.html", {}),
        ("ui.broken", r"/_ui/broken/{status:\d+}", broken, None, {}),
        ("ui.error", r"/_ui/error/{status:\d+}", error, "errors/500.html", {}),
        ("ui.frame", "/_ui/frame", frame, None, {}),
        ("ui.public", "/_ui/public", show, "ui/public.html", {}),
    )
    for route, pattern, view, renderer, more in views:
        if pattern:
            config.add_route(route, pattern)
        config.add_view(
            view, route_name=route, renderer=renderer, permission=NO_PERMISSION_REQUIRED, require_csrf=False, **more
        )
