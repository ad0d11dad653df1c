"""The database's schema brought to this code's version: Alembic, called from Python."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

__all__ = ["FOLDER", "current", "head", "upgrade"]

FOLDER = Path(__file__).resolve().parent.parent / "alembic"


def upgrade(database_url: str) -> bool:
    """Applies the migrations that are missing; whether there were any."""
    if current(database_url) == head():
        return False
    command.upgrade(_config(database_url), "head")
    return True


def current(database_url: str) -> str | None:
    """The database's revision; None when it has never been migrated."""
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """This code's revision."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config(database_url: str | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = database_url
    return config
