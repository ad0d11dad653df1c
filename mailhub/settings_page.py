"""docs/settings.md, made from the table of settings: `python -m mailhub.settings_page > docs/settings.md`."""

from __future__ import annotations

import sys

from mailhub import setting_values as kind
from mailhub.relay_presets import RELAY_DEFAULTS, RELAY_DOCS
from mailhub.settings import ROWS, environment_name


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from the table in `mailhub/settings.py` by `make settings-doc`; do not edit by hand.",
        "",
        "Every setting can be given in the ini (section `[DEFAULT]` or the app's) or in the environment, which wins.",
        "A secret can also be `file:/path`, `env:NAME` or `cred:name` (systemd's `LoadCredential=`).",
        "Unknown, missing or unparsable settings stop the start with the full list.",
        "",
        "| setting | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    rows = [
        (row.metadata["name"], row.metadata["default"], row.metadata["doc"], row.metadata["secret"]) for row in ROWS
    ]
    rows += [
        (f"mailhub.relay.<name>.{part}", RELAY_DEFAULTS.get(part, ""), doc, part == "url")
        for part, doc in RELAY_DOCS.items()
    ]
    rows += [(f"mailhub.lane.<lane>.{part}", "", doc, False) for part, doc in kind.LANE_DOCS.items()]
    for name, default, doc, secret in rows:
        default_cell = f"`{default}`" if default else ""
        lines.append(
            f"| `{name}` | `{environment_name(name)}` | {default_cell} | {doc}{' Secret.' if secret else ''} |"
        )
    lines += [
        "",
        "The lanes, and their defaults for connections, letters a second and letters a connection:",
        "",
        *(f"* `{lane}`: {', '.join(limits.values())}" for lane, limits in kind.LANE_DEFAULTS.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
