"""Letters that say nothing of their reader: whole addresses in the skeleton, classes of programs."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail import agents
from mailhub.mail.agents import agent_of, class_of
from mailhub.mail.campaign import CompiledCampaign, Recipient, RecipientUrls, compile_campaign, to_header
from mailhub.mail.classify import NOBODY_NEAR, Hit, Places, classify
from mailhub.mail.document import CampaignSource
from mailhub.mail.letter_tokens import NOBODY
from mailhub.mail.skeleton import Addresses, Endings
from mailhub.mail.tokens import NUMBER, Kind, Signer
from tests.mail.test_classify import CHROME, GMAIL, MAIL_ON_IPHONE, MAILRU, OUTLOOK, SAFARI, YAHOO, YANDEX

HTML = (
    "<body><p>Dear {{ name }}, <a href=\"https://example.com/?a=1&amp;b={{ city|default('none') }}\">yours</a>"
    ' and <a href="https://example.com/all?x=1&amp;y=2">everybody\'s</a>'
    '{% if city %}, <a href="https://example.com/in/{{ city }}">here</a>{% endif %}.'
    ' <a href="{{ preferences_url }}">Choose</a> <a href="{{ unsubscribe_url }}">Leave</a></p></body>'
)
OWN = ["https://example.com/?a=1&b={}", "https://example.com/all?x=1&y=2", "https://example.com/in/{}"]
SIGNER = Signer([b"k" * 40])


def campaign(html: str = HTML) -> CompiledCampaign:
    return compile_campaign(CampaignSource(subject="News", html=html, from_email="a@example.com"))


def parts(data: bytes) -> tuple[str, str]:
    message: Any = message_from_bytes(data, policy=policy.default)
    text, html = message.iter_parts()
    return text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30)


@pytest.mark.parametrize("mode", ["aggregate", "off"])
@pytest.mark.parametrize("html", [HTML, HTML.replace("Dear", "Дорогой читатель, которому мы пишем, " * 3)])
@given(name=NAMES, city=NAMES)
@settings(max_examples=15, deadline=None)
def test_a_filled_skeleton_is_the_rendered_letter(mode: str, html: str, name: str, city: str) -> None:
    compiled = campaign(html)
    assert compiled.personal_links == {0, 2}
    whole = ["", "https://t.example/t/c/all", ""] if mode == "aggregate" else []
    pixel = "https://t.example/t/o/all?a&b" if mode == "aggregate" else ""
    addresses = Addresses("https://t.example/u/", "https://t.example/v/", pixel, whole, "https://t.example/p/", True)
    context = compiled.context("ann@example.com", name, {"city": city}, "https://t.example/u/uu",
                               "https://t.example/v/ww", "https://t.example/p/pp")  # fmt: skip
    made = compiled.skeleton(addresses).fill(
        context, Endings(b"uu", b"ww", b"", (), b"pp"), to=to_header("ann@example.com", name), date=b"Date: x\r\n",
        message_id=b"Message-ID: <x@y>\r\n",
    )  # fmt: skip
    urls = RecipientUrls(
        "https://t.example/u/uu", "https://t.example/v/ww", pixel or None,
        (lambda position: whole[position] or None) if whole else None, "https://t.example/p/pp",
    )  # fmt: skip
    rendered = compiled.render_parts(Recipient("ann@example.com", name, {"city": city}, urls))
    # The line break before a boundary belongs to the boundary.
    assert [part.rstrip("\n") for part in parts(made)] == [rendered.text.rstrip("\n"), rendered.html.rstrip("\n")]
    assert ("https://t.example/t/" in rendered.html) == (mode == "aggregate")


def test_tokens_of_nobody_are_the_same_in_every_letter_and_name_nobody() -> None:
    tokens = SIGNER.letter_tokens(project=7, campaign=8, list=9, links=[30, 31])
    rests = tokens.rests(NOBODY)
    opened = SIGNER.read(Kind.OPEN, tokens.beginning(NUMBER[Kind.OPEN]) + rests.of(NUMBER[Kind.OPEN]).decode())
    assert (opened.project, opened.campaign, opened.subscriber) == (7, 8, None)
    for link, start, end in zip([30, 31], tokens.clicks, rests.clicks, strict=True):
        clicked = SIGNER.read(Kind.CLICK, start + end.decode())
        assert (clicked.link, clicked.subscriber) == (link, None)
    assert rests == SIGNER.letter_tokens(project=7, campaign=8, list=9, links=[30, 31]).rests(NOBODY)


PROGRAMS = [CHROME, GMAIL, MAIL_ON_IPHONE, MAILRU, OUTLOOK, SAFARI, YAHOO, YANDEX, "Mozilla/5.0", "", "  ", "curl/8",
            *sorted(agents.GMAIL_PREFETCH), "Barracuda Sentinel (EE)", "class/mobile/Gmail", "Some 3.1"]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_class_tells_what_the_program_told(program: str) -> None:
    kept = class_of(program)
    assert agent_of(kept) == agent_of(program)
    assert class_of(kept) == kept
    at = datetime.now(UTC)
    for click in (True, False):
        told, found = (
            classify(Hit(click, at, one, None, "mail.test", False), NOBODY_NEAR, Places()) for one in (program, kept)
        )
        assert told == found


@given(st.text(max_size=80) | st.builds("class/{}/{}".format, st.text(max_size=9), st.text(max_size=9)))
@settings(max_examples=200, deadline=None)
def test_no_text_of_a_stranger_becomes_a_class_of_its_own(text: str) -> None:
    for one in (text, f"class/{text}", f" CLASS/{text}"):
        agent = agent_of(one)
        assert agent.device in {"", "desktop", "mobile", "tablet", "proxy", "bot"}
        assert agent.client in agents._clients()
        kept = class_of(one)
        assert agent_of(kept) == agent
        assert kept.startswith("class/") or kept in {"", agents.APPLE_PRIVACY, *agents.GMAIL_PREFETCH}
