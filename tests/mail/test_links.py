"""Links: which are tracked, how they are replaced, and which addresses never get into a letter (T5)."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.links import add_pixel, check_links, extract_links, rewrite_links
from mailhub.mail.scan import after_body_start, tags
from mailhub.mail.url import UnsafeUrl, safe_url, safe_url_template
from tests.cpu import cpu_seconds


def slot(position: int, url: str) -> str:
    return f"[{position}]"


@pytest.mark.parametrize(
    ("source", "urls", "rewritten"),
    [
        ('<a href="https://a.test/">x</a>', ["https://a.test/"], '<a href="[0]">x</a>'),
        ("<a href='https://a.test/'>x</a>", ["https://a.test/"], '<a href="[0]">x</a>'),
        ("<a href=https://a.test/b>x</a>", ["https://a.test/b"], '<a href="[0]">x</a>'),
        ("<A  CLASS=b\n HREF = 'http://a.test'\t>x</A>", ["http://a.test"], '<A  CLASS=b\n HREF = "[0]"\t>x</A>'),
        ('<a href="https://a.test/?a=1&amp;b=2">', ["https://a.test/?a=1&b=2"], '<a href="[0]">'),
        ('<a href="https://a.test/?a=1&copy=2">', ["https://a.test/?a=1&copy=2"], '<a href="[0]">'),
        ('<a href=" https://a.test/\n">', ["https://a.test/"], '<a href="[0]">'),
        ('<a href="https://a.test/{{ city }}?c={{ a|default("x") }}">',
         ['https://a.test/{{ city }}?c={{ a|default("x") }}'], '<a href="[0]">'),
        ('<a {% if a > 1 %}href="https://a.test/1"{% else %}href="https://a.test/2"{% endif %}>',
         ["https://a.test/1", "https://a.test/2"],
         '<a {% if a > 1 %}href="[0]"{% else %}href="[1]"{% endif %}>'),
        ('<area href="https://a.test/1"><a name=x>', ["https://a.test/1"], '<area href="[0]"><a name=x>'),
        ('<!--[if mso]><v:rect href="https://a.test/"></v:rect><![endif]-->', ["https://a.test/"],
         '<!--[if mso]><v:rect href="[0]"></v:rect><![endif]-->'),
        ('<!--[if !mso]><!--><a href="https://a.test/">x</a><!--<![endif]-->', ["https://a.test/"],
         '<!--[if !mso]><!--><a href="[0]">x</a><!--<![endif]-->'),
        ('<!-- <a href="https://a.test/"> -->', [], None),
        ('<style>a{content:"<a href=https://a.test/>"}</style>', [], None),
        ('<script>x="<a href=https://a.test/>"</script>', [], None),
        ('<title><a href="https://a.test/"></title>', [], None),
        ('<a href="mailto:x@a.test">', [], None),
        ('<a href="tel:+7">', [], None),
        ('<a href="#top">', [], None),
        ('<a href="">', [], None),
        ("<a>", [], None),
        ('<a href="https://a.test/" data-notrack>', [], None),
        ('<a href="{{ unsubscribe_url }}">', [], None),
        ('<a href="{{ subscriber.unsubscribe_url }}?x=1">', [], None),
        ('<a href="{{web_version_url}}">', [], None),
        ('<link href="https://a.test/s.css"><img src="https://a.test/i.png">', [], None),
        ('<abbr href="https://a.test/">', [], None),
        ('a < b <a href="https://a.test/">', ["https://a.test/"], 'a < b <a href="[0]">'),
        ('<a href="https://a.test/', [], None),
        ('<p title="<a href=\'https://b.test/\'>"><a href="https://a.test/">', ["https://a.test/"],
         '<p title="<a href=\'https://b.test/\'>"><a href="[0]">'),
        ('<a title={{ "<a>" }} href="https://a.test/">', ["https://a.test/"], '<a title={{ "<a>" }} href="[0]">'),
        ("<a href='https://пример.рф/п?q=ж'>", ["https://xn--e1afmkfd.xn--p1ai/%D0%BF?q=%D0%B6"], '<a href="[0]">'),
    ],
)  # fmt: skip
def test_links_are_found_and_replaced(source: str, urls: list[str], rewritten: str | None) -> None:
    assert [link.url for link in extract_links(source)] == urls
    assert rewrite_links(source, slot) == (source if rewritten is None else rewritten)


def test_link_knows_its_text_and_line() -> None:
    source = (
        '<p>\n<a href="https://a.test/"> Read <b>more</b> &amp; more</a>\n<a href="https://b.test/"><img alt="Pic"></a>'
    )
    assert [(link.position, link.text, link.line) for link in extract_links(source)] == [
        (0, "Read more & more", 2),
        (1, "Pic", 3),
    ]


def test_link_with_a_loop_variable_is_not_tracked() -> None:
    source = '<a href="https://a.test/{{ item.id }}"><a href="https://a.test/{{ city }}">'
    assert [link.url for link in extract_links(source, loop_variables={"item"})] == ["https://a.test/{{ city }}"]


def test_slot_is_escaped_for_its_attribute() -> None:
    assert rewrite_links("<a href=https://a.test/>", lambda p, u: 'x"&<{{ a|d("y") }}') == (
        '<a href="x&quot;&amp;&lt;{{ a|d("y") }}">'
    )


@pytest.mark.parametrize(
    ("href", "code"),
    [
        ("javascript:alert(1)", "link_scheme"),
        ("data:text/html,x", "link_scheme"),
        ("ftp://a.test/", "link_scheme"),
        ("/path", "link_relative"),
        ("//a.test/", "link_relative"),
        ("page.html", "link_relative"),
        ("www.a.test", "link_relative"),
        ("{{ website }}", "link_merge_host"),
        ("https://{{ host }}/", "link_merge_host"),
        ("https://a.{{ host }}", "link_merge_host"),
        ("https://a.test{{ rest }}", "link_merge_host"),
        ("https://{{ user }}@a.test/", "link_merge_host"),
        ("{{ scheme }}://a.test/", "link_merge_host"),
        ("java{{ x }}script:alert(1)", "link_merge_host"),
        ("https://a@b.test/", "link_userinfo"),
        ("ftp://a.test/{{ x }}", "link_scheme"),
        ("/path/{{ x }}", "link_relative"),
        ("https://a.test/" + "ж" * 3_900, "link_too_long"),
    ],
)
def test_bad_link_is_a_problem(href: str, code: str) -> None:
    source = f'<p>\n<a href="{href}">x</a>'
    assert [(problem.code, problem.line) for problem in check_links(source)] == [(code, 2)]
    assert extract_links(source) == []
    assert rewrite_links(source, slot) == source


def test_too_many_links_are_a_problem() -> None:
    assert [problem.code for problem in check_links('<a href="https://a.test/">' * 501)] == ["too_many_links"]


def test_pixel_is_the_last_thing_of_the_body() -> None:
    assert add_pixel("<body>a<!-- </body> --></body></html>", "[P]") == "<body>a<!-- </body> -->[P]</body></html>"
    assert add_pixel("<html>a</html>", "[P]") == "<html>a[P]</html>"
    assert add_pixel("a", "[P]") == "a[P]"
    assert after_body_start("<html><head></head><body class='>'>x") == 35


ACCEPTED_URLS = [
    ("https://a.test", "https://a.test"),
    ("HTTPS://A.Test/P", "https://a.test/P"),
    ("http://a.test:8080/x?y=z#f", "http://a.test:8080/x?y=z#f"),
    ("https://a.test/%D0%B6?a=b%20c&d=[1]", "https://a.test/%D0%B6?a=b%20c&d=[1]"),
    ("https://a.test/ж|{x}", "https://a.test/%D0%B6%7C%7Bx%7D"),
    ("https://a.test//b//c", "https://a.test//b//c"),
    ("https://127.0.0.1:6543/", "https://127.0.0.1:6543/"),
    ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
    ("http://localhost/", "http://localhost/"),
    ("https://a。test/", "https://a.test/"),
    ("https://ａ.test/", "https://a.test/"),
    ("https://my_host.a.test/", "https://my_host.a.test/"),
    ("https://a.test/?next=//b.test", "https://a.test/?next=//b.test"),
    ("https://a.test/@b", "https://a.test/@b"),
    ("https://a.test?u=x@y.test", "https://a.test?u=x@y.test"),
]


@pytest.mark.parametrize(("url", "safe"), ACCEPTED_URLS)
def test_url_is_normalised(url: str, safe: str) -> None:
    assert safe_url(url) == safe
    assert safe_url(safe) == safe


# T5: addresses that lead elsewhere than they say, or nowhere.
REFUSED_URLS = [
    "", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)", "vbscript:x",
    "data:text/html,<script>", "file:///etc/passwd", "ftp://a.test", "about:blank", "blob:https://a.test/x",
    "//evil.test",
    "///evil.test", "\\\\evil.test", "/\\evil.test", "https:/evil.test", "https:evil.test", "https:\\\\evil.test",
    "https:///evil.test", "https://", "https://?x", "https://#x", "https://a.test\\@evil.test/", "https://a@evil.test",
    "https://a:b@evil.test/", "https://a.test%2f@evil.test", "https://a.test%00.evil.test/", "https://a.te st/",
    "https://a.test/a b", "https://a.test/\r\nLocation: x", "https://a.test/\x00", "https://a.test/\x7f",
    "https://a.test/\u202egnp", "https://a.test/\u200b", "https://a\u200b.test/", "https://a.test/\ud800",
    "https://a..test/",
    "https://.a.test/", "https://-a.test/", "https://a.test:99999/", "https://a.test:0/", "https://a.test:/",
    "https://a.test:80a/", "https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/", "https://1.2.3/",
    "https://1.2.3.256/", "https://[::1/",
    "https://[zz]/", "https://[:::1]/", "https://::1/", "https://a.test:80:80/",
    "https://a<b>.test/",
    'https://a.test/"onclick=', "https://a.test/<script>", "https://" + "a" * 64 + ".test/", "https://xn--\u0430.test/",
    "https://a\u2024test:/", "h\u0442tps://a.test/", "www.a.test", "mailto:a@b.test", "https://a.test/" + "x" * 4000,
    "https://a\u3000b.test/", "https://{{ x }}.test/", "https://a/b@c\\d",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_misleading_url_is_refused(url: str) -> None:
    with pytest.raises(UnsafeUrl):
        safe_url(url)


@given(st.text("htps:/\\@.?#[]%a1\t\n \u200bж。＠{}", max_size=40).map("https://".__add__) | st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_safe_url_means_the_same_to_everybody(url: str) -> None:
    try:
        safe = safe_url(url)
    except UnsafeUrl:
        return
    parts = urlsplit(safe)
    assert safe.isascii() and safe.isprintable()  # noqa: PT018
    assert parts.scheme in ("http", "https")
    assert parts.hostname and "@" not in parts.netloc and "%" not in parts.netloc  # noqa: PT018
    assert safe_url(safe) == safe


def test_expressions_of_a_url_are_kept() -> None:
    assert safe_url_template("HTTPS://A.test/ж/{{ a|default('й') }}?b={{ b }}") == (
        "https://a.test/%D0%B6/{{ a|default('й') }}?b={{ b }}"
    )


HTML = st.sampled_from(
    ["<a", "href", "=", '"', "'", ">", "<", "/", " ", "https://a.test/", "{{", "}}", "{%", "%}", "<!--",
    "-->", "<![endif]",
     "<!--[if mso]>", "<script>", "</script>", "</a>", "<body>", "</body>", "\x00", "ж", "<style", "&amp;",
     "x", "<img alt="]
)  # fmt: skip


@given(st.lists(HTML, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_source_keeps_every_other_byte(source: str) -> None:
    links = extract_links(source)
    rewritten = rewrite_links(source, lambda position, url: f"\ue123{position}\ue123")
    assert rewritten.count("\ue123") == 2 * len(links)
    if not links:
        assert rewritten == source
    for tag in tags(source):
        assert source[tag.start] == "<"
        assert source[tag.end - 1] == ">"


@pytest.mark.parametrize("piece", ["<", "<a ", "<a href='", "<!--", "<style>", "{{", "<a href=x>", "&", "<a {{ x }} "])
def test_hostile_source_is_scanned_in_linear_time(piece: str) -> None:
    assert cpu_seconds(lambda: extract_links(piece * (200_000 // len(piece))), tries=1) < 3
