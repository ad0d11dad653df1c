"""Proof that a form was filled in by a browser that took its time: a stamp, and work that costs a program more.

A stamp says when, for which form and by which site's link a page was shown; it is signed, and good once. The work is a
number which, behind the stamp, gives a SHA-256 that begins with so many zero bits: nothing of it comes from a third
party, nothing about the person is asked, and checking it takes two hashes. static/js/sign-up.js does it in the browser.

    1764240000000.15.0a1b2c3d4e5f.example.com.<MAC>      milliseconds, bits, nonce, site, MAC
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

#: Nobody fills a form in faster than this; the form is shown once more.
MIN_FILL_SECONDS = 0.5
#: An older page is shown again: its stamp may have been kept to be used by a program.
MAX_STAMP_SECONDS = 24 * 3600
#: Work is only worth something while it is fresh.
MAX_WORK_SECONDS = 3600
#: 2^15 hashes: under a second in a browser, and an hour of a core for 200,000 forms.
BITS = 15

_MAC_LETTERS = 32
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.:-]{0,251}[a-z0-9])?")
_STAMP = re.compile(r"(\d{10,16})\.(\d{1,2})\.([0-9a-f]{12})\.([a-z0-9.:-]{0,253})\.([0-9a-f]{32})")
_WORK = re.compile(r"\d{1,15}")


@dataclass(frozen=True)
class Stamp:
    """What a genuine stamp says. `key` names it for ever, so that it can be used up."""

    age_seconds: float
    bits: int
    host: str
    key: str


def make(registry: Any, form_key: str, *, host: str = "", now: float | None = None, bits: int = BITS) -> str:
    """A stamp for a page that is shown now."""
    millis = int((time.time() if now is None else now) * 1000)
    body = f"{millis}.{bits}.{secrets.token_hex(6)}.{host if _HOST.fullmatch(host) else ''}"
    return f"{body}.{_mac(registry, form_key, body)}"


def read(registry: Any, form_key: str, given: str, *, now: float | None = None) -> Stamp | None:
    """What the stamp says; None if it is not ours, or another form's."""
    match = _STAMP.fullmatch(given)
    if match is None:
        return None
    body = given[: -_MAC_LETTERS - 1]
    if not hmac.compare_digest(match[5], _mac(registry, form_key, body)):
        return None
    age = (time.time() if now is None else now) - int(match[1]) / 1000
    return Stamp(age, int(match[2]), match[4], match[5])


def is_worked(given: str, stamp: Stamp, work: str) -> bool:
    """Whether this number was found for the stamp (`given`: as it was sent)."""
    if stamp.age_seconds > MAX_WORK_SECONDS or not _WORK.fullmatch(work):
        return False
    digest = hashlib.sha256(f"{given}.{work}".encode()).digest()
    return int.from_bytes(digest, "big") >> (256 - stamp.bits) == 0


def find(given: str, bits: int = BITS) -> str:
    """Do the work, as a browser does: for tests and drills, and for programs of a project's own."""
    number = 0
    while int.from_bytes(hashlib.sha256(f"{given}.{number}".encode()).digest(), "big") >> (256 - bits):
        number += 1
    return str(number)


def _mac(registry: Any, form_key: str, body: str) -> str:
    key: str = registry.mailhub.secret_key
    return hmac.new(key.encode(), f"sign-up:{form_key}:{body}".encode(), hashlib.sha256).hexdigest()[:_MAC_LETTERS]
