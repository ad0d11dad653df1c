"""The people of a chunk as a letter needs them, and who of them gets none any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import args_row

from mailhub.delivery.database import Connection
from mailhub.security import address_hash


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person of the audience. `refused` is a SkipReason, or empty for whom gets the letter."""

    id: int
    email: str
    email_key: str
    email_domain: str
    name: str
    fields: dict[str, Any]
    refused: str
    #: The strictest mode of the project, the person, and the lists of the campaign that they are in (a Tracking).
    tracking: str = "full"


# Looked at again, in the order of `candidates`: who has left since the fan-out gets nothing. Whoever has left a list of
# the campaign and is in no other of them has left the campaign, though a segment names them; whom only a segment names
# must be in some list still. Who was excluded is not asked again: that was settled at the fan-out.
#
# Sets of the chunk's people, joined, and not a question for each: asked so, the planner may answer it by reading every
# subscription of a list once a chunk. What nobody has (domains and hashes on a list) is not looked for.
_LOAD = """
    WITH asked AS MATERIALIZED (
        SELECT
            EXISTS (
                SELECT FROM campaign_list
                WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND side = 'include'
            ) AS lists,
            EXISTS (
                SELECT FROM campaign_segment
                WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND side = 'include'
            ) AS segments,
            EXISTS (SELECT FROM global_suppression WHERE domain IS NOT NULL) AS domains,
            EXISTS (SELECT FROM suppression WHERE project_id = %(project_id)s AND email_hash IS NOT NULL)
                OR EXISTS (SELECT FROM global_suppression WHERE email_hash IS NOT NULL) AS hashes
    ), person AS MATERIALIZED (
        SELECT id, email, email_key, email_domain, name, fields, status, tracking, paused_until
        FROM subscriber
        WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)
    ), membership AS (
        SELECT
            b.subscriber_id AS id,
            bool_or(b.status = 'subscribed' AND c.list_id IS NOT NULL) AS inside,
            bool_or(b.status = 'unsubscribed' AND c.list_id IS NOT NULL) AS gone,
            bool_or(b.status = 'subscribed' AND m.archived_at IS NULL) AS reachable,
            bool_or(b.status = 'subscribed' AND c.list_id IS NOT NULL AND m.tracking = 'off') AS off,
            bool_or(b.status = 'subscribed' AND c.list_id IS NOT NULL AND m.tracking = 'aggregate') AS aggregate
        FROM subscription AS b
        JOIN mailing_list AS m ON m.project_id = b.project_id AND m.id = b.list_id
        LEFT JOIN campaign_list AS c
          ON c.project_id = b.project_id AND c.campaign_id = %(campaign_id)s AND c.list_id = b.list_id
         AND c.side = 'include'
        WHERE b.project_id = %(project_id)s AND b.subscriber_id = ANY(%(ids)s)
        GROUP BY b.subscriber_id
    ), stopped_domain AS (
        SELECT DISTINCT w.email_domain
        FROM (
            SELECT DISTINCT email_domain, string_to_array(email_domain, '.') AS labels
            FROM person
            WHERE (SELECT domains FROM asked)
        ) AS w
        CROSS JOIN generate_series(1, cardinality(w.labels)) AS n
        JOIN global_suppression AS e ON e.domain = array_to_string(w.labels[n:], '.')
        WHERE e.expires_at IS NULL OR e.expires_at > clock_timestamp()
    ), hashed AS MATERIALIZED (
        SELECT p.id, sha256(k.key || convert_to(p.email_key, 'UTF8')) AS hash
        FROM person AS p
        CROSS JOIN unnest(%(keys)s::bytea[]) AS k (key)
        WHERE (SELECT hashes FROM asked)
    ), erased AS (
        SELECT h.id
        FROM hashed AS h
        JOIN suppression AS e ON e.project_id = %(project_id)s AND e.email_hash = h.hash
        WHERE e.expires_at IS NULL OR e.expires_at > clock_timestamp()
        UNION
        SELECT h.id
        FROM hashed AS h
        JOIN global_suppression AS e ON e.email_hash = h.hash
        WHERE e.expires_at IS NULL OR e.expires_at > clock_timestamp()
    )
    SELECT s.id, s.email, s.email_key, s.email_domain, s.name, s.fields,
           CASE
               WHEN s.status = 'unsubscribed' THEN 'unsubscribed'
               WHEN s.status <> 'active' THEN 'suppressed'
               WHEN x.reason = 'unsubscribed' THEN 'unsubscribed'
               WHEN x.reason IS NOT NULL OR g.id IS NOT NULL OR d.email_domain IS NOT NULL OR h.id IS NOT NULL
                   THEN 'suppressed'
               WHEN (o.lists OR o.segments) AND b.inside IS NOT TRUE
                   AND (NOT o.segments OR b.gone OR b.reachable IS NOT TRUE) THEN 'unsubscribed'
               WHEN s.paused_until > clock_timestamp() THEN 'paused'
               ELSE ''
           END AS refused,
           CASE
               WHEN 'off' IN (p.tracking, s.tracking) OR b.off THEN 'off'
               WHEN 'aggregate' IN (p.tracking, s.tracking) OR b.aggregate THEN 'aggregate'
               ELSE 'full'
           END AS tracking
    FROM person AS s
    CROSS JOIN asked AS o
    JOIN project AS p ON p.id = %(project_id)s
    LEFT JOIN membership AS b ON b.id = s.id
    LEFT JOIN suppression AS x
      ON x.project_id = %(project_id)s AND x.email_key = s.email_key
     AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
    LEFT JOIN global_suppression AS g
      ON g.email_key = s.email_key AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
    LEFT JOIN stopped_domain AS d ON d.email_domain = s.email_domain
    LEFT JOIN erased AS h ON h.id = s.id
"""


def load(connection: Connection, project_id: int, campaign_id: int, ids: Sequence[int]) -> list[Recipient]:
    """The people in the order of `ids`; one who was erased meanwhile is `erased` and has no address.

    Measured in docs/benchmarks.md (Stop lists).
    """
    binds = {
        "project_id": project_id, "campaign_id": campaign_id, "ids": list(ids), "keys": list(address_hash.known_keys()),
    }  # fmt: skip
    with connection.cursor(row_factory=args_row(Recipient)) as cursor:
        found = {person.id: person for person in cursor.execute(_LOAD, binds)}
    return [found.get(one) or Recipient(one, "", "", "", "", {}, "erased") for one in ids]
