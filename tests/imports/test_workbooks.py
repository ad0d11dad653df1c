"""XLSX and ODS: cells as a person sees them, sheets to choose from, and files that would fill the memory."""

from __future__ import annotations

import pytest

from mailhub.imports.cells import MAX_ROWS
from mailhub.imports.columns import guess_mapping
from mailhub.imports.head import look
from mailhub.imports.opening import read_rows
from mailhub.imports.reading import NotACsv, Reading
from tests.imports.books import ods, ods_members, xlsx, xlsx_members, zipped

TABLE = [["Почта", "Имя", "Город"], ["a@b.ru", 'Анна "А"', "Уфа, центр"], ["c@d.ru", "Борис", ""]]


def head_of(tmp_path, data, reading=None):
    path = tmp_path / "file"
    path.write_bytes(data)
    return look(path, reading)


def cells_of(tmp_path, data, reading=None):
    return [row.cells for row in head_of(tmp_path, data, reading).rows]


@pytest.mark.parametrize("make", [xlsx, ods])
def test_workbook_is_read_like_a_csv(tmp_path, make):
    head = head_of(tmp_path, make(TABLE, "Люди & друзья"))
    assert head.headers == TABLE[0]
    assert [[*row.cells, ""][:3] for row in head.rows] == TABLE[1:]
    assert [(row.line, row.fault) for row in head.rows] == [(2, ""), (3, "")]
    assert head.rows[0].raw == 'a@b.ru,"Анна ""А""","Уфа, центр"'
    assert head.sheets == ("Люди & друзья",)
    assert guess_mapping(head) == {"Почта": "email", "Имя": "name", "Город": "город"}


@pytest.mark.parametrize("make", [xlsx, ods])
def test_progress_ends_within_the_file(tmp_path, make):
    path = tmp_path / "file"
    path.write_bytes(make([["email"], *([f"user{n}@b.ru"] for n in range(3000))]))
    done: list[int] = []
    rows = list(read_rows(path, look(path).reading, progress=done.append))
    assert len(rows) == len(done) == 3001
    assert done == sorted(done)
    assert path.stat().st_size * 0.9 < done[-1] <= path.stat().st_size


def sheet(xml):
    return f'<row r="1"><c r="A1" t="inlineStr"><is><t>email</t></is></c></row>{xml}'


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('<c r="A2"><v>12</v></c>', "12"),
        ('<c r="A2"><v>12.0</v></c>', "12"),
        ('<c r="A2"><v>12.5</v></c>', "12.5"),
        ('<c r="A2"><v>0.30000000000000004</v></c>', "0.3"),
        ('<c r="A2"><v>7.9161234567E10</v></c>', "79161234567"),
        ('<c r="A2"><v>-0</v></c>', "0"),
        ('<c r="A2"><v>1E-7</v></c>', "0.0000001"),
        ('<c r="A2"><v>nonsense</v></c>', "nonsense"),
        ('<c r="A2" t="b"><v>1</v></c>', "TRUE"),
        ('<c r="A2" t="b"><v>0</v></c>', "FALSE"),
        ('<c r="A2" t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c r="A2" t="str"><f>A1</f><v>by formula</v></c>', "by formula"),
        ('<c r="A2" t="s"><v>0</v></c>', "Анна Иванова"),
        ('<c r="A2" t="s"><v>1</v></c>', "two\nlines"),
        ('<c r="A2" t="d"><v>2026-11-27T00:00:00</v></c>', "2026-11-27"),
        ('<c r="A2" s="1"><v>46353</v></c>', "2026-11-27"),
        ('<c r="A2" s="1"><v>46353.604166666664</v></c>', "2026-11-27 14:30"),
        ('<c r="A2" s="2"><v>46353.604166666664</v></c>', "2026-11-27 14:30"),
        ('<c r="A2" s="3"><v>0.604166666666667</v></c>', "14:30"),
        ('<c r="A2" s="4"><v>1.5</v></c>', "36:00"),
        ('<c r="A2" s="5"><v>1234</v></c>', "001234"),
        ('<c r="A2" s="6"><v>1234.5</v></c>', "1234.5"),
        ('<c r="A2" s="7"><v>46353</v></c>', "2026-11-27"),
        ('<c r="A2" s="1"><v>59</v></c>', "1900-02-28"),
        ('<c r="A2" s="1"><v>61</v></c>', "1900-03-01"),
        ('<c r="A2" s="1"><v>99999999</v></c>', "99999999"),
        ('<c r="A2" s="99"><v>5</v></c>', "5"),
    ],
)
def test_cell_of_xlsx_is_what_a_person_sees(tmp_path, cell, shown):
    members = xlsx_members(
        {"S": sheet(f'<row r="2">{cell}</row>')},
        shared=[
            "<si><r><t>Анна </t></r><r><t>Иванова</t></r><rPh><t>phonetic</t></rPh></si>",
            "<si><t>two_x000A_lines</t></si>",
        ],
        formats=["dd.mm.yyyy", "yyyy-mm-dd hh:mm", "hh:mm:ss", "[h]:mm", "000000", '#,##0.00 "d"',
                 '[$-419]d mmmm yyyy\\ "г.";@'],
    )  # fmt: skip
    assert cells_of(tmp_path, zipped(members)) == [[shown]]


