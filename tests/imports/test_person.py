"""Columns by their headers, and people out of rows."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from mailhub.imports.columns import guess_columns, guess_mapping
from mailhub.imports.head import look
from mailhub.imports.person import PersonReader, split_tags
from mailhub.imports.rows import Row
from mailhub.imports.values import reader


def head_of(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    return look(path)


@pytest.mark.parametrize(
    ("headers", "targets"),
    [
        ("E-Mail Address,Full Name,Phone,Tags", ["email", "name", "phone", ":tags"]),
        ("Эл. почта,Фамилия,Имя,Отчество,Метки", ["email", ":last_name", ":first_name", ":middle_name", ":tags"]),
        ("ФИО,Телефон,Email", ["name", "телефон", "email"]),
        ("Имя,Почта", ["name", "email"]),
        ("Email,Фамилия", ["email", "фамилия"]),
        ("email,Consent date,Consent source,IP", ["email", ":consent_at", ":consent_source", ":consent_ip"]),
        ("email,Дата согласия,Источник,IP-адрес", ["email", ":consent_at", ":consent_source", ":consent_ip"]),
        ("EMAIL,OPTIN_TIME,OPTIN_IP,FNAME,LNAME", ["email", ":consent_at", ":consent_ip", ":first_name", ":last_name"]),
        ("Почта,Город,Дата рождения", ["email", "город", "дата_рождения"]),
        ("email,City,city", ["email", "city", ""]),
        ("email,Статус", ["email", "статус"]),
        ("line,reason,explanation,email,x", ["", "", "", "email", "x"]),
    ],
)
def test_headers_are_understood(tmp_path, headers, targets):
    cells = ["x"] * len(headers.split(","))
    mail = next(n for n, header in enumerate(headers.split(",")) if "mail" in header.lower() or "очта" in header)
    cells[mail] = "a@b.ru"
    assert list(guess_mapping(head_of(tmp_path, f"{headers}\n{','.join(cells)}\n")).values()) == targets


def test_fields_of_the_project_are_found_by_name_label_and_meaning(tmp_path):
    known = [
        SimpleNamespace(name="phone", label="Phone", type="text"),
        SimpleNamespace(name="x1", label="Любимый цвет", type="text"),
        SimpleNamespace(name="birthday", label="", type="date"),
    ]
    head = head_of(tmp_path, "email,Моб. телефон,Любимый  цвет,ДР,Рост\na@b.ru,8,синий,01.02.1990,180\n")
    columns = guess_columns(head, known)
    assert [(column.target, column.is_known, column.guess.type) for column in columns] == [
        ("email", False, "text"),
        ("phone", True, "number"),
        ("x1", True, "text"),
        ("birthday", True, "date"),
        ("рост", False, "number"),
    ]
    assert [column.samples for column in columns[2:4]] == [("синий",), ("01.02.1990",)]


def row(*cells, line=2, fault=""):
    return Row(line, line, list(cells), ",".join(cells), fault)


HEADERS = ["mail", "first", "last", "tags", "when", "from", "ip", "age", "note"]
MAPPING = dict(zip(
    HEADERS,
    ["email", ":first_name", ":last_name", ":tags", ":consent_at", ":consent_source", ":consent_ip", "age", "note"],
    strict=True,
))  # fmt: skip


def test_everything_that_a_row_says():
    read = PersonReader(HEADERS, MAPPING, {"age": reader("number")})
    person = read(
        row("A@B.ru", " Анна ", "Щукина", "vip; new;vip", "27.11.2026 10:00", "fair", "192.0.2.1", "33", "'=1+1")
    )
    assert person.address.email == "A@b.ru"
    assert person.name == "Анна Щукина"
    assert person.fields == {"age": 33, "note": "=1+1"}
    assert person.tags == ("vip", "new")
    assert person.consent_at == datetime(2026, 11, 27, 10, tzinfo=UTC)
    assert (person.consent_source, person.consent_ip) == ("fair", "192.0.2.1")


def test_short_row_and_empty_cells_say_nothing():
    person = PersonReader(HEADERS, MAPPING)(row("a@b.ru", ""))
    assert (person.name, person.fields, person.tags, person.consent_at) == (None, {}, (), None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row("a@b.ru", fault="quote"), "row_quote"),
        (row("a@b.ru", *[""] * 8, "more"), "row_columns"),
        (row("a@b.ru", *[""] * 8, " ", ""), None),
        (row("nonsense"), "no_at"),
        (row(), "empty"),
        (row("a@b.ru", "", "", "", "yesterday"), "value:when"),
        (row("a@b.ru", "", "", "", "", "", "1.2.3"), "value:ip"),
        (row("a@b.ru", "", "", "", "", "", "", "old"), "value:age"),
    ],
)
def test_why_a_row_cannot_be_used(given, reason):
    found = PersonReader(HEADERS, MAPPING, {"age": reader("number")})(given)
    assert found == reason if reason else found.address.email == "a@b.ru"


def test_bad_values_can_be_left_out_instead():
    read = PersonReader(HEADERS, MAPPING, {"age": reader("number")}, strict=False)
    person = read(row("a@b.ru", "", "", "", "yesterday", "fair", "", "old", "x"))
    assert person.left_out == ("age", "when")
    assert (person.fields, person.consent_source, person.consent_at) == ({"note": "x"}, "fair", None)


def test_second_row_of_an_address_names_the_first():
    read = PersonReader(["email"], {"email": "email"})
    assert read(row("a@b.ru", line=7)).line == 7
    assert read(row("A@B.ru", line=9)) == "duplicate:7"


@pytest.mark.parametrize(
    ("cell", "tags"),
    [("a, b", ("a", "b")), ("a; b, c", ("a", "b, c")), ("a|b", ("a", "b")), ("", ()), (" ,, ", ()), ("x", ("x",)),
     ("a,A,a", ("a", "A"))],
)  # fmt: skip
def test_tags_of_a_cell(cell, tags):
    assert split_tags(cell) == tags


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("active", ""), ("Подписан", ""), ("", ""), ("VIP", ""), ("Un-subscribed", "gone_unsubscribed"),
        ("отписался", "gone_unsubscribed"), ("Cleaned", "gone_bounced"), ("Жалоба на спам", "gone_complained"),
        ("Не подтверждён", "gone_unconfirmed"),
    ],
)  # fmt: skip
def test_whoever_has_left_elsewhere_is_not_brought_back(word, reason):
    mapping = {"email": "email", "status": ":status", "list": ":status"}
    read = PersonReader(["email", "status", "list"], mapping)
    found = read(Row(2, 2, ["a@b.ru", "active", word], ""))
    assert found == reason if reason else found.address.key == "a@b.ru"
    asks = PersonReader(["email", "status", "list"], mapping, asks=True)
    assert isinstance(asks(Row(2, 2, ["a@b.ru", "unconfirmed", "active"], "")), tuple)


def test_a_status_of_customers_is_a_field_and_one_of_readers_is_not(tmp_path):
    assert guess_mapping(head_of(tmp_path, "email,Статус\na@b.ru,VIP\nb@b.ru,активен\n"))["Статус"] == "статус"
    assert guess_mapping(head_of(tmp_path, "email,Статус\na@b.ru,Отписан\nb@b.ru,активен\n"))["Статус"] == ":status"
