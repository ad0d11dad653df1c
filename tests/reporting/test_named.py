"""Named SQL: what is refused, and that everything we have is sound."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from mailhub.reporting.named import SQL, NamedSqlError, load

GOOD = "-- About days.\n\n-- name: days\n-- A row a day.\n-- binds: project_id bigint\n-- reads: project_day\n"


def faults_of(folder: Path, content: str) -> str:
    (folder / "one.sql").write_text(content)
    with pytest.raises(NamedSqlError) as refused:
        load(folder)
    return str(refused.value)


def test_a_block_has_its_parts(tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text(GOOD + "SELECT day FROM day WHERE project_id = :project_id AND 3 % 2 = 1;")
    days = load(tmp_path)["days"]
    assert (days.name, days.doc, days.binds, days.tables) == (
        "days", "A row a day.", {"project_id": "bigint"}, ("project_day",)
    )  # fmt: skip
    assert days.psycopg == "SELECT day FROM day WHERE project_id = %(project_id)s AND 3 %% 2 = 1"


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT 1", "project_id is declared and not used"),
        ("SELECT :project_id + :more", "more is used and not declared"),
        ("SELECT :project_id::text", "project_id is declared and not used"),
        ("SELECT * FROM project_day WHERE project_id = :project_id", "SELECT *"),
        ("SELECT ' :sly' WHERE 1 = :project_id", "looks like a bind"),
        ("", "there is no statement"),
    ],
)
def test_a_faulty_block_stops_the_start(tmp_path: Path, sql: str, fault: str) -> None:
    assert fault in faults_of(tmp_path, GOOD + sql)


def test_a_block_without_words_is_refused(tmp_path: Path) -> None:
    found = faults_of(tmp_path, "-- About.\n-- name: days\nSELECT 1\n-- name: days\nSELECT 2")
    assert "what a row is" in found
    assert "which tables" in found
    assert "two blocks" in found


def test_sqlalchemy_sees_the_binds_that_we_declare() -> None:
    assert len(SQL) > 15
    for named in SQL.values():
        assert set(text(named.sql).compile().params) == set(named.binds), named.name
