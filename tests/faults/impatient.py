"""`python -m tests.faults.impatient …` is `python -m celery …` with an SMTP client that waits two seconds for anything.

The time-outs of RFC 5321 are minutes; a drill that shows each of them kept would take an hour.
"""

from __future__ import annotations

import sys

from celery.__main__ import main

from mailhub.delivery import smtp

SECONDS = 2.0


def shorten(timeouts: type) -> None:
    """Two seconds for every field of the dataclass that nobody sets."""
    defaults = timeouts.__init__.__defaults__ or ()  # type: ignore[misc]
    timeouts.__init__.__defaults__ = (SECONDS,) * len(defaults)  # type: ignore[misc]


if __name__ == "__main__":
    shorten(smtp.Timeouts)
    sys.argv[0] = "celery"
    main()
