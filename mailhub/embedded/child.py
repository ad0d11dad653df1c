"""A child process that ends with its parent, in a session of its own, and as another user when it may not be root."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["reachable", "start"]

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2  # linux/prctl.h
_CAP_DAC_OVERRIDE = 1  # linux/capability.h
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    environ: Mapping[str, str] | None = None,
    user: tuple[int, int] | None = None,
    pass_any_folder: bool = False,
    cwd: Path | None = None,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a child which the kernel sends `death_signal` when the calling thread ends, however it ends.

    So call it from the main thread. `user` is (uid, gid) and needs root; `pass_any_folder` lets that user read and
    enter folders that are closed to it (CAP_DAC_OVERRIDE), where the machine allows it. Output and errors go to
    `output`.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if environ is None else dict(environ),
        cwd=cwd,
        # Ctrl-C reaches the terminal's whole process group: a session of its own lets us stop the children in order.
        start_new_session=True,
        preexec_fn=_prepared(death_signal, user, pass_any_folder),
    )


def reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether that user may enter every folder down to `path`, by their mode bits."""
    for folder in path.resolve().parents:
        status = folder.stat()
        if status.st_uid == uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _prepared(death_signal: int, user: tuple[int, int] | None, pass_any_folder: bool) -> Callable[[], None]:
    """What runs between fork and exec: only system calls, everything they need is made before."""
    parent = os.getpid()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_OVERRIDE
    capabilities = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)

    def prepare() -> None:
        if user is not None:
            if _libc is not None and pass_any_folder:
                _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])
            if _libc is not None and pass_any_folder and _libc.capset(header, capabilities) == 0:
                _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
        if _libc is not None:
            # After setuid, which clears it.
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # the parent went before the kernel knew
                os._exit(1)

    return prepare
