"""Templates: no script or style in them, nothing that needs eval, no unescaped text, a token in every form.

Letters (templates/email/) carry their styles inside, as mail programs want it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.house import TEMPLATES

ELSEWHERE = {"email", "ui"}  # letters; the styleguide, whose forms lead nowhere
FILES = sorted(path for path in TEMPLATES.rglob("*.html") if path.relative_to(TEMPLATES).parts[0] not in ELSEWHERE)

FORBIDDEN = {
    "inline style": re.compile(r"<style[\s>]|\sstyle\s*=", re.IGNORECASE),
    "inline script": re.compile(r"<script(?![^>]*\ssrc=)[^>]*>", re.IGNORECASE),
    "inline handler": re.compile(r"<[^>{]*\son[a-z]+\s*=", re.IGNORECASE),
    "hx-on": re.compile(r"\shx-on\b|\shx-on:", re.IGNORECASE),
    "evaluated htmx value": re.compile(r"=\s*[\"'](?:js|javascript):", re.IGNORECASE),
    "filter in hx-trigger (it needs eval)": re.compile(r"hx-trigger(?::\w+)?=\"(?:[^\"]*,)?\s*[\w:.-]+\["),
    "unescaped text": re.compile(r"\|\s*safe\b|\{%-?\s*autoescape\s+false"),
    "the Host header": re.compile(r"\broute_url\(|\brequest\.(?:host|host_url|application_url|url)\b"),
}
FORM = re.compile(r"<form\b(?P<attributes>[^>]*)>(?P<body>.*?)</form>", re.IGNORECASE | re.DOTALL)
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def faults(source: str) -> Iterator[str]:
    source = COMMENT.sub("", source)
    # `{{ … }}` inside a tag may hold ">", which would end the tag for the patterns here.
    flat = re.sub(
        r"\{\{.*?\}\}|\{%.*?%\}", lambda match: match[0].replace(">", "›").replace("<", "‹"), source, flags=re.DOTALL
    )
    for name, pattern in FORBIDDEN.items():
        for match in pattern.finditer(flat):
            yield f"line {flat[: match.start()].count(chr(10)) + 1}: {name}"
    # A public page has no session, so there is nothing that a token could protect.
    is_public = '{% extends "public.html" %}' in source
    for form in FORM.finditer("" if is_public else flat):
        posts = re.search(r"method\s*=\s*[\"']?post", form["attributes"], re.IGNORECASE)
        if posts and "csrf" not in form["body"]:
            yield f"line {flat[: form.start()].count(chr(10)) + 1}: form without a CSRF token"
    for frame in re.finditer(r"<iframe\b[^>]*>", flat, re.IGNORECASE):
        if "sandbox" not in frame[0]:
            yield "iframe without sandbox"


def test_a_template_keeps_the_rules() -> None:
    for path in FILES:
        assert list(faults(path.read_text(encoding="utf-8"))) == [], path


@pytest.mark.parametrize(
    "source",
    [
        "<p style='color:red'>",
        "<style>p{}</style>",
        "<script>alert(1)</script>",
        '<a href="x" onclick="y()">',
        '<button hx-on:click="y()">',
        '<form hx-vals="js:{a: 1}"></form>',
        '<a href="javascript:alert(1)">',
        '<div hx-trigger="click[ctrlKey]">',
        "{{ x|safe }}",
        "{% autoescape false %}",
        "{{ request.route_url('x') }}",
        "{{ request.host }}",
        '<form method="post"><input></form>',
        "<iframe src=x></iframe>",
    ],
)
def test_the_check_finds(source: str) -> None:
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        '<script src="/static/x.js" defer></script>',
        '<form method="post">{{ ui.csrf() }}</form>',
        '<form method="get"></form>',
        "{# <p style='x'> #}",
        '<a data-on="x" href="/one">',
        '<p class="{{ "on" if a > b else "" }}">',
    ],
)
def test_the_check_leaves_alone(source: str) -> None:
    assert list(faults(source)) == []
