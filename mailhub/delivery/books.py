"""What a turn of the loop writes down: how letters ended, and which may be on the wire from now on.

All chunks of the process share one durable statement; a chunk with something that must not pass for sent, or with
enough that was sent, has a transaction of its own for its rows, events and counters.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from mailhub import logs
from mailhub.delivery import claim
from mailhub.delivery.chunk_work import ChunkWork
from mailhub.delivery.claim import Fenced
from mailhub.delivery.connection import Connection
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.singles import RowWork
from mailhub.delivery.slip import Slip
from mailhub.delivery.work import Work
from mailhub.models import CampaignState

log = logs.get(__name__)

#: How old the knowledge of a campaign's state may be where no letter is declared.
LOOK_SECONDS = 1.0
#: A connection whose envelope was accepted, and the letter whose body it waits for.
Waiting = tuple[Connection, Slip]


class Books:
    """Keeps the books of the works in hand."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._database = dispatcher.database
        self._lease = dispatcher.settings.delivery_lease_seconds
        self._renewed_at = time.monotonic()

    def keep(self, works: Sequence[Work], go: Sequence[Waiting], now: float) -> list[Waiting]:
        """Write what is due, declare `go`; gives those whose bodies may be sent. Works may be `over` afterwards."""
        waiting: dict[Work, list[Waiting]] = defaultdict(list)
        for connection, slip in go:
            if not slip.work.ending and not slip.work.over:
                waiting[slip.work].append((connection, slip))
        # Often enough that a chunk which waits for a limit notices a pause, far more often than the lease needs it.
        renew = now - self._renewed_at > min(LOOK_SECONDS, self._lease / 4)
        if renew:
            self._renewed_at = now
        released: list[Waiting] = []
        moving: list[ChunkWork] = []
        for work in works:
            if isinstance(work, RowWork):
                released += self._rows(work, waiting[work], now)
            elif isinstance(work, ChunkWork):
                for _connection, slip in waiting[work]:
                    work.declare(slip)
                if work.is_due(now):
                    released += self._write(work, waiting[work])
                elif renew or waiting[work]:
                    moving.append(work)
        if moving:
            released += self._move(moving, waiting)
        return released

    def _write(self, work: ChunkWork, waiting: list[Waiting]) -> list[Waiting]:
        try:
            state = work.write()
        except Fenced:
            return self._fenced(work)
        return self._allowed(work, state, waiting)

    def _move(self, works: list[ChunkWork], waiting: dict[Work, list[Waiting]]) -> list[Waiting]:
        stands = [work.stand() for work in works]
        states = self._database.statement(lambda connection: claim.move(connection, stands, self._lease))
        released: list[Waiting] = []
        for work, stand in zip(works, stands, strict=True):
            state = states.get(work.key)
            if state is None:
                self._fenced(work)
                continue
            work.moved(stand)
            released += self._allowed(work, state, waiting[work])
        return released

    def _rows(self, work: RowWork, waiting: list[Waiting], now: float) -> list[Waiting]:
        if work.is_due():
            work.write()
        else:
            work.renew(now)
        if not waiting:
            return []
        allowed = set(self._database.transaction(lambda c: work.declare(c, [slip for _connection, slip in waiting])))
        if len(allowed) < len(waiting):
            work.ending = True
        return [one for one in waiting if one[1] in allowed]

    def _allowed(self, work: ChunkWork, state: str, waiting: list[Waiting]) -> list[Waiting]:
        """Whose bodies may go: all, or none when the campaign is not being sent any more."""
        if state == CampaignState.SENDING:
            return waiting
        for _connection, slip in waiting:
            work.undeclare(slip)
        work.ending = True
        return []

    def _fenced(self, work: ChunkWork) -> list[Waiting]:
        """Somebody else goes on with the chunk and has settled what we did not."""
        log.warning("chunk.fenced", campaign_id=work.chunk.campaign_id, seq=work.chunk.seq)
        work.over = True
        return []
