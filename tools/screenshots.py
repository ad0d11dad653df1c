"""The pictures in docs/: `make screenshots`. A fresh `mailhub up` with made-up people, and Debian's Chromium.

Every picture is of the real service while it works; nothing is drawn by hand.
"""

from __future__ import annotations

import random
import sys
import tempfile
import urllib.request
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.checks import chromium, window
from tests.running import Running, started

ROOT = Path(__file__).resolve().parent.parent
IMG = ROOT / "docs" / "img"
#: So many that there is time for a picture while they are being sent.
PEOPLE = 6_000
READERS = 180
#: What a reader's browser says of itself; a program's own name would make its hits a machine's.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def main() -> int:
    IMG.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, started(Path(home)) as running, chromium() as browser:
        mailing_list = running.audience("autumn", PEOPLE)
        with window(browser, running.url) as (page, _watch):
            sign_in(page, running)
            campaign = running.start_campaign("Autumn sale", mailing_list)
            url = f"{running.url}/projects/demo/campaigns/{campaign}"
            running.until(lambda: running.campaign(campaign)["counts"]["sent"], lambda sent: sent > PEOPLE // 3, 120)
            page.goto(url)
            page.wait_for_timeout(2500)
            shot(page, "campaign-sending")
            running.until(lambda: running.campaign(campaign)["state"], lambda state: state == "sent", 300)
            read_letters(running)
            pages = {
                "overview": "/projects/demo",
                "campaign": f"/projects/demo/campaigns/{campaign}",
                "subscribers": "/projects/demo/subscribers",
                "lists": "/projects/demo/lists",
                "import": "/projects/demo/imports",
                "content": content_step(running),
                **audience_pages(running, campaign),
                "messages": "/projects/demo/messages",
                "mailbox": "/_mailbox",
            }
            for name, path in pages.items():
                page.goto(running.url + path)
                page.wait_for_timeout(400)
                shot(page, name)
        for name, theme, width, language in (
            ("campaign-dark", "dark", 1280, "en"),
            ("campaign-phone-ru", "light", 360, "ru"),
            ("overview-dark-ru", "dark", 1280, "ru"),
        ):
            with window(browser, running.url, theme=theme, width=width, language=language) as (page, _watch):
                sign_in(page, running)
                set_language(page, running, language)
                page.goto(running.url + pages["overview" if name.startswith("overview") else "campaign"])
                page.wait_for_timeout(400)
                shot(page, name)
                set_language(page, running, "en")
    return 0


def sign_in(page: Page, running: Running) -> None:
    email, password = running.sign_in
    page.goto(f"{running.url}/sign-in")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/projects/**")


def set_language(page: Page, running: Running, language: str) -> None:
    """By the person's profile, as a person does."""
    page.goto(f"{running.url}/account")
    page.select_option("select[name=language]", language)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state()


def content_step(running: Running) -> str:
    """The draft of the demo, at its letter."""
    drafts = running.do("GET", "/campaigns?state=draft")["results"]
    return f"/projects/demo/campaigns/{drafts[0]['id']}/edit/content"


def audience_pages(running: Running, campaign: str) -> dict[str, str]:
    """A segment and its builder, a person who has read a letter, a form."""
    rules = [
        {"field": "sent", "op": "did", "campaigns": [campaign]},
        {
            "match": "any",
            "rules": [
                {"field": "clicked", "op": "did", "campaigns": [campaign]},
                {"field": "added", "op": "last", "value": 30},
            ],
        },
    ]
    tree = {"name": "Readers", "definition": {"match": "all", "rules": rules}}
    segment = running.do("POST", "/segments", tree)["id"]
    person = running.do("GET", f"/segments/{segment}/subscribers")["results"][0]["id"]
    return {
        "segment": f"/projects/demo/segments/{segment}",
        "segment-builder": f"/projects/demo/segments/{segment}/edit",
        "person": f"/projects/demo/subscribers/{person}",
        "form-builder": "/projects/demo/forms/new",
    }


def read_letters(running: Running) -> None:
    """Some people open their letter, some of them follow its link, two leave."""
    chance = random.Random(7)
    for number, letter in enumerate(running.mailbox.list("autumn", limit=READERS)):
        whole = running.mailbox.get(letter.id)
        assert whole is not None
        urls = [part.split('"')[0] for part in whole.html.split(running.url)[1:]]
        for path in urls:
            wanted = path.startswith("/t/o/") or (path.startswith("/t/c/") and chance.random() < 0.3)
            if wanted:
                opener = urllib.request.build_opener(NoRedirect)
                opener.addheaders = [("User-Agent", BROWSER)]
                opener.open(running.url + path.replace("&amp;", "&")).close()
            elif path.startswith("/u/") and number < 2:
                urllib.request.urlopen(running.url + path, data=b"List-Unsubscribe=One-Click").close()


class NoRedirect(urllib.request.HTTPErrorProcessor):
    """A reader's click, without going on to the site that the letter names."""

    def http_response(self, request, response):  # type: ignore[no-untyped-def]
        return response

    https_response = http_response


def shot(page: Page, name: str) -> None:
    page.screenshot(path=IMG / f"{name}.png")
    print(f"docs/img/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
