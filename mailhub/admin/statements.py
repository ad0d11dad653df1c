"""SQL as it may be shown: without the values in it, which are addresses of people as often as not."""

from __future__ import annotations

import re

SHOWN = 600
#: A text (also E'…', with '' and \\' in it), a dollar-quoted one, a number, a comment. PostgreSQL cuts long statements
#: in pg_stat_activity, so that any of them may have no end.
_LITERALS = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<name> "(?:[^"]|"")*(?:"|\Z) )
    | (?P<escaped> \b[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z) )
    | (?P<text> (?:\b(?:[bBxXnN]|[uU]&))?'(?:[^']|'')*(?:'|\Z) )
    | (?P<dollar> \$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z) )
    | (?P<bind> \$\d+ )
    | (?P<number> (?<![\w$.])[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\b )
    """,
    re.VERBOSE | re.DOTALL,
)


def mask(statement: str, *, length: int = SHOWN) -> str:
    """The statement with `?` for every text and number in it, on one line, cut after `length` characters."""
    shown = " ".join(_LITERALS.sub(_masked, statement).split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _masked(match: re.Match[str]) -> str:
    if match.group("name") or match.group("bind"):
        return match.group()
    return " " if match.group("comment") else "?"
