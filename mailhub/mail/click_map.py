"""The click map: a letter as it was sent, with a badge beside each of its links.

The letter is rendered with marks in the place of its links' addresses; the badges are put in afterwards, as markup of
their own, so that the frame needs no script. What is put into the HTML is escaped here.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mailhub.mail.merge import expressions
from mailhub.mail.scan import Attribute, Tag, escape_attribute, tags

#: Stands for a link's address while the letter is rendered. `.invalid` is no domain (RFC 2606, 2).
_MARK = "https://link.invalid/"
#: What the letter's links to ourselves (unsubscribe and its like) are rendered with: they lead nowhere.
OWN_MARK = f"{_MARK}own"
_NAME = re.compile(r"href\s*=\s*$", re.IGNORECASE)

# From grey over light to dark blue; white on each of them has a contrast of 4.5 or more.
_HEAT = ((0.3, "#1e2a8a"), (0.1, "#3346b8"), (0.0, "#4a60c0"))
_COLD = "#646c7a"
_LOOK = (
    "display:inline-block;padding:1px 7px;border-radius:9px;background:{colour};color:#fff;"
    "font:600 11px/16px Arial,Helvetica,sans-serif;letter-spacing:0;text-decoration:none;text-transform:none;"
    "white-space:nowrap;"
)
_BESIDE = _LOOK + "margin:0 2px 0 4px;vertical-align:middle"
_OVER = _LOOK + "position:absolute;left:4px;top:4px;box-shadow:0 0 0 2px #fff"
_ANCHOR = (
    "display:inline-block;position:relative;width:0;height:0;font-size:0;line-height:0;vertical-align:top;z-index:9"
)


@dataclass(frozen=True, slots=True)
class Badge:
    """What stands beside a link: `text` in it, `title` as its tooltip, `share` (0..1) as its colour, `url` to open."""

    text: str
    title: str
    share: float
    url: str


def mark_of(position: int) -> str:
    """What the link at this position is rendered with."""
    return f"{_MARK}{position:03}"


def with_badges(source: str, badges: Mapping[int, Badge]) -> str:
    """The rendered letter with the badges of its links, by their position.

    A badge stands behind a link of words and lies on a link that is a picture; areas of a picture get none. Links
    without a badge, and those whose address differs from reader to reader, lead nowhere.
    """
    found = list(tags(source))
    changes: list[tuple[int, int, str]] = []
    for index, tag in enumerate(found):
        link = _marked(tag)
        if link is None:
            continue
        number = link.value.removeprefix(_MARK)
        badge = badges.get(int(number)) if number.isascii() and number.isdigit() else None
        if badge is not None and not expressions(badge.url):
            changes.append((link.start, link.end, f'"{escape_attribute(badge.url)}"'))
        else:
            name = _NAME.search(source, tag.start, link.start)
            changes.append((name.start() if name else link.start, link.end, ""))
        if badge is None or tag.name != "a":
            continue
        inside = _until_closed(found, index)
        if inside is None or any(one.name in ("img", "picture") for one in inside[:-1]):
            changes.append((tag.start, tag.start, f'<span style="{_ANCHOR}">{_badge(badge, _OVER)}</span>'))
        else:
            behind = inside[-1].end
            changes.append((behind, behind, _badge(badge, _BESIDE)))
    return _changed(source, changes)


def _marked(tag: Tag) -> Attribute | None:
    """The address of a link that was rendered with a mark; None for any other tag."""
    if tag.closing:
        return None
    found = (one for one in tag.attributes if one.name == "href" and one.value.startswith(_MARK))
    return next(found, None)


def _until_closed(found: list[Tag], index: int) -> list[Tag] | None:
    """The tags behind a link up to the one that closes it; None where it is never closed."""
    for end in range(index + 1, len(found)):
        if found[end].name == "a":
            return found[index + 1 : end + 1] if found[end].closing else None
    return None


def _badge(badge: Badge, look: str) -> str:
    colour = next((colour for least, colour in _HEAT if badge.share > least), _COLD)
    style = look.format(colour=colour)
    return f'<span style="{style}" title="{html.escape(badge.title)}">{html.escape(badge.text)}</span>'


def _changed(source: str, changes: list[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, text in sorted(changes, key=lambda change: change[:2]):
        pieces += (source[done:start], text)
        done = end
    return "".join((*pieces, source[done:]))
