"""Whose turn it is: stride scheduling between projects.

Each project has a virtual time, which grows by letters / weight with every claim; the smallest is served next. Who was
idle starts at the smallest of those that were served lately: idleness saves up nothing, a backlog of any size gives no
more than a share.

    LEFT JOIN project_turn AS t ON t.project_id = l.project_id … ORDER BY {ORDER} …

`ORDER` expects that alias. Where every project has its row (`charge(connection, project_id, 0)` at fan-out makes it),
an inner join can lock it `FOR UPDATE OF t SKIP LOCKED`: then claims at the same moment go to different projects.
"""

from __future__ import annotations

from mailhub.delivery.database import Connection

#: The virtual time at which a project that was idle begins: the smallest of those served in the last 10 s, so that one
#: who has just finished lends a newcomer no more than 10 s of the others' progress. Constant within a statement.
FLOOR = """(
    SELECT coalesce(min(s.vtime) FILTER (WHERE s.charged_at > clock_timestamp() - interval '10 s'), max(s.vtime), 0)
    FROM project_turn AS s
)"""

#: Of equals, the one that has waited longest: at a few letters a minute nobody is recent, and it goes turn by turn.
ORDER = f"greatest(coalesce(t.vtime, 0), {FLOOR}), t.charged_at NULLS FIRST"

_CHARGE = """
    INSERT INTO project_turn AS t (project_id, vtime, charged_at)
    SELECT %(project_id)s, f.vtime + %(n)s, clock_timestamp() FROM (
        SELECT coalesce(
            min(s.vtime) FILTER (WHERE s.charged_at > clock_timestamp() - interval '10 s'), max(s.vtime), 0
        ) AS vtime
        FROM project_turn AS s
    ) AS f
    ON CONFLICT (project_id) DO UPDATE
    SET vtime = greatest(t.vtime, EXCLUDED.vtime - %(n)s) + %(n)s / t.weight, charged_at = EXCLUDED.charged_at
"""


def charge(connection: Connection, project_id: int, n: int) -> None:
    """Note that `n` letters of the project were claimed. Call it last in the claim's transaction: it locks the row.

    A negative `n` gives back what was claimed and not sent; 0 only makes the row, where newcomers begin.
    """
    connection.execute(_CHARGE, {"project_id": project_id, "n": float(n)})
