"""Which addresses a file has brought already, and on which line: two flat arrays instead of a dict of objects.

A million addresses take 48 MB here and 180 MB in a dict of strings.
"""

from __future__ import annotations

from array import array


class Seen:
    """A growing hash table from an address's key to the line of its first row.

    Keys are kept as 64-bit hashes: among ten million, two different ones fall together with a chance of 3 in a million.
    """

    def __init__(self) -> None:
        self._resize(1 << 12)
        self._used = 0

    def _resize(self, size: int) -> None:
        self._mask = size - 1
        self._hashes = array("q", bytes(8 * size))
        self._lines = array("Q", bytes(8 * size))

    def __len__(self) -> int:
        return self._used

    def first_line(self, key: str, line: int) -> int:
        """0 if the key is new, and it is remembered with its line; else the line of its first row."""
        value = hash(key)
        mask, hashes, lines = self._mask, self._hashes, self._lines
        slot = value & mask
        while kept := lines[slot]:
            if hashes[slot] == value:
                return kept
            slot = (slot + 1) & mask
        hashes[slot], lines[slot] = value, line
        self._used += 1
        if self._used * 3 > (mask + 1) * 2:
            self._grow()
        return 0

    def _grow(self) -> None:
        hashes, lines = self._hashes, self._lines
        self._resize((self._mask + 1) * 2)
        mask = self._mask
        for value, line in zip(hashes, lines, strict=True):
            if line:
                slot = value & mask
                while self._lines[slot]:
                    slot = (slot + 1) & mask
                self._hashes[slot], self._lines[slot] = value, line
