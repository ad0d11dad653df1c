"""Where the tests' databases lie: in memory, where there is enough of it, because each test of its own copies one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_PREFIX = "mailhub-tests-"
#: A server with what the suite leaves in it needs a tenth of this.
_FREE_BYTES = 2 << 30


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A temporary folder of this process, in memory if it can be."""
    base = _MEMORY if _has_room() else None
    if base:
        _remove_orphans(base)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=base) as folder:
        yield Path(folder)


def _has_room() -> bool:
    try:
        return os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _FREE_BYTES
    except OSError:
        return False


def _remove_orphans(base: Path) -> None:
    """What a process has left that was killed: memory is not given back by itself."""
    for folder in base.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
