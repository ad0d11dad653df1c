"""Alembic's environment: time-outs, one migrator at a time, one transaction a migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from mailhub.models import metadata

#: Waits for a lock and runs a statement no longer than this; a migration that needs more says so itself.
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "5s"
#: `pg_advisory_lock` key: two deployments never migrate at once.
MIGRATION_LOCK = 7_301_600_001


def include_object(item: Any, name: str | None, kind: str, reflected: bool, _compare_to: Any) -> bool:
    """Leave out what the models don't own: partitions, and whatever lives in other schemas (pgmq)."""
    if kind == "table" and reflected and name is not None:
        return name in metadata.tables
    return not (kind == "index" and reflected and item.table.name not in metadata.tables)


@contextmanager
def database_url() -> Iterator[str]:
    """The URL from `alembic -x url=…`, from the caller's attributes, or from the settings of the ini.

    The embedded server is started if it does not run.
    """
    given = context.get_x_argument(as_dictionary=True).get("url") or context.config.attributes.get("url")
    if given:
        yield str(given)
        return
    from mailhub.embedded import resolve
    from mailhub.settings import settings_from_ini

    with resolve(settings_from_ini(context.config.config_file_name or "development.ini")) as settings:
        yield settings.database_url


def configure(**options: Any) -> None:
    context.configure(
        target_metadata=metadata,
        include_object=include_object,
        compare_type=True,
        transaction_per_migration=True,
        **options,
    )


def migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    try:
        connection.execute(text("SELECT set_config('lock_timeout', :value, false)"), {"value": LOCK_TIMEOUT})
        connection.execute(text("SELECT set_config('statement_timeout', :value, false)"), {"value": STATEMENT_TIMEOUT})
        connection.commit()
        configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.commit()


def run() -> None:
    if context.is_offline_mode():
        configure(dialect_name="postgresql", literal_binds=True, dialect_opts={"paramstyle": "named"})
        with context.begin_transaction():
            context.run_migrations()
        return
    connection = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection)
        return
    with database_url() as url, create_engine(url, poolclass=pool.NullPool).connect() as fresh:
        migrate(fresh)


run()
