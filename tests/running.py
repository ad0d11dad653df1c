"""A `mailhub up` of one's own for a test session: what a newcomer starts, on free ports and in a folder of its own."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mailhub.embedded.letters import Mailbox
from tests.embedded.test_supervisor import ROOT, Up, children

__all__ = ["ROOT", "Running", "children", "started"]


class Running(Up):
    """The running service, as a program sees it: the command line, the JSON API, the mailbox's file."""

    def __init__(self, home: Path, **environ: str) -> None:
        super().__init__(home, **environ)
        self._key = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.home / "mailbox.sqlite")

    @property
    def sign_in(self) -> tuple[str, str]:
        """Address and password, as `up` prints them."""
        line = self.wait_line(r"^ +Sign in ")
        found = re.search(r"(\S+@\S+), password (\S+)", line)
        assert found, line
        return found[1], found[2]

    @property
    def key(self) -> str:
        """An API key of the demo project, made by the command line."""
        if not self._key:
            self._key = self.command("api-key", "create", "--project", "demo", "--name", "tests").strip()
        return self._key

    def command(self, *words: str) -> str:
        """What `mailhub …` prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "mailhub.cli", "-c", "development.ini", *words],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the API's answer."""
        data = None if document is None else json.dumps(document).encode()
        return self.send(method, path, data, {"Content-Type": "application/json", **headers})

    def do(self, method: str, path: str, document: Any = None) -> Any:
        """The JSON of an answer that must not be a refusal."""
        status, answer = self.call(method, path, document)
        assert status < 300, (method, path, status, answer)
        return answer

    def upload(self, list_id: str, content: bytes, mapping: dict[str, str]) -> tuple[int, Any]:
        """POST /imports."""
        parts = [f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
                 for name, value in (("list_id", list_id), ("mapping", json.dumps(mapping)))]  # fmt: skip
        parts.append(b'--XX\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n')
        body = b"".join([*parts, content, b"\r\n--XX--\r\n"])
        return self.send("POST", "/imports", body, {"Content-Type": "multipart/form-data; boundary=XX"})

    def send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, method=method)
        for name, value in {"Authorization": f"Bearer {self.key}", **headers}.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read() or b"null")

    def audience(self, name: str, people: int) -> str:
        """The id of a new list with so many people of the domain `<name>.test`."""
        mailing_list = self.do("POST", "/lists", {"name": f"Readers of {name}", "opt_in": "single"})
        rows = "".join(f"p{n}@{name}.test;Person {n}\n" for n in range(people))
        status, begun = self.upload(
            mailing_list["id"], f"E-mail;Name\n{rows}".encode(), {"E-mail": "email", "Name": "name"}
        )
        assert status in (200, 201, 202), begun
        done = self.until(lambda: self.do("GET", f"/imports/{begun['id']}"), lambda seen: seen["state"] == "done")
        assert done["rows_created"] == people, done
        return str(mailing_list["id"])

    def start_campaign(self, name: str, list_id: str, **start: Any) -> str:
        """The id of a campaign to the list, started; `start` is what is posted for it."""
        html = '<p>Dear {{ name|default("reader") }}, <a href="https://example.com/news">the news</a>.</p>'
        campaign = self.do(
            "POST", "/campaigns",
            {"name": name, "subject": f"{name} for {{{{ name|default('you') }}}}", "html": html,
             "from": "news@demo.test", "list_ids": [list_id]},
        )  # fmt: skip
        self.do("POST", f"/campaigns/{campaign['id']}/start", start)
        return str(campaign["id"])

    def campaign(self, campaign_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.do("GET", f"/campaigns/{campaign_id}")
        return found

    def until(self, look: Any, right: Any, seconds: float = 60) -> Any:
        """What `look` gives as soon as it is right."""
        deadline = time.monotonic() + seconds
        while not right(seen := look()):
            assert time.monotonic() < deadline, f"not after {seconds} s: {seen}\n" + "\n".join(self.lines[-40:])
            time.sleep(0.05)
        return seen

    def letters_to(self, domain: str) -> Counter[str]:
        """How many letters lie in the mailbox for each address of the domain."""
        found: Counter[str] = Counter()
        asked = "SELECT recipients FROM letter WHERE recipients LIKE ?"
        with closing(sqlite3.connect(self.home / "mailbox.sqlite", timeout=10)) as connection:
            for (recipients,) in connection.execute(asked, (f"%@{domain}",)):
                found[recipients] += 1
        return found

    def received_at(self, address: str) -> float | None:
        """When the letter to this address was on the mailbox's disk, in seconds since 1970."""
        with closing(sqlite3.connect(self.home / "mailbox.sqlite", timeout=10)) as connection:
            row = connection.execute("SELECT received_at FROM letter WHERE recipients = ?", (address,)).fetchone()
        return row[0] if row else None

    def state_of_everybody(self, campaign_id: str) -> dict[str, str]:
        """Address → state, of the whole audience, page by page."""
        found: dict[str, str] = {}
        path = f"/campaigns/{campaign_id}/recipients?limit=500"
        while True:
            page = self.do("GET", path)
            for person in page["results"]:
                assert person["email"] not in found, f"{person['email']} is in the ledger twice"
                found[person["email"]] = person["state"]
            if not page["next"]:
                return found
            path = page["next"].partition("/api/v1")[2]


@contextmanager
def started(home: Path, **environ: str) -> Iterator[Running]:
    """A service that is ready; it is stopped as Ctrl-C does."""
    running = Running(home, **environ)
    running.start()
    try:
        running.wait_line("^ready$", 150)
        yield running
    finally:
        if running.process.poll() is None:
            assert running.stop() == 0
