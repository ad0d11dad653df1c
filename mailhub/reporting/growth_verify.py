"""Do the days of lists say what the rows say? A recount, its mending, and the days of another time zone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from mailhub.reporting.difference import Difference
from mailhub.reporting.named import SQL

_MENDS = ("mend_list_counts", "mend_list_days", "mend_list_sources")
_SWEPT = ("sweep_list_days", "sweep_list_source_days", "sweep_list_bounce_days")
_COLUMNS = ("joined", "unsubscribed", "removed")


def recount(connection: Connection, projects: Sequence[int]) -> list[Difference]:
    """Counters against rows, sums of days against who is subscribed, sources against days; `subscription` is read once.

    Reads mailing_list, subscription, list_count, list_day, list_source_day.
    """
    binds = {"projects": list(projects)}
    found = [
        Difference(
            "list_days" if row.name == "days" else "list_count",
            row.project_id,
            f"list {row.list_id}",
            "subscribed" if row.name == "days" else row.name,
            row.rolled,
            row.recounted,
        )
        for row in connection.execute(SQL["verify_lists"].text, binds)
    ]
    found += [
        Difference("list_source_days", row.project_id, f"list {row.list_id} day {row.day}", column, rolled, recounted)
        for row in connection.execute(SQL["verify_list_sources"].text, binds)
        for column, rolled, recounted in zip(_COLUMNS, row.rolled, row.recounted, strict=True)
        if rolled != recounted
    ]
    return found


def mend(connection: Connection, project_id: int) -> None:
    """Set a project's counters, days and sources right, while nobody counts. Whoever joins or leaves waits for it."""
    connection.execute(SQL["hold_list_days"].text, {"project_id": project_id})
    for name in _MENDS:
        connection.execute(SQL[name].text, {"project_id": project_id})


def cut_again(connection: Connection, project_id: int) -> int:
    """Move a project's lists to the days of its present zone; gives how many moves are on another day now.

    As far as the rows tell: people who have been deleted, or left and came back, stay on the day that they were counted
    on. Whoever joins or leaves waits for it. A second run finds that it is done.
    """
    binds = {"project_id": project_id}
    connection.execute(SQL["hold_list_days"].text, binds)
    zones = connection.execute(SQL["zone_of_list_days"].text, binds).one_or_none()
    if zones is None or zones.days_zone is None:
        return 0
    moved = 0
    if zones.days_zone != zones.time_zone:
        both = binds | {"old": zones.days_zone, "new": zones.time_zone}
        moved += int(connection.execute(SQL["move_list_days"].text, both).scalar_one())
        moved += int(connection.execute(SQL["move_list_bounces"].text, both).scalar_one())
        for name in _SWEPT:
            connection.execute(SQL[name].text, binds)
    connection.execute(SQL["list_days_are_cut"].text, binds)
    return moved
