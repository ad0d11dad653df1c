"""The merge language: what it does for a marketer, and what it refuses to an attacker (T1)."""

import contextlib
import time
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail import lint as lint_module
from mailhub.mail.guard import GuardedFailure, GuardTimeout, run_guarded
from mailhub.mail.lint import fields, lint
from mailhub.mail.merge import expressions, mask, merge_context
from mailhub.mail.problem import MESSAGES, describe
from mailhub.mail.template import (
    MAX_OUTPUT,
    Kind,
    RenderFailed,
    TemplateRefused,
    compile_template,
    guarded_text,
    preview_render,
)
from tests.cpu import cpu_seconds

CONTEXT = merge_context(
    email="ann@example.com",
    name="Ann Lee",
    fields={
        "city": "", "town": "Tver & Co", "age": "41", "points": 7, "rate": 4.5, "joined": date(2024, 3, 9),
        "items": [{"title": "Pen", "price": 2}, {"title": "<b>Ink</b>", "price": 3}], "tags": ["a", "b"], "nil": None,
        "unsubscribe_url": "https://evil.example/",
    },
    unsubscribe_url="https://u.example/u/1",
    web_version_url="https://u.example/w/1",
    groups={"project": {"name": "Shop"}, "campaign": {"name": "May"}, "list": {"name": "News"}},
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {{ name }}!", "Hello Ann Lee!"),
        ("{{ first_name }} {{ subscriber.first_name }}", "Ann Ann"),
        ("{{ email }}", "ann@example.com"),
        ('{{ city|default("there") }}', "there"),
        ('{{ missing|default("there") }} {{ nil|default("x") }}', "there x"),
        ('{{ points|default("none") }}', "7"),
        ("{{ town }} {{ subscriber.town }}", "Tver &amp; Co Tver &amp; Co"),
        ("{{ project.name }} {{ campaign.name }} {{ list.name }}", "Shop May News"),
        ("{{ unsubscribe_url }} {{ subscriber.unsubscribe_url }}", "https://u.example/u/1 https://u.example/u/1"),
        ("{{ preferences_url }}", "https://u.example/u/1"),
        ("{{ name|upper }} {{ name|lower }} {{ 'ann-mari o’neil'|title }}", "ANN LEE ann lee Ann-Mari O’neil"),
        ("{{ '  x '|trim }}{{ 'abc'|capitalize }}", "xAbc"),
        ("{{ 'one two three'|truncate(9) }}", "one two…"),
        (
            "{{ joined|date }} {{ joined|date('%Y-%m-%d') }} {{ '2024-05-06'|date('%-d.%-m') }}",
            "09.03.2024 2024-03-09 6.5",
        ),
        ("{{ rate|round }} {{ 4.444|round(1) }} {{ '7.9'|int }} {{ 'x'|int }}", "4 4.4 7 0"),
        ("{{ tags|first }}{{ tags|last }}{{ tags|join('/') }}{{ tags|length }}", "aba/b2"),
        ("{% if age > 40 %}old{% else %}young{% endif %}", "old"),
        ("{% if missing > 40 %}old{% else %}young{% endif %}", "young"),
        ("{% if name > 40 %}old{% else %}young{% endif %}", "young"),
        ("{% if 3 < points and points <= 7 %}yes{% endif %}", "yes"),
        ("{{ 'a' if points == 7 else 'b' }}{{ not points }}", "aFalse"),
        ("{% if city is defined %}d{% endif %}{% if nothing is defined %}e{% endif %}", "d"),
        ("{% if 'a' in tags %}in{% endif %}", "in"),
        ("{% for i in items %}{{ loop.index }} {{ i.title }}; {% endfor %}", "1 Pen; 2 &lt;b&gt;Ink&lt;/b&gt;; "),
        ("{% for i in items if i.price > 2 %}{{ i.price }}{% endfor %}", "3"),
        ("{% for i in missing %}x{% else %}none{% endfor %}", "none"),
        ("{{ items[1].title }}{{ items[9].title }}", "&lt;b&gt;Ink&lt;/b&gt;"),
        ("{{ nil }}{{ nothing.at.all }}", ""),
        ("@media print{#menu{color:red}}", "@media print{#menu{color:red}}"),
        ("a{## a note ##}b", "ab"),
        ("{{ '<script>' }}", "&lt;script&gt;"),
        ("line\n", "line\n"),
    ],
)
def test_letter_is_filled_in(source: str, expected: str) -> None:
    assert compile_template(source).render(CONTEXT) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", "x=a&amp;b &#34;c&#34;\n/%"),
        ("text", 'x=a&b "c"\n/%'),
        ("url", "x=a%26b%20%22c%22%0A%2F%25"),
        ("header", 'x=a&b "c" /%'),
    ],
)
def test_values_are_escaped_for_their_place(kind: Kind, expected: str) -> None:
    assert compile_template("x={{ v }}", kind=kind).render({"v": 'a&b "c"\n/%'}) == expected


