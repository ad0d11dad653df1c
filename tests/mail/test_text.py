"""The plain text made of HTML."""


import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.text import html_to_text
from tests.cpu import cpu_seconds


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", "\n"),
        ("plain", "plain\n"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("a<br>b<br/><br>c", "a\nb\n\nc\n"),
        ("<p>One <b>bold</b>, <i>two</i>.</p>", "One bold, two.\n"),
        ("<div>a</div><div>b</div>", "a\nb\n"),
        ("<h1>Title</h1>text<h2>More</h2>text", "Title\n\ntext\n\nMore\n\ntext\n"),
        ('<a href="https://a.test/?a=1&amp;b=2">Read</a> on', "Read (https://a.test/?a=1&b=2) on\n"),
        ('<a href="https://a.test/">https://a.test</a>', "https://a.test\n"),
        ('<a href="https://a.test/"><img src="x"></a>', "https://a.test/\n"),
        ('<a href="https://a.test/"><img src="x" alt="Shop"></a>', "Shop (https://a.test/)\n"),
        ('<a href="mailto:a@b.test">a@b.test</a> <a href="tel:+7495">Call</a>', "a@b.test Call (+7495)\n"),
        ('<a href="#x">up</a> <a href="javascript:x()">no</a>', "up no\n"),
        ('<a href="{{ unsubscribe_url }}">Leave</a>', "Leave ({{ unsubscribe_url }})\n"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>", "- a\n- b\n  - c\n"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b\n"),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>", "A | B\n1 | 2\n"),
        ("<table><tr><td>Left</td><td><p>Right</p></td></tr></table>", "Left\n\nRight\n"),
        ("a<hr>b", "a\n\n--------------------\n\nb\n"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc\n"),
        ("<html><head><title>T</title><style>p{}</style></head><body>x<script>y</script></body></html>", "x\n"),
        ('<div style="display: none">pre</div><span style="mso-hide:all">h</span>x<p hidden>y</p>', "x\n"),
        ("a<!-- comment -->b<!--[if mso]><p>c</p><![endif]-->", "ab\n"),
        ("&lt;b&gt; &amp; &nbsp;x&#8203;y &copy;", "<b> & xy ©\n"),
        ('Hi {{ name|default("a > b") }}, {% if a < 3 %}x{% endif %}',
         'Hi {{ name|default("a > b") }}, {% if a < 3 %}x{% endif %}\n'),
        ("<p>{% if a %}</p><p>x</p><p>{% endif %}</p>", "{% if a %}\n\nx\n\n{% endif %}\n"),
        ("&#123;&#123; name }} &#123;% x", "{ { name }} { % x\n"),
        ("<p>Привет, мир</p>", "Привет, мир\n"),
        ('<?xml version="1.0" encoding="koi8-r"?><p>Привет</p>', "Привет\n"),
        ('<meta charset="windows-1251"><p>Привет</p>', "Привет\n"),
        ("a\x00b\ud800", "a b\n"),
        ("<b>a</b><i>b</i> <u> c</u>", "ab c\n"),
        ("<![>x", "x\n"),
        ("<p>unclosed <b>tags", "unclosed tags\n"),
    ],
)  # fmt: skip
def test_html_becomes_text(source: str, text: str) -> None:
    assert html_to_text(source) == text


@given(st.text(max_size=100) | st.lists(st.sampled_from(
    ["<p>", "</p>", "<a href='x'>", "</a>", "<table>", "<tr>", "<td>", "<th>", "<li>", "<ol>", "</ol>",
    "{{ a }}", "<!--",
     "-->", "<![", "<?", "&#0;", "&#x110000;", "\x00", "\ud800", "<pre>", "<br>", "x", "<style>", "hidden",
     "<html", ">"]
)).map("".join))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_source_becomes_some_text(source: str) -> None:
    text = html_to_text(source)
    assert text.endswith("\n")
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("piece", ["<div>", "<table>", "<a href=x>", "<li>", "<!--", "{{ a }}", "<ol><li>", "<"])
def test_hostile_source_takes_bounded_time(piece: str) -> None:
    assert cpu_seconds(lambda: html_to_text(piece * (200_000 // len(piece))), tries=1) < 3
