"""Every page in every look: light and dark, wide and narrow, English and Russian. New pages are found by themselves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.checks import (
    ALL_RULES,
    RULES_OF_COLOUR,
    Watch,
    axe_violations,
    chromium,
    have_chromium,
    overflow,
    settle,
    until,
    window,
)
from tests.browser.site import InPieces, served
from tests.conftest import CLONE, Live, _database, _maintain
from tests.flows.world import Door, World, doors, make_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not have_chromium(), reason="there is no Chromium"),
]

#: No pages: pictures, files, what only passes on, and the styleguide, which has its own tests.
NO_PAGES = (
    "projects.home",
    "accounts.sign_in",
    "tracking.open",
    "tracking.click",
    "imports.rejected",
    "exports.file",
    "privacy.person_export",
    "signup.form_csv",
    "signup.preview_look",
    "signup.look",
    "stats.growth_csv",
    "stats.campaign_csv",
    "campaigns.people_csv",
    "stats.overview_csv",
    "stats.campaigns_csv",
    "stats.list_csv",
    "health.",
    "api.",
    "ui.",
    "mailbox.download",
)
#: Written by users, in a sandbox: their looks are the author's.
FRAMES = (
    "campaigns.preview_frame",
    "lists.letter_preview",
    "stats.campaign_map",
    "transactional.frame",
    "mailbox.frame",
    "tracking.web_version",
)
#: What the browser says about a page that is not there; a refusal to run scripts in the letter's sandbox is meant.
ALLOWED = ("Blocked script execution",)


@dataclass
class Site:
    """The site on a database with two worlds: an English and a Russian one."""

    live: Live
    origin: str
    worlds: dict[str, World]
    cookies: dict[str, list[dict[str, Any]]]
    pages: list[Door]


@pytest.fixture(scope="module")
def site(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = f"mh_pages_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        _maintain(server, CLONE, name, template)
        stack.callback(_maintain, server, "DROP DATABASE {} WITH (FORCE)", name)
        live = Live(_database(server, name), tmp_path_factory.mktemp("pages"), **{"mailhub.environment": "development"})
        stack.callback(live.close)
        origin = stack.enter_context(served(live.app))
        worlds, cookies = {}, {}
        for language in ("en", "ru"):
            world = make_world(
                live.build, live.registry.mailhub, live.registry.signer, f"world-{language}", language=language
            )
            client = live.client.new().sign_in(world.owner)
            worlds[language] = world
            cookies[language] = [{"name": "mailhub", "value": client.token, "url": origin}]
        live.session.close()
        pages = [
            door for door in doors(live.registry)
            if door.method == "GET" and not door.target and not door.route.startswith(NO_PAGES + FRAMES)
            and "letter_id" not in door.names and not door.pattern.startswith("/_ui")
        ]  # fmt: skip
        yield Site(live, origin, worlds, cookies, pages)


def faults_of(page: Page, watch: Watch, url: str, *, widths: tuple[int, ...], again: bool = True) -> list[str]:
    """Load the page and look at it at both widths; the layout shift counts from the first byte.

    All of axe's rules are for the first width: a second language's world begins with the other one. `again`: those of
    colours are for the dark too; words change no colour.
    """
    answer = page.goto(url)
    settle(page)
    faults = [] if answer and answer.status == 200 else [f"status {answer and answer.status}"]
    shift = page.evaluate("window.mhSeen")["shift"]
    if shift >= 0.02:
        # A busy machine paints a page of which only a part has come yet: what the page itself does, it does twice.
        page.goto(url)
        settle(page)
        shift = min(shift, page.evaluate("window.mhSeen")["shift"])
    if shift >= 0.02:
        faults.append(f"layout shift {shift:.3f}")
    for wide in widths:
        page.set_viewport_size({"width": wide, "height": 900})
        faults += [f"{wide} {one}" for one in overflow(page)]
        if wide == widths[0]:
            faults += [f"{wide} light {one}" for one in axe_violations(page, ALL_RULES)]
    _dark(page)
    if again:
        faults += [f"{widths[-1]} dark {one}" for one in axe_violations(page, RULES_OF_COLOUR)]
    page.set_viewport_size({"width": widths[0], "height": 900})
    faults += overflow(page)
    faults += [f"CSP: {one}" for one in page.evaluate("window.mhSeen")["csp"]]
    faults += watch.errors + [f"request to another origin: {one}" for one in watch.foreign]
    watch.errors.clear()
    watch.foreign.clear()
    return [f"{url} {one}" for one in faults]


def _dark(page: Page) -> None:
    """As the person's own choice does it; who asked for no motion sees no colour fade."""
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; return mhFrame().then(mhFrame); }")
    assert not page.evaluate("() => document.getAnimations().length")


def faults_of_all(site: Site, language: str, widths: tuple[int, ...]) -> list[str]:
    """What is wrong with the pages of one world, in a browser of its own."""
    faults: list[str] = []
    with (
        chromium() as browser,
        window(browser, site.origin, width=widths[0], language=language, cookies=site.cookies[language], allow=ALLOWED)
        as (page, watch),
    ):  # fmt: skip
        for door in site.pages:
            variants = list(site.worlds[language].variants(door))
            for number, (_what, url) in enumerate(variants if language == "en" else variants[:1]):
                # Further objects of a kind have the first one's colours and places.
                again = language == "en" and number == 0
                faults += faults_of(page, watch, site.origin + url, widths=widths, again=again)
                if door.route == "signup.preview":
                    continue  # it speaks as its form does
                if door.pattern.startswith("/projects/") and page.locator("html").get_attribute("lang") != language:
                    faults.append(f"{url} is not in {language}")
    return faults


@pytest.mark.parametrize(("language", "widths"), [("en", (1280, 360)), ("ru", (360, 1280))])
def test_every_page_passes_the_checks_in_every_look(site: Site, language: str, widths: tuple[int, ...]) -> None:
    assert len(site.pages) > 35
    faults = faults_of_all(site, language, widths)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_signing_in_passes_the_checks(site: Site, language: str) -> None:
    with chromium() as browser, window(browser, site.origin, width=360, language=language) as (page, watch):
        assert not faults_of(page, watch, f"{site.origin}/sign-in", widths=(360, 1280))
        assert page.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("route", ["accounts.sign_in", "signup.page", "tracking.unsubscribe", "no such page"])
def test_a_page_that_comes_slowly_does_not_jump(site: Site, route: str) -> None:
    """What is painted before the page's end has come stays where it is."""
    world = site.worlds["en"]
    found = [door.url(world.values_for(door)) for door in doors(site.live.registry) if door.route == route]
    slow = InPieces(site.live.app, pieces=10)
    with (
        served(slow) as origin,
        chromium() as browser,
        window(browser, origin, width=360, allow=("status of 404",)) as (page, _watch),
    ):
        slow.more()
        page.goto(f"{origin}{found[0] if found else '/nothing'}", wait_until="commit")
        shown = set()
        for _piece in range(slow.pieces):
            page.evaluate("() => mhFrame().then(mhFrame)")
            shown.add(page.evaluate("() => document.body?.textContent.length ?? 0"))
            slow.more()
        until(page, "() => document.readyState === 'complete'")
        assert len(shown) > 3, "it came at once, so that there was nothing to see"
        assert page.evaluate("window.mhSeen")["shift"] < 0.005