def test_dates_since_1904(tmp_path):
    members = xlsx_members(
        {"S": sheet('<row r="2"><c s="1"><v>44891</v></c></row>')}, formats=["dd/mm/yy"], since_1904=True
    )
    assert cells_of(tmp_path, zipped(members)) == [["2026-11-27"]]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('<table:table-cell office:value-type="float" office:value="12.50"><text:p>12,5</text:p></table:table-cell>',
         "12.5"),
        ('<table:table-cell office:value-type="float" office:value="1234"><text:p>001234</text:p></table:table-cell>',
         "001234"),
        ('<table:table-cell office:value-type="date" office:date-value="2026-11-27"><text:p>27.11</text:p>'
         "</table:table-cell>", "2026-11-27"),
        ('<table:table-cell office:value-type="date" office:date-value="2026-11-27T14:30:00"><text:p>x</text:p>'
         "</table:table-cell>", "2026-11-27 14:30"),
        ('<table:table-cell office:value-type="time" office:time-value="PT14H30M00S"/>', "14:30"),
        ('<table:table-cell office:value-type="boolean" office:boolean-value="true"/>', "TRUE"),
        ('<table:table-cell office:value-type="string"><text:p>a<text:s text:c="2"/>b</text:p><text:p>c</text:p>'
         "</table:table-cell>", "a  b\nc"),
        ('<table:table-cell><office:annotation><text:p>remark</text:p></office:annotation><text:p>x<text:span>y'
         "</text:span></text:p></table:table-cell>", "xy"),
        ('<table:table-cell office:value-type="string" office:string-value="only here"/>', "only here"),
    ],
)  # fmt: skip
def test_cell_of_ods_is_what_a_person_sees(tmp_path, cell, shown):
    xml = f"<table:table-row><table:table-cell><text:p>email</text:p></table:table-cell></table:table-row>" \
          f"<table:table-row>{cell}</table:table-row>"  # fmt: skip
    assert cells_of(tmp_path, zipped(ods_members({"S": xml}))) == [[shown]]


def test_repeated_cells_and_rows_of_ods(tmp_path):
    def row(xml, times=1):
        return f'<table:table-row table:number-rows-repeated="{times}">{xml}</table:table-row>'

    def cell(text, times=1):
        return f'<table:table-cell table:number-columns-repeated="{times}"><text:p>{text}</text:p></table:table-cell>'

    empty = '<table:table-cell table:number-columns-repeated="16000"/>'
    xml = row(cell("email") + cell("x", 3) + empty) + row(empty, 1000) + row(cell("a@b.ru", 2), 2) + row(empty, 10**9)
    head = head_of(tmp_path, zipped(ods_members({"S": xml})))
    assert head.headers == ["email", "x", "x (2)", "x (3)"]
    assert [(row.line, row.cells) for row in head.rows] == [(1002, ["a@b.ru"] * 2), (1003, ["a@b.ru"] * 2)]


