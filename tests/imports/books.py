"""Workbooks and archives for tests: as small as the formats allow, so that each part can be made wrong on purpose."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"


def zipped(members: Mapping[str, bytes | str], *, stored: bool = False) -> bytes:
    """A ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def xlsx_members(
    sheets: Mapping[str, str], *, shared: Sequence[str] = (), formats: Sequence[str] = (), since_1904: bool = False
) -> dict[str, bytes | str]:
    """The parts of an XLSX whose sheets have this XML in `sheetData`. Style n has the n-th format (0: General)."""
    names = list(sheets)
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(names, start=1)
    )
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATION}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(names) + 1)
    )
    codes = "".join(f'<numFmt numFmtId="{164 + n}" formatCode={quoteattr(code)}/>' for n, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{164 + n}"/>' for n in range(len(formats)))
    return {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships><Relationship Id="a" Type="{_RELATION}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATION}">'
        f'<workbookPr date1904="{int(since_1904)}"/><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships>{relations}"
        f'<Relationship Id="s" Type="{_RELATION}/sharedStrings" Target="sharedStrings.xml"/>'
        f'<Relationship Id="f" Type="{_RELATION}/styles" Target="/xl/styles.xml"/></Relationships>',
        "xl/styles.xml": f"<styleSheet><numFmts>{codes}</numFmts>"
        f'<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/>{styles}</cellXfs></styleSheet>',
        "xl/sharedStrings.xml": f"<sst>{''.join(shared)}</sst>",
        **{f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{_MAIN}"><sheetData>{xml}</sheetData></worksheet>'
           for n, xml in enumerate(sheets.values(), start=1)},
    }  # fmt: skip


def xlsx(table: Sequence[Sequence[str]], sheet: str = "People") -> bytes:
    """A workbook of texts, shared as Excel has them."""
    texts = list(dict.fromkeys(cell for row in table for cell in row))
    rows = "".join(
        f'<row r="{n}">' + "".join(f'<c t="s"><v>{texts.index(cell)}</v></c>' for cell in row) + "</row>"
        for n, row in enumerate(table, start=1)
    )
    return zipped(xlsx_members({sheet: rows}, shared=[f"<si><t>{escape(text)}</t></si>" for text in texts]))


def ods_members(tables: Mapping[str, str]) -> dict[str, bytes | str]:
    """The parts of an ODS whose tables have this XML."""
    listed = "".join(f"<table:table table:name={quoteattr(name)}>{xml}</table:table>" for name, xml in tables.items())
    return {
        "mimetype": ODS_TYPE,
        "META-INF/manifest.xml": "<manifest/>",
        "content.xml": '<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body>'
        f"<office:spreadsheet>{listed}</office:spreadsheet></office:body></office:document-content>",
    }


def ods(table: Sequence[Sequence[str]], sheet: str = "People") -> bytes:
    """A workbook of texts."""
    rows = "".join(
        "<table:table-row>"
        + "".join(f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
                  for cell in row)
        + "</table:table-row>"
        for row in table
    )  # fmt: skip
    return zipped(ods_members({sheet: rows}))
