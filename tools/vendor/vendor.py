#!/usr/bin/env python3
"""Copies what the pages use out of node_modules into static/: run by `make vendor`, after `npm ci`.

    cd tools/vendor && npm ci --ignore-scripts && python vendor.py

Writes static/vendor/<name>-<version>/ with licences, static/img/icons.svg, what tests need in tests/browser/vendor/,
and static/vendor/manifest.sha256, which tests/web/test_vendor.py checks. The results are committed: installing
mailhub needs no node and no network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = HERE / "node_modules"
VENDOR = ROOT / "static" / "vendor"
SPRITE = ROOT / "static" / "img" / "icons.svg"
TOOLS = ROOT / "tests" / "browser" / "vendor"
MANIFEST = VENDOR / "manifest.sha256"

#: package → (name of the folder, files).
PACKAGES = {
    "htmx.org": ("htmx", ["dist/htmx.min.js", "dist/ext/hx-ptag.min.js", "LICENSE"]),
    "@fontsource-variable/inter": (
        "inter",
        ["files/inter-latin-wght-normal.woff2", "files/inter-cyrillic-wght-normal.woff2", "LICENSE"],
    ),
    "lucide-static": ("lucide", ["LICENSE"]),
}


def version(package: str) -> str:
    """The installed version, which must be the one asked for in package.json."""
    installed = json.loads((MODULES / package / "package.json").read_text("utf-8"))["version"]
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"][package]
    if installed != wanted:
        raise SystemExit(f"{package}: installed {installed}, wanted {wanted}; run npm ci")
    return str(installed)


def copy(package: str, folder: Path, files: list[str]) -> None:
    """The files side by side, without source-map comments (the maps are not shipped)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        source, target = MODULES / package / name, folder / Path(name).name
        if name.endswith(".js"):
            text = source.read_text("utf-8")
            target.write_text(re.sub(r"\n?//# sourceMappingURL=.*\s*$", "\n", text), "utf-8")
        else:
            shutil.copyfile(source, target)


def sprite(names: list[str]) -> str:
    """One SVG with a symbol an icon; how it is stroked is the style sheet's business."""
    symbols = []
    for name in names:
        icon = (MODULES / "lucide-static" / "icons" / f"{name}.svg").read_text("utf-8")
        body = icon[icon.index(">", icon.index("<svg")) + 1 : icon.rindex("</svg>")]
        body = re.sub(r"\s*\n\s*", "", body)
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>')
    head = f"<!-- Lucide {version('lucide-static')}, ISC: see vendor/lucide-{version('lucide-static')}/LICENSE -->"
    return head + '\n<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def main() -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for package, (name, files) in PACKAGES.items():
        copy(package, VENDOR / f"{name}-{version(package)}", files)
    shutil.rmtree(TOOLS, ignore_errors=True)
    copy("axe-core", TOOLS / f"axe-core-{version('axe-core')}", ["axe.min.js", "LICENSE", "LICENSE-3RD-PARTY.txt"])
    copy("htmx.org", TOOLS / f"htmx-{version('htmx.org')}", ["dist/scripts/upgrade-check.py", "LICENSE"])
    names = sorted(set((HERE / "icons.txt").read_text("utf-8").split()))
    SPRITE.parent.mkdir(parents=True, exist_ok=True)
    SPRITE.write_text(sprite(names), "utf-8")
    listed = sorted(path for path in [*VENDOR.rglob("*"), *TOOLS.rglob("*"), SPRITE] if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}" for path in listed]
    MANIFEST.write_text("\n".join(lines) + "\n", "utf-8")
    # The lock names no registry: the integrity hashes are what counts.
    lock = HERE / "package-lock.json"
    kept = json.loads(lock.read_text("utf-8"))
    for entry in kept["packages"].values():
        entry.pop("resolved", None)
        entry.pop("funding", None)
    lock.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    print(f"{len(listed)} files, {len(names)} icons, {SPRITE.stat().st_size} bytes of sprite")


if __name__ == "__main__":
    main()
