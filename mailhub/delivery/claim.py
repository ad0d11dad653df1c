"""Who works on which chunk: leases are taken, kept, given back, and taken over from the dead.

A lease row says, durably and before any body goes over the network, which letters of the chunk may be on the wire.
Places are indexes into the chunk's `ids`; `ChunkLease` explains the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import class_row

from mailhub.delivery.database import Connection
from mailhub.delivery.turns import ORDER, charge


@dataclass(slots=True)
class Chunk:
    """A chunk under our lease, as the row stood when it was claimed.

    `silent_since`: until when the earlier owner was alive; None for a fresh chunk. `route` and `sender_domain` say
    which relays may take it.
    """

    project_id: int
    campaign_id: int
    lane: int
    seq: int
    ids: list[int]
    pos: int
    flushed: int
    on_wire: list[int]
    again: list[int]
    unwritten: list[int]
    writes: int
    owner: str
    route: str
    silent_since: datetime | None

    def left_behind(self) -> tuple[list[int], list[int]]:
        """What the earlier owner did not write: places that were sent, and places in doubt."""
        open_places = set(self.on_wire) | set(self.again)
        unwritten = {*self.unwritten, *range(self.flushed, self.pos)} - open_places
        return sorted(unwritten), sorted(self.on_wire)


@dataclass(slots=True)
class Stand:
    """Where a chunk stands: letters before `pos` are settled, but for those on the wire and those to be sent again."""

    chunk: Chunk
    pos: int
    on_wire: Sequence[int]
    again: Sequence[int] = field(default_factory=list)


_COLUMNS = """r.project_id, r.campaign_id, r.lane, r.seq, k.ids, r.pos, r.flushed, r.on_wire, r.again, r.unwritten,
              r.writes, r.owner, l.route"""

# The oldest lease first. One that was given back has ended at the moment of its return.
_TAKE_OVER = f"""
    WITH expired AS (
        SELECT r.project_id, r.campaign_id, r.lane, r.seq, r.lease_until
        FROM chunk_lease AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        JOIN campaign_lane AS l
          ON l.project_id = r.project_id AND l.campaign_id = r.campaign_id AND l.lane = r.lane
        WHERE r.state = 'running' AND r.lease_until < clock_timestamp()
          AND c.state = ANY(%(states)s) AND l.route <> ALL(%(closed)s)
          AND (NOT %(unsettled)s OR r.flushed < r.pos OR r.on_wire <> '{{}}' OR NOT r.unwritten <@ r.again)
          AND (r.campaign_id, r.lane, r.seq) NOT IN (
              SELECT * FROM unnest(%(held_campaigns)s::bigint[], %(held_lanes)s::int[], %(held_seqs)s::int[])
          )
          AND (NOT (r.campaign_id, r.lane) IN (
                  SELECT * FROM unnest(%(busy_campaigns)s::bigint[], %(busy_lanes)s::int[])
              ) OR r.flushed < r.pos OR r.on_wire <> '{{}}' OR NOT r.unwritten <@ r.again)
        ORDER BY r.lease_until
        LIMIT 1
        FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE chunk_lease AS r
    SET owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM expired AS e
    JOIN campaign_chunk AS k
      ON k.project_id = e.project_id AND k.campaign_id = e.campaign_id AND k.lane = e.lane AND k.seq = e.seq
    JOIN campaign_lane AS l ON l.project_id = e.project_id AND l.campaign_id = e.campaign_id AND l.lane = e.lane
    WHERE r.project_id = e.project_id AND r.campaign_id = e.campaign_id AND r.lane = e.lane AND r.seq = e.seq
    RETURNING {_COLUMNS},
              least(e.lease_until - make_interval(secs => %(lease)s), clock_timestamp()) AS silent_since
"""  # noqa: S608

# The project whose turn it is comes first (turns.py); within a project, chance decides. The lane's row is locked for
# the millisecond of a claim, so that two pumps wait for each other and never take the same chunk.
_TAKE_NEXT = f"""
    WITH free AS (
        SELECT l.project_id, l.campaign_id, l.lane
        FROM campaign_lane AS l
        JOIN campaign AS c ON c.project_id = l.project_id AND c.id = l.campaign_id
        LEFT JOIN project_turn AS t ON t.project_id = l.project_id
        WHERE c.state = 'sending' AND l.next_seq <= l.last_seq AND l.route <> ALL(%(closed)s)
          AND (l.campaign_id, l.lane) NOT IN (SELECT * FROM unnest(%(busy_campaigns)s::bigint[], %(busy_lanes)s::int[]))
        ORDER BY {ORDER}, random()
        LIMIT 1
        FOR UPDATE OF l
    ), taken AS (
        UPDATE campaign_lane AS l
        SET next_seq = l.next_seq + 1
        FROM free AS f
        WHERE l.project_id = f.project_id AND l.campaign_id = f.campaign_id AND l.lane = f.lane
          AND l.next_seq <= l.last_seq
        RETURNING l.project_id, l.campaign_id, l.lane, l.route, l.next_seq - 1 AS seq
    ), leased AS (
        INSERT INTO chunk_lease (project_id, campaign_id, lane, seq, owner, lease_until)
        SELECT t.project_id, t.campaign_id, t.lane, t.seq, %(owner)s,
               clock_timestamp() + make_interval(secs => %(lease)s)
        FROM taken AS t
        RETURNING project_id, campaign_id, lane, seq, pos, flushed, on_wire, again, unwritten, writes, owner
    )
    SELECT {_COLUMNS}, NULL::timestamptz AS silent_since
    FROM leased AS r
    JOIN taken AS l ON true
    JOIN campaign_chunk AS k
      ON k.project_id = r.project_id AND k.campaign_id = r.campaign_id AND k.lane = r.lane AND k.seq = r.seq
"""  # noqa: S608

# All the chunks of a process move in one statement: one wait for the disk, however many connections there are.
_MOVE = """
    UPDATE chunk_lease AS r
    SET pos = w.pos, on_wire = w.on_wire::int[], again = w.again::int[],
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM unnest(%(project_ids)s::bigint[], %(campaign_ids)s::bigint[], %(lanes)s::int[], %(seqs)s::int[],
                %(positions)s::int[], %(on_wires)s::text[], %(agains)s::text[])
         AS w (project_id, campaign_id, lane, seq, pos, on_wire, again)
    JOIN campaign AS c ON c.project_id = w.project_id AND c.id = w.campaign_id
    WHERE r.project_id = w.project_id AND r.campaign_id = w.campaign_id AND r.lane = w.lane AND r.seq = w.seq
      AND r.owner = %(owner)s AND r.state = 'running'
    RETURNING r.campaign_id, r.lane, r.seq, c.state
"""

# One chunk is the rule, and scalars cost a third of what arrays do.
_MOVE_ONE = """
    UPDATE chunk_lease AS r
    SET pos = %(pos)s, on_wire = CAST(%(on_wire)s AS int[]), again = CAST(%(again)s AS int[]),
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM campaign AS c
    WHERE r.project_id = %(project_id)s AND r.campaign_id = %(campaign_id)s AND r.lane = %(lane)s AND r.seq = %(seq)s
      AND r.owner = %(owner)s AND r.state = 'running'
      AND c.project_id = r.project_id AND c.id = r.campaign_id
    RETURNING r.campaign_id, r.lane, r.seq, c.state
"""

# A chunk that was given back has no owner: a statement that comes a moment later must not take it again.
_WRITTEN = """
    UPDATE chunk_lease AS r
    SET pos = %(pos)s, on_wire = %(on_wire)s::int[], again = %(again)s::int[], flushed = %(pos)s,
        unwritten = %(on_wire)s::int[] || %(again)s::int[], writes = writes + 1,
        state = CASE WHEN %(done)s THEN 'done' ELSE 'running' END,
        lease_until = clock_timestamp() + make_interval(secs => CASE WHEN %(give_back)s THEN 0 ELSE %(lease)s END),
        owner = CASE WHEN %(give_back)s THEN '' ELSE r.owner END
    FROM campaign AS c
    WHERE r.project_id = %(project_id)s AND r.campaign_id = %(campaign_id)s AND r.lane = %(lane)s AND r.seq = %(seq)s
      AND r.owner = %(owner)s AND r.state = 'running' AND r.writes = %(writes)s
      AND c.project_id = r.project_id AND c.id = r.campaign_id
    RETURNING c.state
"""

_STANDS_AT = """
    SELECT r.writes, c.state
    FROM chunk_lease AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
    WHERE r.project_id = %(project_id)s AND r.campaign_id = %(campaign_id)s AND r.lane = %(lane)s AND r.seq = %(seq)s
      AND r.owner = ANY(%(owners)s)
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
    closed: Sequence[str] = (),
    states: Sequence[str] = ("sending",),
    unsettled: bool = False,
    busy: Iterable[tuple[int, int]] = (),
    held: Iterable[tuple[int, int, int]] = (),
) -> Chunk | None:
    """A chunk whose owner is dead or has given it back. Settle what it left behind in the same transaction.

    `unsettled`: only one that leaves something to settle. `closed`: routes none of whose relays takes anything now.
    `busy` as in `take_next`; what is to be settled is taken all the same. `held` are the chunks (campaign, lane, seq)
    that the caller works on: after a standstill its own leases look like those of the dead.
    """
    pairs, chunks = sorted(set(busy)), sorted(set(held))
    binds = {
        "owner": owner,
        "lease": lease_seconds,
        "closed": list(closed),
        "states": list(states),
        "unsettled": unsettled,
        "busy_campaigns": [campaign for campaign, _lane in pairs],
        "busy_lanes": [lane for _campaign, lane in pairs],
        "held_campaigns": [campaign for campaign, _lane, _seq in chunks],
        "held_lanes": [lane for _campaign, lane, _seq in chunks],
        "held_seqs": [seq for _campaign, _lane, seq in chunks],
    }
    with connection.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(_TAKE_OVER, binds).fetchone()


