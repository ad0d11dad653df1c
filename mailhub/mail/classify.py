"""Who opened and clicked: people or machines. A pure function over a hit, its delivery and the hits around it.

The first rule that fits decides, and its name is the cause that is stored with the hit. Nothing is dropped: both
numbers are shown, and everything can be classified again. docs/people-and-machines.md has the rules in one table.

No rule looks for a hidden link (a "honeypot"), because Gmail's rules for senders forbid hidden content; and none sees
HEAD or OPTIONS, which are not stored as hits. What a machine fetched stays the machine's although its reader clicks
later: the click says that somebody has read the letter, and is counted as theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mailhub.mail.agents import APPLE_PRIVACY, GMAIL_PREFETCH, Agent, agent_of
from mailhub.mail.lane import provider_lane
from mailhub.mail.neighbours import MANY_LINKS_TIME, Sweep, Taint, is_in
from mailhub.mail.networks import MICROSOFT_MAIL, Networks, is_inside

__all__ = ["CAUSES", "NOBODY_NEAR", "PREFETCH", "Hit", "Neighbours", "Places", "Verdict", "classify", "is_traceable"]

Actor = Literal["human", "proxy_open", "machine_open", "scanner", "unknown"]
Cause = Literal[
    "prefetch", "agent", "no_agent", "scanner_network", "microsoft_network", "before_delivery", "at_delivery",
    "many_links", "every_link", "one_address", "taint", "no_browser", "gmail_prefetch", "apple_privacy", "apple_relay",
    "image_proxy", "unknown_agent", "person",
]  # fmt: skip

#: What tracking writes into an event's `detail` where Sec-Purpose, Purpose or X-Moz said that nobody is looking yet.
PREFETCH = "prefetch"

#: Nobody has read a letter so soon after the provider took it: gateways follow links before the inbox shows it
#: (mautic's isHitByBot has 2 s after sending; delivery is later than that).
CLICK_AT_DELIVERY = timedelta(seconds=1)
OPEN_AT_DELIVERY = timedelta(seconds=5)

#: Every cause, and the actors that it can lead to.
CAUSES: dict[Cause, tuple[Actor, ...]] = {
    "prefetch": ("scanner", "machine_open"),
    "agent": ("scanner",),
    "no_agent": ("scanner",),
    "scanner_network": ("scanner",),
    "microsoft_network": ("scanner",),
    "before_delivery": ("scanner", "machine_open"),
    "at_delivery": ("scanner", "machine_open"),
    "many_links": ("scanner",),
    "every_link": ("scanner",),
    "one_address": ("scanner",),
    "taint": ("scanner",),
    "no_browser": ("scanner",),
    "gmail_prefetch": ("machine_open",),
    "apple_privacy": ("machine_open",),
    "apple_relay": ("machine_open",),
    "image_proxy": ("proxy_open",),
    "unknown_agent": ("unknown",),
    "person": ("human",),
}
#: Causes that no office behind one address can have: the address and program of such a click are remembered. The others
#: are known by the same sign next time anyway, or say too little (`one_address`).
TAINTING: frozenset[Cause] = frozenset({"before_delivery", "at_delivery", "many_links", "every_link"})


@dataclass(frozen=True, slots=True)
class Hit:
    """An open or a click as it is stored."""

    click: bool
    at: datetime
    user_agent: str = ""
    ip: str = ""
    email_domain: str = ""
    prefetch: bool = False


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What is known of the hits around. `delivered_at`: when the relay took the letter, if that was about then."""

    delivered_at: datetime | None = None
    #: Sweeps of this letter's links (`sweeps_of`), and of this address and mail domain (`crowds_of`).
    sweeps: Sequence[Sweep] = ()
    crowds: Sequence[Sweep] = ()
    #: What is remembered of this address with this program.
    taint: Taint | None = None


NOBODY_NEAR = Neighbours()


