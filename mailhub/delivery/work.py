"""Pieces of work that a process holds: letters go out of them one by one and come back settled.

A piece belongs to one relay and one set of limits, so that letters of a slow lane hold up nobody else's.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

from mailhub.delivery.slip import Slip
from mailhub.delivery.throttle import Allowance

if TYPE_CHECKING:
    from mailhub.delivery.dispatcher import Dispatcher
    from mailhub.delivery.outcome import Verdict


class Work(ABC):
    """Some letters under our lease.

    `ending`: nothing more is offered, what is on the wire is waited for, the rest is given back. `over`: the lease is
    not ours any more (done, given back, or lost to another), and what is still heard of its letters is not written.
    """

    def __init__(self, dispatcher: Dispatcher, name: str, relay: str, lane: str, allowance: Allowance) -> None:
        """`name` is what the queues page shows, `lane` the mailbox provider of all its letters."""
        self.dispatcher = dispatcher
        self.name = name
        self.relay = relay
        self.lane = lane
        self.allowance = allowance
        self.begun_at = time.monotonic()
        self.ending = False
        self.over = False
        #: When `ending` because of limits: before this moment it is pointless to go on.
        self.parked_until = 0.0
        #: By place: how often a connection ended before the letter's body went out.
        self.tries: Counter[int] = Counter()
        #: Letters given to a connection and not settled yet.
        self.out = 0

    def has_next(self) -> bool:
        """Whether there may be a letter that was not offered yet, limits apart."""
        return not self.ending and not self.over and self.left() > 0

    def is_drained(self) -> bool:
        """Whether nothing of it is with a connection and nothing is to be offered."""
        return self.out == 0 and not self.has_next()

    @abstractmethod
    def left(self) -> int:
        """How many were not offered yet."""

    @abstractmethod
    def next(self, now: float) -> Slip | None:
        """The next letter, made; None where there is none any more. Who gets no letter is settled on the way."""

    @abstractmethod
    def back(self, slip: Slip) -> None:
        """The letter was not sent, and no relay has it: it will be offered again."""

    @abstractmethod
    def settle(self, slip: Slip, verdict: Verdict) -> None:
        """The letter has had its end."""
