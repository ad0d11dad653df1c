"""What an SMTP server's answer means: accepted, try later, or failed, and whose fault it is.

Rules in this order: what the provider's own published texts and codes say, words any server uses, the enhanced status
code, the basic code (tables and sources in smtp_rules.py). A reply before RCPT is never held against the recipient,
and neither is a refusal of the sender.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mailhub.mail.smtp_rules import BY_CODE, BY_ENHANCED, REASONS, TEXT_RULES, Klass

State = Literal["sent", "deferred", "failed"]
Event = Literal["SENT", "DEFERRED", "HARDBOUNCED", "SOFTBOUNCED", "BLOCKED"]
Stage = Literal["connect", "helo", "starttls", "auth", "mail", "rcpt", "data", "body"]

_BEFORE_RECIPIENT = frozenset({"connect", "helo", "starttls", "auth", "mail"})
_ENHANCED = re.compile(r"(?<![\d.])#?([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_CODE = re.compile(r"^\s*([2-5]\d\d)(?:[ \t-]|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the server: `code` 0 when there was none to read, `text` in one line."""

    code: int
    enhanced: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to record and do. `retry_after` in seconds when the server said how long; `close` ends the connection."""

    state: State
    klass: Klass
    reason: str
    event: Event
    code: int
    enhanced: str | None
    retry_after: int | None = None
    close: bool = False


_WAIT = re.compile(
    r"(?:try again|retry|come back|wait|delayed|deferred|greylist\w*)\D{0,40}?(\d{1,5})\s*(s\b|sec|min|m\b|hour|h\b)",
    re.IGNORECASE,
)
_UNIT = {"s": 1, "m": 60, "h": 3600}


def parse_reply(raw: str | bytes) -> Reply:
    """A reply as received: several lines (`550-5.1.1 …`), codes such as `#5.1.1`, or text without any code."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    code, pieces = 0, []
    for line in text[:10_000].splitlines():
        if found := _CODE.match(line):
            code = code or int(found[1])
            line = line[found.end() :]
        pieces.append(line)
    joined = " ".join(" ".join(pieces).split())
    return Reply(code, find_enhanced(joined), joined)


def find_enhanced(text: str) -> str | None:
    """The first enhanced status code of a text, in the form `5.1.1`."""
    found = _ENHANCED.search(text)
    return f"{found[1]}.{int(found[2])}.{int(found[3])}" if found else None


def classify(code: int, enhanced: str | None, text: str, stage: Stage) -> Outcome:
    """The outcome of one letter after this reply; a code of 0 means the connection failed and `text` says how."""
    text = " ".join(text[:4_000].split())
    enhanced = (enhanced or "").lstrip("#") or find_enhanced(text)
    if 200 <= code < 400:
        return Outcome("sent", "NONE", "", "SENT", code, enhanced)
    reason = _reason(code, enhanced, text, stage)
    klass = REASONS[reason]
    # 4yz is temporary and 5yz final (RFC 5321 §4.2.1); what concerns only our way to the server is tried again too.
    final = code >= 500
    if stage in _BEFORE_RECIPIENT and klass != "HARD":
        final = final and stage == "mail" and reason != "ratelimit"
    if reason in ("relayauth", "relaydenied") and stage != "rcpt":
        final = False
    wait = _retry_after(text)
    close = code in (0, 421, 521) or stage in ("connect", "helo", "starttls", "auth")
    if not final:
        return Outcome("deferred", klass, reason, "DEFERRED", code, enhanced, wait, close)
    event: Event = "BLOCKED" if klass == "BLOCK" else "HARDBOUNCED" if klass == "HARD" else "SOFTBOUNCED"
    return Outcome("failed", klass, reason, event, code, enhanced, None, close)


def _reason(code: int, enhanced: str | None, text: str, stage: Stage) -> str:
    spoken = f"{code} {enhanced or ''} {text}" if code == 556 else f"{enhanced or ''} {text}"
    found = next((reason for reason, pattern in TEXT_RULES if pattern.search(spoken)), None)
    if code == 0:
        return found if found in ("hostunknown", "nullmx", "failedstarttls", "expired") else "networkerror"
    if found is None and enhanced:
        found = BY_ENHANCED.get(enhanced.partition(".")[2])
    if found is None:
        found = BY_CODE.get(code)
    if found is None:
        found = "systemerror" if code < 500 else "unknown"
    if stage in _BEFORE_RECIPIENT:
        return _about_us(found, code, stage)
    if found == "rejected" and code == 553 and stage == "rcpt" and not re.search("sender|from", text, re.IGNORECASE):
        return "notaccept"
    return found


def _about_us(reason: str, code: int, stage: Stage) -> str:
    """A refusal before a recipient was named is not about the recipient, unless the host takes no mail at all."""
    if reason == "nullmx" and stage == "connect" and code in (521, 556):
        return reason
    if stage == "auth" and code >= 500:
        return "relayauth"
    if REASONS[reason] in ("BLOCK", "SOFT") and reason not in ("mailboxfull", "toobig"):
        return reason
    if stage == "mail" and reason == "toobig":
        return reason
    return "systemerror" if code < 500 else "rejected"


def _retry_after(text: str) -> int | None:
    """The wait a server asks for, between a second and a day."""
    found = _WAIT.search(text)
    if found is None:
        return None
    return max(1, min(int(found[1]) * _UNIT[found[2][0].lower()], 86_400))
