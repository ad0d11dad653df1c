"""What is left of a cancelled campaign: everybody not yet written to is skipped, by set statements in slices."""

from __future__ import annotations

from collections import Counter

from mailhub.delivery import claim
from mailhub.delivery.claim import Stand
from mailhub.delivery.database import Connection
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.source import settle_abandoned

#: Chunks that are skipped in one transaction.
SLICE = 40

_FREE = """
    WITH lane AS (
        SELECT project_id, campaign_id, lane, next_seq, least(next_seq + %(slice)s, last_seq + 1) AS until
        FROM campaign_lane
        WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND next_seq <= last_seq
        ORDER BY lane
        LIMIT 1
        FOR UPDATE
    ), moved AS (
        UPDATE campaign_lane AS l
        SET next_seq = f.until
        FROM lane AS f
        WHERE l.project_id = f.project_id AND l.campaign_id = f.campaign_id AND l.lane = f.lane
    )
    SELECT k.ids
    FROM campaign_chunk AS k
    JOIN lane AS f ON k.project_id = f.project_id AND k.campaign_id = f.campaign_id AND k.lane = f.lane
    WHERE k.seq >= f.next_seq AND k.seq < f.until
"""

_SKIP = """
    INSERT INTO message (
        project_id, created_at, id, kind, queue, state, reason, project_domain, campaign_id, campaign_name, list_id,
        list_name, subscriber_id, email, email_domain, settled_at
    )
    SELECT v.project_id, now(), uuid7(), 'campaign', 'bulk', 'skipped', 'cancelled', p.domain, v.campaign_id,
           c.name, v.list_id, coalesce(l.name, v.list_name), a.id, coalesce(s.email, ''),
           coalesce(s.email_domain, ''), now()
    FROM unnest(%(ids)s::bigint[]) AS a (id)
    JOIN campaign AS c ON c.project_id = %(project_id)s AND c.id = %(campaign_id)s
    JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    JOIN project AS p ON p.id = c.project_id
    LEFT JOIN mailing_list AS l ON l.project_id = v.project_id AND l.id = v.list_id
    LEFT JOIN subscriber AS s ON s.project_id = c.project_id AND s.id = a.id
"""

_SKIP_DEFERRED = """
    UPDATE message
    SET state = 'skipped', reason = 'cancelled', due_at = NULL, settled_at = clock_timestamp(),
        lease_owner = NULL, lease_until = NULL
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND kind = 'campaign' AND state = 'deferred'
      AND NOT in_flight
"""

# Letters that were to be sent again and are not: each is again what it was, in doubt or failed.
_NOT_AGAIN = """
    UPDATE message
    SET state = CASE WHEN smtp_code IS NULL THEN 'unknown' ELSE 'failed' END, due_at = NULL,
        settled_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND kind = 'campaign' AND state = 'queued'
      AND NOT in_flight
    RETURNING state
"""

_COUNT = """
    UPDATE campaign_count
    SET skipped = skipped + %(skipped)s, deferred = deferred - %(deferred)s, unknown = unknown + %(unknown)s,
        failed = failed + %(failed)s, updated_at = clock_timestamp()
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s
"""

_NONE = {"skipped": 0, "deferred": 0, "unknown": 0, "failed": 0}

#: Cancelled campaigns with somebody still waiting for a decision.
OPEN = """
    SELECT c.project_id, c.id
    FROM campaign AS c
    JOIN campaign_count AS n ON n.project_id = c.project_id AND n.campaign_id = c.id
    WHERE c.state = 'cancelled' AND n.audience > n.sent + n.failed + n.unknown + n.skipped
"""


def cancel_rest(dispatcher: Dispatcher, project_id: int, campaign_id: int) -> None:
    """Skip everybody whom the cancelled campaign has not reached. May be run again at any time.

    Chunks that a worker holds are not touched: it gives them back within a letter, and the sweep comes again.
    """
    binds: dict[str, object] = {"project_id": project_id, "campaign_id": campaign_id, "slice": SLICE}

    def free(connection: Connection) -> bool:
        rows = connection.execute(_FREE, binds).fetchall()
        _skip(connection, binds, [one for row in rows for one in row[0]])
        return bool(rows)

    def deferred(connection: Connection) -> None:
        n = connection.execute(_SKIP_DEFERRED, binds).rowcount
        if n:
            connection.execute(_COUNT, binds | _NONE | {"skipped": n, "deferred": n})

    def not_again(connection: Connection) -> None:
        states = Counter(state for (state,) in connection.execute(_NOT_AGAIN, binds))
        if states:
            connection.execute(_COUNT, binds | _NONE | states)

    def given_back(connection: Connection) -> bool:
        lease = dispatcher.settings.delivery_lease_seconds
        chunk = claim.take_over(connection, dispatcher.owner, lease, states=("cancelled",))
        if chunk is None:
            return False
        settle_abandoned(dispatcher, connection, chunk)
        rest = [chunk.ids[place] for place in chunk.again] + chunk.ids[chunk.pos :]
        if rest:
            claim.written(connection, Stand(chunk, len(chunk.ids), []), lease)
            own: dict[str, object] = {"project_id": chunk.project_id, "campaign_id": chunk.campaign_id}
            _skip(connection, own, rest)
        return True

    while dispatcher.database.transaction(free) and not dispatcher.stopping():
        pass
    dispatcher.database.transaction(deferred)
    dispatcher.database.transaction(not_again)
    while dispatcher.database.transaction(given_back) and not dispatcher.stopping():
        pass


def _skip(connection: Connection, binds: dict[str, object], ids: list[int]) -> None:
    if not ids:
        return
    own = {"project_id": binds["project_id"], "campaign_id": binds["campaign_id"]}
    connection.execute(_SKIP, own | {"ids": ids})
    connection.execute(_COUNT, own | _NONE | {"skipped": len(ids)})
