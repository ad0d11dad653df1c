"""Who goes first on this machine's processors: how a process stands back behind others.

Where the kernel groups processes by session (autogroup, as many distributions have it), nice counts within a session
only: the session's own value is what others notice.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def stand_back(pid: int, nice: int) -> None:
    """Let all others go before this process, and before its session if it leads one. Raises OSError if it may not.

    A process that stands back further already is left as it is.
    """
    if os.getpriority(os.PRIO_PROCESS, pid) < nice:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    if os.getsid(pid) == pid:
        # Not there: the kernel groups otherwise. Refused: it was changed a moment ago.
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))
