"""What a recount finds: a number of a rollup that is not what the rows say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of a rollup that is not what a recount says."""

    rollup: str
    project_id: int
    key: str
    column: str
    rolled: int
    recounted: int

    def __str__(self) -> str:
        return f"{self.rollup} {self.key}: {self.column} is {self.rolled}, recounted {self.recounted}"
