"""CSS rules copied into `style` attributes, once per campaign version, with merge expressions kept.

css-inline parses and writes the whole document as HTML5. That would move `{% for %}` out of a table and escape `>` in
`{% if a > 3 %}`, so expressions stand in as comments (in content) or plain words (in tags and raw text) meanwhile.
"""

import re

import css_inline

from mailhub.mail.merge import expressions, mask
from mailhub.mail.scan import RAW_TEXT, tags

_INLINER = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_STYLE = re.compile(r"<style\b", re.IGNORECASE)


class StylesNotInlined(Exception):
    """The document could not be changed without touching its merge expressions, or could not be read."""


def inline_styles(source: str) -> str:
    """The document with its rules inlined; itself when it has none. Raises StylesNotInlined."""
    if not _STYLE.search(source):
        return source
    word = "mhx"
    while word in source.lower():
        word += "x"
    spans = expressions(source)
    try:
        inlined = _INLINER.inline(_stand_ins(source, spans, word))
    except Exception as error:  # A Rust library with errors of its own: whatever it is, the letter goes as it was.
        raise StylesNotInlined from error
    # Braces that were no expression (`&#123;&#123;`) must not become one now that references are decoded.
    inlined = re.sub(r"\{(?=[{%]|##)", "&#123;", inlined)
    kept = [source[start:end] for start, end in spans]
    inlined = re.sub(f'<!--{word}([0-9]+)q-->|{word}([0-9]+)q(?:="")?', lambda at: kept[int(at[1] or at[2])], inlined)
    if [inlined[start:end] for start, end in expressions(inlined)] != kept:
        raise StylesNotInlined
    return inlined


def _stand_ins(source: str, spans: list[tuple[int, int]], word: str) -> str:
    in_tags: list[tuple[int, int]] = []
    in_values: list[tuple[int, int]] = []
    raw: list[tuple[int, int]] = [match.span() for match in _COMMENT.finditer(mask(source))]
    opened: int | None = None
    for tag in tags(source):
        in_tags.append((tag.start, tag.end))
        in_values += [(attribute.start, attribute.end) for attribute in tag.attributes]
        if opened is not None:
            raw.append((opened, tag.start))
        opened = tag.end if tag.name in RAW_TEXT and not tag.closing else None
    words, lone = _Inside(raw + in_values), _Inside(in_tags)
    pieces: list[str] = []
    position = 0
    for number, (start, end) in enumerate(spans):
        stand_in = f"{word}{number}q"
        if words.has(start):
            pass
        elif lone.has(start):
            stand_in = f" {stand_in} "
        else:
            stand_in = f"<!--{stand_in}-->"
        pieces += (source[position:start], stand_in)
        position = end
    return "".join((*pieces, source[position:]))


class _Inside:
    """Whether a position is in one of many spans; asked in rising order."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.spans = sorted(spans)
        self.next = 0
        self.reach = -1

    def has(self, position: int) -> bool:
        while self.next < len(self.spans) and self.spans[self.next][0] <= position:
            self.reach = max(self.reach, self.spans[self.next][1])
            self.next += 1
        return position < self.reach
