"""The main job as a person does it in a browser, on a running `mailhub up`: import, write, send, read, see numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checks import chromium, have_chromium, window
from tests.running import Running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not have_chromium(), reason="there is no Chromium"),
]

#: The frame of a letter runs no scripts, and the browser says so.
ALLOWED = ("Blocked script execution",)


def test_from_a_csv_to_the_numbers(running: Running, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    rows = "".join(f"reader{n}@browser.test;Reader {n};Kazan\n" for n in range(60))
    people.write_text(f"E-mail;Name;City\n{rows}no address;Nobody;\n", encoding="utf-8")
    with chromium() as browser, window(browser, running.url, allow=ALLOWED) as (page, watch):
        page.set_default_timeout(30_000)
        sign_in(page, running)
        import_people(page, people)
        write(page, running)
        send(page)
        read(page, running)
        assert watch.errors == []
        assert watch.foreign == []


def sign_in(page: Page, running: Running) -> None:
    email, password = running.sign_in
    page.goto(running.url)
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(password)
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/projects/demo")


def import_people(page: Page, people: Path) -> None:
    """Into a list of its own; one row has no address and is shown as rejected."""
    page.goto(page.url + "/lists/new")
    page.locator("[name=name]").fill("Browser readers")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(re.compile(r"/lists/\d+$"))
    page.goto(page.url.partition("/lists/")[0] + f"/imports/new?list={page.url.rpartition('/')[2]}")
    page.locator("[name=file]").set_input_files(people)
    page.locator("main form button[type=submit]").first.click()
    # The steps by the keyboard alone: what is to be pressed has the focus after so many tabs, whatever else is there.
    for step, then in (("reading", "columns"), ("columns", "rules")):
        page.wait_for_url(f"**/{step}")
        press(page, "main form button.btn-primary", "Enter")
        page.wait_for_url(f"**/{then}")
    press(page, "[name=consent]", "Space")
    press(page, "main form button.btn-primary", "Enter")
    page.wait_for_url("**/check")
    expect(page.locator("#decide button.btn-primary")).to_contain_text("60", timeout=30_000)
    press(page, "#decide button.btn-primary", "Enter")
    page.wait_for_url(re.compile(r"/imports/\d+$"))
    expect(page.locator("main")).to_contain_text("60", timeout=30_000)
    expect(page.locator("main")).to_contain_text("no address", timeout=30_000)


def press(page: Page, wanted: str, key: str) -> None:
    """Tab until the first element that is wanted has the focus, and press a key."""
    for _tab in range(80):
        page.keyboard.press("Tab")
        if page.locator(wanted).first.evaluate("element => element === document.activeElement"):
            page.keyboard.press(key)
            return
    raise AssertionError(f"{wanted} cannot be reached by the keyboard")


def write(page: Page, running: Running) -> None:
    """A draft with a merge field, its preview as a real person, a test letter."""
    page.goto(f"{running.url}/projects/demo/campaigns/new")
    page.locator("[name=name]").fill("From the browser")
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/edit/**")
    draft = page.url.partition("/edit/")[0]
    page.goto(f"{draft}/edit/recipients")
    page.get_by_role("checkbox", name="Browser readers").first.check()
    expect(page.locator("#recipient-count")).to_contain_text("60")
    page.locator("main form button.btn-primary").first.click()
    page.wait_for_url("**/edit/content")
    page.locator("[name=subject]").fill("Good morning, {{ name|default('you') }}")
    page.locator("[name=html]").fill(
        '<h1>Dear {{ name|default("friend") }}</h1><p>{{ city }}: <a href="https://example.com/bread">the bread</a></p>'
    )
    page.locator("main form button.btn-primary").first.click()
    page.wait_for_url("**/edit/review")
    page.goto(f"{draft}/preview")
    letter = page.frame_locator("main iframe").first
    expect(letter.locator("h1")).to_contain_text("Dear Reader")
    page.goto(f"{draft}/edit/review")


def send(page: Page) -> None:
    """With the last button, and its question; a minute to undo it, and no wait; then the progress by itself."""
    page.locator("#send-now").click()
    expect(page.locator("#confirm")).to_contain_text("60")
    page.locator("#confirm-yes").click()
    page.wait_for_url(re.compile(r"/campaigns/\d+$"))
    expect(page.locator("#countdown")).to_have_text(re.compile(r"^Will go out in [01]:\d\d$"))
    page.locator("#do-undo").click()
    page.wait_for_url("**/edit/content")
    page.goto(page.url.replace("/edit/content", "/edit/review"))
    page.locator("#send-now").click()
    page.locator("#confirm-yes").click()
    page.locator("#do-send-now").click()
    page.wait_for_url(re.compile(r"/campaigns/\d+$"))
    expect(page.locator("#campaign-progress")).to_contain_text("Sent", timeout=60_000)
    expect(page.locator("#campaign-progress")).not_to_have_attribute("data-live", re.compile(".*"), timeout=60_000)
    expect(page.locator("main")).to_contain_text("60")


def read(page: Page, running: Running) -> None:
    """The letter in the mailbox is personal; its link and its unsubscribe button move the campaign's numbers."""
    campaign = page.url
    page.goto(f"{running.url}/_mailbox?q=reader7@browser.test")
    page.locator("a[href^='/_mailbox/']").first.click()
    letter = page.frame_locator("main iframe").first
    expect(letter.locator("h1")).to_have_text("Dear Reader 7")
    link = letter.get_by_role("link", name="the bread").get_attribute("href")
    leave = letter.locator("a[href*='/u/']").first.get_attribute("href")
    assert link is not None
    assert leave is not None
    answer = page.request.get(link, max_redirects=0)
    assert (answer.status, answer.headers["location"]) == (302, "https://example.com/bread")
    page.goto(leave)
    page.locator("main form button[type=submit], form button[type=submit]").first.click()
    campaign_id = campaign.rpartition("/")[2]
    running.until(
        lambda: running.do("GET", f"/campaigns/{campaign_id}/stats")["counts"],
        lambda seen: seen["redirected"] == 1 and seen["unsubscribed"] == 1 and seen["opened"] >= 1,
        seconds=5,
    )
    page.goto(campaign)
    expect(page.locator("#campaign-results")).to_contain_text("Clicked")
    page.goto(campaign + "/stats")
    expect(page.locator("#campaign-report")).to_contain_text("https://example.com/bread")
