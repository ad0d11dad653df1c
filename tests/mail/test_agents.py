# ruff: noqa: E501 - user agents stand as programs send them.
"""Device and mail client by User-Agent. Each case with where it was seen."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail import agents
from mailhub.mail.agents import Agent, agent_of

DEVICES = {"desktop", "mobile", "tablet", "proxy", "bot", ""}
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

# User-Agent, device, client, source.
CASES = [
    # Proxies that fetch images for people.
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "proxy", "Gmail", "Gmail, since December 2013"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "proxy", "Yahoo Mail", "help.yahoo.com SLN28749"),
    ("Mozilla/5.0 (compatible; Linux x86_64; Mail.RU_Bot/Img/2.0; +http://go.mail.ru/help/robots)", "proxy", "Mail.ru", "go.mail.ru/help/robots"),
    ("Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)", "proxy", "Yandex Mail", "mautic#8718, yandex.com/bots"),
    ("Mozilla/5.0 (compatible; SeznamEmailProxy/2.0.166)", "proxy", "Seznam Email", "device-detector bots"),
    ("Mozilla/5.0", "proxy", "Apple Mail", "uap-core#509"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", "proxy", "Gmail", "mautic PR#10245, Keila"),
    # Mail programs.
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", "desktop", "Apple Mail", "uap-core#528"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 10_1_1 like Mac OS X) AppleWebKit/602.2.14 (KHTML, like Gecko) Mobile/14B100", "mobile", "Apple Mail", "express-useragent#78"),
    ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", "tablet", "Apple Mail", "as an iPhone's"),
    ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; Win64; x64; Trident/7.0; .NET CLR 2.0.50727; Tablet PC 2.0; Microsoft Outlook 14.0.7113; ms-office; MSOffice 14)", "desktop", "Outlook", "device-detector pim"),
    ("Microsoft Office/16.0 (Microsoft Outlook 16.0.12329; Pro), Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "desktop", "Outlook", "device-detector pim"),
    ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)", "desktop", "Outlook", "Crawler-Detect#278"),
    (f"{CHROME} Edg/136.0.0.0 OneOutlook/1.2025.516.400", "desktop", "Outlook", "the new Outlook for Windows"),
    ("MacOutlook/16.46.21021202 (Intelx64 Mac OS X 11.2.2 (Build 20D80))", "desktop", "Outlook", "device-detector pim"),
    ("Outlook-iOS/709.2042344.prod.iphone (3.21.0)", "mobile", "Outlook", "device-detector pim"),
    ("Outlook/16.16.18071205 CFNetwork/902.1 Darwin/17.7.0 (x86_64)", "desktop", "Outlook", "device-detector pim"),
    ("Outlook-Express/7.0 (MSIE 7.0; Windows NT 6.1; WOW64; Trident/6.0)", "desktop", "Outlook Express", "device-detector pim"),
    ("WindowsMail/17.5.9600.22013", "desktop", "Windows Mail", "device-detector pim"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:24.0) Gecko/20100101 Thunderbird/24.4.0 Lightning/2.6.4", "desktop", "Thunderbird", "device-detector pim"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:24.0) Gecko/20100101 Icedove/24.4.0", "desktop", "Thunderbird", "device-detector pim"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:29.0) Gecko/20100101 Firefox/29.0 SeaMonkey/2.26a1", "desktop", "SeaMonkey", "device-detector pim"),
    ("Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; en-US; rv:1.9.1.8) Gecko/20100317 Postbox/1.1.3", "desktop", "Postbox", "device-detector pim"),
    ("Airmail 1.4 rv:238 (Macintosh; Mac OS X 10.9.2; hr_HR)", "desktop", "Airmail", "device-detector pim"),
    (f"{CHROME} eM Client/8.2.1659.0", "desktop", "eM Client", "device-detector pim"),
    ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/51.0.2704.103 Safari/537.36 Mailbird/2.4.30.0/", "desktop", "Mailbird", "device-detector pim"),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Mailspring/1.7.4 Chrome/69.0.3497.128 Electron/4.2.2 Safari/537.36", "desktop", "Mailspring", "device-detector pim"),
    ("The Bat! 4.0.0.22", "desktop", "The Bat!", "device-detector pim"),
    ("Mozilla/4.0 (compatible; Lotus-Notes/6.0; Windows-NT)", "desktop", "HCL Notes", "device-detector pim"),
    ("NaverMailApp/2.2.2 (Android 10; SM-G986N)", "mobile", "NAVER Mail", "device-detector pim"),
    ("Yahoo%20Mail/49268 CFNetwork/1121.2.2 Darwin/19.3.0", "mobile", "Yahoo Mail", "device-detector pim"),
    (f"{IPHONE} Mobile/15F79 MailMaster/6.5.3.1210", "mobile", "Mail Master", "device-detector pim"),
    # Browsers: webmail, and where links open.
    (CHROME, "desktop", "Chrome", "Chrome on Windows"),
    (f"{CHROME} Edg/126.0.2592.87", "desktop", "Edge", "Edge on Windows"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", "desktop", "Safari", "Safari on a Mac"),
    (f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1", "mobile", "Safari", "Safari on an iPhone"),
    (f"{IPHONE} CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", "mobile", "Chrome", "Chrome on an iPhone"),
    (f"{IPHONE} GSA/320.0.641 Mobile/15E148 Safari/604.1", "mobile", "Google app", "the Google app"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop", "Firefox", "Firefox on Linux"),
    ("Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/114.0 Firefox/114.0", "tablet", "Firefox", "MDN, Gecko user agents"),
    ("Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/114.0 Firefox/114.0", "mobile", "Firefox", "MDN, Gecko user agents"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36", "mobile", "Chrome", "Chrome, reduced user agent"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", "tablet", "Chrome", "Chrome, reduced user agent"),
    ("Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36", "mobile", "Samsung Internet", "Samsung Internet"),
    ("Mozilla/5.0 (Linux; Android 9; SM-G960U Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36", "mobile", "Android app", "Android WebView"),
    (f"{CHROME} YaBrowser/24.6.0.0", "desktop", "Yandex Browser", "Yandex Browser"),
    (f"{CHROME} OPR/111.0.0.0", "desktop", "Opera", "Opera"),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "desktop", "Internet Explorer", "Internet Explorer 11"),
    (f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/468.0.0.46.107;FBDV/iPhone14,5]", "mobile", "Facebook", "Facebook on an iPhone"),
    (f"{IPHONE} Mobile/15E148 Instagram 300.0.0.16.111 (iPhone14,5)", "mobile", "Instagram", "Instagram on an iPhone"),
    (f"{IPHONE} Mobile/15E148 SomeApp/3.1", "mobile", "", "an app that is not known"),
    ("Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20 PRO) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", "mobile", "Chrome", "Cubot makes telephones"),
    # Machines.
    ("Barracuda Sentinel (EE)", "bot", "Barracuda", "Braze, bot filtering"),
    ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", "bot", "Proofpoint", "gateway"),
    ("Mimecast-Link-Protect", "bot", "Mimecast", "gateway"),
    ("Microsoft Office Existence Discovery", "bot", "Microsoft Office", "asks for a link before the browser does"),
    (f"{CHROME} BingPreview/1.0b", "bot", "Bing Preview", "phplist3#415"),
    ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36", "bot", "Headless Chrome", "gateways' browsers"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "", "Google"),
    ("Mozilla/5.0 (compatible; Linux x86_64; Mail.RU_Bot/2.0; +http://go.mail.ru/help/robots)", "bot", "", "go.mail.ru/help/robots"),
    ("python-requests/2.32.3", "bot", "Python", "Braze, bot filtering"),
    ("curl/8.4.0", "bot", "curl", "curl"),
    ("Go-http-client/2.0", "bot", "Go", "Go"),
    ("Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots", "bot", "", "Snapchat"),
    # Nobody we know.
    ("", "", "", "no header"),
    ("   ", "", "", "no header"),
    ("something", "", "", "unknown"),
    ("okhttp/4.12.0", "", "", "apps on Android: neither a browser nor a robot"),
]  # fmt: skip


@pytest.mark.parametrize(("user_agent", "device", "client"), [case[:3] for case in CASES], ids=[case[0][-60:] or "-" for case in CASES])
def test_a_user_agent_tells_device_and_client(user_agent: str, device: str, client: str) -> None:
    assert agent_of(user_agent) == Agent(device, client)


def test_gmails_newer_prefetch_looks_like_a_browser_and_is_known_word_by_word() -> None:
    assert agent_of(CHROME.replace("126", "104")) == Agent("proxy", "Gmail")
    assert agent_of(CHROME.replace("126", "105")) == Agent("desktop", "Chrome")


def test_what_is_behind_the_limit_is_not_read() -> None:
    assert agent_of("x" * agents.MAX_AGENT + " Thunderbird/1") == Agent("", "")


CLIENTS = {name for _mark, name in agents._PROXIES + agents._SCANNERS + agents._BROWSERS} | {name for _mark, name, _device in agents._CLIENTS} | {"Apple Mail", ""}


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=700) | st.lists(st.sampled_from([word for case in CASES for word in case[0].split()])).map(" ".join))
def test_any_text_gives_values_of_the_closed_sets(user_agent: str) -> None:
    found = agent_of(user_agent)
    assert found.device in DEVICES
    assert found.client in CLIENTS


@pytest.mark.parametrize("piece", ["(", "bot", "cubo", "like mac os x applewebkit mobile/", "mozilla/5.0 ", "a b/", "\0", "é"])
def test_hostile_texts_are_as_quick_as_others(piece: str) -> None:
    text = piece * 20_000
    started = time.process_time()
    for n in range(200):
        agent_of(f"{n}{text}")
    # 200 look-ups of texts that were never seen: 20 µs each would be 4 ms.
    assert time.process_time() - started < 0.5