# T1: each payload with the code of its refusal.
REFUSED = [
    ("{{ ''.__class__ }}", "tag_not_allowed"),
    ("{{ name.__class__ }}", "name_reserved"),
    ("{{ name.__class__.__mro__[1].__subclasses__() }}", "call_not_allowed"),
    ("{{ name['__class__'] }}", "name_reserved"),
    ("{{ name|attr('__class__') }}", "filter_not_allowed"),
    ("{{ (name)['__cla'~'ss__'] }}", "tag_not_allowed"),
    ("{{ subscriber['__class__'] }}", "name_reserved"),
    ("{{ subscriber._private }}", "name_reserved"),
    ("{{ _x }}", "name_reserved"),
    ("{{ self }}", "name_reserved"),
    ("{{ self.__init__.__globals__ }}", "name_reserved"),
    ("{{ self._TemplateReference__context }}", "name_reserved"),
    ("{{ caller }}", "name_reserved"),
    ("{{ varargs }}", "name_reserved"),
    ("{{ mh_open }}", "name_reserved"),
    ("{{ subscriber }}", "name_reserved"),
    ("{{ loop.index }}", "name_reserved"),
    ("{{ config.items() }}", "call_not_allowed"),
    ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "call_not_allowed"),
    ("{{ lipsum.__globals__['os'].system('id') }}", "call_not_allowed"),
    ("{{ joiner() }}", "call_not_allowed"),
    ("{{ namespace() }}", "call_not_allowed"),
    ("{{ range(99999999) }}", "call_not_allowed"),
    ("{{ name.upper() }}", "call_not_allowed"),
    ("{{ name.format(name) }}", "call_not_allowed"),
    ("{{ '%s'|format(name) }}", "filter_not_allowed"),
    ("{{ ''|replace('','aaaaaaaaaa')|replace('a','aaaaaaaaaa') }}", "filter_not_allowed"),
    ("{{ name|center(99999999) }}", "filter_not_allowed"),
    ("{{ name|indent(99999999) }}", "filter_not_allowed"),
    ("{{ name|map('upper') }}", "filter_not_allowed"),
    ("{{ items|xmlattr }}", "filter_not_allowed"),
    ("{{ name|safe }}", "filter_not_allowed"),
    ("{{ name|list }}", "filter_not_allowed"),
    ("{{ name|pprint }}", "filter_not_allowed"),
    ("{{ name|tojson }}", "filter_not_allowed"),
    ("{{ name|urlize }}", "filter_not_allowed"),
    ("{{ items|groupby('x') }}", "filter_not_allowed"),
    ("{{ name|mh_rows('x') }}", "filter_not_allowed"),
    ("{{ name|wordwrap(1) }}", "filter_not_allowed"),
    ("{{ name|default(*items) }}", "filter_arguments"),
    ("{{ name|default(**items) }}", "filter_arguments"),
    ("{{ name|default(1,2,3,4) }}", "filter_arguments"),
    ("{{ name|default(fallback='x') }}", "tag_not_allowed"),
    ("{{ name is callable }}", "test_not_allowed"),
    ("{{ name is filter }}", "test_not_allowed"),
    ("{{ 9**9**9 }}", "tag_not_allowed"),
    ("{{ 'a' * 99999999 }}", "tag_not_allowed"),
    ("{{ 1 + 1 }}", "tag_not_allowed"),
    ("{{ 1 - 1 }}", "tag_not_allowed"),
    ("{{ 1 // 0 }}", "tag_not_allowed"),
    ("{{ 1 / 0 }}", "tag_not_allowed"),
    ("{{ -name }}", "tag_not_allowed"),
    ("{{ '%99999999d' % 1 }}", "tag_not_allowed"),
    ("{{ name ~ name }}", "tag_not_allowed"),
    ("{{ [1, 2] }}", "tag_not_allowed"),
    ("{{ (1, 2) }}", "tag_not_allowed"),
    ("{{ {'a': 1} }}", "tag_not_allowed"),
    ("{{ name[0:9] }}", "tag_not_allowed"),
    ("{{ name[name] }}", "tag_not_allowed"),
    ("{{ (name or email).x }}", "tag_not_allowed"),
    ("{% set a = 1 %}", "tag_not_allowed"),
    ("{% set a %}x{% endset %}", "tag_not_allowed"),
    ("{% macro m() %}{{ m() }}{% endmacro %}", "tag_not_allowed"),
    ("{% call name() %}{% endcall %}", "tag_not_allowed"),
    ("{% filter upper %}x{% endfilter %}", "tag_not_allowed"),
    ("{% with a = 1 %}{% endwith %}", "tag_not_allowed"),
    ("{% block b %}{% endblock %}", "tag_not_allowed"),
    ("{% include '/etc/passwd' %}", "tag_not_allowed"),
    ("{% import 'os' as os %}", "tag_not_allowed"),
    ("{% from 'os' import system %}", "tag_not_allowed"),
    ("{% extends 'base.html' %}", "tag_not_allowed"),
    ("{% autoescape false %}{{ name }}{% endautoescape %}", "tag_not_allowed"),
    ("{% raw %}{{ name }}{% endraw %}", "tag_not_allowed"),
    ("{{ '}}' }}", "tag_not_allowed"),
    ("{% for a in range(99999999) %}{% endfor %}", "loop_source"),
    ("{% for a in 'abc' %}{% endfor %}", "loop_source"),
    ("{% for a in name %}{% endfor %}", "loop_source"),
    ("{% for a in 99999999 %}{% endfor %}", "loop_source"),
    ("{% for a in items|first %}{% endfor %}", "loop_source"),
    ("{% for a, b in items %}{% endfor %}", "loop_source"),
    ("{% for a in items recursive %}{{ loop(a) }}{% endfor %}", "loop_source"),
    ("{% for a in items %}{% for b in items %}{% endfor %}{% endfor %}", "loop_nested"),
    ("{% for email in items %}{% endfor %}", "name_reserved"),
    ("{% for _a in items %}{% endfor %}", "name_reserved"),
    ("{% for a in items %}{{ loop.cycle }}{% endfor %}", "unknown_field"),
    ("{% for a in items %}" + "{{ a }}" * 400 + "{% endfor %}", "loop_body"),
    ("{% while true %}{% endwhile %}", "syntax"),
    ("{% break %}", "syntax"),
    ("{{", "syntax"),
    ("{% if name %}", "syntax"),
    ("{{ name }", "syntax"),
    ("{% endif %}", "syntax"),
    ("{{ " + "9" * 6000 + " }}", "syntax"),
    ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "too_deep"),
    ("{{ " + "not " * 200 + "1 }}", "too_deep"),
    ("{% if name %}" * 60 + "{% endif %}" * 60, "too_deep"),
    ("{{ " + "9" * 20 + " }}", "constant_too_long"),
    ("{{ '" + "a" * 2000 + "' }}", "constant_too_long"),
    ("{{ name }}" * 6000, "too_many_tags"),
    ("x" * (512 * 1024 + 1), "too_large"),
    ("ж" * (300 * 1024), "too_large"),
    ("{{ project.owner }}", "unknown_field"),
    ("{{ project }}", "unknown_field"),
    ("{{ a.b.c.d.e.f }}", "unknown_field"),
]


