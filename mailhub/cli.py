"""The `mailhub` command: one function a sub-command, each a thin caller of the services.

Exit codes: 0 done, 1 refused with one clear line on stderr, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mailhub.settings import Settings, SettingsError, read_ini, read_settings

__all__ = ["Refused", "main"]


class Refused(Exception):
    """The command can't be done; the text is one clear line."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments) or 0)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1
    except Exception as error:
        if not _expected(error):
            raise
        print(f"mailhub: {error}", file=sys.stderr)
        return 1


def _expected(error: Exception) -> bool:
    """Refusals with a text for people; anything else is a fault of ours and keeps its traceback."""
    from mailhub.embedded import PostgresError
    from mailhub.embedded.supervisor import UpError

    return isinstance(error, Refused | SettingsError | PostgresError | UpError)


def up(arguments: argparse.Namespace) -> int:
    """Start everything on this machine: database, site, reports, workers, mailbox. Ctrl-C stops it."""
    from mailhub.embedded.supervisor import up

    return up(_settings(arguments), arguments.ini)


def init(arguments: argparse.Namespace) -> None:
    """Migrate the database and create what is missing; safe to repeat."""
    from mailhub import migrations

    with _resolved(arguments) as settings:
        changed = migrations.upgrade(settings.database_url)
        print(f"database at revision {migrations.head()}{'' if changed else ' already'}")


def _settings(arguments: argparse.Namespace) -> Settings:
    return read_settings(read_ini(arguments.ini))


@contextmanager
def _resolved(arguments: argparse.Namespace) -> Iterator[Settings]:
    """The settings with the embedded server running, and log lines on stderr from warnings on."""
    from mailhub import logs
    from mailhub.embedded import resolve

    settings = _settings(arguments)
    logs.configure(format=settings.log_format, level="warning", secret_key=settings.secret_key)
    with resolve(settings) as resolved:
        yield resolved


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mailhub", description="Self-hosted e-mail marketing.")
    parser.add_argument(
        "-c",
        dest="ini",
        metavar="INI",
        default=os.environ.get("MAILHUB_INI", "development.ini"),
        help="the ini file (default: $MAILHUB_INI, else development.ini)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, "up", up)
    _command(commands, "init", init)
    return parser


def _command(commands: Any, name: str, function: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
    doc = (function.__doc__ or "").strip()
    parser: argparse.ArgumentParser = commands.add_parser(name, help=doc, description=doc)
    parser.set_defaults(command=function)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
