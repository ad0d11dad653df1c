"""The networks that the settings name, for the classifier: read once, and again when the file of relays has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailhub import logs
from mailhub.mail.classify import Places
from mailhub.mail.networks import Networks, network

log = logs.get(__name__)


def places_of(registry: Any) -> Places:
    """What `mailhub.tracking.scanner_networks` and `mailhub.tracking.private_relay_file` say."""
    settings = registry.mailhub
    stamp = _changed_at(settings.private_relay_file)
    known: tuple[int, Places] | None = getattr(registry, "hit_places", None)
    if known is None or known[0] != stamp:
        scanners, relays = Networks(settings.scanner_networks), _relays(settings.private_relay_file)
        known = registry.hit_places = (stamp, Places(scanners=scanners, relays=relays))
    return known[1]


def _changed_at(name: str) -> int:
    try:
        return Path(name).stat().st_mtime_ns if name else 0
    except OSError:
        return 0


def _relays(name: str) -> Networks:
    """The first column of Apple's egress-ip-ranges.csv; lines that are none are left out."""
    if not name:
        return Networks()
    found, bad = [], 0
    try:
        with Path(name).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                text = line.partition(",")[0].strip()
                try:
                    if text:
                        network(text)
                        found.append(text)
                except ValueError:
                    bad += 1
    except OSError as failure:
        log.warning("relays.unreadable", error=type(failure).__name__)
    if bad:
        log.warning("relays.bad_lines", lines=bad)
    return Networks(found)
