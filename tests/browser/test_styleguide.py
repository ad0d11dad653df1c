"""The components in a real browser: every look passes the checks, and the script does what docs/ui.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.checks import THEMES, WIDTHS, check_page, chromium, have_chromium, until, window
from tests.browser.site import served, styleguide

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not have_chromium(), reason="there is no Chromium"),
]

REFUSED = ("Failed to load resource", "the server responded with a status of")


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with served(styleguide()) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    with window(browser, origin, allow=REFUSED) as (opened, watch):
        opened.goto(f"{origin}/_ui")
        yield opened
        assert watch.errors == []


LOOKS = [(theme, width, language) for theme in THEMES for width in WIDTHS for language in ("en", "ru")]


@pytest.mark.parametrize(
    ("path", "theme", "width", "language"),
    [
        *(("/_ui", *look) for look in LOOKS),
        *(
            (path, *look)
            for path in ("/_ui?errors=1", "/_ui?signed_out=1", "/_ui/public")
            for look in (LOOKS[0], LOOKS[-1])
        ),
    ],
)
def test_every_look_passes_the_checks(
    browser: Browser, origin: str, path: str, theme: str, width: int, language: str
) -> None:
    with window(browser, origin, width=width, theme=theme, language=language) as (page, watch):
        page.goto(f"{origin}{path}{'&' if '?' in path else '?'}lang={language}")
        check_page(page, watch)
        assert page.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500])
def test_error_pages_pass_the_checks(browser: Browser, origin: str, status: int) -> None:
    with window(browser, origin, width=360, allow=REFUSED) as (page, watch):
        page.goto(f"{origin}/_ui/error/{status}")
        check_page(page, watch)
        expect(page.locator("main")).to_contain_text("k3v9q0d2")


def test_chosen_theme_wins_over_the_system(browser: Browser, origin: str) -> None:
    with window(browser, origin, theme="light") as (page, _watch):
        page.goto(f"{origin}/_ui?theme=dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"


def test_the_sidebar_opens_on_a_phone_and_escape_closes_it(browser: Browser, origin: str) -> None:
    with window(browser, origin, width=360) as (page, watch):
        page.goto(f"{origin}/_ui")
        expect(page.locator("#side")).to_be_hidden()
        page.get_by_role("button", name="Open the menu").click()
        expect(page.get_by_role("link", name="Campaigns", exact=True)).to_be_visible()
        check_page(page, watch)
        page.keyboard.press("Escape")
        expect(page.locator("#side")).to_be_hidden()


@pytest.mark.parametrize("width", WIDTHS)
def test_open_menus_pass_the_checks(browser: Browser, origin: str, width: int) -> None:
    with window(browser, origin, width=width) as (page, watch):
        page.goto(f"{origin}/_ui")
        for name in ("menu-project", "menu-create", "menu-account", "menu-more"):
            page.locator(f"#{name} > summary").click()
            expect(page.locator(f"#{name} .menu-p")).to_be_visible()
            expect(page.locator("[data-menu][open]")).to_have_count(1)
            check_page(page, watch)
            page.keyboard.press("Escape")
            expect(page.locator("[data-menu][open]")).to_have_count(0)
            expect(page.locator(f"#{name} > summary")).to_be_focused()


def test_a_form_with_errors_keeps_what_was_typed_and_the_focus(page: Page) -> None:
    page.locator("#f-preheader").fill("Для вас")
    page.locator("#f-subject").fill(" ")
    page.locator("#f-subject").press("Enter")
    expect(page.locator("#f-subject-e")).to_have_text("Write a subject.")
    expect(page.locator("#f-subject")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-preheader")).to_have_value("Для вас")
    expect(page.locator("#f-subject")).to_be_focused()


def test_a_saved_form_says_so_in_russian_too(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Сохранено · Saved")
    assert page.locator("#toasts").get_attribute("aria-live") == "polite"


def test_what_the_server_refuses_is_a_toast_and_nothing_is_swapped(browser: Browser, origin: str) -> None:
    with window(browser, origin, allow=REFUSED) as (page, watch):
        page.goto(f"{origin}/_ui")
        page.locator("#break-404").click()
        expect(page.locator(".toast-bad").nth(0)).to_contain_text("no longer there")
        page.locator("#break-500").click()
        expect(page.locator(".toast-bad").nth(1)).to_contain_text("did not work")
        page.locator("#break-409").click()
        expect(page.locator(".toast-bad").nth(2)).to_have_text("The campaign is sending already.×")
        expect(page.locator(".toast-bad")).to_have_count(3)
        expect(page.locator("#f-subject")).to_be_visible()
        check_page(page, watch)


def test_sorting_and_filtering_keep_the_url_and_the_focus(page: Page) -> None:
    page.locator("#sort-domain").click()
    expect(page.locator("#rows tbody tr").first).to_contain_text("a-very-long")
    expect(page).to_have_url(re.compile("sort=domain"))
    expect(page.locator("#sort-domain")).to_be_focused()
    page.locator("#f-q").press_sequentially("gmail")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.locator("#rows-count")).to_have_text("1 domains")
    expect(page).to_have_url(re.compile("q=gmail"))
    page.locator("#f-q").fill("zzz")
    expect(page.locator("#rows")).to_contain_text("Nothing matches")


def test_progress_polls_skips_what_has_not_changed_and_stops(browser: Browser, origin: str) -> None:
    # The clock is put into the preview's sandboxed frame too, which says that it runs no scripts.
    with window(browser, origin, allow=("Blocked script execution",)) as (page, watch):
        page.clock.install()
        statuses: list[int] = []
        page.on("response", lambda answer: statuses.append(answer.status) if "/progress" in answer.url else None)
        page.goto(f"{origin}/_ui")
        for _beat in range(12):
            with page.expect_response(lambda answer: "/progress" in answer.url):
                page.clock.run_for(2100)
            until(page, "() => !document.querySelector('.htmx-request')")
            if not page.locator("#progress[data-live]").count():
                break
        expect(page.locator("#progress-status")).to_have_text("Everything is sent.")
        expect(page.locator("#progress")).not_to_have_attribute("hx-trigger", "mh:tick from:body")
        assert 304 in statuses
        assert 200 in statuses
        seen = len(statuses)
        page.clock.run_for(20_000)
        assert len(statuses) == seen
        check_page(page, watch)


def test_confirm_names_the_object_and_cancel_does_nothing(browser: Browser, origin: str) -> None:
    with window(browser, origin) as (page, watch):
        page.goto(f"{origin}/_ui")
        posts: list[str] = []
        page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
        page.locator("#delete-list").click()
        expect(page.locator("#confirm")).to_contain_text("Delete the list “Customers”?")
        expect(page.locator("#confirm").get_by_role("button", name="Cancel")).to_be_focused()
        check_page(page, watch)
        page.keyboard.press("Escape")
        expect(page.locator("#confirm")).to_be_hidden()
        expect(page.locator("#delete-list")).to_be_focused()
        assert posts == []
        page.locator("#delete-list").click()
        with page.expect_navigation():
            page.locator("#confirm-yes").click()
        assert len(posts) == 1


def test_a_dialog_takes_the_focus_and_gives_it_back(browser: Browser, origin: str) -> None:
    with window(browser, origin) as (page, watch):
        page.goto(f"{origin}/_ui")
        opener = page.get_by_role("button", name="Send a test", exact=True)
        opener.click()
        expect(page.locator("#f-to")).to_be_focused()
        check_page(page, watch)
        page.keyboard.press("Escape")
        expect(opener).to_be_focused()


def test_typing_counts_characters_and_narrows_lists(page: Page) -> None:
    page.locator("#f-subject").fill("Привет 👋")
    expect(page.locator("[data-counter-for=f-subject]")).to_have_text("8 / 60")
    page.locator("#f-subject").fill("x" * 61)
    expect(page.locator("[data-counter-for=f-subject][data-over]")).to_have_count(1)
    page.locator("[data-filter=f-lists-list]").fill("PRESS")
    expect(page.locator("#f-lists-list > li:visible")).to_have_count(1)
    page.locator("[data-filter=f-lists-list]").fill("zzz")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_a_merge_tag_goes_in_at_the_caret(page: Page) -> None:
    page.locator("#f-html").fill("Hello, !")
    page.evaluate("document.getElementById('f-html').setSelectionRange(7, 7)")
    page.get_by_role("button", name="first_name").click()
    expect(page.locator("#f-html")).to_have_value("Hello, {{ name }}!")
    expect(page.locator("#f-html")).to_be_focused()


def test_slash_goes_to_the_search_but_not_from_a_field(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#top-q")).to_be_focused()
    page.locator("#f-preheader").press("/")
    expect(page.locator("#f-preheader")).to_have_value("/")


def test_copy_says_that_it_copied(browser: Browser, origin: str) -> None:
    with window(browser, origin) as (page, _watch):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{origin}/_ui")
        page.get_by_role("button", name="Copy: DKIM record").click()
        expect(page.locator(".toast")).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()").startswith("v=DKIM1")


def test_a_preview_is_as_high_as_its_letter_and_runs_no_script(page: Page) -> None:
    page.locator("#preview").scroll_into_view_if_needed()
    until(page, "() => document.getElementById('preview').clientHeight < 400")
    page.get_by_role("button", name="Phone", exact=True).click()
    until(page, "() => document.getElementById('preview').clientWidth === 375")
    color = page.frame_locator("#preview").locator("h1").evaluate("e => getComputedStyle(e).color")
    assert color == "rgb(59, 79, 216)"


def test_a_form_is_sent_once_however_often_one_clicks(page: Page) -> None:
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    with page.expect_navigation():
        page.evaluate(
            """() => { const f = document.querySelector('#dialog-test form'); f.closest('dialog').showModal();
            const b = f.querySelector('[type=submit]'); b.click(); b.click(); b.click(); }"""
        )
    page.wait_for_load_state("networkidle")
    assert len(posts) == 1


def test_an_upload_shows_progress_and_follows_the_answer(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(b"email\n" + b"alice@example.test\n" * 20_000)
    page.locator("#f-file").set_input_files(file)
    page.get_by_role("button", name="Upload", exact=True).click()
    # The styleguide refuses everything without a subject with a 422: the page's main part is put in its place.
    expect(page.locator("#form-errors")).to_be_focused()
    expect(page.locator("#f-file")).to_have_value("")


def test_leaving_a_changed_form_asks_first(page: Page) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.locator("#f-preheader").press_sequentially("x")
    with page.expect_navigation():
        page.get_by_role("link", name="Cancel").first.click()
    page.reload()
    assert asked == ["beforeunload"]


def test_without_a_script_the_page_still_filters_and_submits(browser: Browser, origin: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{origin}/_ui")
        page.locator("#f-q").fill("gmail")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("#rows tbody tr")).to_have_count(1)
        page.locator("#menu-account > summary").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.locator("#f-subject").fill("")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#form-errors")).to_contain_text("The campaign was not saved.")
    finally:
        context.close()
