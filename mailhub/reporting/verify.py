"""Do the rollups say what the raw events say? A recount in one snapshot, and the mending of what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from mailhub.reporting.named import SQL

COUNTS = (
    "sent", "opened", "redirected", "hardbounced", "softbounced", "unsubscribed", "complained", "deferred", "blocked",
    "unknown",
)  # fmt: skip
_UNIQUE = ("unique_opened", "unique_redirected")
#: Rollup → the columns of its key, and the numbers in the order of the statements' arrays.
ROLLUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "project_days": (("project_id", "day"), COUNTS),
    "campaigns": (("project_id", "campaign_id"), (*COUNTS, *_UNIQUE)),
    "campaign_days": (("project_id", "campaign_id", "day"), COUNTS),
    "domains": (("project_id", "campaign_id", "email_domain"), COUNTS),
    "links": (("project_id", "campaign_id", "link_id"), ("redirected", "unique_redirected")),
    "reactions": (("project_id", "campaign_id", "subscriber_id"), ("opened", "redirected")),
    "link_reactions": (("project_id", "campaign_id", "link_id", "subscriber_id"), ("redirected",)),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of a rollup that is not what a recount says."""

    rollup: str
    key: str
    column: str
    rolled: int
    recounted: int

    def __str__(self) -> str:
        return f"{self.rollup} {self.key}: {self.column} is {self.rolled}, recounted {self.recounted}"


def verify(engine: Engine, *, repair: bool = False) -> list[Difference]:
    """Every difference between rollups and raw events; with `repair` the rollups are set to the recount.

    Compared are days and campaigns that began after the oldest raw events. Reading takes one snapshot and stops
    nobody; a repair keeps new events waiting until it is done.
    """
    found: list[Difference] = []
    isolation = "READ COMMITTED" if repair else "REPEATABLE READ"
    with engine.connect().execution_options(isolation_level=isolation) as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        if repair:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
            connection.execute(SQL["lock_rollups"].text)
        floor = connection.execute(SQL["raw_floor"].text).scalar_one()
        for rollup, (key, columns) in ROLLUPS.items():
            for row in connection.execute(SQL[f"verify_{rollup}"].text, {"floor": floor}).all():
                found += _differences(rollup, key, columns, row)
                if repair:
                    _mend(connection, rollup, key, row)
        if repair:
            connection.commit()
    return found


def _differences(rollup: str, key: Sequence[str], columns: Sequence[str], row: Any) -> list[Difference]:
    where = " ".join(f"{name.removesuffix('_id')} {getattr(row, name)}" for name in key)
    return [
        Difference(rollup, where, column, rolled, recounted)
        for column, rolled, recounted in zip(columns, row.rolled, row.recounted, strict=True)
        if rolled != recounted
    ]


def _mend(connection: Connection, rollup: str, key: Sequence[str], row: Any) -> None:
    values = {name: getattr(row, name) for name in key}
    connection.execute(SQL[f"repair_{rollup}"].text, {**values, "counts": list(row.recounted)})
