"""static/vendor: what was fetched is what was pinned, with its licences, and nobody has edited it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from mailhub.web.icons import names

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"


def manifest() -> dict[str, str]:
    lines = (VENDOR / "manifest.sha256").read_text("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def test_vendored_files_are_as_they_were_fetched() -> None:
    listed = manifest()
    for path, digest in listed.items():
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == digest, path
    there = {str(p.relative_to(ROOT)) for p in VENDOR.rglob("*") if p.is_file() and p.name != "manifest.sha256"}
    there |= {str(p.relative_to(ROOT)) for p in (ROOT / "tests/browser/vendor").rglob("*") if p.is_file()}
    assert there | {"static/img/icons.svg"} == set(listed)


def test_every_vendored_library_has_its_licence_and_the_pinned_version() -> None:
    pinned = set(json.loads((ROOT / "tools/vendor/package.json").read_text("utf-8"))["dependencies"].values())
    for folder in (*VENDOR.iterdir(), *(ROOT / "tests/browser/vendor").iterdir()):
        if folder.is_dir():
            assert (folder / "LICENSE").is_file(), folder
            assert folder.name.rsplit("-", 1)[1] in pinned, folder


def test_the_lock_has_hashes_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "tools/vendor/package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())


def test_templates_speak_htmx_4() -> None:
    """htmx's own checker finds no attribute, event or header of an older version."""
    checker = ROOT / "tests/browser/vendor/htmx-4.0.1/upgrade-check.py"
    done = subprocess.run(
        [sys.executable, "-B", checker, ROOT / "templates", ROOT / "static/js"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Found 0 issue(s)" in done.stderr, done.stderr


def test_templates_and_code_use_icons_that_exist() -> None:
    used: set[str] = set()
    for path in (ROOT / "templates").rglob("*.html"):
        used |= set(re.findall(r'\bicon\("([a-z0-9-]+)"', path.read_text("utf-8")))
        used |= set(re.findall(r'icon_name="([a-z0-9-]+)"', path.read_text("utf-8")))
    assert used
    assert used <= names(), sorted(used - names())


def test_fonts_cover_the_same_weights_and_both_alphabets() -> None:
    css = (ROOT / "static/css/fonts.css").read_text("utf-8")
    for path in re.findall(r'url\("\.\./([^"]+)"\)', css):
        assert (ROOT / "static" / path).is_file(), path
    assert css.count("@font-face") == 2
    assert "U+0400-045F" in css
    assert "font-display:optional" in css


def test_the_first_load_stays_small() -> None:
    import gzip

    def weight(path: str) -> int:
        return len(gzip.compress((ROOT / path).read_bytes(), 9))

    assert weight("static/js/mh.js") <= 6_000
    assert weight("static/css/public.css") <= 3_000
    fonts = sum(path.stat().st_size for path in VENDOR.glob("inter-*/*.woff2"))
    whole = sum(map(weight, ("static/js/mh.js", "static/css/mh.css", "static/img/icons.svg")))
    htmx = sum(weight(str(path.relative_to(ROOT))) for path in VENDOR.glob("htmx-*/*.js"))
    assert fonts + whole + htmx <= 110_000
