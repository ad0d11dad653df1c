"""The operator's own list of disposable domains beside ours."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mailhub.mail.disposable import DISPOSABLE, with_more
from mailhub.settings import Settings


def disposable_domains(settings: Settings) -> frozenset[str]:
    """Our list and the file of `mailhub.quality.disposable_file`, read again when it changes. For mail.quality.Quality.

    A file that is away for a moment is no reason to stop an import: then it is our list alone.
    """
    path = settings.quality_disposable_file
    if not path:
        return DISPOSABLE
    try:
        changed = Path(path).stat().st_mtime_ns
        return _read(path, changed)
    except OSError:
        return DISPOSABLE


@lru_cache(maxsize=2)
def _read(path: str, _changed: int) -> frozenset[str]:
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        return with_more(lines)
