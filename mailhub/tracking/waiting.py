"""What of the spools is not stored yet: for the heartbeat, the metrics and the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailhub.tracking import spool
from mailhub.tracking.hit import BadHit, decode


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of the spools is not stored yet: bytes, and when the oldest hit was made."""

    bytes: int = 0
    since: datetime | None = None

    def age_seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.since).total_seconds()) if self.since is not None else 0.0


def waiting(folder: Path, stored: Mapping[str, int]) -> Waiting:
    """What is not stored, given what is; reads a line of each file that has more."""
    size, since = 0, None
    for path in spool.files(folder):
        try:
            more = path.stat().st_size - stored.get(path.name, 0)
            if more <= 0:
                continue
            lines, _end = spool.read_lines(path, stored.get(path.name, 0), most=1)
        except OSError:
            continue
        size += more
        for line in lines:
            try:
                at = decode(line).at
            except BadHit:
                at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            since = at if since is None else min(since, at)
    return Waiting(size, since)
