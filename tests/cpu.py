"""How much work something is, which does not depend on what else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object], tries: int = 3) -> float:
    """This thread's processor time for `work`: of a few tries the least, since others may have emptied the caches."""
    taken = []
    for _try in range(tries):
        started = time.thread_time()
        work()
        taken.append(time.thread_time() - started)
    return min(taken)