def take_next(
    connection: Connection,
    owner: str,
    lease_seconds: float,
    *,
    closed: Sequence[str] = (),
    busy: Iterable[tuple[int, int]] = (),
) -> Chunk | None:
    """The next free chunk of a campaign that is being sent, of the project whose turn it is.

    `busy` are (campaign, lane) pairs of which the caller has more than it may send already.
    """
    pairs = sorted(set(busy))
    binds = {
        "owner": owner,
        "lease": lease_seconds,
        "closed": list(closed),
        "busy_campaigns": [campaign for campaign, _lane in pairs],
        "busy_lanes": [lane for _campaign, lane in pairs],
    }
    with connection.cursor(row_factory=class_row(Chunk)) as cursor:
        chunk = cursor.execute(_TAKE_NEXT, binds).fetchone()
    if chunk is not None:
        charge(connection, chunk.project_id, len(chunk.ids))
    return chunk


def move(connection: Connection, stands: Sequence[Stand], lease_seconds: float) -> dict[tuple[int, int, int], str]:
    """Say, durably, which letters are settled and which may be on the wire from now on; extends the leases.

    Gives the campaign's state by (campaign, lane, seq), so that a pause is noticed before the next body; a chunk that
    is missing in the answer is somebody else's now. May be run twice.
    """
    if len(stands) == 1:
        (one,) = stands
        binds = _key(one.chunk) | {
            "owner": one.chunk.owner,
            "lease": lease_seconds,
            "pos": one.pos,
            "on_wire": _array(one.on_wire),
            "again": _array(one.again),
        }
        return _states(connection.execute(_MOVE_ONE, binds).fetchall())
    binds = {
        "owner": stands[0].chunk.owner,
        "lease": lease_seconds,
        "project_ids": [one.chunk.project_id for one in stands],
        "campaign_ids": [one.chunk.campaign_id for one in stands],
        "lanes": [one.chunk.lane for one in stands],
        "seqs": [one.chunk.seq for one in stands],
        "positions": [one.pos for one in stands],
        "on_wires": [_array(one.on_wire) for one in stands],
        "agains": [_array(one.again) for one in stands],
    }
    return _states(connection.execute(_MOVE, binds).fetchall())