@pytest.mark.parametrize(("source", "code"), REFUSED, ids=lambda value: str(value)[:40])
def test_attack_is_refused_with_its_reason(source: str, code: str) -> None:
    problems = lint(source)
    assert code in {problem.code for problem in problems}
    assert all(describe(problem) for problem in problems)
    with pytest.raises(TemplateRefused):
        compile_template(source)


@pytest.mark.parametrize("node", lint_module.ALLOWED, ids=lambda node: node.__name__)
def test_every_allowed_node_is_needed(node: type, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "text {{ city|default('x') }}{% if a is defined and not b or c == 1 %}{{ d.e['f'][0] }}{% endif %}"
        "{{ x if y else z }}{% for i in items %}{{ i }}{% endfor %}{{ 7 }}"
        "{{ (name|default('x'))[0] }}"
    )
    assert lint(source) == []
    monkeypatch.setattr(lint_module, "ALLOWED", tuple(kind for kind in lint_module.ALLOWED if kind is not node))
    names_only = node.__name__ in ("Name", "Getattr", "Getitem")
    assert lint(source) != [] or names_only


def test_unknown_field_is_found_with_its_line() -> None:
    problems = lint("{{ city }}\n{{ ctiy }} {{ subscriber.zip }}\n{{ subscriber.city }}{{ name }}", {"city"})
    assert [(p.code, p.params["name"], p.line) for p in problems] == [
        ("unknown_field", "ctiy", 2),
        ("unknown_field", "subscriber.zip", 2),
    ]
    assert describe(problems[0]) == "There is no field “ctiy”."


def test_used_fields_are_named() -> None:
    source = "{{ a }}{% if b.c %}{% endif %}{% for i in d %}{{ i.e }}{{ loop.index }}{{ f|default(g) }}{% endfor %}"
    assert fields(source) == {"a", "b.c", "d", "f", "g"}
    assert fields("{{ broken") == set()


