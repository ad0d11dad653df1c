"""The style sheet of a form's colours: the page itself has no style in it, so that its policy can forbid any."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mailhub.signup.colours import MIN_TEXT, contrast, edge_of, luminance
from mailhub.signup.design import Colours

_SHEET = """\
:root{{color-scheme:{scheme};--brand:{button};--ink:{text};--ink-2:{text};--bg:{page};--surface:{card};\
--line:color-mix(in srgb,{text} 16%,{card});--ok:{good};--bad:{bad}}}
body{{background:{page};color:{text}}}
button,.btn{{color:{button_text}}}
.btn-quiet{{color:{text};border-color:{edge}}}
a{{color:{text}}}
input:not([type=checkbox],[type=radio],[type=hidden]),select,textarea{{border-color:{edge}}}
:focus-visible{{outline-color:{text}}}
"""


def sheet(colours: Colours) -> str:
    """CSS for these colours, which were checked when the form was saved; nothing of it is anybody's own text."""
    return _SHEET.format(
        scheme="dark" if luminance(colours.card) < 0.2 else "light",
        edge=edge_of(colours.card),
        good=_readable(("#0b6b42", "#6fdca6"), colours),
        bad=_readable(("#ab1d27", "#ff9d9d"), colours),
        **colours.model_dump(),
    )


def version(colours: Colours) -> str:
    """Changes with what the sheet says."""
    return hashlib.sha256(sheet(colours).encode()).hexdigest()[:10]


def _readable(choices: Sequence[str], colours: Colours) -> str:
    """The first that can be read on the card; the text's own colour where none can."""
    return next((one for one in choices if contrast(one, colours.card) >= MIN_TEXT), colours.text)
