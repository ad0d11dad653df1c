"""Passwords: argon2id, and the rules for a new one (OWASP ASVS 5, 6.2)."""

from __future__ import annotations

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: OWASP's first recommendation for argon2id: 19 MiB, 2 passes, 1 lane. About 50 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

MIN_LENGTH, MAX_LENGTH = 12, 128


def hash_password(password: str) -> str:
    """The string to keep; it carries its own parameters and salt."""
    return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher.hash("nobody has this password")


def verify(stored: str | None, password: str) -> bool:
    """Whether the password is right. An unknown user costs the same time as a known one."""
    try:
        return _hasher.verify(stored or _nobody(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the parameters have grown since this hash was made."""
    return _hasher.check_needs_rehash(stored)


def fault(password: str, *, words: tuple[str, ...] = ()) -> str | None:
    """A stable code for what is wrong with a new password: too_short, too_long, common; None if nothing.

    `words` are what an attacker would try first: the address, the person's and the project's name.
    """
    if len(password) < MIN_LENGTH:
        return "too_short"
    if len(password) > MAX_LENGTH:
        return "too_long"
    folded = password.casefold()
    obvious = [word.casefold() for word in (*words, "password", "mailhub", "qwerty", "123456") if len(word) > 3]
    rest = folded
    for word in obvious:
        rest = rest.replace(word, "")
    return "common" if len(set(rest)) < 5 else None
