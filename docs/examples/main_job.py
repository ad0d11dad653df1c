"""The main job through the JSON API alone: import a list, write a campaign, send it, watch it, read the numbers.

    export MAILHUB_KEY=$(mailhub api-key create --project demo --name example)
    python docs/examples/main_job.py --url http://127.0.0.1:6543 --from news@demo.test [--csv people.csv]

Needs nothing but Python's standard library. Prints the campaign's ledger and statistics as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

LETTER = """\
<h1>Hello, {{ name|default("friend") }}!</h1>
<p>Your city is {{ city|default("still a secret") }}.</p>
<p><a href="https://example.com/autumn?from=letter">See the news</a></p>
"""
PEOPLE = "E-mail;Name;City\nanna@people.test;Anna;Kazan\nboris@people.test;Борис;Тверь\nnobody;No Address;\n"


class Api:
    """A few lines round urllib: JSON in, JSON out, a refusal is an exception with the problem's text."""

    def __init__(self, url: str, key: str) -> None:
        self.base = url.rstrip("/") + "/api/v1"
        self.key = key

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, {"Content-Type": "application/json", **headers})

    def upload(self, path: str, file_name: str, content: bytes, **fields: str) -> Any:
        boundary = uuid.uuid4().hex
        out = io.BytesIO()
        for name, value in fields.items():
            out.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
        disposition = f'Content-Disposition: form-data; name="file"; filename="{file_name}"'
        out.write(f"--{boundary}\r\n{disposition}\r\nContent-Type: text/csv\r\n\r\n".encode())
        out.write(content + f"\r\n--{boundary}--\r\n".encode())
        return self._send("POST", path, out.getvalue(), {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(self.base + path, data, method=method)
        for name, value in {"Authorization": f"Bearer {self.key}", **headers}.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            raise SystemExit(f"{method} {path}: {refusal.code} {refusal.read().decode()}") from None


def wait_for(what: str, look: Any, done: Any, seconds: float) -> Any:
    """Look again and again until it is done."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen):
            return seen
        if time.monotonic() > end:
            raise SystemExit(f"{what} is not done after {seconds:.0f} s: {json.dumps(seen)}")
        time.sleep(0.3)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default="http://127.0.0.1:6543")
    options.add_argument("--key", default=os.environ.get("MAILHUB_KEY"), help="else $MAILHUB_KEY")
    options.add_argument("--from", dest="sender", default="news@demo.test")
    options.add_argument("--csv", type=Path, help="a file with the columns E-mail, Name and City")
    options.add_argument("--seconds", type=float, default=300, help="how long to wait for each step")
    given = options.parse_args()
    if not given.key:
        raise SystemExit("no key: set MAILHUB_KEY or give --key")
    api = Api(given.url, given.key)

    # 1. A list, and people out of a CSV.
    mailing_list = api.call("POST", "/lists", {"name": "Readers of the example", "opt_in": "single"})
    content = given.csv.read_bytes() if given.csv else PEOPLE.encode()
    mapping = json.dumps({"E-mail": "email", "Name": "name", "City": "city"})
    started = api.upload("/imports", "people.csv", content, list_id=mailing_list["id"], mapping=mapping)
    done = wait_for(
        "the import",
        lambda: api.call("GET", f"/imports/{started['id']}"),
        lambda seen: seen["state"] in ("done", "failed"),
        given.seconds,
    )
    print("import:", json.dumps({name: done[name] for name in done if name.startswith(("rows_", "state"))}))

    # 2. A campaign, sent at once.
    campaign = api.call(
        "POST",
        "/campaigns",
        {
            "name": "Example",
            "subject": "News for {{ name|default('you') }}",
            "from": {"email": given.sender, "name": "Example"},
            "list_ids": [mailing_list["id"]],
            "html": LETTER,
        },
    )
    api.call("POST", f"/campaigns/{campaign['id']}/start", {})
    sent = wait_for(
        "the campaign",
        lambda: api.call("GET", f"/campaigns/{campaign['id']}"),
        lambda seen: seen["state"] == "sent",
        given.seconds,
    )
    print("ledger:", json.dumps(sent["counts"]))

    # 3. A single letter beside it: the same key sent twice is one letter.
    letter = {"from": given.sender, "to": "anna@people.test", "subject": "Your code", "text": "It is 1234."}
    key = str(uuid.uuid4())
    first = api.call("POST", "/messages", letter, Idempotency_Key=key)
    again = api.call("POST", "/messages", letter, Idempotency_Key=key)
    if first["id"] != again["id"]:
        raise SystemExit("one Idempotency-Key made two letters")
    message = wait_for(
        "the letter",
        lambda: api.call("GET", f"/messages/{first['id']}"),
        lambda seen: seen["state"] != "queued",
        given.seconds,
    )
    print("letter:", message["state"], [event["type"] for event in message["events"]])

    # 4. The numbers.
    stats = api.call("GET", f"/campaigns/{campaign['id']}/stats")
    print("stats:", json.dumps(stats["counts"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
