"""Secrets of programs and links: made here, shown once, kept as SHA-256 (they have 256 bits of entropy)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_TOKEN = re.compile(r"(mh|mha)_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class NewSecret:
    """A fresh API key or admin token: `shown` goes to the user once, the rest into its row."""

    key_id: str
    shown: str
    hash: bytes


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def new_secret(prefix: str) -> NewSecret:
    """`mh_<key_id>_<secret>` for an API key (`prefix` mh), `mha_…` for an admin's token."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    return NewSecret(key_id, f"{prefix}_{key_id}_{secret}", digest(secret))


def parse(prefix: str, shown: str) -> tuple[str, str] | None:
    """Take a presented key apart: (key_id, secret), or None if it is not one of this kind."""
    found = _TOKEN.fullmatch(shown)
    if found is None or found.group(1) != prefix:
        return None
    return found.group(2), found.group(3)


def matches(kept: bytes, secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(kept, digest(secret))


def new_token() -> str:
    """256 bits for a session or a one-time link, as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)
