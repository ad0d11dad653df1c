"""The links of a letter: found in the HTML source before it is filled in, and replaced by slots, all else kept.

A link's position is its number among the tracked links, counted from 0 in the order of the source. Not tracked:
`mailto:`, `tel:` and other local schemes, `#anchors`, links marked `data-notrack`, links to ourselves
(`{{ unsubscribe_url }}` …), and links whose address uses a loop's variable, which is gone when the click comes.
"""

import html
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mailhub.mail.lint import fields
from mailhub.mail.merge import OWN_URL_NAMES
from mailhub.mail.problem import Problem
from mailhub.mail.scan import Attribute, Tag, before_body_end, escape_attribute, line_of, tags, unescape
from mailhub.mail.url import UnsafeUrl, safe_url_template

MAX_LINKS = 500
_OWN = re.compile(r"\{\{-?\s*(?:subscriber\.)?(?P<name>" + "|".join(sorted(OWN_URL_NAMES)) + r")\b")
_UNTRACKED = re.compile(r"(?:mailto|tel|sms|callto|facetime|geo|maps|webcal|cid):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkUse:
    """One tracked link: `url` is its address with merge expressions (a link template), `text` what readers see."""

    position: int
    url: str
    text: str
    line: int


def extract_links(source: str, *, loop_variables: Collection[str] = ()) -> list[LinkUse]:
    """The links to track, in order; links with problems are not among them."""
    return [
        LinkUse(position, url, _text(source, tag), line_of(source, tag.start))
        for position, (tag, _, url) in enumerate(_tracked(source, loop_variables))
    ]


def rewrite_links(source: str, slot: Callable[[int, str], str], *, loop_variables: Collection[str] = ()) -> str:
    """The source with the address of every tracked link replaced by `slot(position, url)`; no other byte changes."""
    pieces: list[str] = []
    done = 0
    for position, (_, attribute, url) in enumerate(_tracked(source, loop_variables)):
        pieces += (source[done : attribute.start], f'"{escape_attribute(slot(position, url))}"')
        done = attribute.end
    return "".join((*pieces, source[done:]))


def check_links(source: str, *, loop_variables: Collection[str] = ()) -> list[Problem]:
    """What stands against the links of this source, each with its line."""
    problems: list[Problem] = []
    for tag, _, _, problem in _links(source, loop_variables):
        if problem is not None:
            problems.append(Problem(problem.code, problem.params, line_of(source, tag.start), part="html"))
    if sum(1 for _ in _tracked(source, loop_variables)) > MAX_LINKS:
        problems.append(Problem("too_many_links", {"limit": str(MAX_LINKS)}, part="html"))
    return problems


def has_own_link(source: str, names: Collection[str]) -> bool:
    """Whether a source uses one of our own links, such as `unsubscribe_url`."""
    return any(name.removeprefix("subscriber.") in names for name in fields(source))


def add_pixel(source: str, markup: str) -> str:
    """The source with `markup` as the last thing of its body."""
    place = before_body_end(source)
    return source[:place] + markup + source[place:]


def _tracked(source: str, loop_variables: Collection[str]) -> Iterator[tuple[Tag, Attribute, str]]:
    for tag, attribute, url, problem in _links(source, loop_variables):
        if problem is None and url:
            yield tag, attribute, url


def _links(source: str, loop_variables: Collection[str]) -> Iterator[tuple[Tag, Attribute, str, Problem | None]]:
    """Every link: with its normalised address when tracked, with an empty one when not, or with its problem."""
    for tag in tags(source):
        if tag.closing or not (tag.name in ("a", "area") or tag.name.startswith("v:")):
            continue
        for attribute in tag.attributes:
            if attribute.name != "href":
                continue
            url = re.sub(r"[\t\r\n\f]", "", unescape(attribute.value)).strip()
            if not url or url.startswith("#") or _UNTRACKED.match(url) or _OWN.match(url):
                continue
            try:
                safe = safe_url_template(url)
            except UnsafeUrl as unsafe:
                yield tag, attribute, "", unsafe.problem
                continue
            uses_loop = loop_variables and any(name.partition(".")[0] in loop_variables for name in fields(safe))
            untracked = uses_loop or tag.get("data-notrack") is not None
            yield tag, attribute, "" if untracked else safe, None


def _text(source: str, tag: Tag) -> str:
    """What a reader sees of the link: its text, else the alternative text of its first image."""
    end = re.compile(r"</(?:a|area|v:)", re.IGNORECASE).search(source, tag.end, tag.end + 5_000)
    inside = source[tag.end : end.start()] if end else ""
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", inside)).split())
    if not text:
        alternatives = (inner.get("alt") for inner in tags(inside) if inner.name == "img")
        text = next((alternative for alternative in alternatives if alternative), "")
    return text[:100]
