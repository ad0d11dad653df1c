"""What every page must pass in a real browser: accessibility, no errors, no leaks, no overflow, nothing that jumps."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM = os.environ.get("MAILHUB_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
#: What axe is asked for (its `runOnly`): everything; what a theme changes.
ALL_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
RULES_OF_COLOUR = {"type": "rule", "values": ["color-contrast"]}
WIDTHS = (1280, 360)
THEMES = ("light", "dark")

#: A page that is right needs a tenth of a second; this is for a machine with more to do than it can.
PATIENCE_SECONDS = 30
expect.set_options(timeout=PATIENCE_SECONDS * 1000)

#: Runs before the page's own scripts: what must not happen is collected from the first byte on.
_WATCH = """
window.mhSeen = {csp: [], shift: 0};
const frame = window.requestAnimationFrame.bind(window);  // the browser's own, also in a test that stops the clock
window.mhFrame = () => new Promise(frame);
document.addEventListener('securitypolicyviolation', e =>
  window.mhSeen.csp.push(`${e.effectiveDirective} ${e.blockedURI || e.sample || ''} ${e.sourceFile || ''}`));
new PerformanceObserver(list => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) window.mhSeen.shift += e.value;
}).observe({type: 'layout-shift', buffered: true});
"""


def have_chromium() -> bool:
    """Whether there is a browser to test with; `.ci/run` installs one."""
    return Path(CHROMIUM).exists()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            yield browser
        finally:
            browser.close()


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@dataclass
class Watch:
    """What a page did that it should not have done. `allow` are parts of console lines that are expected."""

    origin: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    allow: tuple[str, ...] = ()

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.allow):
            self.errors.append(f"{message.type}: {message.text}")

    def crash(self, error: Any) -> None:
        self.errors.append(f"exception: {error}")

    def request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.foreign.append(request.url)


@contextmanager
def window(
    browser: Browser,
    origin: str,
    *,
    width: int = 1280,
    theme: str = "light",
    language: str = "en",
    cookies: list[dict[str, Any]] | None = None,
    allow: tuple[str, ...] = (),
) -> Iterator[tuple[Page, Watch]]:
    """A window of its own on the site; at the end nothing may have gone wrong that nobody looked at."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        reduced_motion="reduce",
    )
    context.add_init_script(_WATCH)
    if cookies:
        context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    watch = Watch(origin, allow=allow)
    page.on("console", watch.console)
    page.on("pageerror", watch.crash)
    page.on("request", watch.request)
    try:
        yield page, watch
    finally:
        context.close()


def check_page(page: Page, watch: Watch, *, axe: bool = True, max_shift: float = 0.02) -> None:
    """Assert everything above of the page as it is now; call it again after a swap or with a dialog open."""
    settle(page)
    faults = [*watch.errors, *(f"request to another origin: {url}" for url in watch.foreign)]
    seen = page.evaluate("window.mhSeen")
    faults += [f"CSP: {one}" for one in seen["csp"]]
    if seen["shift"] >= max_shift:
        faults.append(f"layout shift {seen['shift']:.3f}")
    faults += overflow(page)
    if axe:
        faults += axe_violations(page)
    assert not faults, f"{page.url} at {page.viewport_size}:\n" + "\n".join(faults)


def settle(page: Page) -> None:
    """Wait until the page and its fonts are there, no request of htmx is on its way, and a frame has been drawn."""
    until(page, "() => document.readyState === 'complete' && !document.querySelector('.htmx-request')")
    page.evaluate("() => document.fonts.ready.then(mhFrame).then(mhFrame)")


def until(page: Page, condition: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a function of the page to be true; Playwright's own wait_for_function is refused by the CSP.

    After a click too: the tools' click is over when the browser has got it, which may be before the page's script has.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true in {seconds} s: {condition}")
        page.wait_for_timeout(20)


_WIDER = """() => {
  const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return [];
  const boxed = e => {
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== 'visible') return true;
    return false;
  };
  const wide = [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > w + 1 && !boxed(e)).slice(-5);
  return [...wide.map(e => e.outerHTML.slice(0, 160)), `the page is ${document.documentElement.scrollWidth} wide`];
}"""


def overflow(page: Page) -> list[str]:
    """What makes the page wider than the window."""
    return [f"horizontal overflow: {one}" for one in page.evaluate(_WIDER)]


def axe_violations(page: Page, rules: dict[str, Any] = ALL_RULES) -> list[str]:
    """axe's findings, one line a node. The script is evaluated by the browser's tools, which no CSP forbids.

    Fewer `rules` than all are for a page that has been looked at already, at another width or in another theme.
    """
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations'], iframes: false})",
        rules,
    )
    return [
        f"axe {rule['id']} ({rule['impact']}): {node['html'][:160]} {json.dumps(node['failureSummary'])[:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
