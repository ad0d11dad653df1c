"""mailhub.web.jinja, formats, icons, assets: what templates get."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import UndefinedError, nodes
from webtest import TestApp

from mailhub.web.assets import ROOT, static_url
from mailhub.web.i18n import _
from mailhub.web.icons import icon, names
from tests.web.rendering import asking, configurator, environment, render

NBSP = "\u00a0"
MOMENT = datetime(2026, 11, 23, 22, 5, 7, tzinfo=UTC)


def test_autoescape_is_on_and_undefined_is_an_error() -> None:
    with asking() as request:
        assert render(request, "{{ x }}", x="<b>&") == "&lt;b&gt;&amp;"
        with pytest.raises(UndefinedError):
            render(request, "{{ nothing }}")
        assert environment(request).autoescape is True


def test_variables_of_a_translation_are_escaped() -> None:
    with asking() as request:
        assert render(request, '{{ _("Hi %(name)s", name=x) }}', x="<i>") == "Hi &lt;i&gt;"
        assert render(request, "{% trans name=x %}Hi {{ name }}{% endtrans %}", x="<i>") == "Hi &lt;i&gt;"


def test_a_lazy_text_is_put_out_in_the_language_of_the_reader_and_escaped() -> None:
    text = _("Use at most ${n} characters.", mapping={"n": "<5>"})
    with asking() as request:
        assert render(request, "{{ x }}", x=text) == "Use at most &lt;5&gt; characters."


def test_plurals_count_and_format_their_number() -> None:
    source = '{{ ngettext("%(num)s letter", "%(num)s letters", n) }}'
    with asking() as request:
        assert render(request, source, n=1) == "1 letter"
        assert render(request, source, n=1200) == "1,200 letters"


@pytest.mark.parametrize(
    ("source", "value", "english", "russian"),
    [
        ("{{ x|number }}", 1234567, "1,234,567", f"1{NBSP}234{NBSP}567"),
        ("{{ x|number }}", None, "—", "—"),
        ("{{ x|percent }}", 0.314, "31.4%", f"31,4{NBSP}%"),
        ("{{ x|percent }}", 0, "0.0%", f"0,0{NBSP}%"),
        ("{{ x|percent }}", 0.0001, "0.01%", f"0,01{NBSP}%"),
        ("{{ x|percent(0) }}", 0.999, "100%", f"100{NBSP}%"),
        ("{{ x|percent }}", None, "—", "—"),
        ("{{ x|compact }}", 1234567, "1.2M", f"1,2{NBSP}млн"),
        ("{{ x|filesize }}", 999, f"999{NBSP}bytes", f"999{NBSP}байт"),
        ("{{ x|filesize }}", 48211, f"48.2{NBSP}kB", f"48,2{NBSP}кБ"),
        ("{{ x|duration }}", 158, "2m 38s", f"2{NBSP}мин 38{NBSP}с"),
        ("{{ x|duration }}", 0, "0s", f"0{NBSP}с"),
        ("{{ x|duration }}", 1.24, "1.2s", f"1,2{NBSP}с"),
        ("{{ x|duration }}", 7200, "2h", f"2{NBSP}ч"),
        ("{{ x|duration }}", 90061, "1d 1h", f"1{NBSP}дн. 1{NBSP}ч"),
    ],
)
def test_formats_follow_the_language(source: str, value: Any, english: str, russian: str) -> None:
    with asking(language="en") as request:
        assert render(request, source, x=value) == english
    with asking(language="ru") as request:
        assert render(request, source, x=value) == russian


def test_times_are_shown_in_the_readers_zone() -> None:
    with asking(zone="Europe/Moscow") as request:
        assert render(request, "{{ x|datetime }}", x=MOMENT) == "24 Nov 2026, 01:05"
        assert render(request, "{{ x|date }}", x=MOMENT) == "24 Nov 2026"
        assert render(request, "{{ x|date('short') }}", x=date(2026, 11, 23)) == "23 Nov"
        tag = render(request, "{{ time_tag(x) }}", x=MOMENT)
    assert tag == (
        '<time datetime="2026-11-23T22:05:07Z" title="24 Nov 2026, 01:05:07 (Europe/Moscow, GMT+03:00)">'
        "24 Nov 2026, 01:05</time>"
    )


def test_ago_says_how_long_and_in_which_direction() -> None:
    now = datetime.now(UTC)
    with asking() as request:
        assert render(request, "{{ x|ago }}", x=now - timedelta(minutes=3)) == "3 minutes ago"
        assert render(request, "{{ x|ago }}", x=now + timedelta(hours=2, seconds=9)) == "in 2 hours"
        assert render(request, "{{ time_tag(none) }}") == "—"


def test_query_url_keeps_the_rest_of_the_state() -> None:
    with asking("/subscribers?q=a%26b&sort=name&after=xyz") as request:
        url = render(request, '{{ query_url(sort="-name", after=none) }}')
    assert url == "/subscribers?q=a%26b&amp;sort=-name"


def test_static_urls_change_with_the_content_and_are_kept_for_ever() -> None:
    app = TestApp(configurator().make_wsgi_app())
    url = static_url("css/mh.css")
    assert "?v=" in url
    answer = app.get(url)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.content_type == "text/css"
    assert app.get("/static/css/mh.css").headers["Cache-Control"] == "no-cache"
    vendored = static_url("vendor/htmx-4.0.1/htmx.min.js")
    assert "?" not in vendored
    assert "immutable" in app.get(vendored).headers["Cache-Control"]


@pytest.mark.parametrize("path", ["nothing.css", "../setup.py", "%2e%2e/setup.py", "css/../../setup.py"])
def test_static_serves_nothing_but_static_files(path: str) -> None:
    TestApp(configurator().make_wsgi_app()).get(f"/static/{path}", status=404)


def test_a_missing_asset_or_icon_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        static_url("css/nothing.css")
    with pytest.raises(KeyError):
        icon("nothing")
    assert "send" in names()


def test_an_icon_is_hidden_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in icon("send")
    assert 'role="img" aria-label="&lt;Sent&gt;"' in icon("send", "<Sent>")


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def parse(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Forms()
    parser.feed(html)
    return parser.found


def test_a_field_ties_label_error_and_hint_together() -> None:
    with asking() as request:
        html = render(
            request,
            '{{ ui.field("email", "Address", {"email": x}, {"email": "Bad <address>"}, type="email", hint="Yours") }}',
            x='a"b<',
        )
    tags = parse(html)
    ((_tag, given),) = [one for one in tags if one[0] == "input"]
    assert given["value"] == 'a"b<'
    assert given["aria-invalid"] == "true"
    assert (given["aria-describedby"] or "").split() == ["f-email-e", "f-email-h"]
    assert ("label", {"for": "f-email"}) in tags
    assert {"f-email-e", "f-email-h"} <= {attrs.get("id") for _name, attrs in tags}
    assert "Bad &lt;address&gt;" in html


def test_a_field_that_holds_zero_shows_it() -> None:
    with asking() as request:
        ((_tag, given),) = [
            one for one in parse(render(request, '{{ ui.field("n", "N", {"n": 0}) }}')) if one[0] == "input"
        ]
    assert given["value"] == "0"


def test_a_textarea_keeps_its_leading_line_break() -> None:
    with asking() as request:
        html = render(request, '{{ ui.textarea("t", "T", {"t": "\\nfirst"}) }}')
    # A parser drops one line break after the tag: the macro writes one of its own.
    assert ">\n\nfirst</textarea>" in html


@pytest.mark.parametrize(
    ("given", "ticked"),
    [("1", {"1"}), (["1", "3"], {"1", "3"}), ([1, 3], {"1", "3"}), (None, set()), ([], set()), ("13", set())],
)
def test_boxes_are_ticked_by_value(given: Any, ticked: set[str]) -> None:
    source = '{{ ui.checkboxes("l", "Lists", [(1, "One"), ("2", "Two"), (3, "Three", "3 people")], {"l": x}) }}'
    with asking() as request:
        tags = parse(render(request, source, x=given))
    assert {attrs["value"] for tag, attrs in tags if tag == "input" and "checked" in attrs} == ticked


def test_one_box_is_ticked_by_true_or_its_value() -> None:
    source = '{{ ui.checkbox("c", "C", {"c": x}) }}'
    with asking() as request:
        for value, expected in ((True, True), ("1", True), (False, False), (None, False), ("", False)):
            assert ("checked" in render(request, source, x=value)) is expected, value


def test_a_select_chooses_by_text_of_the_value() -> None:
    with asking() as request:
        tags = parse(render(request, '{{ ui.select("s", "S", [(1, "One"), (2, "Two")], {"s": "2"}, empty="None") }}'))
    assert [attrs["value"] for tag, attrs in tags if tag == "option" and "selected" in attrs] == ["2"]


def test_the_error_summary_links_to_the_fields() -> None:
    with asking() as request:
        html = render(request, '{{ ui.errors({"a": "Wrong", "": "All of it"}, {"a": "Address"}) }}')
        assert render(request, "{{ ui.errors({}) }}").strip() == ""
    assert '<a href="#f-a">Address: Wrong</a>' in html
    assert "All of it" in html
    assert 'role="alert"' in html


def test_every_form_that_posts_has_the_token() -> None:
    with asking() as request:
        for source in ('{{ ui.post_button("Go", "/x", confirm="Sure?") }}', '{{ ui.menu_post("Go", "/x") }}'):
            tags = parse(render(request, source))
            token = [attrs["value"] for tag, attrs in tags if attrs.get("name") == "csrf_token"]
            assert token
            assert token[0]


def test_a_sortable_head_turns_the_order_round() -> None:
    with asking("/rows?sort=name&after=x") as request:
        html = render(request, '{{ ui.th("Name", "name", "name", "rows") }}')
        other = render(request, '{{ ui.th("Sent", "sent", "name", first_down=true) }}')
    assert 'href="/rows?sort=-name"' in html
    assert 'aria-sort="ascending"' in html
    assert 'href="/rows?sort=-sent"' in other
    assert 'aria-sort="none"' in other


def test_progress_of_nothing_has_no_nan() -> None:
    with asking() as request:
        html = render(request, '{{ ui.progress(0, 0, "0 of 0") }}{{ ui.funnel([("Sent", 0), ("Opened", 0)]) }}')
    assert "nan" not in html.lower()
    assert 'max="1"' in html


def test_what_is_live_polls_and_what_is_done_does_not() -> None:
    source = '{% call ui.live("p", "/p", "7", live=x, status="Done") %}<b>1</b>{% endcall %}'
    with asking() as request:
        live, done = render(request, source, x=True), render(request, source, x=False)
    assert 'hx-trigger="mh:tick from:body"' in live
    assert 'hx-ptag="7"' in live
    assert "hx-" not in done
    assert 'role="status"' in done


@pytest.mark.parametrize(
    ("macro", "states"),
    [
        ("campaign_state", "CampaignState"),
        ("message_state", "MessageState"),
        ("subscriber_status", "SubscriberStatus"),
        ("subscription_status", "SubscriptionStatus"),
        ("import_state", "ImportState"),
        ("event_type", "EventType"),
        ("role", "Role"),
        ("skip_reason", "SkipReason"),
    ],
)
def test_every_state_of_the_schema_has_words_of_its_own(macro: str, states: str) -> None:
    from mailhub import models

    with asking() as request:
        shown = [render(request, f"{{{{ ui.{macro}(x) }}}}", x=state.value) for state in getattr(models, states)]
    assert len(set(shown)) == len(shown)
    if macro != "skip_reason":
        assert all("#" in one and "badge" in one for one in shown), "a badge has an icon beside its colour"


def test_an_unknown_macro_is_named() -> None:
    with asking() as request, pytest.raises(UndefinedError, match="nothing"):
        render(request, "{{ ui.nothing() }}")


def test_pages_call_macros_that_exist_with_arguments_that_they_take() -> None:
    faults = []
    with asking() as request:
        env = environment(request)
        ui = env.globals["ui"]
        for path in sorted((ROOT / "templates").rglob("*.html")):
            for call in env.parse(path.read_text("utf-8")).find_all(nodes.Call):
                if not (isinstance(call.node, nodes.Getattr) and getattr(call.node.node, "name", "") == "ui"):
                    continue
                where = f"{path.relative_to(ROOT)}:{call.lineno} ui.{call.node.attr}"
                macro = getattr(ui, call.node.attr, None)
                if macro is None:
                    faults.append(f"{where}: no such macro")
                    continue
                faults += [f"{where}: no argument {kw.key}" for kw in call.kwargs if kw.key not in macro.arguments]
                if len(call.args) > len(macro.arguments):
                    faults.append(f"{where}: too many arguments")
    assert faults == []


def test_static_files_need_no_sign_in(client: Any) -> None:
    assert client.get(static_url("css/mh.css")).content_type == "text/css"
