"""Reading files: encodings, delimiters, headers, rows; pure, without a database."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.imports.columns import guess_mapping
from mailhub.imports.encodings import likely_pages
from mailhub.imports.head import look
from mailhub.imports.rows import MAX_ROW, RowReader
from mailhub.imports.seen import Seen
from mailhub.lists.fields import clean_field_name

RUSSIAN = ["Анна Иванова", "Пётр Щукин", "МАРИЯ", "Юлия Жукова", "ООО Ромашка", "Екатеринбург", "Олег", "Ян"]


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "cp866"])
@pytest.mark.parametrize("word", RUSSIAN)
def test_a_single_russian_cell_shows_its_code_page(codec, word):
    data = f"a@b.ru;{word}".encode(codec)
    guess = likely_pages(data)[0]
    assert data.decode(guess) == f"a@b.ru;{word}"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1251", "koi8-r", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_file_is_read_as_it_was_written(tmp_path, codec, delimiter):
    table = [["Почта", "Имя", "Город"], ["a@b.ru", "Анна", "Уфа, центр"], ["c@d.ru", "Борис", "Омск; юг"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(table)
    path = tmp_path / "a.csv"
    path.write_bytes(text.getvalue().encode(codec))
    head = look(path)
    assert head.headers == table[0]
    assert [row.cells for row in head.rows] == table[1:]
    assert head.reading.delimiter == delimiter
    assert guess_mapping(head) == {"Почта": "email", "Имя": "name", "Город": "город"}


def test_broken_letter_does_not_turn_a_utf8_file_into_another_encoding(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("email,имя\n".encode() + "a@b.ru,Анна Иванова\n".encode() * 20 + b"c@d.ru,\xff\n")
    assert look(path).reading.encoding == "utf-8"


def test_excels_separator_line_is_no_person(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"sep=;\r\nemail;name\r\na@b.ru;A, B\r\n")
    head = look(path)
    assert (head.headers, head.reading.delimiter, head.first_line) == (["email", "name"], ";", 3)


@pytest.mark.parametrize(
    ("headers", "mapped"),
    [
        (["E-mail", "Name", "Company"], {"E-mail": "email", "Name": "name", "Company": "company"}),
        (["EMAIL ADDRESS", "First Name"], {"EMAIL ADDRESS": "email", "First Name": "name"}),
        (["Адрес", "ФИО", "Дата рождения"], {"Адрес": "email", "ФИО": "name", "Дата рождения": "дата_рождения"}),
        (["Электронная почта", "", ""], {"Электронная почта": "email", "Column 2": "column_2", "Column 3": "column_3"}),
        (["who", "list", "2020"], {"who": "email", "list": "field_list", "2020": "field_2020"}),
        (["email", "first name", "last name"], {"email": "email", "first name": ":first_name",
                                                "last name": ":last_name"}),
    ],
)  # fmt: skip
def test_headers_in_english_and_russian(tmp_path, headers, mapped):
    path = tmp_path / "a.csv"
    path.write_text(",".join(headers) + "\na@b.ru,x,y\n", encoding="utf-8")
    assert guess_mapping(look(path)) == mapped


def test_street_address_beside_the_mail_address_is_a_field(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Адрес,Почта\nул. Ленина 1,a@b.ru\n", encoding="utf-8")
    assert guess_mapping(look(path)) == {"Адрес": "адрес", "Почта": "email"}


@pytest.mark.parametrize(
    ("header", "name"),
    [("City", "city"), ("  Дата  рождения ", "дата_рождения"), ("name", "field_name"), ("{{ x }}", "x"), ("!!", ""),
     ("for", "field_for"), ("mh_x", "field_mh_x"), ("_secret", "secret"), ("1", "field_1")],
)  # fmt: skip
def test_field_names_can_be_used_in_letters(header, name):
    assert clean_field_name(header) == name


def read(text, delimiter=",", columns=0):
    return list(RowReader(io.StringIO(text, newline=None), delimiter, columns=columns))


def test_open_quote_costs_one_row():
    rows = read('a,b\n"broken,x\n' + "c,d\n" * 3000)
    assert [row.fault for row in rows[:2]] == ["", "quote"]
    assert len(rows) == 3002
    assert not any(row.fault for row in rows[2:])


def test_a_file_full_of_open_quotes_is_read_in_linear_time():
    class Counted(RowReader):
        asked = 0

        def _next_line(self):
            self.asked += 1
            return super()._next_line()

    reader = Counted(io.StringIO('x","y\n' * 5000), ",")
    assert [row.fault for row in reader] == ["quote"] * 5000
    assert reader.asked < 15 * 5000


def test_quoted_row_with_the_wrong_number_of_cells_is_broken_and_the_next_is_read():
    rows = read('a,b\n"x,1\ny,2"\nz,3\n', columns=2)
    assert [(row.line, row.fault) for row in rows] == [(1, ""), (2, "quote"), (3, ""), (4, "")]


def test_row_over_the_limit_is_cut_and_the_next_is_read():
    rows = read("a,b\n" + "x" * (3 * MAX_ROW) + "\nc,d\n")
    assert [(row.line, row.fault) for row in rows] == [(1, ""), (2, "too_long"), (3, "")]


def test_many_columns_are_refused():
    assert read("a" + "," * 1000)[0].fault == "too_many_columns"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab@.;,"\n\r \0\ufffd'), max_size=200), st.sampled_from([0, 2, 3]))
def test_whatever_the_text_every_line_is_in_exactly_one_row(text, columns):
    lines = io.StringIO(text, newline=None).read().split("\n")
    filled = {number for number, line in enumerate(lines, start=1) if line.strip()}
    covered: list[int] = []
    for row in read(text, columns=columns):
        covered += range(row.line, row.end + 1)
    assert len(covered) == len(set(covered))
    assert filled <= set(covered)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0\r\ufffd", exclude_categories=("Cs",)),
                                 max_size=12), min_size=2, max_size=2), min_size=1, max_size=8))  # fmt: skip
def test_what_pythons_csv_writes_is_read_back(table):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    assert [row.cells for row in read(text.getvalue(), columns=2)] == table


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=6000))
def test_seen_remembers_the_first_line_of_every_key(numbers):
    seen, first = Seen(), {}
    for line, number in enumerate(numbers, start=1):
        key = f"user{number}@b.ru"
        assert seen.first_line(key, line) == first.get(key, 0)
        first.setdefault(key, line)
    assert len(seen) == len(first)
