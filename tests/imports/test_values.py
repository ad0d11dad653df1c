"""Values as people write them, in English and Russian."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailhub.imports.values import DMY, MDY, BadValue, Guess, guess_type, read_ip, read_moment, reader

BAD = object()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", "12", 12), ("number", "-12,5", -12.5), ("number", "1 234 567", 1234567),
        ("number", "1,234.5", 1234.5),
        ("number", "12.0", 12), ("number", "1\u00a0234,50", 1234.5), ("number", "−3", -3), ("number", "0,1", 0.1),
        ("number", "12a", BAD), ("number", "1.2.3", BAD), ("number", "9" * 17, BAD),
        ("number", "nan", BAD), ("number", "١٢", BAD), ("number", "-", BAD),
        ("number", "1,234", BAD), ("number", "0,123", 0.123), ("number", "1,234,567", 1234567),
        ("boolean", "yes", True), ("boolean", "НЕТ", False), ("boolean", "1", True), ("boolean", "FALSE", False),
        ("boolean", "Истина", True), ("boolean", "maybe", BAD),
        ("date", "2026-11-27", "2026-11-27"), ("date", "27.11.2026", "2026-11-27"), ("date", "27/11/26", "2026-11-27"),
        ("date", "1.2.1999", "1999-02-01"), ("date", "11/27/2026", "2026-11-27"),
        ("date", "27.11.2026 14:30", "2026-11-27"),
        ("date", "27 ноября 2026 г.", "2026-11-27"), ("date", "5 мая 1985", "1985-05-05"),
        ("date", "Nov 27, 2026", "2026-11-27"), ("date", "27 November 2026", "2026-11-27"),
        ("date", "1-Feb-2026", "2026-02-01"),
        ("date", "2026-11-27T14:30:00Z", "2026-11-27"), ("date", "2026/11/27", "2026-11-27"),
        ("date", "27.11.85", "1985-11-27"),
        ("date", "31.02.2026", BAD), ("date", "27.13.2026", BAD), ("date", "0000-01-01", BAD), ("date", "2026", BAD),
        ("date", "27-11.2026", BAD), ("date", "27 брюмера 2026", BAD), ("date", "10.10.10.10", BAD),
        ("date", "99", BAD),
    ],
)  # fmt: skip
def test_value_is_read(kind, text, value):
    read = reader(kind)
    if value is BAD:
        with pytest.raises(BadValue):
            read(text)
    else:
        assert read(text) == value
        assert type(read(text)) is type(value)


def test_order_of_a_date_in_digits():
    assert reader("date", order=DMY)("03/04/2026") == "2026-04-03"
    assert reader("date", order=MDY)("03/04/2026") == "2026-03-04"
    assert reader("date", order=MDY)("13/04/2026") == "2026-04-13"


def test_choice_is_read_whatever_its_case():
    read = reader("choice", choices=["Gold", "Silver card"])
    assert read(" silver  CARD ") == "Silver card"
    with pytest.raises(BadValue):
        read("Bronze")


def test_text_needs_no_reading():
    assert reader("text") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-27 14:30:05", datetime(2026, 11, 27, 14, 30, 5, tzinfo=UTC)),
        ("2026-11-27T14:30:05+03:00", datetime(2026, 11, 27, 11, 30, 5, tzinfo=UTC)),
        ("27.11.2026 9:05", datetime(2026, 11, 27, 9, 5, tzinfo=UTC)),
        ("11/27/2026 2:30 PM", datetime(2026, 11, 27, 14, 30, tzinfo=UTC)),
        ("11/27/2026 12:30 a.m.", datetime(2026, 11, 27, 0, 30, tzinfo=UTC)),
        ("27.11.2026", datetime(2026, 11, 27, tzinfo=UTC)),
    ],
)
def test_moment_is_read(text, moment):
    assert read_moment(text) == moment


@pytest.mark.parametrize("text", ["27.11.2026 25:00", "14:30", "27.11.2026 14:30 x", "2026-11-27T10:00+99:00", ""])
def test_no_moment(text):
    with pytest.raises(BadValue):
        read_moment(text)


def test_ip_addresses():
    assert read_ip(" 192.0.2.1 ") == "192.0.2.1"
    assert read_ip("2001:DB8::1") == "2001:db8::1"
    with pytest.raises(BadValue):
        read_ip("192.0.2")


@pytest.mark.parametrize(
    ("cells", "guess"),
    [
        (["12", "1 000,5", ""], Guess("number")),
        (["да", "нет"], Guess("boolean")),
        (["1", "0"], Guess("boolean")),
        (["1", "1"], Guess("number")),
        (["27.11.2026", "01.02.1999"], Guess("date", DMY)),
        (["03/04/2026", "04/27/2026"], Guess("date", MDY)),
        (["13/04/2026", "04/27/2026"], Guess("text")),
        (["2026-11-27", "27 мая 1990"], Guess("date", DMY)),
        (["+79161234567"], Guess("text")),
        (["89161234567"], Guess("text")),
        (["007", "123"], Guess("text")),
        (["Москва", "Уфа"], Guess("text")),
        (["Gold", "Silver"] * 30, Guess("choice", choices=("Gold", "Silver"))),
        (["Gold"] * 60, Guess("text")),
        ([], Guess("text")),
        (["", " "], Guess("text")),
    ],
)
def test_type_is_guessed(cells, guess):
    assert guess_type(cells) == guess