def test_first_sheet_with_rows_is_read_and_another_can_be_chosen(tmp_path):
    row = '<row><c t="inlineStr"><is><t>{}</t></is></c></row>'
    members = xlsx_members({"Empty": "", "First": row.format("a@b.ru"), "Second": row.format("c@d.ru")})
    hidden = str(members["xl/workbook.xml"]).replace('name="Second"', 'name="Second" state="hidden"')
    head = head_of(tmp_path, zipped(members))
    assert (head.reading.sheet, head.sheets) == ("First", ("Empty", "First", "Second"))
    assert cells_of(tmp_path, zipped(members), Reading(sheet="Second")) == [["c@d.ru"]]
    assert head_of(tmp_path, zipped(members | {"xl/workbook.xml": hidden})).sheets == ("Empty", "First")
    with pytest.raises(NotACsv, match="no_sheet"):
        head_of(tmp_path, zipped(members), Reading(sheet="Third"))


def test_rows_of_a_sheet_that_lies_about_its_numbers(tmp_path):
    xml = "".join(
        f'<row r="{number}"><c r="{place}" t="inlineStr"><is><t>user{n}@b.ru</t></is></c></row>'
        for n, (number, place) in enumerate([("5", "A5"), ("3", "Z"), ("99999999999", "!"), ("", "ZZZZZZ9"), ("6", "")])
    )
    head = head_of(tmp_path, zipped(xlsx_members({"S": xml})))
    assert [row.line for row in head.rows] == [5, 6, 7, 8, 9]
    assert [row.fault for row in head.rows] == ["", "", "", "too_many_columns", ""]


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ('<c r="GS2" t="inlineStr"><is><t>x</t></is></c>', "too_many_columns"),
        (f'<c t="inlineStr"><is><t>{"x" * 10_001}</t></is></c>', "cell_too_long"),
        (f'<c t="inlineStr"><is><t>{"x" * 9_999}</t></is></c>' * 7, "too_long"),
        ('<c t="inlineStr"><is><t>a_x0000_b</t></is></c>', "nul"),
    ],
)
def test_limits_of_a_row_hold_in_a_workbook(tmp_path, cells, fault):
    xml = sheet(f'<row r="2">{cells}</row><row r="3"><c><v>1</v></c></row>')
    head = head_of(tmp_path, zipped(xlsx_members({"S": xml})))
    assert [row.fault for row in head.rows] == [fault, ""]


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("part", "content", "reason"),
    [
        ("xl/worksheets/sheet1.xml", LAUGHS + "<worksheet><sheetData>&b;</sheetData></worksheet>", "broken_workbook"),
        ("xl/workbook.xml", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><workbook/>', "broken_workbook"),
        ("xl/worksheets/sheet1.xml", "<a>" * 100_000, "broken_workbook"),
        ("xl/worksheets/sheet1.xml", f'<worksheet x="{"y" * 3_000_000}"/>', "broken_workbook"),
        ("xl/worksheets/sheet1.xml", f"<worksheet><!--{'y' * 3_000_000}--></worksheet>", "broken_workbook"),
        ("xl/worksheets/sheet1.xml", "<w>" + "".join(f"<a{n}/>" for n in range(9_000)) + "</w>", "broken_workbook"),
        ("xl/worksheets/sheet1.xml", "<worksheet><row><c t='s'><v>77</v></c></row></worksheet>", "broken_workbook"),
        ("xl/worksheets/sheet1.xml", "<worksheet><sheetData><row>", "broken_workbook"),
        ("xl/worksheets/sheet1.xml", "<worksheet>" + " " * 10_000_000, "bomb"),
        ("xl/worksheets/sheet1.xml", "", "broken_workbook"),
        ("xl/workbook.xml", "no XML at all", "broken_workbook"),
    ],
)
def test_malicious_part_is_refused(tmp_path, part, content, reason):
    members = xlsx_members({"S": "<row/>"}) | {part: content}
    with pytest.raises(NotACsv) as refusal:
        head_of(tmp_path, zipped(members))
    assert refusal.value.reason == reason


def test_rows_repeated_a_million_times_are_no_list_in_memory(tmp_path):
    xml = '<table:table-row table:number-rows-repeated="999999999"><table:table-cell><text:p>a@b.ru</text:p></table:table-cell></table:table-row>'  # noqa: E501
    path = tmp_path / "file"
    path.write_bytes(zipped(ods_members({"S": xml * 3})))
    head = look(path)
    rows = read_rows(path, head.reading)
    assert next(rows).line == 1
    rows.close()
    assert MAX_ROWS == 1_048_576
