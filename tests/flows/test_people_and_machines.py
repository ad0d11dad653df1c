"""A campaign as it goes in life: image proxies, Apple's prefetching, Safe Links, gateways that click, and people.

Every number was counted by hand from the story below; the page's JSON must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from mailhub.events.service import Event, append_in
from mailhub.mail import classify
from mailhub.reporting.verify import verify
from mailhub.tasks import TASKS, run
from mailhub.tracking import hit
from tests.mail.test_classify import (
    CHROME,
    GMAIL,
    MAIL_ON_IPHONE,
    MAILRU,
    OUTLOOK,
    SAFARI,
    YAHOO,
    YANDEX,
)

THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0"
SAFE_LINKS, BARRACUDA, GATEWAY = "40.107.22.5", "203.0.113.66", "203.0.113.90"
LINKS = 4
GATEWAYS_CUSTOMERS = range(6, 11)
CLICKED_ONCE_EACH = range(11, 16)

# Person → domain.
PEOPLE = {
    1: "gmail.com", 2: "icloud.com", 3: "icloud.com", 4: "company-a.test", 5: "company-a.test",
    **dict.fromkeys(GATEWAYS_CUSTOMERS, "company-b.test"), **dict.fromkeys(CLICKED_ONCE_EACH, "company-c.test"),
    16: "mail.ru", 17: "yandex.ru", 18: "yahoo.com", 19: "web.test", 20: "company-d.test",
}  # fmt: skip

Told = tuple[str, int, float, int | None, str, str]


def story() -> Iterator[Told]:
    """Type, person, seconds after the letter was taken, link, User-Agent, address."""

    def opened(person: int, after: float, agent: str, ip: str = "") -> Told:
        return "OPENED", person, after, None, agent, ip or f"198.51.100.{person}"

    def clicked(person: int, after: float, link: int, agent: str = CHROME, ip: str = "") -> Told:
        return "REDIRECTED", person, after, link, agent, ip or f"198.51.100.{person}"

    # Gmail: the proxy fetches as Anna opens, and she clicks in her browser. One open, one click: hers.
    yield opened(1, 120, GMAIL, "66.249.93.4")
    yield clicked(1, 125, 0)
    # Apple: both letters are fetched by the privacy proxy; Boris clicks an hour later. Two machine opens, his click.
    yield opened(2, 40, "Mozilla/5.0", "104.28.40.1")
    yield opened(3, 55, "Mozilla/5.0", "104.28.40.2")
    yield clicked(2, 3600, 1, SAFARI)
    # Microsoft 365: Safe Links fetches the pixel and follows every link, as a Chrome. Twice one open and four clicks.
    for person in (4, 5):
        yield opened(person, 2, CHROME, SAFE_LINKS)
        for link in range(LINKS):
            yield clicked(person, 3 + link * 0.2, link, CHROME, SAFE_LINKS)
    # Dora reads it in Outlook a quarter of an hour later: one open, one click of hers.
    yield opened(4, 900, OUTLOOK)
    yield clicked(4, 905, 2)
    # A gateway at company B fetches the pixel and clicks everything, five letters one after another.
    for number, person in enumerate(GATEWAYS_CUSTOMERS):
        began = 8 + number * 3
        yield opened(person, began, CHROME, BARRACUDA)
        for link in range(LINKS):
            yield clicked(person, began + 0.2 + link * 0.25, link, CHROME, BARRACUDA)
    # One of the five reads it with Thunderbird: one open, one click of a person.
    yield opened(6, 1800, THUNDERBIRD)
    yield clicked(6, 1810, 0)
    # A gateway at company C follows the first link only, for five people within a minute.
    for number, person in enumerate(CLICKED_ONCE_EACH):
        yield clicked(person, 20 + number * 9, 0, f"{CHROME} v{number}", GATEWAY)
    # Mail.ru, Yandex, Yahoo: their proxies fetch as people open; one clicks.
    yield opened(16, 300, MAILRU, "95.163.255.90")
    yield opened(17, 310, YANDEX, "5.255.253.1")
    yield opened(18, 320, YAHOO, "74.6.0.1")
    yield clicked(18, 330, 3, MAIL_ON_IPHONE + " Safari/604.1")
    # Somebody opens twice in a browser and clicks the same link twice.
    yield opened(19, 400, CHROME)
    yield opened(19, 4000, CHROME)
    yield clicked(19, 410, 3)
    yield clicked(19, 4010, 3)
    # A script at company D.
    yield clicked(20, 700, 0, "python-requests/2.32.3")


def test_a_replayed_campaign_counts_people_and_machines_as_by_hand(live: Any) -> None:
    project = live.build.project(time_zone="Europe/Moscow")
    taken = datetime.now(UTC) - timedelta(hours=3)
    campaign = live.build.started_campaign(
        project, started_at=taken, links=[f"https://shop.test/{n}" for n in range(LINKS)]
    )
    for person, domain in PEOPLE.items():
        live.build.subscriber(project, f"person{person}@{domain}", id=person)
    links = list(live.session.scalars(text("SELECT id FROM link ORDER BY position")))

    def event(type_: str, person: int, after: float, link: int | None, agent: str, ip: str) -> Event:
        return Event(
            type_, project.id, "campaign", taken + timedelta(seconds=after), campaign_id=campaign.id,
            subscriber_id=person, email=f"person{person}@{PEOPLE[person]}", email_domain=PEOPLE[person],
            link_id=None if link is None else links[link], user_agent=agent, ip=ip or None,
        )  # fmt: skip

    append_in(live.session, [event("SENT", person, 0, None, "", "") for person in PEOPLE])
    live.session.commit()
    # As they would come: in the order of time, a few in a transaction.
    hits = sorted(story(), key=lambda told: told[2])
    for first in range(0, len(hits), 7):
        append_in(live.session, [event(*told) for told in hits[first : first + 7]])
        live.session.commit()
    api = live.client.api(live.session, project.id, "stats:read")

    counts = api.get(f"/api/v1/campaigns/{campaign.id}/stats").json["counts"]
    assert (counts["opened"], counts["redirected"], counts["machine_opened"]) == (17, 41, 0)  # not known yet
    run(live.registry, TASKS["mailhub.events.classify"], ())

    found = api.get(f"/api/v1/campaigns/{campaign.id}/stats").json
    assert found["counts"] == {
        "sent": 20, "hardbounced": 0, "softbounced": 0, "unsubscribed": 0, "complained": 0,
        # 17 opens: 2 by Apple, 2 by Safe Links, 5 by company B's gateway; 8 are people's.
        "opened": 17, "machine_opened": 9,
        # 14 people opened; for 2, 3, 5 and four at company B machines alone.
        "unique_opened": 14, "unique_machine_opened": 7,
        # 41 clicks: 8 by Safe Links, 20 and 5 by gateways, 1 by a script; 7 are people's.
        "redirected": 41, "machine_redirected": 34,
        # For 17 people somebody clicked; for 5, four at company B, five at company C and 20 machines alone.
        "unique_redirected": 17, "unique_machine_redirected": 11,
    }  # fmt: skip
    of_links = [
        (one["redirected"], one["machine_redirected"], one["unique_redirected"], one["unique_machine_redirected"])
        for one in found["links"]
    ]
    # The first link: people 1 and 6; Safe Links 2, gateways 5 and 5, the script 1.
    assert of_links == [(15, 13, 14, 12), (8, 7, 8, 7), (8, 7, 7, 6), (10, 7, 9, 7)]
    of_company_b = next(one for one in found["domains"] if one["domain"] == "company-b.test")
    assert [of_company_b[name] for name in ("opened", "machine_opened", "redirected", "machine_redirected")] == [
        6, 5, 21, 20
    ]  # fmt: skip
    daily = api.get("/api/v1/stats/daily").json["results"]
    assert sum(day["machine_opened"] + day["machine_redirected"] for day in daily) == 9 + 34
    causes = live.session.execute(
        text("SELECT actor_cause, count(*) AS hits FROM message_event WHERE actor_cause <> '' GROUP BY 1")
    )
    assert {row.actor_cause: row.hits for row in causes} == {
        "agent": 1, "apple_privacy": 2, "at_delivery": 2, "image_proxy": 4, "many_links": 25, "microsoft_network": 8,
        "one_address": 5, "person": 11,
    }  # fmt: skip
    assert verify(live.engine) == []


def test_tracking_and_the_classifier_have_one_word_for_what_is_fetched_ahead() -> None:
    assert hit.PREFETCH == classify.PREFETCH
