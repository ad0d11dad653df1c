"""Who works on which chunk: leases are taken, kept, given back, and taken over from the dead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from mailhub.delivery.database import Connection


@dataclass(slots=True)
class Chunk:
    """A chunk under our lease. `ids[flushed:pos]` were sent by its earlier owner but are not in the books yet.

    `silent_since`: until when the earlier owner was alive; None for a fresh chunk.
    """

    project_id: int
    campaign_id: int
    lane: int
    seq: int
    ids: list[int]
    pos: int
    flushed: int
    in_flight: bool
    owner: str
    silent_since: datetime | None

    def renew(self, connection: Connection, lease_seconds: float) -> None:
        """Extend the lease, if it is still ours."""
        connection.execute(_RENEW, _binds(self) | {"lease": lease_seconds})


# The oldest lease first. One that was given back has ended at the moment of its return.
_TAKE_OVER = """
    WITH expired AS (
        SELECT r.project_id, r.campaign_id, r.lane, r.seq, r.lease_until
        FROM chunk_lease AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        JOIN project AS p ON p.id = r.project_id
        WHERE r.state = 'running' AND r.lease_until < clock_timestamp()
          AND c.state = ANY(%(states)s) AND p.relay <> ALL(%(down)s)
          AND (NOT %(unsettled)s OR r.flushed < r.pos OR r.in_flight)
        ORDER BY r.lease_until
        LIMIT 1
        FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE chunk_lease AS r
    SET owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM expired AS e
    JOIN campaign_chunk AS k
      ON k.project_id = e.project_id AND k.campaign_id = e.campaign_id AND k.lane = e.lane AND k.seq = e.seq
    WHERE r.project_id = e.project_id AND r.campaign_id = e.campaign_id AND r.lane = e.lane AND r.seq = e.seq
    RETURNING r.project_id, r.campaign_id, r.lane, r.seq, k.ids, r.pos, r.flushed, r.in_flight, r.owner,
              least(e.lease_until - make_interval(secs => %(lease)s), clock_timestamp()) AS silent_since
"""

# A project with fewer chunks in work comes first; within a project, chance decides. The lane's row is locked for the
# millisecond of a claim, so that two pumps wait for each other and never take the same chunk.
_TAKE_NEXT = """
    WITH free AS (
        SELECT l.project_id, l.campaign_id, l.lane
        FROM campaign_lane AS l
        JOIN campaign AS c ON c.project_id = l.project_id AND c.id = l.campaign_id
        JOIN project AS p ON p.id = l.project_id
        WHERE c.state = 'sending' AND l.next_seq <= l.last_seq AND p.relay <> ALL(%(down)s)
        ORDER BY (
            SELECT count(*) FROM chunk_lease AS r WHERE r.state = 'running' AND r.project_id = l.project_id
        ), random()
        LIMIT 1
        FOR UPDATE OF l
    ), taken AS (
        UPDATE campaign_lane AS l
        SET next_seq = l.next_seq + 1
        FROM free AS f
        WHERE l.project_id = f.project_id AND l.campaign_id = f.campaign_id AND l.lane = f.lane
          AND l.next_seq <= l.last_seq
        RETURNING l.project_id, l.campaign_id, l.lane, l.next_seq - 1 AS seq
    ), leased AS (
        INSERT INTO chunk_lease (project_id, campaign_id, lane, seq, owner, lease_until)
        SELECT t.project_id, t.campaign_id, t.lane, t.seq, %(owner)s,
               clock_timestamp() + make_interval(secs => %(lease)s)
        FROM taken AS t
        RETURNING project_id, campaign_id, lane, seq, pos, flushed, in_flight, owner
    )
    SELECT r.project_id, r.campaign_id, r.lane, r.seq, k.ids, r.pos, r.flushed, r.in_flight, r.owner,
           NULL::timestamptz AS silent_since
    FROM leased AS r
    JOIN campaign_chunk AS k
      ON k.project_id = r.project_id AND k.campaign_id = r.campaign_id AND k.lane = r.lane AND k.seq = r.seq
"""

_DECLARE = """
    UPDATE chunk_lease AS r
    SET pos = %(pos)s, in_flight = true
    FROM campaign AS c
    WHERE r.project_id = %(project_id)s AND r.campaign_id = %(campaign_id)s AND r.lane = %(lane)s AND r.seq = %(seq)s
      AND r.owner = %(owner)s AND r.state = 'running'
      AND c.project_id = r.project_id AND c.id = r.campaign_id
    RETURNING c.state
"""

# A chunk that was given back has no owner: a renewal that comes a moment later must not take it again.
_MOVE = """
    UPDATE chunk_lease
    SET pos = %(pos)s, flushed = %(pos)s, in_flight = false,
        state = CASE WHEN %(done)s THEN 'done' ELSE 'running' END,
        lease_until = CASE WHEN %(give_back)s THEN clock_timestamp() ELSE lease_until END,
        owner = CASE WHEN %(give_back)s THEN '' ELSE owner END
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND lane = %(lane)s AND seq = %(seq)s
      AND owner = %(owner)s AND state = 'running' AND flushed = %(flushed)s
    RETURNING pos
"""

_STANDS_AT = """
    SELECT flushed, in_flight FROM chunk_lease
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND lane = %(lane)s AND seq = %(seq)s
      AND owner = %(owner)s
"""

_RENEW = """
    UPDATE chunk_lease
    SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s AND lane = %(lane)s AND seq = %(seq)s
      AND owner = %(owner)s AND state = 'running'
"""


_HAS_WORK = """
    SELECT EXISTS (
        SELECT FROM campaign_lane AS l
        JOIN campaign AS c ON c.project_id = l.project_id AND c.id = l.campaign_id
        WHERE c.state = 'sending' AND l.next_seq <= l.last_seq
    ) OR EXISTS (
        SELECT FROM chunk_lease AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        WHERE c.state = 'sending' AND r.state = 'running' AND r.lease_until < clock_timestamp()
    )
"""


class Fenced(Exception):
    """The lease is somebody else's now: nothing more may be sent or written under it."""


def take_over(
    connection: Connection,
    owner: str,
    lease_seconds: float,
    *,
    down: list[str],
    states: tuple[str, ...] = ("sending",),
    unsettled: bool = False,
) -> Chunk | None:
    """A chunk whose owner is dead or has given it back. Settle `ids[flushed:pos]` in the same transaction.

    `unsettled`: only one that leaves something to settle.
    """
    binds = {
        "owner": owner,
        "lease": lease_seconds,
        "down": down,
        "states": list(states),
        "unsettled": unsettled,
    }
    with connection.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(_TAKE_OVER, binds).fetchone()


def take_next(connection: Connection, owner: str, lease_seconds: float, *, down: list[str]) -> Chunk | None:
    """The next free chunk of a campaign that is being sent; `down` names the relays that take nothing now."""
    with connection.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(_TAKE_NEXT, {"owner": owner, "lease": lease_seconds, "down": down}).fetchone()


def declare(connection: Connection, chunk: Chunk, pos: int) -> str:
    """Say, durably, that letters before `pos` are settled and the one at it may be on the wire from now on.

    Gives the campaign's state, so that a pause is noticed at the next letter. Raises Fenced.
    """
    row = connection.execute(_DECLARE, _binds(chunk) | {"pos": pos}).fetchone()
    if row is None:
        raise Fenced
    return str(row[0])


def move(connection: Connection, chunk: Chunk, pos: int, *, give_back: bool) -> bool:
    """Note that the books are right up to `pos`, in the transaction that writes them. Raises Fenced.

    False: this has happened already, in a commit whose answer was lost.
    """
    binds = _binds(chunk) | {
        "pos": pos,
        "flushed": chunk.flushed,
        "done": pos >= len(chunk.ids),
        "give_back": give_back,
    }
    if connection.execute(_MOVE, binds).fetchone() is not None:
        return True
    row = connection.execute(_STANDS_AT, _binds(chunk)).fetchone()
    if row is not None and row[0] == pos and not row[1] and pos != chunk.flushed:
        return False
    raise Fenced


def has_work(connection: Connection) -> bool:
    """Whether a chunk could be claimed if every relay were up."""
    row = connection.execute(_HAS_WORK).fetchone()
    assert row is not None
    return bool(row[0])


def _binds(chunk: Chunk) -> dict[str, object]:
    return {
        "project_id": chunk.project_id,
        "campaign_id": chunk.campaign_id,
        "lane": chunk.lane,
        "seq": chunk.seq,
        "owner": chunk.owner,
    }
