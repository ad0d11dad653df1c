"""How a provider asks for less: from a refusal to what is done to the lane. Never about the person written to.

Sources: RFC 5321 §4.2.1 and 3.8 (421), RFC 3463 §3.8 (X.7.X), RFC 6647 (greylisting); Google "Email sender guidelines"
and "SMTP errors and codes" (4.7.28); Yahoo Sender Hub "SMTP error codes" (TS01–TSS09); Microsoft "Outlook.com
Postmaster" (S3140, S3150, S77x, 4.7.650); Amazon SES "SMTP issues" (454). How hard and how long is after KumoMTA's
default automation.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mailhub.mail.smtp_reply import find_enhanced
from mailhub.mail.smtp_rules import REASONS

#: `slow` halves the rate, `crawl` leaves a letter a minute on one connection, `suspend` stops the lane for a while.
Kind = Literal["slow", "crawl", "suspend"]

CRAWL_PER_SECOND = 1 / 60


@dataclass(frozen=True, slots=True)
class Pushback:
    """What to do, and for how long. A `weak` one is only believed when it is a good part of the lane's answers."""

    kind: Kind
    hold_seconds: int
    reason: str
    weak: bool = False


_SUSPEND = re.compile(r"\[?\bTSS?0[1-5]\b|permanently deferred", re.IGNORECASE)
_CRAWL = re.compile(
    r"rate.?limited due to|\bS(?:3140|3150|77[5-7])\b|\b4\.7\.650\b|temporarily deferred|temporarily rate.?limited",
    re.IGNORECASE,
)
# A server that restarts, or has had enough of one connection, does not ask for less mail.
_ONE_CONNECTION = re.compile(
    r"(?:per|in|on|for) (?:this |one |a |each )?(?:smtp )?(?:connection|session)", re.IGNORECASE
)
_RESTARTS = re.compile(
    r"\bidle\b|shutting down|closing (?:connection|transmission|channel)|time.?out|\b4\.4\.2\b|\b4\.3\.2\b",
    re.IGNORECASE,
)
# What our relay and we have to settle between us: sending less changes nothing.
_OUR_SETTINGS = frozenset({"relayauth", "relaydenied", "failedstarttls"})
_ABOUT_THE_PERSON = frozenset({"greylist", "mailboxfull", "toobig", "toomanyrecipients", "routing", "expired"})
_THEY_KNOW_US = frozenset({"ratelimit", "blocked", "badreputation", "requireptr"})


def pushback(code: int, text: str, reason: str, *, retry_after: int | None = None) -> Pushback | None:
    """What a refusal asks for, if it asks for anything. `reason` as classified (smtp_reply.classify).

    `retry_after`: the wait in seconds that the server named.
    """
    if code < 400 or reason in _OUR_SETTINGS or reason in _ABOUT_THE_PERSON:
        return None
    klass = REASONS.get(reason, "UNKNOWN")
    if klass in ("HARD", "PROBABLE"):
        return None
    if _SUSPEND.search(text):
        return Pushback("suspend", 7200, reason)
    if _CRAWL.search(text):
        return Pushback("crawl", 5400, reason)
    enhanced = find_enhanced(text) or ""
    if _ONE_CONNECTION.search(text):
        return None
    if reason not in _THEY_KNOW_US and not enhanced.startswith("4.7.") and _RESTARTS.search(text):
        return None
    hold = max(300, min(retry_after or 0, 5400))
    if reason in _THEY_KNOW_US:
        return Pushback("slow", max(hold, 900 if reason == "ratelimit" else 1800), reason)
    if code >= 500:
        # About what we write and for whom: one project's letters must not slow down everybody's at once.
        return Pushback("slow", 1800, reason, weak=True) if klass == "BLOCK" else None
    if code == 421 or enhanced.startswith("4.7."):
        return Pushback("slow", max(hold, 900) if enhanced.startswith("4.7.") else hold, reason)
    if code in (450, 451, 452, 454) or klass == "BLOCK":
        return Pushback("slow", hold, reason, weak=True)
    return None
