"""The letter of the benchmarks: 11 kB of HTML, 80 merge-field uses, 40 links; its text part is made from it."""

from __future__ import annotations

LINKS = 40
_WORDS = "everything for the garden, the terrace and the long evenings of September: "
_TITLE = "<html><body><h1>Сентябрьские скидки</h1>"


def _paragraph(n: int) -> str:
    return (
        f"<p>Dear {{{{ name|default('friend') }}}}, {_WORDS * 2}"
        f'<a href="https://shop.example.com/item/{n}?from=letter">Item {n}</a> '
        "in {{ city|default('your city') }}</p>"
    )


HTML = _TITLE + "".join(_paragraph(n) for n in range(LINKS)) + "</body></html>"
