"""Every page of the reports process in every look. New pages are found by themselves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import mailhub.admin
from mailhub.models import PeriodicHistory, PeriodicRun, QueueMinute, WorkerHeartbeat
from tests.browser.checks import chromium, have_chromium, window
from tests.browser.site import served
from tests.browser.test_pages import faults_of
from tests.client import Client
from tests.conftest import CLONE, Live, RecordingPublisher, _database, _maintain, raw_settings
from tests.flows.world import doors, make_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not have_chromium(), reason="there is no Chromium"),
]

NO_PAGES = ("admin.home", "accounts.", "health.", "api.")


def busy(live: Live) -> None:
    """What the machinery's pages show when there is something."""
    now = live.session.connection().exec_driver_sql("SELECT date_trunc('minute', now())").scalar_one()
    name = "mailhub.reporting.retention"
    live.session.add_all(
        [
            WorkerHeartbeat(name="m", host="box", pid=17, queue="bulk"),
            WorkerHeartbeat(
                name="c", host="box", pid=18, queue="bulk", role="pool", doing="campaign 7",
                task="mailhub.delivery.pump", task_args="[]", task_since=now, sent=1234,
            ),
            QueueMinute(queue="bulk", minute=now, letters=900, tasks=2),
            PeriodicRun(name=name, started_at=now, finished_at=now, error="OperationalError: the database was away"),
            PeriodicHistory(name=name, started_at=now, finished_at=now, error="OperationalError: " + "x" * 200),
        ]
    )  # fmt: skip
    live.session.commit()


@pytest.fixture(scope="module")
def reports(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """The origin of the reports process on a database with a world, and a function that signs an admin in."""
    name = f"mh_reports_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        _maintain(server, CLONE, name, template)
        stack.callback(_maintain, server, "DROP DATABASE {} WITH (FORCE)", name)
        home = tmp_path_factory.mktemp("reports")
        live = Live(_database(server, name), home)
        stack.callback(live.close)
        app = mailhub.admin.configure(raw_settings(live.url, home)).make_wsgi_app()
        app.registry.publisher = RecordingPublisher()
        stack.callback(app.registry.reading_engine.dispose)
        stack.callback(app.registry.engine.dispose)
        world = make_world(live.build, live.registry.mailhub, live.registry.signer, "world")
        busy(live)
        values = world.values | {"project_id": str(world.project.id), "user_id": str(world.owner.id)}
        pages = [
            door.url(values) for door in doors(app.registry)
            if door.method == "GET" and not door.target and not door.route.startswith(NO_PAGES)
            and not door.pattern.endswith(".csv") and door.names <= values.keys()
        ]  # fmt: skip
        origin = stack.enter_context(served(app))

        def signed_in(language: str) -> list[dict[str, Any]]:
            root = live.build.user(f"root-{language}@people.test", is_admin=True, language=language)
            client = Client(app).sign_in(root, app="reports")
            return [{"name": "mailhub-reports", "value": client.token, "url": origin}]

        yield origin, (pages, signed_in)


@pytest.mark.parametrize(("language", "widths"), [("en", (1280, 360)), ("ru", (360, 1280))])
def test_every_page_of_the_reports_passes_the_checks_in_every_look(
    reports: tuple[str, Any], language: str, widths: tuple[int, ...]
) -> None:
    origin, (pages, signed_in) = reports
    assert len(pages) >= 15
    faults: list[str] = []
    with (
        chromium() as browser,
        window(browser, origin, width=widths[0], language=language, cookies=signed_in(language)) as (page, watch),
    ):
        for url in pages:
            faults += faults_of(page, watch, origin + url, widths=widths, again=language == "en")
            if page.locator("html").get_attribute("lang") != language:
                faults.append(f"{url} is not in {language}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
