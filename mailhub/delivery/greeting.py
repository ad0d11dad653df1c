"""One connection to a relay, to see whether it would take letters: for `mailhub doctor` and for nobody in a hurry."""

from __future__ import annotations

import select
import time
from selectors import EVENT_READ, EVENT_WRITE

from mailhub.delivery.connection import Connection
from mailhub.mail.smtp_happenings import Ended, Ready
from mailhub.settings import Relay, Timeouts

#: Long enough for a relay that looks our name up, short enough to wait for.
PATIENCE = Timeouts(connect=10, banner=30, command=30)


class RelayDown(Exception):
    """The relay takes no letters now; the text is its own or the system's."""


def greet(relay: Relay, timeouts: Timeouts = PATIENCE) -> str:
    """Connect, encrypt, sign in, say good-bye; gives what encrypts the session. Raises RelayDown."""
    connection = Connection(relay, timeouts, now=time.monotonic())
    try:
        while True:
            for happening in _wait(connection):
                if isinstance(happening, Ended):
                    raise RelayDown(happening.reason)
                if isinstance(happening, Ready):
                    connection.close(time.monotonic())
                    return connection.tls_name
    finally:
        connection.drop()


def _wait(connection: Connection) -> list[object]:
    now = time.monotonic()
    if now >= connection.deadline:
        return list(connection.expire(now))
    wanted = connection.events()
    poll = select.poll()
    poll.register(
        connection.fileno(),
        (select.POLLIN if wanted & EVENT_READ else 0) | (select.POLLOUT if wanted & EVENT_WRITE else 0),
    )
    if not poll.poll(max(1.0, (connection.deadline - now) * 1000)):
        return []
    return list(connection.handle(EVENT_READ | EVENT_WRITE, time.monotonic()))
