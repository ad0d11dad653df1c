"""Tables filled in bulk: rows by COPY, indexes and keys when the rows are there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from psycopg import sql

from bench.history.store import Connection


def copy_rows(connection: Connection, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table; its name may have a schema."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextlib.contextmanager
def bare(connection: Connection, table: str, *, keys: bool = False) -> Iterator[None]:
    """One transaction in which the table has no index and no foreign key (with `keys` no primary key either)."""
    kinds = ["f", "p"] if keys else ["f"]
    with connection.transaction():
        again: list[sql.SQL | sql.Composed] = []
        for name, definition in connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = CAST(%s AS regclass) AND contype = ANY(%s) ORDER BY contype DESC",
            [table, kinds],
        ).fetchall():
            values = {"table": sql.Identifier(table), "name": sql.Identifier(name), "rest": sql.SQL(definition)}
            connection.execute(sql.SQL("ALTER TABLE {table} DROP CONSTRAINT {name}").format(**values))
            again.append(sql.SQL("ALTER TABLE {table} ADD CONSTRAINT {name} {rest}").format(**values))
        for name, definition in connection.execute(
            "SELECT CAST(i.indexrelid AS regclass), pg_get_indexdef(i.indexrelid) FROM pg_index AS i"
            " WHERE i.indrelid = CAST(%s AS regclass)"
            " AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)",
            [table],
        ).fetchall():
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
            again.append(sql.SQL(definition))
        yield
        for statement in again:
            connection.execute(statement)


def indexes_of(connection: Connection, parent: str, child: str) -> list[sql.Composed]:
    """The statements that give a table the indexes of a partitioned one, so that attaching it finds them there."""
    found = []
    rows = connection.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisprimary, pg_get_constraintdef(k.oid)"
        " FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype = 'p'"
        " WHERE i.indrelid = CAST(%s AS regclass)",
        [parent],
    ).fetchall()
    for name, definition, is_primary, key in rows:
        own = name.replace(parent, child)[:63]
        if is_primary:
            found.append(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                sql.Identifier(child), sql.Identifier(own), sql.SQL(key)))  # fmt: skip
        else:
            rest = definition.partition(" USING ")[2]
            unique = sql.SQL("UNIQUE " if definition.startswith("CREATE UNIQUE") else "")
            found.append(sql.SQL("CREATE {}INDEX {} ON {} USING {}").format(
                unique, sql.Identifier(own), sql.Identifier(child), sql.SQL(rest)))  # fmt: skip
    return found
