"""Campaign letters: preview and bytes are the same, links become the recipient's own, nothing unsafe gets out."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.campaign import CompiledCampaign, Recipient, RecipientUrls, compile_campaign, guarded_parts
from mailhub.mail.document import CampaignSource
from mailhub.mail.styles import StylesNotInlined, inline_styles
from mailhub.mail.template import RenderFailed, TemplateRefused
from tests.cpu import cpu_seconds

DATE = datetime(2026, 5, 4, tzinfo=UTC)
URLS = RecipientUrls(
    unsubscribe="https://t.example/u/1",
    web_version="https://t.example/w/1",
    open="https://t.example/o/1",
    click=lambda position: f"https://t.example/c/{position}?a=1&b=2",
    unsubscribe_mailto="u-1@b.example",
)
ANN = Recipient("ann@example.org", "Ann <Lee>", {"city": "Tver", "items": [{"t": "A"}, {"t": "B"}]}, URLS)
PLAIN = replace(ANN, urls=RecipientUrls("https://t.example/u/1", "https://t.example/w/1"))


def source(**changes: object) -> CampaignSource:
    values: dict[str, object] = {
        "subject": "News for {{ first_name }}", "from_email": "shop@example.com", "from_name": "Shop",
        "html": '<p>Hi {{ name }}</p><a href="https://shop.example/{{ city }}?a=1&amp;b=2">Buy</a>',
        "project_name": "Shop & Co", "postal_address": "1 Main St", "list_id": "n.lists.example", "list_name": "News",
        "feedback_id": "1:2:3:mailhub",
    }  # fmt: skip
    return CampaignSource(**{**values, **changes})  # type: ignore[arg-type]


def codes(compiled: CompiledCampaign) -> list[str]:
    return [problem.code for problem in compiled.problems]


def test_letter_is_filled_in_for_its_recipient() -> None:
    compiled = compile_campaign(source())
    assert compiled.problems == []
    assert compiled.links == ["https://shop.example/{{ city }}?a=1&b=2"]
    assert {"name", "first_name", "city"} <= compiled.fields
    data = compiled.render(ANN, message_id="<1@example.com>", date=DATE)
    message = message_from_bytes(data, policy=policy.default)
    assert message["Subject"] == "News for Ann"
    assert message["Precedence"] == "bulk"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert b"List-Unsubscribe: <https://t.example/u/1>,\r\n <mailto:u-1@b.example?subject=unsubscribe>\r\n" in data
    text, page = message.iter_parts()
    html = page.get_content()
    assert "<p>Hi Ann &lt;Lee&gt;</p>" in html
    assert '<a href="https://t.example/c/0?a=1&amp;b=2">Buy</a>' in html
    assert html.count('<img src="https://t.example/o/1"') == 1
    assert html.index("t.example/o/1") < html.index("</body>")
    assert 'Shop &amp; Co<br><span style="white-space:pre-line">1 Main St</span><br>' in html
    assert '<a href="https://t.example/u/1"' in html
    assert "Hi Ann <Lee>" in text.get_content()
    assert "Buy (https://t.example/c/0?a=1&b=2)" in text.get_content()
    assert not re.search("[\ue000-\uf8ff]", html + text.get_content())


def test_preview_is_what_is_sent() -> None:
    compiled = compile_campaign(source(text="Hi {{ name }}\n{{ unsubscribe_url }}\n"))
    parts = compiled.render_parts(ANN)
    message = message_from_bytes(compiled.render(ANN, message_id="<1@x.test>", date=DATE), policy=policy.default)
    text, page = message.iter_parts()
    assert message["Subject"] == parts.subject
    assert page.get_content().replace("\r\n", "\n") == parts.html.rstrip("\n")
    assert text.get_content().replace("\r\n", "\n") == parts.text.rstrip("\n")
    assert parts.text == "Hi Ann <Lee>\nhttps://t.example/u/1\n"
    assert guarded_parts(source(text="Hi {{ name }}\n{{ unsubscribe_url }}\n"), PLAIN) == compiled.render_parts(PLAIN)


def test_without_tracking_links_go_where_they_say() -> None:
    parts = compile_campaign(source()).render_parts(replace(PLAIN, fields={"city": "Нов/го?род"}))
    assert (
        'href="https://shop.example/%D0%9D%D0%BE%D0%B2%2F%D0%B3%D0%BE%3F%D1%80%D0%BE%D0%B4?a=1&amp;b=2"' in parts.html
    )
    assert "<img" not in parts.html


def test_own_unsubscribe_link_needs_no_footer() -> None:
    own = compile_campaign(source(html='<body>x <a href="{{ unsubscribe_url }}">Leave</a></body>')).render_parts(PLAIN)
    assert own.html == '<body>x <a href="https://t.example/u/1">Leave</a></body>'
    assert "Unsubscribe" not in own.text
    other = compile_campaign(source(text="Only text")).render_parts(PLAIN)
    assert other.text.endswith("Unsubscribe: https://t.example/u/1\nPreferences: https://t.example/u/1\n")
    assert "1 Main St" in other.text


def test_footer_speaks_the_language_of_the_campaign() -> None:
    parts = compile_campaign(source(language="ru", postal_address="")).render_parts(PLAIN)
    assert ">Отписаться</a>" in parts.html
    assert "Shop &amp; Co<br><a" in parts.html


def test_preheader_is_hidden_at_the_beginning() -> None:
    parts = compile_campaign(source(preheader="Only <today>, {{ city }}", html="<body><p>x</p></body>")).render_parts(
        PLAIN
    )
    assert re.match(r'<body><div style="display:none[^"]*">Only &lt;today&gt;, Tver</div><p>x', parts.html)
    assert "Only" not in parts.text


def test_text_alone_becomes_simple_html() -> None:
    parts = compile_campaign(source(html="", text="Hi {{ name }} & all\nnext\n\nend")).render_parts(PLAIN)
    assert "<p>Hi Ann &lt;Lee&gt; &amp; all<br>next</p>\n<p>end</p>" in parts.html


def test_loop_and_condition() -> None:
    html = (
        "<table>{% for item in items %}<tr><td>{{ item.t }}</td>"
        "<td><a href='https://a.test/{{ item.t }}'>x</a></td></tr>"
        "{% endfor %}</table>{% if city == 'Tver' %}<a href='https://a.test/tver'>t</a>{% endif %}"
        "<style>td{color:red}</style>"
    )
    compiled = compile_campaign(source(html=html))
    assert compiled.problems == []
    assert compiled.links == ["https://a.test/tver"]
    parts = compiled.render_parts(ANN)
    assert parts.html.count('<td style="color: red;">') == 4
    assert parts.html.count("<tr>") == 2
    assert "https://a.test/B" in parts.html
    assert 'href="https://t.example/c/0' in parts.html
    assert "https://t.example/c/0" not in compiled.render_parts(replace(ANN, fields={})).html


@pytest.mark.parametrize(
    ("changes", "code", "part"),
    [
        ({"subject": " "}, "subject_empty", "subject"),
        ({"subject": "{{ x"}, "syntax", "subject"),
        ({"subject": "a\nb"}, "header_unsafe", ""),
        ({"html": "{{ x() }}"}, "call_not_allowed", "html"),
        ({"html": "{% while true %}"}, "syntax", "html"),
        ({"html": "{{ ctiy }}", "known_fields": {"city"}}, "unknown_field", "html"),
        ({"text": "{{ ctiy }}", "known_fields": {"city"}}, "unknown_field", "text"),
        ({"preheader": "{{ ctiy }}", "known_fields": {"city"}}, "unknown_field", "preheader"),
        ({"html": '<a href="javascript:x">x</a>'}, "link_scheme", "html"),
        ({"html": '<a href="https://{{ city }}/">x</a>'}, "link_merge_host", "html"),
        ({"html": " "}, "body_empty", "html"),
        ({"from_email": "x"}, "header_unsafe", ""),
        ({"from_name": "x\r\nBcc: y"}, "header_unsafe", ""),
        ({"headers": {"Bcc": "y"}}, "header_unsafe", ""),
    ],
)
def test_faulty_campaign_can_not_be_rendered(changes: dict[str, object], code: str, part: str) -> None:
    compiled = compile_campaign(source(**changes))
    assert (code, part, "error") in [(problem.code, problem.part, problem.level) for problem in compiled.problems]
    assert not compiled.ok
    with pytest.raises(TemplateRefused):
        compiled.render_parts(ANN)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": "Re: your order"}, "subject_reply_prefix"),
        ({"html": "x" * 110_000}, "html_clipped"),
        ({"html": "<style>p{color:red}</style><i title='{{ x }}' title='{{ y }}'>"}, "css_not_inlined"),
    ],
)
def test_advice_does_not_stop_a_campaign(changes: dict[str, object], code: str) -> None:
    compiled = compile_campaign(source(**changes))
    assert codes(compiled) == [code]
    assert compiled.ok


def test_values_of_a_recipient_break_nothing() -> None:
    compiled = compile_campaign(source(subject="Hi {{ name }} {{ city }}"))
    nasty = Recipient(
        "ann@example.org", "x\r\nBcc: v@evil.test", {"city": "a\u2028b\x00<b>{{ 7 }}\ue100000\ue102"}, URLS
    )
    data = compiled.render(nasty, message_id="<1@x.test>", date=DATE)
    message = message_from_bytes(data, policy=policy.default)
    assert "Bcc" not in message
    assert message["Subject"].startswith("Hi x Bcc: v@evil.test a b")
    assert message["To"].addresses[0].display_name == "x Bcc: v@evil.test"
    encoded = replace(nasty, name="=?utf-8?q?x=0ABcc:_v?=")
    with pytest.raises(RenderFailed) as failed:
        compiled.render(encoded, message_id="<1@x.test>", date=DATE)
    assert failed.value.problem.code == "header_unsafe"


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_recipient_gets_one_clean_letter(name: str, city: str) -> None:
    compiled = _compiled()
    try:
        data = compiled.render(Recipient("a@b.test", name, {"city": city}, URLS), message_id="<1@x.test>", date=DATE)
    except RenderFailed:
        if "=?" in name:
            return
        raise
    assert data.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", data) is None
    page = list(message_from_bytes(data, policy=policy.default).iter_parts())[1].get_content()
    assert page.count("<a ") == 3
    assert page.count("<script") == 0


_CACHE: list[CompiledCampaign] = []


def _compiled() -> CompiledCampaign:
    if not _CACHE:
        _CACHE.append(compile_campaign(source(subject="Hi {{ name }}", html=source().html + "<p>{{ city }}</p>")))
    return _CACHE[0]


@pytest.mark.parametrize(
    "html",
    [
        '<table>{% for i in x %}<tr {% if i.a > 3 %}class="b"{% endif %}><td style="width:{{ i.w }}">'
        "{{ i.t }}</td></tr>{% endfor %}</table>",
        "<!--[if mso]><p>{{ x }}</p><![endif]--><title>{{ t }}</title>"
        '<p><a href="https://a.test/{{ y|default("z") }}">x</a></p>',
        "{{ a }}<p>&lt;{{ b }}&gt;</p>{{ c }}",
    ],
)
def test_styles_are_inlined_around_expressions(html: str) -> None:
    document = (
        f"<html><head><style>p,td{{color:red}}@media print{{#m{{color:blue}}}}</style></head><body>{html}</body></html>"
    )
    inlined = inline_styles(document)
    kept: Callable[[str], list[str]] = re.compile(r"\{\{.*?\}\}|\{%.*?%\}").findall
    assert kept(inlined) == kept(document)
    assert "color: red" in inlined
    assert "@media print{#m{color:blue}}" in inlined


def test_encoded_braces_stay_text() -> None:
    document = "<style>p{color:red}</style><p>&#123;&#123; name }} &#123;% if %}</p>"
    assert "{{" not in inline_styles(document)
    parts = compile_campaign(source(html=document)).render_parts(ANN)
    assert "{ { name }} { % if %}" in parts.text


def test_remote_and_local_styles_are_not_loaded() -> None:
    document = '<link rel="stylesheet" href="file:///etc/passwd"><style>p{color:red}</style><p>x</p>'
    assert "root:" not in inline_styles(document)
    with pytest.raises(StylesNotInlined):
        inline_styles("<style>p{color:red}</style><i title='{{ x }}' title='{{ y }}'>")


def test_letters_are_made_fast() -> None:
    links = "".join(
        f'<p style="color:#333">Some words about it <a href="https://a.test/{n}">Item {n}</a></p>\n' for n in range(40)
    )
    compiled = compile_campaign(source(html=f"<html><body>{{{{ name }}}}{links * 2}</body></html>"))

    def render() -> None:
        for number in range(300):
            compiled.render(ANN, message_id=f"<{number}@x.test>", date=DATE)

    assert 300 / cpu_seconds(render) > 300
