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
_LOAD = """
    SELECT s.id, s.email, s.email_key, s.email_domain, s.name, s.fields,
           CASE
               WHEN s.status = 'unsubscribed' THEN 'unsubscribed'
               WHEN s.status <> 'active' THEN 'suppressed'
               WHEN x.reason = 'unsubscribed' THEN 'unsubscribed'
               WHEN x.reason IS NOT NULL OR g.id IS NOT NULL THEN 'suppressed'
               WHEN o.domains AND EXISTS (
                   SELECT FROM global_suppression AS d
                   WHERE d.domain = ANY(domain_and_parents(s.email_domain))
                     AND (d.expires_at IS NULL OR d.expires_at > clock_timestamp())
               ) THEN 'suppressed'
               WHEN o.hashes AND EXISTS (
                   SELECT FROM unnest(%(keys)s::bytea[]) AS k (key)
                   CROSS JOIN LATERAL (SELECT sha256(k.key || convert_to(s.email_key, 'UTF8')) AS hash) AS h
                   WHERE EXISTS (
                       SELECT FROM suppression AS e
                       WHERE e.project_id = %(project_id)s AND e.email_hash = h.hash
                         AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp())
                   ) OR EXISTS (
                       SELECT FROM global_suppression AS e
                       WHERE e.email_hash = h.hash AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp())
                   )
               ) THEN 'suppressed'
               WHEN (o.lists OR o.segments) AND NOT EXISTS (
                   SELECT FROM campaign_list AS cl
                   JOIN subscription AS b
                     ON b.project_id = cl.project_id AND b.list_id = cl.list_id AND b.subscriber_id = s.id
                   WHERE cl.project_id = s.project_id AND cl.campaign_id = %(campaign_id)s AND cl.side = 'include'
                     AND b.status = 'subscribed'
               ) AND (
                   NOT o.segments
                   OR EXISTS (
                       SELECT FROM campaign_list AS cl
                       JOIN subscription AS b
                         ON b.project_id = cl.project_id AND b.list_id = cl.list_id AND b.subscriber_id = s.id
                       WHERE cl.project_id = s.project_id AND cl.campaign_id = %(campaign_id)s AND cl.side = 'include'
                         AND b.status = 'unsubscribed'
                   )
                   OR NOT EXISTS (
                       SELECT FROM subscription AS b
                       JOIN mailing_list AS m ON m.project_id = b.project_id AND m.id = b.list_id
                       WHERE b.project_id = s.project_id AND b.subscriber_id = s.id AND b.status = 'subscribed'
                         AND m.archived_at IS NULL
                   )
               ) THEN 'unsubscribed'
               WHEN s.paused_until > clock_timestamp() THEN 'paused'
               ELSE ''
           END AS refused,
           CASE
               WHEN 'off' IN (p.tracking, s.tracking) OR EXISTS (
                   SELECT FROM subscription AS b
                   WHERE b.project_id = s.project_id AND b.list_id = ANY (o.off_lists) AND b.subscriber_id = s.id
                     AND b.status = 'subscribed'
               ) THEN 'off'
               WHEN 'aggregate' IN (p.tracking, s.tracking) OR EXISTS (
                   SELECT FROM subscription AS b
                   WHERE b.project_id = s.project_id AND b.list_id = ANY (o.aggregate_lists) AND b.subscriber_id = s.id
                     AND b.status = 'subscribed'
               ) THEN 'aggregate'
               ELSE 'full'
           END AS tracking
    FROM subscriber AS s
    JOIN project AS p ON p.id = s.project_id
    CROSS JOIN (
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
                OR EXISTS (SELECT FROM global_suppression WHERE email_hash IS NOT NULL) AS hashes,
            (
                SELECT array_agg(l.id) FROM campaign_list AS c
                JOIN mailing_list AS l ON l.project_id = c.project_id AND l.id = c.list_id AND l.tracking = 'off'
                WHERE c.project_id = %(project_id)s AND c.campaign_id = %(campaign_id)s AND c.side = 'include'
            ) AS off_lists,
            (
                SELECT array_agg(l.id) FROM campaign_list AS c
                JOIN mailing_list AS l ON l.project_id = c.project_id AND l.id = c.list_id AND l.tracking = 'aggregate'
                WHERE c.project_id = %(project_id)s AND c.campaign_id = %(campaign_id)s AND c.side = 'include'
            ) AS aggregate_lists
    ) AS o
    LEFT JOIN suppression AS x
      ON x.project_id = s.project_id AND x.email_key = s.email_key
     AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
    LEFT JOIN global_suppression AS g
      ON g.email_key = s.email_key AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
    WHERE s.project_id = %(project_id)s AND s.id = ANY(%(ids)s)
"""


def load(connection: Connection, project_id: int, campaign_id: int, ids: Sequence[int]) -> list[Recipient]:
    """The people in the order of `ids`; one who was erased meanwhile is `erased` and has no address.

    Measured: 2 ms for 500 people.
    """
    binds = {
        "project_id": project_id, "campaign_id": campaign_id, "ids": list(ids), "keys": list(address_hash.known_keys()),
    }  # fmt: skip
    with connection.cursor(row_factory=args_row(Recipient)) as cursor:
        found = {person.id: person for person in cursor.execute(_LOAD, binds)}
    return [found.get(one) or Recipient(one, "", "", "", "", {}, "erased") for one in ids]
