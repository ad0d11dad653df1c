"""What a typed field takes, and what it refuses because it could be read in two ways."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mailhub.lists.values import BadValue, read_value, show_value, written_value


def field(kind, *choices):
    return SimpleNamespace(type=kind, choices=list(choices))


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", 5, "5"), ("text", " a ", " a "), ("text", True, "true"), ("text", "  ", None), ("number", None, None),
        ("number", "1 234,5", 1234.5), ("number", "1\u00a0234", 1234), ("number", "1,234.50", 1234.5),
        ("number", "1.234.567,5", 1234567.5), ("number", "0,125", 0.125), ("number", "1,234,567", 1234567),
        ("number", "-5", -5), ("number", 2.0, 2), ("number", "12e3", 12000), ("number", "\u22127", -7),
        ("date", "27.11.2026", "2026-11-27"), ("date", "2026-11-27T10:00:00Z", "2026-11-27"),
        ("date", "13/04/2026", "2026-04-13"), ("date", "04/13/2026", "2026-04-13"), ("date", "2026/1/2", "2026-01-02"),
        ("date", "05/05/2026", "2026-05-05"), ("boolean", "ДА", True), ("boolean", 0, False), ("boolean", "no", False),
    ],
)  # fmt: skip
def test_what_people_type_and_programs_send_is_read(kind, given, value):
    read = read_value(field(kind), given)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        ("number", "1,234", "ambiguous"), ("number", "abc", "number"), ("number", "1e400", "number"),
        ("number", True, "number"), ("number", "٣", "number"), ("number", "1,5,3", "number"), ("number", [], "number"),
        ("date", "03/04/2026", "ambiguous"), ("date", "2026-02-30", "date"), ("date", "27.11.26", "date"),
        ("date", 20261127, "date"), ("boolean", "2", "boolean"), ("boolean", {}, "boolean"), ("text", {}, "text"),
        ("text", "x" * 10_001, "too_long"), ("text", "a\0b", "invisible"), ("choice", "huge", "choice"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_means_two_things_is_refused(kind, given, reason):
    with pytest.raises(BadValue) as refusal:
        read_value(field(kind, "small", "large"), given)
    assert refusal.value.reason == reason


def test_a_choice_is_kept_as_it_is_declared():
    assert read_value(field("choice", "Small", "Large"), " LARGE ") == "Large"


@pytest.mark.parametrize(
    ("kind", "value", "english", "russian"),
    [
        ("number", 1234.5, "1,234.5", "1\u00a0234,5"), ("date", "2026-11-27", "27 Nov 2026", "27 нояб. 2026"),
        ("boolean", True, "Yes", "Да"), ("text", "x", "x", "x"), ("date", "soon", "soon", "soon"),
        ("text", None, "", ""),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_read_them(kind, value, english, russian):
    assert show_value(field(kind), value, "en") == english
    assert show_value(field(kind), value, "ru").removesuffix("\u202fг.") == russian


@pytest.mark.parametrize(
    ("kind", "value"), [("number", 0.5), ("boolean", False), ("date", "2026-01-02"), ("text", "x")]
)
def test_what_stands_in_an_input_is_read_as_the_same_value(kind, value):
    assert read_value(field(kind), written_value(field(kind), value)) == value
