"""The pool of workers on the embedded broker: its children may be killed, and the others go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from celery.concurrency.prefork import TaskPool

import mailhub.worker  # noqa: F401 - it says which pool its workers have
from mailhub.tasks import pool as enduring
from mailhub.tasks.pool import EnduringPool, RecordLock


@pytest.fixture
def pool() -> Iterator[EnduringPool]:
    made = EnduringPool(2)
    yield made
    made.close()
    # As a worker ends: whoever waits for a task is told that there is none.
    made.join()


def test_children_that_are_killed_while_they_wait_for_a_task_stop_nobody(pool: EnduringPool) -> None:
    first = {pool.apply(os.getpid) for _turn in range(10)}
    # One of the two holds the lock of the pipe, whichever it is.
    for child in list(pool._pool):
        os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while {child.pid for child in pool._pool} & first:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert pool.apply_async(os.getpid).get(timeout=60) not in first


def test_a_lock_has_one_holder_and_goes_with_its_process() -> None:
    lock = RecordLock()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with lock:
            os.write(writer, b"held")
            signal.pause()
        os._exit(1)
    assert os.read(reader, 4) == b"held"
    assert not lock.acquire(block=False)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lock.acquire(block=False)
    lock.release()
    lock.close()
    os.close(reader)
    os.close(writer)


def test_workers_take_it_where_they_would_take_billiards() -> None:
    class Theirs(TaskPool):  # type: ignore[misc]
        pass

    enduring.use(Theirs)
    assert Theirs.BlockingPool is EnduringPool
    assert TaskPool.BlockingPool is EnduringPool, "mailhub.worker has not said so"
