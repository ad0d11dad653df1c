"""Badges beside links: where they stand, what they may say, and that nothing else of the letter changes."""

from __future__ import annotations

import re

import pytest

from mailhub.mail.click_map import OWN_MARK, Badge, mark_of, with_badges

SHOP = Badge("1 · 60%", "34 people", 0.6, "https://shop.test/?a=1&b=2")
BADGES = {0: SHOP, 1: Badge("2 · 0%", "nobody", 0.0, "https://shop.test/two"),
          2: Badge("3", "", 0.05, "https://shop.test/{{ email }}")}  # fmt: skip


def bare(html: str) -> str:
    """With [words] for a badge beside a link, and <words> for one on a picture."""
    html = re.sub(r'<span style="[^"]*width:0[^"]*"><span[^>]*>([^<]*)</span></span>', r"«\1»", html)
    return re.sub(r"<span[^>]*>([^<]*)</span>", r"[\1]", html)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f'<a href="{mark_of(0)}">go <b>on</b></a>!',
         '<a href="https://shop.test/?a=1&amp;b=2">go <b>on</b></a>[1 · 60%]!'),
        (f"<p>İ<A id=x HREF = {mark_of(1)} class=y><img src=z></A>",
         '<p>İ«2 · 0%»<A id=x HREF = "https://shop.test/two" class=y><img src=z></A>'),
        (f'<a href="{mark_of(2)}">each their own</a>', "<a >each their own</a>[3]"),
        (f'<a href="{mark_of(7)}">no such link</a>', "<a >no such link</a>"),
        (f'<a href="{OWN_MARK}">unsubscribe</a>', "<a >unsubscribe</a>"),
        (f'<a href="{mark_of(0)}">open <a href="{mark_of(1)}">two</a>',
         '«1 · 60%»<a href="https://shop.test/?a=1&amp;b=2">open <a href="https://shop.test/two">two</a>[2 · 0%]'),
        (f'<map><area href="{mark_of(1)}"></map>', '<map><area href="https://shop.test/two"></map>'),
        ('<a href="https://other.test/">x</a> <a name="n">y</a>',
         '<a href="https://other.test/">x</a> <a name="n">y</a>'),
        ("", ""),
    ],
)  # fmt: skip
def test_where_badges_stand(source: str, expected: str) -> None:
    assert bare(with_badges(source, BADGES)) == expected


def test_what_a_badge_says_is_text() -> None:
    made = with_badges(f'<a href="{mark_of(0)}">x</a>', {0: Badge("<b>", '"><script>', 1.0, 'https://x.test/"><i>')})
    assert "<script>" not in made
    assert "<b>" not in made
    assert "<i>" not in made
    assert "&lt;b&gt;" in made


def test_more_clicks_are_a_darker_badge() -> None:
    def colour(share: float) -> str:
        made = with_badges(f'<a href="{mark_of(0)}">x</a>', {0: Badge("x", "", share, "https://x.test")})
        return re.findall(r"background:(#\w+)", made)[0]

    colours = [colour(share) for share in (0.0, 0.05, 0.2, 0.9)]
    assert len(set(colours)) == 4
