"""No value of a statement is shown."""

from __future__ import annotations

import pytest

from mailhub.admin.statements import mask


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT id FROM t WHERE email = 'anna@people.test'", "SELECT id FROM t WHERE email = ?"),
        ("SELECT 'it''s anna@people.test', 2", "SELECT ?, ?"),
        (r"SELECT E'it\'s anna@people.test', b'1'", "SELECT ?, ?"),
        ("SELECT $1, $12 FROM t2 AS t_3", "SELECT $1, $12 FROM t2 AS t_3"),
        ("SELECT $$anna@people.test$$, $a$x $$ y$a$, 5", "SELECT ?, ?, ?"),
        ('SELECT "a 1 \'b\'" FROM "t"', 'SELECT "a 1 \'b\'" FROM "t"'),
        ("SELECT -1.5e+3, .5, 10_000 -- anna@people.test\n, x", "SELECT ?, ?, ? , x"),
        ("SELECT /* anna@people.test */ x", "SELECT x"),
        ("WHERE id IN (1, 2,3)", "WHERE id IN (?, ?,?)"),
        ("SELECT 'anna@peo", "SELECT ?"),
        (r"SELECT E'anna\\' || 'x", "SELECT ? || ?"),
        ("SELECT $x$anna@peo", "SELECT ?"),
        ("SELECT /* anna@peo", "SELECT"),
        ("COPY t FROM stdin", "COPY t FROM stdin"),
        ("a\n\t b", "a b"),
        ("x" * 20, "x" * 9 + "…"),
    ],
)
def test_values_are_hidden_and_the_rest_is_left(statement, shown):
    assert mask(statement, length=10 if statement == "x" * 20 else 600) == shown