@pytest.mark.parametrize(
    ("source", "context", "code"),
    [
        ("{% for i in x %}{{ i }}{% endfor %}", {"x": "a string"}, "render_loop"),
        ("{% for i in x %}{{ i }}{% endfor %}", {"x": 10**9}, "render_loop"),
        ("{% for i in x %}{{ i }}{% endfor %}", {"x": [1] * 2000}, "render_loop"),
        ("{% for i in x %}{{ y }}{% endfor %}", {"x": [1] * 1000, "y": "a" * 9000}, "render_too_long"),
        ("{{ x }}" * 100, {"x": "a" * 90_000}, "render_too_long"),
        ("{{ x|join(y) }}", {"x": ["a"] * 1000, "y": "b" * 5000}, "render_value"),
        ("{{ x|round }}", {"x": "abc"}, "render_value"),
        ("{{ x|truncate(y) }}", {"x": "abc", "y": "z"}, "render_value"),
        ("{{ x|date }}", {"x": 5}, "render_value"),
        ("{{ 'a' in x }}", {"x": 5}, "render_value"),
        ("{{ x }}", {"x": 10**9000}, "render_value"),
    ],
)
def test_unfit_value_fails_this_letter_with_a_reason(source: str, context: dict[str, object], code: str) -> None:
    with pytest.raises(RenderFailed) as failed:
        compile_template(source).render(context)
    assert failed.value.problem.code == code
    assert describe(failed.value.problem)


def test_objects_show_none_of_their_attributes() -> None:
    source = "{{ a.real }}{{ b.year }}{{ c.append }}{{ d.upper }}{{ d[0] }}{{ e.keys }}"
    context = {"a": 1, "b": datetime(2024, 1, 1, tzinfo=UTC), "c": [], "d": "x", "e": {}}
    assert compile_template(source).render(context) == ""


@pytest.mark.parametrize("pattern", ["%99999999d", "%-%-", "%c%x%Z", "%"])
def test_date_pattern_is_bounded(pattern: str) -> None:
    assert len(compile_template("{{ x|date(y) }}").render({"x": date(2024, 1, 1), "y": pattern})) < 20


def test_preview_is_rendered_in_a_child() -> None:
    assert preview_render("Hello {{ name }}, ж", CONTEXT) == "Hello Ann Lee, ж"
    with pytest.raises(TemplateRefused) as refused:
        preview_render("{{ ctiy }}", CONTEXT, known=set())
    assert refused.value.problems[0].code == "unknown_field"
    with pytest.raises(RenderFailed) as failed:
        preview_render("{% for i in town %}{% endfor %}", CONTEXT)
    assert failed.value.problem.code == "render_loop"


def test_endless_work_is_ended() -> None:
    def endless() -> bytes:
        while True:
            pass

    started = time.monotonic()
    with pytest.raises(GuardTimeout):
        run_guarded(endless, cpu_seconds=1, wall_seconds=0.3)
    assert time.monotonic() - started < 20


def test_greedy_work_is_ended() -> None:
    with pytest.raises(GuardedFailure):
        run_guarded(lambda: bytes(900 * 1024 * 1024))
    with pytest.raises(GuardTimeout):
        run_guarded(lambda: bytes(9 * 1024 * 1024))


def test_large_result_comes_back_whole() -> None:
    assert guarded_text(lambda: "ж" * 1_000_000) == "ж" * 1_000_000


def test_expressions_are_found_where_they_stand() -> None:
    source = "a{{ b }}c{% d %}e{##f##}g{{ h"
    assert [source[start:end] for start, end in expressions(source)] == ["{{ b }}", "{% d %}", "{##f##}"]
    assert len(mask(source)) == len(source)
    assert cpu_seconds(lambda: expressions("{{{%" * 100_000)) < 1
    assert expressions("{{{%" * 100_000) == []


PIECES = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{##", "##}", "name", "items", " if ", "for ", " in ", "else", "endif", "endfor", "|", ".",
     "upper", "default", "('x')", "(", ")", "[", "]", "0", "9" * 10, "'", '"', "not ", "and ", "is ", "defined", "~",
     "*", "-", "\n", " ", "x", "<a href='", "__class__", "loop.index", ",", "=", "set ", "макрос", "\x00", "\ud800"]
)  # fmt: skip


TAGS = st.lists(PIECES, max_size=12).map(lambda pieces: "{{" + "".join(pieces) + "}}")


@given(st.lists(PIECES, max_size=25).map(" ".join) | TAGS)
@settings(max_examples=400, deadline=None)
def test_any_text_is_refused_or_rendered_within_bounds(source: str) -> None:
    if problems := lint(source):
        assert all(problem.code in MESSAGES and describe(problem) for problem in problems)
        return
    with contextlib.suppress(RenderFailed):
        assert len(compile_template(source).render(CONTEXT)) <= MAX_OUTPUT
