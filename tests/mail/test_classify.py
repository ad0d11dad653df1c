# ruff: noqa: E501 - user agents stand as programs send them.
"""People or machines: a table of cases, each with where it is from; then what the tables of rules must always keep to."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail import classify as rules
from mailhub.mail.classify import CAUSES, NOBODY_NEAR, Hit, Neighbours, Places, Verdict, classify, is_traceable
from mailhub.mail.neighbours import TAINT_LONGEST, TAINT_TIME, Click, Sweep, Taint, crowds_of, is_in, sweeps_of
from mailhub.mail.networks import Networks, is_inside

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
MAIL_ON_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
MAIL_ON_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
OUTLOOK = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; ms-office; MSOffice 16)"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
MAILRU = "Mozilla/5.0 (compatible; Linux x86_64; Mail.RU_Bot/Img/2.0; +http://go.mail.ru/help/robots)"
YANDEX = "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)"
PREFETCH_42 = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
PREFETCH_104 = CHROME.replace("126", "104")

HOME = "198.51.100.7"
GATEWAY = "203.0.113.9"
MICROSOFT = "40.107.22.5"
RELAY = "172.224.226.1"
PLACES = Places(scanners=Networks(["192.0.2.0/24"]), relays=Networks(["172.224.224.0/19"]))


def hit(click: bool, agent: str = CHROME, ip: str = HOME, **columns: object) -> Hit:
    return Hit(click, NOON, agent, ip, **{"email_domain": "company.test"} | columns)  # type: ignore[arg-type]


def opened(agent: str = CHROME, ip: str = HOME, **columns: object) -> Hit:
    return hit(False, agent, ip, **columns)


def clicked(agent: str = CHROME, ip: str = HOME, **columns: object) -> Hit:
    return hit(True, agent, ip, **columns)


def after(seconds: float) -> Neighbours:
    """The letter was delivered so long before."""
    return Neighbours(NOON - timedelta(seconds=seconds))


def swept(*moments: float, links: int = 8, same_link: bool = False, ip: str = GATEWAY) -> Neighbours:
    """The letter's links were clicked so many seconds after noon, one by one."""
    clicks = [Click(NOON + timedelta(seconds=at), 1 if same_link else n, ip) for n, at in enumerate(moments)]
    return Neighbours(NOON - timedelta(minutes=5), sweeps_of(clicks, links))


def crowd(*moments: float, people: int = 99) -> Neighbours:
    """The address clicked for people of the domain so many seconds after noon."""
    return Neighbours(crowds=crowds_of([(NOON + timedelta(seconds=at), str(n % people)) for n, at in enumerate(moments)]))


def tainted(minutes: float) -> Neighbours:
    """The address with its program was caught so long before."""
    return Neighbours(taint=Taint.begun(NOON - timedelta(minutes=minutes)))


