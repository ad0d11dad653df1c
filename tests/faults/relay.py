"""A relay of the drills, as a drill sees it: a process that outlives its clients, and the file of what it got."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Caught:
    """A line of the relay's record; see tests/faults/relay_server.py for `how`."""

    at: float
    connection: int
    how: str
    recipient: str
    message_id: str
    size: int


class Relay:
    """Use as a context manager. Options are those of the server: `tls`, `certificate`, `rules`, `delay`."""

    def __init__(self, folder: Path, name: str = "default", **options: Any) -> None:
        self.name = name
        self.path = folder / f"relay-{name}.tsv"
        self._options = options
        self._lines: list[Caught] = []
        self._read_to = 0
        self.port = 0

    def __enter__(self) -> Relay:
        command = [sys.executable, "-m", "tests.faults.relay_server", str(self.path), json.dumps(self._options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        self.port = self._answer()["port"]
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def url(self) -> str:
        scheme = "smtp+starttls" if "tls" in self._options else "smtp"
        return f"{scheme}://127.0.0.1:{self.port}"

    def order(self, **order: Any) -> dict[str, int]:
        """Change its ways; gives how many connections are `open` and were `accepted`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def rules(self, *rules: dict[str, Any]) -> None:
        """What is done instead of the usual, from now on; without rules everything is as usual."""
        self.order(rules=rules)

    def record(self) -> list[Caught]:
        """Everything that it has written down so far."""
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._read_to += len(data)
        for line in data.decode().splitlines():
            at, connection, how, recipient, message_id, size = line.split("\t")
            self._lines.append(Caught(float(at), int(connection), how, recipient, message_id, int(size)))
        return self._lines

    def forget(self) -> None:
        """Begin the record anew."""
        self.record().clear()

    def delivered(self) -> list[Caught]:
        """Letters that the relay has whole and did not refuse: answered, or the answer got lost."""
        return [one for one in self.record() if one.how in ("taken", "reset", "silent")]

    def taken(self) -> int:
        """How many letters it has answered with 250."""
        return self.count("taken")

    def count(self, how: str) -> int:
        return Counter(one.how for one in self.record())[how]

    def _answer(self) -> dict[str, int]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the relay {self.name} has ended")
        answer: dict[str, int] = json.loads(line)
        return answer
