"""The letter of the benchmarks: 11 kB of HTML, 80 uses of 10 merge expressions, 40 tracked links, a text made of it.

`row` is what is frozen when a campaign starts, `LINKS` the addresses of its links by position, `people` who gets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from mailhub.delivery.recipients import Recipient

Kind = Literal["latin", "cyrillic", "conditionals"]

LINKS = [f"https://shop.example.com/autumn/item-{number}?from=letter&size=m" for number in range(40)]

_EXPRESSIONS = (
    "{{ first_name|default('friend') }}",
    "{{ name }}",
    "{{ city|default('your city') }}",
    "{{ company|default('your company')|title }}",
    "{{ points|default(0) }}",
    "{{ tier|default('basic')|upper }}",
    "{{ manager|default('our team') }}",
    "{{ email }}",
    "{{ project.name }}",
    "{{ shop|default('the nearest shop')|truncate(40) }}",
)
_WORDS = {
    "latin": ("Autumn prices for", "in", "all you need for the garden, the terrace and long evenings", "Look at item"),
    "cyrillic": ("Осенние цены для", "в городе", "всё для сада и дома", "Смотреть товар"),
}
_NAMES = {
    "latin": ("Anna", "Smith", "Salisbury", "garden tools ltd", "Mr O'Neil"),
    "cyrillic": ("Анна", "Кузнецова", "Тверь", "садовый инструмент", "Пётр Иванов"),
}


def html(kind: Kind = "latin") -> str:
    """40 paragraphs, each with a link and two merge expressions; `conditionals` puts every tenth behind an `if`."""
    prices, place, text, look = _WORDS["cyrillic" if kind == "cyrillic" else "latin"]
    paragraphs = []
    for number, link in enumerate(LINKS):
        first, second = _EXPRESSIONS[number % 10], _EXPRESSIONS[(number * 3 + 1) % 10]
        paragraph = (
            f'<p style="margin:0 0 9px">{prices} {first} {place} {second}: {text}. '
            f'<a href="{link.replace("&", "&amp;")}">{look} {number + 1}</a></p>\n'
        )
        if kind == "conditionals" and number % 10 == 5:
            paragraph = f"{{% if points > {number} %}}{paragraph}{{% else %}}<p>{first}</p>\n{{% endif %}}"
        paragraphs.append(paragraph)
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>News</title></head>\n<body style="margin:0">\n'
        f"{''.join(paragraphs)}"
        '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a> · <a href="{{ web_version_url }}">Browser</a></p>\n'
        "</body></html>\n"
    )


def row(kind: Kind = "latin") -> dict[str, Any]:
    """The frozen campaign, as delivery reads it from `campaign_version` and `project`."""
    subject = "Осенние цены для {{ first_name }}" if kind == "cyrillic" else "Autumn prices for {{ first_name }}"
    return {
        "project_id": 12, "campaign_id": 3456, "name": "Autumn", "subject": subject, "preheader": "",
        "from_email": "news@shop.example.com", "from_name": "Shop", "reply_to": "", "html": html(kind), "text": "",
        "language": "ru" if kind == "cyrillic" else "en", "project_name": "Garden & Co",
        "project_domain": "shop.example.com", "postal_address": "1 Main St", "list_id": 78, "list_name": "News",
        "present_domain": "shop.example.com", "present_name": "Autumn", "present_list_name": "News",
        "relay": "default",
    }  # fmt: skip


def people(count: int, kind: Kind = "latin") -> Iterator[Recipient]:
    """So many recipients, each with a name and values of their own; every seventh lacks some."""
    first, last, city, company, manager = _NAMES["cyrillic" if kind == "cyrillic" else "latin"]
    for number in range(1_000_000, 1_000_000 + count):
        fields: dict[str, Any] = {"points": number % 100, "shop": f"Main St {number % 500}"}
        if number % 7:
            fields |= {"city": f"{city} {number % 1000}", "company": company, "manager": manager, "tier": "gold"}
        email = f"person{number}@mail.example.org"
        yield Recipient(number, email, email, "mail.example.org", f"{first} {last} {number}", fields, "")
