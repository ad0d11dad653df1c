"""The encoding of a file with one short row must come right: the rows that people send to try us out."""

from __future__ import annotations

import io
import random
from contextlib import nullcontext

import pytest
from babel import Locale

from mailhub.imports.encodings import alternatives, likely_pages, sniff_encoding
from mailhub.imports.head import look
from mailhub.imports.reading import ENCODINGS, Reading

CYRILLIC = ["cp1251", "koi8-r", "cp866", "iso8859-5", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
#: At most 12 letters, none of them a word from which the pairs of letters were counted.
RUSSIAN = [
    "Лхагва", "Гаянэ", "ООО Вымпел", "Шаврукова", "ЩЁКИНО", "п. Ытык-Кюёль", "Сызрань", "ул. Мира, 5", "Эмма",
    "Ёлкина", "Хилок", "ИП Чехова", "Гузель", "Цой", "УЛАН-УДЭ", "Ямщик", "№ 5 «Заря»", "Юхнов",
]  # fmt: skip


def opened(data):
    return lambda: nullcontext(io.BytesIO(data))


@pytest.mark.parametrize("codec", CYRILLIC)
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_one_short_russian_row_is_read_as_it_was_written(tmp_path, codec, delimiter):
    wrong = []
    for word in RUSSIAN:
        row = delimiter.join(["a@b.ru", word, "+7 912 345-67-89"])
        if codec == "iso8859-5":
            row = row.replace("«", '"').replace("»", '"')  # that page has no such quotes
        if codec in ("koi8-r", "cp866") and any(mark in row for mark in "«»№"):
            row = row.replace("«", '"').replace("»", '"').replace("№", "N")
        path = tmp_path / "a.csv"
        path.write_bytes(row.encode(codec))
        reading = look(path).reading
        text = path.read_bytes().decode("utf-8-sig" if reading.encoding == "utf-8" else reading.encoding)
        if (text, reading.delimiter) != (row, delimiter):
            wrong.append((word, reading))
    assert not wrong


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "cp866", "iso8859-5"])
def test_twelve_bytes_of_russian_are_enough(codec):
    locale = Locale("ru")
    words = sorted({*locale.territories.values(), *locale.languages.values()})
    rng = random.Random(12)
    right = 0
    for _row in range(200):
        text = " ".join(rng.choices(words, k=4))[:12].replace("’", "'")
        data = f"ivan.petrov@mail.com;{text};+7 912 345-67-89".encode(codec)
        right += data.decode(likely_pages(data)[0], "replace") == data.decode(codec)
    assert right >= 196


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1251", "a@b.ua,Їжакевич Ґалаґан"), ("koi8-u", "a@b.ua,Наталія Стефанишин"),
        ("mac-cyrillic", "a@b.ru,Пётр Щукин Казань"), ("cp1252", "a@b.de,Müller"), ("cp1252", "a@b.de,GROSSKÜHN"),
        ("cp1252", "a@b.fr,Aurélie Lefèvre"), ("cp1252", "a@b.es,Muñoz Peña"), ("cp1252", "a@b.pt,João Conceição"),
        ("cp1252", "a@b.se,Åsa Sjöberg"), ("cp1252", "a@b.com,O’Neill – “Bob”"), ("cp1250", "a@b.pl,Wałęsa Gdańsk"),
        ("cp1250", "a@b.cz,Jiří Dvořák"), ("cp1250", "a@b.hu,Erzsébet Szűcs"), ("cp1254", "a@b.tr,Ayşe Yıldız"),
        ("iso8859-2", "a@b.pl,Łukasz Jaśkiewicz"), ("utf-8", "a@b.cn,王小明"), ("utf-8", "a@b.com,🎉"),
        ("utf-16-le", "a@b.ru;Имя и фамилия по-русски, и ещё много слов"), ("utf-32", "a@b.ru;Анна"),
    ],
)  # fmt: skip
def test_other_pages_and_languages(codec, text):
    data = text.encode(codec)
    guess = sniff_encoding(opened(data))
    assert data.decode(guess).lstrip("\ufeff") == text


def test_ascii_is_utf8():
    assert sniff_encoding(opened(b"email,name\na@b.ru,Anna\n")) == "utf-8"


def test_letters_far_behind_in_a_file_decide():
    data = b"email;name\n" + b"user@b.ru;Anna\n" * 200_000 + "a@b.ru;Щукин\n".encode("koi8-r")
    assert sniff_encoding(opened(data)) == "koi8-r"


def test_a_letter_cut_between_two_pieces_is_no_fault():
    data = b"x" * (256 * 1024 - 1) + "é\n".encode() + b"x" * (1024 * 1024 - 2) + "é".encode()
    assert sniff_encoding(opened(data)) == "utf-8"


def test_alternatives_show_the_same_words(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("a@b.ru;Анна Щукина\n".encode("cp1251"))
    shown = {one.encoding: one.example for one in look(path).alternatives}
    assert next(iter(shown)) == "cp1251"
    assert shown["cp1251"] == "Анна Щукина"
    assert shown["koi8-r"] == "юММЮ ыСЙХМЮ"
    chosen = look(path, Reading(encoding="koi8-r"))
    assert (chosen.reading.encoding, chosen.reading.delimiter) == ("koi8-r", ";")
    assert chosen.alternatives[0].encoding == "koi8-r"
    assert chosen.alternatives[0].label == "KOI8-R"


def test_alternatives_of_plain_ascii_are_the_chosen_one():
    assert [one.encoding for one in alternatives(opened(b"a@b.ru,Anna"), "utf-8")] == ["utf-8"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_can_be_chosen_for_every_file(tmp_path, encoding):
    path = tmp_path / "a.csv"
    for data in ("a@b.ru;Анна\n".encode("cp1251"), "a@b.ru;Анна".encode("utf-16"), bytes(range(1, 256)) * 9 + b"\n"):
        path.write_bytes(data)
        look(path, Reading(encoding=encoding, delimiter=";"))
