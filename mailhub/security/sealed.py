"""Secrets that must be read again, as rows hold them: encrypted and authenticated with keys of `mailhub.secret_key`.

AES-256-GCM (NIST SP 800-38D) with a random nonce. The key is HKDF-SHA256 (RFC 5869) of the secret key, so nothing that
is signed with the secret key elsewhere says anything about it. What a secret is of (`about`) is authenticated: it can't
be moved into another row. Layout: a version byte, the first byte of the key's SHA-256, 12 bytes nonce, ciphertext, tag.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailhub.settings import Settings

_VERSION = 1
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """No key of ours has sealed this for that purpose: the secret key was changed and the old one is not kept."""


class Sealer:
    """Seals with the first secret key, opens with all of them."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._keys = [_derived(key) for key in secret_keys]

    def seal(self, secret: bytes, about: str) -> bytes:
        """The secret as a row may hold it."""
        key_id, cipher = self._keys[0]
        head, nonce = bytes((_VERSION, key_id)), os.urandom(_NONCE_BYTES)
        return head + nonce + cipher.encrypt(nonce, secret, head + about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """The secret; raises CannotOpen."""
        head, nonce, text = sealed[:2], sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
        if len(head) == 2 and head[0] == _VERSION and len(text) >= 16:
            for key_id, cipher in self._keys:
                if key_id != head[1]:
                    continue
                try:
                    return cipher.decrypt(nonce, text, head + about.encode())
                except InvalidTag:
                    continue
        raise CannotOpen(f"the secret of {about} was sealed with another mailhub.secret_key")

    def is_current(self, sealed: bytes) -> bool:
        """Whether the secret was sealed with the first key; otherwise it should be sealed again."""
        return sealed[:2] == bytes((_VERSION, self._keys[0][0]))


def sealer_of(settings: Settings) -> Sealer:
    """With `mailhub.secret_key` and `mailhub.secret_keys_old`."""
    return Sealer((settings.secret_key, *settings.secret_keys_old))


def _derived(secret_key: str) -> tuple[int, AESGCM]:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mailhub sealed secrets").derive(secret_key.encode())
    return hashlib.sha256(key).digest()[0], AESGCM(key)
