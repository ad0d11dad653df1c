"""Named SQL: blocks of `sql/*.sql`, each with what a row is, its binds and the tables that it reads.

    -- name: project_days
    -- One row per day with events, oldest first.
    -- binds: project_id bigint, since date, until date
    -- reads: project_day
    -- measured: 0.1 ms for 90 days
    SELECT …

Everything is read and checked when the module is imported: an undeclared bind stops the process, not a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import TextClause, text

FOLDER = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: *([a-z][a-z0-9_]*) *$", re.MULTILINE)
_LABEL = re.compile(r"^-- (binds|reads|writes|measured): *(.*)$")
#: As SQLAlchemy reads a bind: `:since::date` is none, and neither is the `:00` of a time (trap 8 of house.md).
_BIND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")


class NamedSqlError(Exception):
    """The SQL files are wrong; `faults` has a sentence for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("named SQL:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True)
class Named:
    """One block. `text` is for a Session, `psycopg` is the same statement for a psycopg cursor."""

    name: str
    sql: str
    doc: str
    binds: Mapping[str, str]
    tables: tuple[str, ...]
    measured: str
    text: TextClause = field(init=False, repr=False, compare=False)
    psycopg: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", text(self.sql))
        object.__setattr__(self, "psycopg", _BIND.sub(r"%(\1)s", self.sql.replace("%", "%%")))


def load(folder: Path = FOLDER) -> dict[str, Named]:
    """Every block of the folder by its name. Raises NamedSqlError with all faults at once."""
    found: dict[str, Named] = {}
    faults: list[str] = []
    for file in sorted(folder.glob("*.sql")):
        pieces = _NAME.split(file.read_text(encoding="utf-8"))
        if not pieces[0].strip().startswith("--"):
            faults.append(f"{file.name}: the first line says what the file is about")
        for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
            if name in found:
                faults.append(f"{name}: there are two blocks of this name")
            found[name] = _block(name, body, faults)
    if faults:
        raise NamedSqlError(faults)
    return found


def _block(name: str, body: str, faults: list[str]) -> Named:
    doc: list[str] = []
    said: dict[str, str] = {}
    lines = body.strip().splitlines()
    while lines and lines[0].startswith("--"):
        line = lines.pop(0)
        label = _LABEL.match(line)
        if label is None:
            doc.append(line.removeprefix("--").strip())
        else:
            said[label[1]] = f"{said[label[1]]}, {label[2]}" if label[1] in said else label[2]
    sql = "\n".join(lines).strip().rstrip(";")
    declared = dict(_declared(name, said.get("binds", ""), faults))
    used = set(_BIND.findall(_bare(sql)))
    for bind in sorted(used - declared.keys()):
        faults.append(f"{name}: the bind {bind} is used and not declared")
    for bind in sorted(declared.keys() - used):
        faults.append(f"{name}: the bind {bind} is declared and not used")
    if _BIND.findall(sql) and set(_BIND.findall(sql)) != used:
        faults.append(f"{name}: a text or a comment looks like a bind")
    if not doc:
        faults.append(f"{name}: nothing says what a row is")
    if "reads" not in said and "writes" not in said:
        faults.append(f"{name}: nothing says which tables it reads or writes")
    if not sql:
        faults.append(f"{name}: there is no statement")
    if re.search(r"\bSELECT\s+\*|\b\w+\.\*", sql):
        faults.append(f"{name}: SELECT *")
    tables = [table.strip() for key in ("reads", "writes") for table in said.get(key, "").split(",")]
    return Named(name, sql, " ".join(doc), declared, tuple(filter(None, tables)), said.get("measured", ""))


def _declared(name: str, listed: str, faults: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for one in filter(None, (piece.strip() for piece in listed.split(","))):
        bind, _, kind = one.partition(" ")
        if not kind:
            faults.append(f"{name}: the bind {bind} has no type")
        pairs.append((bind, kind))
    return pairs


def _bare(sql: str) -> str:
    """The statement without comments and quoted texts."""
    return re.sub(r"--[^\n]*|'(?:[^']|'')*'", " ", sql)


SQL: Mapping[str, Named] = load()
