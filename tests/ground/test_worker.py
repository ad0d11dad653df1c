"""mailhub.worker: what Celery's own processes must be told."""

from __future__ import annotations

import subprocess
import sys

from tests.house import ROOT

#: A child of the pool whose first process is gone before it has begun; with a registry of None it can't begin.
ORPHAN = """
import os, sys, time
from mailhub import worker

worker._Worker.pid = os.getpid() if sys.argv[1] == "alive" else -1
child = os.fork()
if child == 0:
    try:
        worker.begin_child()
    except AttributeError:
        os._exit(42)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def begun(first_process: str) -> int:
    """With which code the child ended: 42 if it went on to its work."""
    command = [sys.executable, "-c", ORPHAN, first_process]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_child_whose_first_process_is_gone_does_not_begin() -> None:
    assert begun("alive") == 42
    assert begun("gone") == 1
