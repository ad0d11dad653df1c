"""SQL is never made of pieces: a value that gets into its text is an injection sooner or later."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house import PACKAGE

FUNCTIONS = {"text", "sql"}
METHODS = {"execute", "executemany", "exec_driver_sql", "scalar", "scalars", "copy", "SQL"}
FILES = sorted(PACKAGE.rglob("*.py"))  # migrations are made of lists of names, which is fine


def made_of_pieces(source: str) -> Iterator[int]:
    """Lines in which a call that takes SQL is given a text put together on the spot."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        is_method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in (METHODS if is_method else FUNCTIONS) and _pieces(node.args[0]):
            yield node.lineno


def _pieces(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) and not _constant(part.value) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _textual(node.left) or _textual(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join"):
        return _textual(node.func.value)
    return False


def _constant(node: ast.expr) -> bool:
    """A module's constant, by its name: `SET LOCAL` takes no binds."""
    return isinstance(node, ast.Name) and node.id.isupper()


def _textual(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        or _pieces(node)
    )


def test_sql_is_not_put_together() -> None:
    for path in FILES:
        lines = list(made_of_pieces(path.read_text(encoding="utf-8")))
        assert lines == [], f"{path}: line {lines}: use binds, or psycopg.sql for names"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("text(f'SELECT {x}')", True),
        ("session.execute('SELECT ' + x)", True),
        ("connection.execute('SELECT %s' % x)", True),
        ("text('SELECT {}'.format(x))", True),
        ("text(', '.join(x))", True),
        ("text('SELECT ' + 'a' + x)", True),
        ("connection.execute(sql.SQL('SELECT {}').format(sql.Identifier(x)))", False),
        ("connection.exec_driver_sql(f'SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}')", False),
        ("text('SELECT :x')", False),
        ("connection.execute('SELECT %s', (x,))", False),
        ("session.execute(select(A).where(A.x == x + y))", False),
    ],
)
def test_the_check_finds_what_it_should(source: str, found: bool) -> None:
    assert bool(list(made_of_pieces(source))) is found