def written(
    connection: Connection, stand: Stand, lease_seconds: float, *, give_back: bool = False
) -> tuple[str, bool]:
    """Note that the books are right up to the stand, in the transaction that writes them. Raises Fenced.

    Gives the campaign's state, and False where this has happened already, in a commit whose answer was lost.
    """
    chunk = stand.chunk
    binds = _key(chunk) | {
        "owner": chunk.owner,
        "owners": [chunk.owner, ""] if give_back else [chunk.owner],
        "pos": stand.pos,
        "on_wire": list(stand.on_wire),
        "again": list(stand.again),
        "writes": chunk.writes,
        "lease": lease_seconds,
        "done": stand.pos >= len(chunk.ids) and not stand.on_wire and not stand.again,
        "give_back": give_back,
    }
    row = connection.execute(_WRITTEN, binds).fetchone()
    if row is not None:
        return str(row[0]), True
    row = connection.execute(_STANDS_AT, binds).fetchone()
    if row is not None and row[0] == chunk.writes + 1:
        return str(row[1]), False
    raise Fenced


def has_work(connection: Connection) -> bool:
    """Whether a chunk could be claimed if every relay were up."""
    row = connection.execute(_HAS_WORK).fetchone()
    assert row is not None
    return bool(row[0])


def _key(chunk: Chunk) -> dict[str, object]:
    return {
        "project_id": chunk.project_id,
        "campaign_id": chunk.campaign_id,
        "lane": chunk.lane,
        "seq": chunk.seq,
    }


def _states(rows: Iterable[tuple[int, int, int, str]]) -> dict[tuple[int, int, int], str]:
    return {(campaign, lane, seq): state for campaign, lane, seq, state in rows}


def _array(places: Sequence[int]) -> str:
    return "{" + ",".join(map(str, places)) + "}"
