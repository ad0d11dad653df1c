"""What was collected stays as long as the process: Python's garbage collector need not look at it again and again.

Thousands of tests and their modules are a million objects. With the usual thresholds a tenth of the suite's time goes
into walking them.
"""

from __future__ import annotations

import gc

import pytest

#: How many more objects are made than dropped before the youngest are looked at, and how many such looks make an older
#: generation's turn.
_THRESHOLDS = (20_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