CASES = {
    # -- People.
    "a browser's click": (clicked(), after(600), "human", "person", "the rule when no other fits"),
    "a browser's open: webmail": (opened(), after(600), "human", "person", "the rule when no other fits"),
    "Outlook's open, which crawlerdetect takes for a robot": (opened(OUTLOOK), after(60), "human", "person", "mail.md, finding 7"),
    "Mail on an iPhone, without privacy protection": (opened(MAIL_ON_IPHONE), after(60), "human", "person", "express-useragent#78"),
    "Mail on a Mac, which new Outlook looks like": (opened(MAIL_ON_MAC), after(1440), "human", "person", "warmbly#569: 24 minutes later it was a person"),
    "nothing is known of the delivery": (clicked(), NOBODY_NEAR, "human", "person", "retention, deleted people"),
    # -- Proxies that fetch when a person opens.
    "Gmail's proxy": (opened(GMAIL, "66.249.93.1"), after(60), "proxy_open", "image_proxy", "wordtothewise 2013; warmbly keeps them"),
    "Yahoo's proxy": (opened(YAHOO), after(60), "proxy_open", "image_proxy", "help.yahoo.com SLN28749"),
    "Mail.ru's proxy": (opened(MAILRU), after(60), "proxy_open", "image_proxy", "go.mail.ru/help/robots"),
    "Yandex's proxy": (opened(YANDEX), after(60), "proxy_open", "image_proxy", "mautic#8718"),
    "Outlook.com fetches images for people from Microsoft's network": (opened(CHROME, MICROSOFT), after(60), "human", "person", "warmbly#412: never suppress opens"),
    # -- Machines that fetch ahead of people.
    "Apple's privacy protection": (opened("Mozilla/5.0"), after(3600), "machine_open", "apple_privacy", "uap-core#509"),
    "Apple's privacy protection, in blanks": (opened(" Mozilla/5.0 "), after(3600), "machine_open", "apple_privacy", "uap-core#509"),
    "Mail through Private Relay": (opened(MAIL_ON_MAC, RELAY), after(3600), "machine_open", "apple_relay", "wordtothewise 2021/09; mask-api.icloud.com"),
    "an unknown program through Private Relay": (opened("Something/1", RELAY), after(3600), "machine_open", "apple_relay", "mask-api.icloud.com"),
    "a whole browser through Private Relay reads webmail": (opened(SAFARI, RELAY), after(3600), "human", "person", "Private Relay is for Safari too"),
    "Gmail's older prefetch": (opened(PREFETCH_42), after(25), "machine_open", "gmail_prefetch", "mautic PR#10245, Keila"),
    "Gmail's newer prefetch": (opened(PREFETCH_104), after(60), "machine_open", "gmail_prefetch", "Keila"),
    "an open 4.9 s after delivery": (opened(), after(4.9), "machine_open", "at_delivery", "mail.md §3"),
    "an open 5 s after delivery": (opened(), after(5), "human", "person", "mail.md §3"),
    "Gmail's proxy at delivery is nobody's opening": (opened(GMAIL), after(1), "machine_open", "at_delivery", "mail.md §3: prefetch at delivery"),
    "an open before the provider took the letter": (opened(), after(-3), "machine_open", "before_delivery", "mail.md §3"),
    "an open that says prefetch": (opened(prefetch=True), after(600), "machine_open", "prefetch", "W3C resource hints; user-documentation#940"),
    # -- Scanners.
    "a click that says prefetch": (clicked(prefetch=True), after(600), "scanner", "prefetch", "Sec-Purpose: prefetch (Chrome), X-Moz: prefetch (Firefox)"),
    "a click before the provider took the letter": (clicked(), after(-30), "scanner", "before_delivery", "mail.md §3"),
    "a click 0.9 s after delivery": (clicked(), after(0.9), "scanner", "at_delivery", "mail.md §3"),
    "a click 1 s after delivery": (clicked(), after(1), "human", "person", "mail.md §3"),
    "Safe Links, with a browser's name": (clicked(CHROME, MICROSOFT), after(3), "scanner", "microsoft_network", "warmbly#410, #412; gophish#973"),
    "Safe Links over v6": (clicked(CHROME, "2a01:111:f403::17"), after(3), "scanner", "microsoft_network", "spf.protection.outlook.com"),
    "Barracuda by its name": (clicked("Barracuda Sentinel (EE)"), after(60), "scanner", "agent", "Braze, bot filtering"),
    "Barracuda fetches the pixel too": (opened("BarracudaCentral"), after(60), "scanner", "agent", "mail.md, finding 7"),
    "BingPreview": (clicked(f"{CHROME} BingPreview/1.0b"), after(60), "scanner", "agent", "phplist3#415"),
    "a library": (clicked("python-requests/2.32.3"), after(60), "scanner", "agent", "Braze, bot filtering"),
    "no User-Agent": (clicked(""), after(60), "scanner", "no_agent", "mail.md §3"),
    "no User-Agent, blanks": (opened("  "), after(60), "scanner", "no_agent", "mail.md §3"),
    "the operator's list, a click": (clicked(CHROME, "192.0.2.44"), after(60), "scanner", "scanner_network", "mailhub.tracking.scanner_networks"),
    "the operator's list, an open": (opened(CHROME, "192.0.2.44"), after(60), "scanner", "scanner_network", "mailhub.tracking.scanner_networks"),
    "an image proxy does not follow links": (clicked(GMAIL), after(600), "scanner", "no_browser", "Gmail's clicks come from browsers"),
    "Apple's proxy does not follow links": (clicked("Mozilla/5.0"), after(600), "scanner", "no_browser", "no browser says this"),
    "an old Chrome's click is not Gmail's prefetch": (clicked(PREFETCH_104), after(600), "human", "person", "Gmail fetches images only"),
    # -- Sweeps of links.
    "three links in 2 s": (clicked(), swept(0, 1, 2), "scanner", "many_links", "mail.md §3; Maestra"),
    "three links, the last behind the hit": (clicked(), swept(-2, -1, 0), "scanner", "many_links", "mail.md §3"),
    "three links in 2.1 s": (clicked(), swept(0, 1, 2.1), "human", "person", "mail.md §3"),
    "one link three times": (clicked(), swept(0, 0.5, 1, same_link=True), "human", "person", "a person who clicks again"),
    "two links in 2 s": (clicked(), swept(0, 1.5), "human", "person", "two tabs"),
    "every link within 10 s": (clicked(), swept(0, 3, 6, 9, links=4), "scanner", "every_link", "mail.md §3"),
    "all but one within 10 s": (clicked(), swept(0, 3, 6, links=4), "human", "person", "mail.md §3"),
    "both links of a letter with two, at once": (clicked(), swept(0, 0.4, links=2), "scanner", "every_link", "mail.md §3, for two links"),
    "both links of a letter with two, in 4 s": (clicked(), swept(0, 4, links=2), "human", "person", "a reader who looks at both"),
    "the only link of a letter": (clicked(), swept(0, links=1), "human", "person", "one link is always every link"),
    "a person's click an hour after a sweep": (clicked(), swept(-3600, -3599.5, -3599), "human", "person", "Safe Links, then its reader"),
    "the pixel fetched in the middle of a sweep": (opened(ip=GATEWAY), swept(0.3, 0.6, 0.9), "scanner", "many_links", "mautic#9798: they follow links including the pixel"),
    "a reader opens while a gateway sweeps": (opened(), swept(0.3, 0.6, 0.9), "human", "person", "another address"),
    # -- One address for many people.
    "five people of a company in a minute": (clicked(), crowd(-50, -30, -20, -10, 0), "scanner", "one_address", "mail.md §3"),
    "four people in a minute": (clicked(), crowd(-50, -30, -20, 0), "human", "person", "mail.md §3"),
    "five people in more than a minute": (clicked(), crowd(-61, -30, -20, -10, 0), "human", "person", "mail.md §3"),
    "one person five times": (clicked(), crowd(-50, -30, -20, -10, 0, people=1), "human", "person", "mail.md §3"),
    # -- Traces.
    "an address that was caught a quarter of an hour before": (clicked(), tainted(15), "scanner", "taint", "Paminga: 15 minutes"),
    "… and longer": (clicked(), tainted(15.1), "human", "person", "Paminga: 15 minutes"),
    "an open from such an address": (opened(), tainted(3), "scanner", "taint", "mail.md §3"),
    "before it was caught it was nobody in particular": (clicked(), tainted(-1), "human", "person", "its own sweep tells"),
    # -- Unknown, which count as people.
    "a program that nobody knows opens": (opened("okhttp/4.12.0"), after(60), "unknown", "unknown_agent", "apps on Android fetch images with it"),
    "a program that nobody knows clicks": (clicked("Something/1"), after(60), "unknown", "unknown_agent", "mail.md §3: actor unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("found", "near", "actor", "cause"), [case[:4] for case in CASES.values()], ids=CASES)
def test_the_table_of_cases(found: Hit, near: Neighbours, actor: str, cause: str) -> None:
    assert classify(found, near, PLACES) == Verdict(actor, cause)  # type: ignore[arg-type]


def test_every_case_has_a_source_and_every_cause_a_case() -> None:
    assert all(case[4] for case in CASES.values())
    reached = defaultdict(set)
    for _found, _near, actor, cause, _source in CASES.values():
        reached[cause].add(actor)
    assert reached == {cause: set(actors) for cause, actors in CAUSES.items()}


@settings(max_examples=100, deadline=None)
@given(
    click=st.booleans(), agent=st.text(max_size=80) | st.sampled_from([CHROME, GMAIL, "Mozilla/5.0", ""]),
    ip=st.text(max_size=20) | st.sampled_from([HOME, MICROSOFT, RELAY, "::ffff:40.107.1.1"]),
    seconds=st.none() | st.integers(-900, 900), prefetch=st.booleans(),
)  # fmt: skip
def test_anything_gets_a_verdict_of_the_closed_sets(click: bool, agent: str, ip: str, seconds: int | None, prefetch: bool) -> None:
    near = NOBODY_NEAR if seconds is None else after(seconds)
    verdict = classify(hit(click, agent, ip, prefetch=prefetch), near, PLACES)
    assert verdict.actor in CAUSES[verdict.cause]
    assert verdict.is_machine == (verdict.actor in ("machine_open", "scanner"))
    if click:
        assert verdict.actor in ("human", "scanner", "unknown")


def test_a_sweep_goes_on_as_long_as_its_clicks_do() -> None:
    clicks = [Click(NOON + timedelta(seconds=n * 0.8), n, f"203.0.113.{n}") for n in range(20)]
    (sweep,) = sweeps_of(clicks, 50)
    assert (sweep.since, sweep.until) == (clicks[0].at, clicks[-1].at)
    assert sweep.ips == {click.ip for click in clicks}


def test_clicks_without_a_link_sweep_nothing() -> None:
    assert sweeps_of([Click(NOON, None)] * 9, 3) == []
    assert sweeps_of([], 3) == crowds_of([]) == []


def test_two_sweeps_are_two() -> None:
    moments = (0, 1, 2, 100, 101, 102)
    found = sweeps_of([Click(NOON + timedelta(seconds=at), n) for n, at in enumerate(moments)], 0)
    assert [(sweep.since - NOON).seconds for sweep in found] == [0, 100]
    assert is_in(found, NOON + timedelta(seconds=50)) is None


def test_a_trace_is_extended_by_hits_and_comes_to_an_end() -> None:
    trace = Taint.begun(NOON)
    # An office behind the scanner's address clicks every ten minutes: after an hour it is out of it.
    at = NOON
    while trace.covers(at + timedelta(minutes=10)):
        at += timedelta(minutes=10)
        trace = trace.and_at(at, caught=False)
    assert at <= NOON + TAINT_LONGEST
    assert trace.until == NOON + TAINT_LONGEST
    # Caught once more, it begins again; the scanner itself stays in it as long as it is caught.
    assert trace.and_at(NOON + timedelta(minutes=50), caught=True).until == NOON + timedelta(minutes=65)
    assert trace.and_at(NOON + timedelta(hours=5), caught=True) == Taint.begun(NOON + timedelta(hours=5))


def test_a_hit_stored_late_does_not_take_a_trace_back() -> None:
    trace = Taint.begun(NOON)
    assert trace.and_at(NOON - timedelta(hours=3), caught=True) == trace
    earlier = trace.and_at(NOON - timedelta(minutes=5), caught=True)
    assert (earlier.since, earlier.until) == (NOON - timedelta(minutes=5), NOON + TAINT_TIME)


@pytest.mark.parametrize(
    ("columns", "traceable"),
    [
        ({}, True),
        ({"email_domain": "gmail.com"}, False),  # thousands share a mobile carrier's address
        ({"ip": "10.0.0.7"}, False),  # a proxy in front of us
        ({"ip": "100.64.3.1"}, False),
        ({"ip": "::1"}, False),
        ({"ip": ""}, False),
        ({"agent": ""}, False),
    ],
)
def test_only_an_address_that_tells_machines_apart_is_traced(columns: dict[str, str], traceable: bool) -> None:
    assert is_traceable(clicked(**columns)) is traceable


def test_what_an_office_can_have_too_leaves_no_trace() -> None:
    assert Verdict("scanner", "many_links").taints
    assert not Verdict("scanner", "one_address").taints
    assert not Verdict("scanner", "taint").taints
    assert not Verdict("machine_open", "at_delivery").taints
    assert CAUSES.keys() >= rules.TAINTING


def test_networks_hold_what_is_in_them() -> None:
    known = Networks(["192.0.2.0/25", "192.0.2.4", "2001:db8::/32"])
    assert [ip in known for ip in ("192.0.2.1", "192.0.2.128", "2001:db8:9::1", "2001:db9::1", "::ffff:192.0.2.9", "x", "")] == [True, False, True, False, True, False, False]
    assert not Networks()
    assert is_inside("192.168.1.1")
    assert not is_inside("203.0.113.1")
    with pytest.raises(ValueError, match=r"'300\.1\.1\.1' is no network"):
        Networks(["300.1.1.1"])


def test_a_letter_with_thousands_of_clicks_is_looked_at_once() -> None:
    clicks = [Click(NOON + timedelta(milliseconds=n), n % 50) for n in range(20_000)]
    started = time.process_time()
    sweeps_of(clicks, 50)
    assert time.process_time() - started < 2


def test_sweep_is_a_stretch_with_both_ends() -> None:
    sweep = Sweep(NOON, NOON, "many_links")
    assert is_in([sweep], NOON) is sweep
