"""Letters from a skeleton: they say what the plain way says, whatever the values are, and nothing else."""

import quopri
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import letter_source
from mailhub.mail.campaign import CompiledCampaign, Recipient, RecipientUrls, compile_campaign, to_header
from mailhub.mail.dkim import relaxed_body
from mailhub.mail.document import CampaignSource
from mailhub.mail.headers import UnsafeHeader
from mailhub.mail.quoted import Quoted, quoted
from mailhub.mail.segments import Cutter, as_html, as_text
from mailhub.mail.skeleton import Addresses, Endings, Skeleton
from mailhub.mail.template import RenderFailed, compile_template

DATE = b"Date: Mon, 04 May 2026 00:00:00 +0000\r\n"
LATIN = (
    "<html><body><p>Hi {{ name }}, {{ city|default('your <city>') }}: {{ points }}</p>\n"
    + "".join(
        f"<p>{n} = {{{{ name }}}}{{{{ city }}}} <a href='https://a.test/{n}?x=1&amp;y={n}'>Item</a></p>\n"
        for n in range(9)
    )
    + "{{ city|upper }} {{ note|e }}\n\n<a href='{{ unsubscribe_url }}'>x</a> {{ web_version_url|upper }}</body></html>"
)
CYRILLIC = LATIN.replace("Hi", "Здравствуйте, дорогая наша читательница").replace("Item", "Посмотреть товар " * 5)
BLOCKS = LATIN.replace(
    "{{ city|upper }}",
    "{% if city %}<p>In {{ city }}</p>\n{% endif %}\n"
    "{% if points > 3 %}<p><a href='https://a.test/more'>More</a></p>{% endif %}"
    "{% for item in items %}<li>{{ item }}</li>{% endfor %}",
)
HOSTILE = [
    "", " ", "a\rb", "a\r\nBcc: v@evil.test\r\n\r\nx", "\n.\n", ".", "x\r\n.\r\nMAIL FROM:<e@vil>", "\x00\x01\x7f",
    "\u2028\u2029\x85",
    "=?utf-8?q?x=0D=0ABcc:_a@b.c?=", "\u202eevil", "👩‍👩‍👧", "=3D=\r\n", "--=_a\r\n", "a" * 10_000, "я" * 10_000,
    "<b>&amp;'\"",
    "\ue100000\ue102", "{{ 7 * 7 }}", "trailing ", "\ttab\t", "\ud800", "a " * 60, "a\n\n\n\nb", "…" * 14,
    "x" * 40, "x" * 41,
]  # fmt: skip
PEOPLE = st.sampled_from(HOSTILE) | st.text(max_size=90)


def compiled_of(html: str, subject: str = "For {{ name }} and {{ city }}") -> CompiledCampaign:
    compiled = compile_campaign(
        CampaignSource(
            subject=subject, html=html, from_email="shop@example.com", from_name="Shop", list_id="n.example.com"
        )
    )
    assert compiled.ok, compiled.problems
    return compiled


def skeleton_of(compiled: CompiledCampaign) -> Skeleton:
    return compiled.skeleton(
        Addresses(
            "https://t.example/u/", "https://t.example/v/", "https://t.example/o/",
            [f"https://t.example/c/{n}-" for n in range(len(compiled.links))],
        )
    )  # fmt: skip


def fill(compiled: CompiledCampaign, skeleton: Skeleton, name: str, fields: Mapping[str, Any]) -> bytes:
    endings = Endings(b"uu" * 12, b"ww" * 12, b"oo" * 12, [b"c%03d" % n * 7 for n in range(len(compiled.links))])
    context = compiled.context(
        "ann@example.org", name, fields, "https://t.example/u/" + "uu" * 12, "https://t.example/v/" + "ww" * 12
    )
    return skeleton.fill(
        context,
        endings,
        to=to_header("ann@example.org", name),
        date=DATE,
        message_id=b"Message-ID: <1@example.com>\r\n",
    )


