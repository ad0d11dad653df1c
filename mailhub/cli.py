"""The `mailhub` command: which sub-commands there are, and how they are called.

Exit codes: 0 done, 1 refused with one clear line on stderr, 2 wrong usage. What is imported only for one command is
imported by it: `mailhub up` should not wait for the site's packages.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mailhub.settings import Settings, SettingsError, read_ini, read_settings, shown

__all__ = ["commands", "main"]

Command = Callable[[argparse.Namespace], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments) or 0
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1
    except Exception as error:
        if not _is_refusal(error):
            raise
        print(f"mailhub: {error}", file=sys.stderr)
        return 1


def up(arguments: argparse.Namespace) -> int:
    """Start everything on this machine: database, site, reports, workers, mailbox. Ctrl-C stops it."""
    from mailhub.embedded.supervisor import up

    return up(_settings(arguments), arguments.ini)


def init(arguments: argparse.Namespace) -> None:
    """Migrate the database and create what is missing; safe to repeat."""
    from mailhub import migrations

    with _resolved(arguments) as settings:
        if arguments.demo and settings.environment == "production":
            raise SettingsError(["--demo: the demo project is not made in production"])
        changed = migrations.upgrade(settings.database_url)
        print(f"database at revision {migrations.head()}{'' if changed else ' already'}")
        _lift_positions(settings)
        if arguments.demo:
            _make_demo(settings)


def _lift_positions(settings: Settings) -> None:
    """After a restore into another cluster, whose transactions have lower numbers than the stored events."""
    from mailhub.db import make_engine
    from mailhub.reporting.feed import lift_positions

    engine = make_engine(settings.database_url, name="init")
    try:
        lifted = lift_positions(engine)
    finally:
        engine.dispose()
    if lifted:
        print(f"positions of events go on {lifted} higher: the database was restored into another cluster")


def _make_demo(settings: Settings) -> None:
    from types import SimpleNamespace

    from sqlalchemy.orm import sessionmaker

    from mailhub import demo
    from mailhub.db import make_engine

    engine = make_engine(settings.database_url, name="init")
    try:
        sessions = sessionmaker(bind=engine, expire_on_commit=False)
        sign_in = demo.ensure(SimpleNamespace(mailhub=settings, session_factory=sessions))
    finally:
        engine.dispose()
    if sign_in.link:
        print(f"sign in as {sign_in.email} with your password, or once with {sign_in.link}")


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything: database, schema, broker, workers, relays. Exit code 1 if anything is wrong."""
    from mailhub.doctor import examine

    with _resolved(arguments) as settings:
        if arguments.settings:
            for name, value in shown(settings):
                print(f"{name} = {value}")
        findings = []
        for finding in examine(settings):
            print(f"{'ok   ' if finding.is_ok else 'WRONG'}  {finding.name}: {finding.detail}", flush=True)
            findings.append(finding)
    return 0 if all(finding.is_ok for finding in findings) else 1


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command by its words: `up`, `campaign start`, …"""
    found: dict[str, argparse.ArgumentParser] = {}

    def collect(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        for name, child in (pair for group in groups for pair in group.choices.items()):
            collect(child, (*words, name))
        if words and not groups:
            found[" ".join(words)] = parser

    collect(_parser(), ())
    return found


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


def _is_refusal(error: Exception) -> bool:
    """Refusals have a text for people; anything else is a fault of ours and keeps its traceback."""
    from mailhub.embedded.postgres import PostgresError
    from mailhub.embedded.supervisor import UpError

    refusals: list[type[Exception]] = [SettingsError, PostgresError, UpError]
    if "mailhub.commands" in sys.modules:
        refusals.append(sys.modules["mailhub.commands"].Refused)
    return isinstance(error, tuple(refusals))


def _later(name: str) -> Command:
    """A function of mailhub.commands, which imports the whole site, when it is called."""

    def call(arguments: argparse.Namespace) -> int | None:
        function: Command = getattr(importlib.import_module("mailhub.commands"), name)
        return function(arguments)

    return call


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mailhub", description="Email marketing that you run yourself.")
    default = os.environ.get("MAILHUB_INI", "development.ini")
    parser.add_argument("-c", dest="ini", metavar="INI", default=default, help="the ini (or $MAILHUB_INI; %(default)s)")
    add = _Adder(parser)

    add("up", up, up.__doc__)
    making = add("init", init, init.__doc__)
    making.add_argument("--demo", action="store_true", help="make the demo project too (not in production)")

    user = add.group("user", "people").command("add", _later("user_add"), "Add a person; prints a sign-in link.")
    user.add_argument("email")
    user.add_argument("--name", help="the person's name")
    user.add_argument("--admin", action="store_true", help="may use the reports process")
    user.add_argument("--project", metavar="SLUG")
    user.add_argument("--role", choices=("owner", "marketer", "analyst", "developer"))
    user.add_argument("--password-stdin", action="store_true", help="read a password from the first line of stdin")

    project = add.group("project", "tenants").command("add", _later("project_add"), "Create a project.")
    project.add_argument("slug", help="its name in URLs: small letters, digits, dashes")
    project.add_argument("--domain", required=True, help="what it may send from")
    project.add_argument("--name", required=True)
    project.add_argument("--owner", metavar="EMAIL", help="somebody who has an account")
    project.add_argument("--time-zone", default="UTC")
    project.add_argument("--language", default="en")

    sender = add.group("sender", "addresses to write from").command(
        "add", _later("sender_add"), "Add an address that a project may write from; the first one is its default."
    )
    sender.add_argument("email")
    sender.add_argument("--project", metavar="SLUG", required=True)
    sender.add_argument("--name", default="", help="what recipients see beside the address")
    sender.add_argument("--reply-to", metavar="EMAIL", default="")

    key = add.group("api-key", "keys for the JSON API").command(
        "create", _later("api_key_create"), "Create a key; prints the secret, which is kept nowhere."
    )
    key.add_argument("--project", metavar="SLUG", required=True)
    key.add_argument("--name", required=True)
    key.add_argument("--scope", action="append", help="repeatable; without it the key may all that keys can")

    token = add.group("admin-token", "tokens for the reports' JSON").command(
        "create", _later("admin_token_create"), "Create a token; prints the secret, which is kept nowhere."
    )
    token.add_argument("--user", metavar="EMAIL", required=True)
    token.add_argument("--name", required=True)

    campaign = add.group("campaign", "campaigns by their id")
    for action, doc in (
        ("start", "Start a draft, at once or at the time that it says."),
        ("pause", "Pause a campaign that is being sent."),
        ("resume", "Go on with a paused campaign."),
        ("cancel", "Cancel a campaign for good."),
    ):
        campaign.command(action, _later(f"campaign_{action}"), doc).add_argument("id", type=int)

    stats = add.group("stats", "rolled-up numbers")
    verify = stats.command("verify", _later("stats_verify"), "Compare them with a recount of the raw events.")
    verify.add_argument("--repair", action="store_true", help="set them right")
    verify.add_argument("--project", metavar="SLUG", help="this one only")
    again = stats.command(
        "reclassify",
        _later("stats_reclassify"),
        "Say again of the opens and clicks that are kept who made them; goes on where it was stopped.",
    )
    again.add_argument("--since", metavar="DATE", help="from this day on (UTC); else everything that is kept")
    again.add_argument("--project", metavar="SLUG", help="of one project only")
    activity = add.group("activity", "who was sent letters, opened and clicked")
    anew = "Count it anew from the raw events that are kept."
    rebuild = activity.command("rebuild", _later("activity_rebuild"), anew)
    rebuild.add_argument("--project", metavar="SLUG", help="this one only")
    add("partitions", _later("make_partitions"), "Make the weekly partitions that are missing, and list all.")
    add("purge", _later("purge"), "Drop what is older than mailhub.retention_days.")
    add("requeue", _later("requeue"), "Look for work whose wake-up was lost, as workers do every few seconds.")
    doctor_parser = add("doctor", doctor, doctor.__doc__)
    doctor_parser.add_argument("--settings", action="store_true", help="also print every setting")
    test = add("send-test", _later("send_test"), "Send a short letter and tell what became of it.")
    test.add_argument("address")
    test.add_argument("--project", metavar="SLUG", help="whose sender writes; else the first project's")
    return parser


class _Adder:
    """Commands of a parser, and groups of commands."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def __call__(self, name: str, function: Command, doc: str | None) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(name, help=doc, description=doc)
        parser.set_defaults(command=function)
        return parser

    command = __call__

    def group(self, name: str, doc: str) -> _Adder:
        return _Adder(self._commands.add_parser(name, help=doc, description=doc))


if __name__ == "__main__":
    raise SystemExit(main())
