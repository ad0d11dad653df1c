"""Python's garbage collector in processes that live long."""

from __future__ import annotations

import gc


def settle() -> None:
    """Take everything that the process is made of out of the collector's sight; call it once it can serve.

    It lives as long as the process. Left there, a whole collection looks at all of it again, in the midst of somebody's
    page.
    """
    gc.collect()
    gc.freeze()