def recipient(name: str, fields: Mapping[str, Any]) -> Recipient:
    urls = RecipientUrls(
        unsubscribe="https://t.example/u/" + "uu" * 12,
        web_version="https://t.example/v/" + "ww" * 12,
        open="https://t.example/o/" + "oo" * 12,
        click=lambda position: f"https://t.example/c/{position}-" + f"c{position:03}" * 7,
    )
    return Recipient("ann@example.org", name, fields, urls)


def read(data: bytes) -> tuple[EmailMessage, str, str]:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text, html = (part.get_payload(decode=True).decode() for part in message.iter_parts())
    return message, text, html


def as_read(text: str) -> str:
    """A text with the line ends and the surrogates that it has on the wire, without the last line break."""
    return re.sub(r"\r\n?|\n", "\r\n", text).removesuffix("\r\n").encode("utf-8", "replace").decode()


SOURCES = {"latin": LATIN, "cyrillic": CYRILLIC, "blocks": BLOCKS}
COMPILED = {
    name: (compiled, skeleton_of(compiled)) for name, html in SOURCES.items() for compiled in [compiled_of(html)]
}


@pytest.mark.parametrize("which", SOURCES)
@given(PEOPLE, PEOPLE, st.integers(0, 9) | st.none() | st.floats() | st.lists(st.text(max_size=9)))
@settings(max_examples=150, deadline=None)
@example("Анна", "Тверь", 7)
@example("a\r", "\nb", 7)
def test_letter_says_what_the_preview_says(which: str, name: str, city: str, points: object) -> None:
    compiled, skeleton = COMPILED[which]
    fields = {"city": city, "points": points, "items": [name.replace("\r", " ")]}
    try:
        parts = compiled.render_parts(recipient(name, fields))
        plain = compiled.render(
            recipient(name, fields), message_id="<1@example.com>", date=datetime(2026, 5, 4, tzinfo=UTC)
        )
    except RenderFailed:
        assert "=?" in name + city
        return
    data = fill(compiled, skeleton, name, fields)
    message, text, html = read(data)
    assert html == as_read(parts.html)
    assert text == as_read(parts.text)
    assert message["Subject"] == message_from_bytes(plain, policy=policy.default)["Subject"]
    assert data.partition(b"\r\nContent-Type")[0] == plain.partition(b"\r\nContent-Type")[0]
    assert data.isascii()
    assert max(map(len, data.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", data) is None
    body = data.partition(b"\r\n\r\n")[2]
    assert relaxed_body(body) == body


@pytest.mark.parametrize("which", ["latin", "cyrillic"])
@given(PEOPLE, PEOPLE, st.integers() | st.none())
@settings(max_examples=100, deadline=None)
def test_preview_is_what_a_whole_template_gives(which: str, name: str, city: str, points: object) -> None:
    """Every expression evaluated once and pasted is the same as one template for all, filled in at once."""
    source = SOURCES[which]
    name, city = (value.replace("\r", " ") for value in (name, city))
    cutter = Cutter(None)
    pieces = cutter.cut(source, "html")
    context = COMPILED[which][0].context("a@b.test", name, {"city": city, "points": points}, "https://u", "https://w")
    values, _ = cutter.values().evaluate(context)
    together = "".join(piece if isinstance(piece, str) else as_html(values[piece.index]) for piece in pieces)
    assert together == compile_template(source).render(context)
    pieces = cutter.cut(source, "text")
    values, _ = cutter.values().evaluate(context)
    together = "".join(piece if isinstance(piece, str) else as_text(values[piece.index]) for piece in pieces)
    assert together == compile_template(source, kind="text").render(context)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("which", SOURCES)
def test_hostile_value_changes_no_header_and_no_structure(which: str, value: str) -> None:
    compiled, skeleton = COMPILED[which]
    ordinary = message_from_bytes(fill(compiled, skeleton, "Ann", {"city": "Tver"}))
    try:
        data = fill(compiled, skeleton, value, {"city": value, "points": value, "items": [value]})
    except UnsafeHeader:
        assert "=?" in value
        data = fill(compiled, skeleton, "Ann", {"city": value.replace("=?", ""), "points": value})
    message = message_from_bytes(data)
    assert message.keys() == ordinary.keys()
    assert [part.get_content_type() for part in message.walk()] == [part.get_content_type() for part in ordinary.walk()]
    assert message.get_boundary() == ordinary.get_boundary()


def test_conditions_leave_no_empty_lines_in_the_text() -> None:
    compiled, skeleton = COMPILED["blocks"]
    for fields in ({}, {"city": "Tver"}, {"points": 9}, {"city": "Tver", "points": 9}):
        _, text, html = read(fill(compiled, skeleton, "Ann", fields))
        assert "\r\n\r\n\r\n" not in text
        assert ("More" in html) == ("More" in text) == ("points" in fields)
        assert ("https://t.example/c/9-" in html) == ("points" in fields)
    assert text == as_read(compiled.render_parts(recipient("Ann", fields)).text)


def test_without_a_pixel_there_is_none() -> None:
    compiled = compiled_of("<p>x</p>")
    data = fill(
        compiled, compiled.skeleton(Addresses("https://t.example/u/", "https://t.example/v/", "", [])), "Ann", {}
    )
    assert "<img" not in read(data)[2]


def test_too_long_letter_is_refused_before_it_is_made() -> None:
    compiled = compiled_of("{{ city }}" * 3000)
    with pytest.raises(RenderFailed) as failed:
        fill(compiled, skeleton_of(compiled), "Ann", {"city": "x" * 90_000})
    assert failed.value.problem.code == "render_too_long"
    cyrillic = compiled_of("<p>Привет</p>" + "{{ city }}" * 3000)
    with pytest.raises(RenderFailed):
        fill(cyrillic, skeleton_of(cyrillic), "Ann", {"city": "я" * 90_000})


def test_ending_is_base64url_only() -> None:
    compiled, skeleton = COMPILED["latin"]
    endings = Endings(b"u", b"w", b"o\r\n", [b"c"] * len(compiled.links))
    with pytest.raises(ValueError, match="base64url"):
        skeleton.fill({}, endings, to=b"", date=b"", message_id=b"")


def test_first_letter_is_read_again() -> None:
    compiled = compiled_of("<p>x</p>")
    endings = Endings(b"u", b"w", b"o", [])
    context = compiled.context("a@b.test", "Ann", {}, "", "")
    with pytest.raises(ValueError, match="name"):
        skeleton_of(compiled).fill(
            context, endings, to=b"To: a@b.test\r\nBcc: v@evil.test\r\n", date=DATE, message_id=b"Message-ID: <1@a>\r\n"
        )


@given(st.lists(st.text(max_size=200), min_size=1, max_size=6), st.lists(PEOPLE, min_size=6, max_size=6))
@settings(max_examples=200, deadline=None)
def test_quoted_printable_with_gaps_is_read_back(texts: list[str], values: list[str]) -> None:
    texts = [text.replace("\r", "\n") for text in texts]
    part = Quoted()
    for number, text in enumerate(texts):
        part.text(text)
        if number < len(texts) - 1:
            part.gap(number)
    part.end()
    encoded = part.pieces[0]
    meant = texts[0]
    for number, piece in zip(part.gaps, part.pieces[1:], strict=True):
        encoded += quoted(values[number]) + piece
        meant += re.sub(r"\r\n?", "\n", values[number]) + texts[number + 1]
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert not re.search(rb"[ \t]\r\n|[ \t]$|  |\t", encoded)
    decoded = quopri.decodestring(encoded.replace(b"\r\n", b"\n"))
    assert decoded == meant.encode("utf-8", "replace")


@pytest.mark.parametrize("kind", ["latin", "cyrillic", "conditionals"])
def test_benchmark_letter_is_as_large_as_it_says(kind: letter_source.Kind) -> None:
    html = letter_source.html(kind)
    assert 10_500 <= len(html.encode()) <= 11_999
    assert html.count("{{") >= 80
    compiled = compiled_of(html)
    assert compiled.links == letter_source.LINKS


def test_base64_lines_are_full() -> None:
    compiled, skeleton = COMPILED["cyrillic"]
    data = fill(compiled, skeleton, "Анна", {})
    body = data.split(b"base64\r\n\r\n")[1].split(b"\r\n--")[0].split(b"\r\n")
    assert all(len(line) == 76 for line in body[:-1])
    assert b64decode(b"".join(body))
