"""A letter on its way through this process: offered to a connection, declared, on the wire, settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mailhub.delivery.letters import Made
from mailhub.delivery.recipients import Recipient
from mailhub.mail.smtp_wire import WireBody

if TYPE_CHECKING:
    from mailhub.delivery.work import Work


@dataclass(slots=True, eq=False)
class Slip:
    """`place` is the letter's index in its work, `lane` its mailbox provider, `attempt` counts from 1.

    `body` is what goes over the wire; `at` is the moment of the relay's answer.
    """

    work: Work
    place: int
    email: str
    made: Made
    lane: str
    attempt: int = 1
    person: Recipient | None = None
    body: WireBody | None = None
    at: datetime | None = None
