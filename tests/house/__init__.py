"""The structure itself: what a reviewer would have to look for by hand."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mailhub"
TEMPLATES = ROOT / "templates"
