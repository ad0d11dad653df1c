"""The next batch is read while the database merges the last one: two cores work instead of one."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailhub.imports.batches import Batch

#: How long a thread may keep the interpreter for itself while another wants it, in seconds. Each of the dozen
#: statements of a batch has an answer that waits for the reader to let go, for up to 5 ms by default.
SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class _End:
    """The file's end, or what has ended the reading."""

    failure: BaseException | None = None


@contextmanager
def ahead(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """The same batches, read by a thread of their own, one ahead. What reading raises is raised here."""
    shelf: queue.Queue[Batch | _End] = queue.Queue(maxsize=1)
    over = threading.Event()

    def put(thing: Batch | _End) -> bool:
        while not over.is_set():
            try:
                shelf.put(thing, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
        except BaseException as failure:
            put(_End(failure))
        else:
            put(_End())

    def taken() -> Iterator[Batch]:
        while True:
            thing = shelf.get()
            if isinstance(thing, _End):
                if thing.failure is not None:
                    raise thing.failure
                return
            yield thing

    thread = threading.Thread(target=read, name="import reader", daemon=True)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    thread.start()
    try:
        yield taken()
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(usual)
