"""Sealed secrets open for their purpose and with a key that is kept, and for nothing else."""

from __future__ import annotations

import pytest

from mailhub.security.sealed import CannotOpen, Sealer

OLD, NEW = "an old secret key of the tests", "a new secret key of the tests"


def test_a_secret_is_read_back() -> None:
    sealed = Sealer([OLD]).seal(b"private", "row 1")
    assert b"private" not in sealed
    assert Sealer([OLD]).open(sealed, "row 1") == b"private"
    assert Sealer([OLD]).seal(b"private", "row 1") != sealed


def test_old_keys_open_and_the_new_one_seals() -> None:
    sealed = Sealer([OLD]).seal(b"private", "row 1")
    assert Sealer([NEW, OLD]).open(sealed, "row 1") == b"private"
    fresh = Sealer([NEW, OLD]).seal(b"private", "row 1")
    assert Sealer([NEW]).open(fresh, "row 1") == b"private"
    with pytest.raises(CannotOpen):
        Sealer([NEW]).open(sealed, "row 1")


def test_a_secret_of_one_row_is_none_of_another() -> None:
    sealed = Sealer([OLD]).seal(b"private", "row 1")
    with pytest.raises(CannotOpen) as refused:
        Sealer([OLD]).open(sealed, "row 2")
    assert "private" not in str(refused.value)


def test_every_change_is_noticed() -> None:
    sealed = Sealer([OLD]).seal(b"private", "row 1")
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CannotOpen):
            Sealer([OLD]).open(bytes(changed), "row 1")
    for short in (b"", b"\x01", sealed[:10], sealed[:-1]):
        with pytest.raises(CannotOpen):
            Sealer([OLD]).open(short, "row 1")
