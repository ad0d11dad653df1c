"""Keyed hashes of addresses: all that is kept of somebody who was erased, so that nobody writes to them again.

SHA-256 over a key of this deployment and the address in lower case. The key is HKDF-SHA256 (RFC 5869) of
`mailhub.secret_key`: without it a dump can't be searched for addresses by trying them out. PostgreSQL computes the same
as `sha256(key || convert_to(email_key, 'UTF8'))`, with the key bound. Hashes outlive a change of the secret key for as
long as the old one stands in `mailhub.secret_keys_old`: they are looked up by every key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_keys: tuple[bytes, ...] = ()


def configure(secret_keys: Sequence[str]) -> None:
    """Set the keys of this process: the present secret key first, then the old ones."""
    global _keys
    _keys = tuple(_derived(key) for key in secret_keys if key)


def known_keys() -> tuple[bytes, ...]:
    """The keys by which a hash may have been made, the present one first. Raises RuntimeError before `configure`."""
    if not _keys:
        raise RuntimeError("the keys of address hashes are not configured")
    return _keys


def hash_of(email_key: str) -> bytes:
    """What is kept of the address."""
    return hashlib.sha256(known_keys()[0] + email_key.encode()).digest()


def hashes_of(email_key: str) -> list[bytes]:
    """What may be kept of the address, by any of the keys."""
    return [hashlib.sha256(key + email_key.encode()).digest() for key in known_keys()]


def _derived(secret_key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mailhub address hashes").derive(secret_key.encode())