@dataclass(frozen=True, slots=True)
class Places:
    """Networks that say something: scanners', those whose clicks are machines', and Apple's relays'."""

    scanners: Networks = field(default_factory=Networks)
    clicks_only: Networks = field(default_factory=lambda: Networks(MICROSOFT_MAIL))
    relays: Networks = field(default_factory=Networks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who made a hit, and by which rule that is known."""

    actor: Actor
    cause: Cause

    @property
    def is_machine(self) -> bool:
        return self.actor in ("machine_open", "scanner")

    @property
    def taints(self) -> bool:
        """Whether the hit's address and program are remembered as a scanner's."""
        return self.actor == "scanner" and self.cause in TAINTING


def classify(hit: Hit, near: Neighbours, places: Places) -> Verdict:
    """Who made this hit. About 5 µs with a User-Agent that was seen lately.

    Rules for both: `prefetch` (Sec-Purpose, Purpose, X-Moz: W3C resource hints, Chrome, Firefox), `agent` (names of
    gateways, robots, libraries), `no_agent`, `scanner_network` (the operator's list).
    """
    agent = agent_of(hit.user_agent)
    text = hit.user_agent.strip().lower()
    if hit.prefetch:
        return Verdict("scanner" if hit.click else "machine_open", "prefetch")
    if not text:
        return Verdict("scanner", "no_agent")
    if agent.device == "bot":
        return Verdict("scanner", "agent")
    if hit.ip and hit.ip in places.scanners:
        return Verdict("scanner", "scanner_network")
    return (_click if hit.click else _open)(hit, near, places, agent, text)


def _click(hit: Hit, near: Neighbours, places: Places, agent: Agent, text: str) -> Verdict:
    """`microsoft_network`: Safe Links tests links from there, and people's clicks come from their own browsers
    (warmbly#412); `before_delivery`, `at_delivery` (gateways hold a letter until they have looked); `many_links`,
    `every_link` (Maestra); `one_address` (a gateway of a company); `taint` (Paminga); `no_browser`: a fetcher of images
    that follows a link."""
    if hit.ip and hit.ip in places.clicks_only:
        return Verdict("scanner", "microsoft_network")
    if timed := _at_delivery(hit, near, CLICK_AT_DELIVERY):
        return Verdict("scanner", timed)
    if sweep := is_in(near.sweeps, hit.at) or is_in(near.crowds, hit.at):
        return Verdict("scanner", sweep.cause)
    if near.taint is not None and near.taint.covers(hit.at):
        return Verdict("scanner", "taint")
    # One of Gmail's two prefetching programs calls itself an ordinary Chrome; a click with it may be a person's.
    if agent.device == "proxy" and text not in GMAIL_PREFETCH:
        return Verdict("scanner", "no_browser")
    return Verdict("human", "person") if agent.device else Verdict("unknown", "unknown_agent")


def _open(hit: Hit, near: Neighbours, places: Places, agent: Agent, text: str) -> Verdict:
    """`gmail_prefetch` (mautic PR#10245, Keila); `apple_privacy` (uap-core#509); `apple_relay`: Private Relay, unless a
    whole browser comes through it, which is somebody reading webmail; `before_delivery`, `at_delivery`; the sweep of
    the letter by the same address; `taint`; `image_proxy`: Gmail, Yahoo, Mail.ru and Yandex fetch when a person opens.

    Microsoft's networks say nothing here: Outlook.com fetches images for people from them (warmbly#412). Neither does a
    WebKit without a browser's name: Mail on a Mac and the new Outlook are that too (warmbly#569).
    """
    if text in GMAIL_PREFETCH:
        return Verdict("machine_open", "gmail_prefetch")
    if text == APPLE_PRIVACY:
        return Verdict("machine_open", "apple_privacy")
    if hit.ip and agent.client in ("Apple Mail", "") and hit.ip in places.relays:
        return Verdict("machine_open", "apple_relay")
    if timed := _at_delivery(hit, near, OPEN_AT_DELIVERY):
        return Verdict("machine_open", timed)
    for sweep in near.sweeps:
        if hit.ip in sweep.ips and sweep.since - MANY_LINKS_TIME <= hit.at <= sweep.until + MANY_LINKS_TIME:
            return Verdict("scanner", sweep.cause)
    if near.taint is not None and near.taint.covers(hit.at):
        return Verdict("scanner", "taint")
    if agent.device == "proxy":
        return Verdict("proxy_open", "image_proxy")
    return Verdict("human", "person") if agent.device else Verdict("unknown", "unknown_agent")


def _at_delivery(hit: Hit, near: Neighbours, soon: timedelta) -> Literal["before_delivery", "at_delivery", None]:
    if near.delivered_at is None or hit.at - near.delivered_at >= soon:
        return None
    return "before_delivery" if hit.at < near.delivered_at else "at_delivery"


def is_traceable(hit: Hit) -> bool:
    """Whether the address tells one machine from others, so that crowds and traces may be looked for.

    Not at the big mailbox providers, whose people come by the thousand from one address of a mobile carrier, and who
    have no gateway that clicks; not from private addresses, which are a proxy in front of us.
    """
    return bool(hit.ip and hit.user_agent) and provider_lane(hit.email_domain) == "other" and not is_inside(hit.ip)
