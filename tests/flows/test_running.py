"""The main job on a running `mailhub up`, by the JSON API alone: the example of docs/, and killed workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.running import ROOT, Running, children

PEOPLE = (
    "E-mail;Name;City\n"
    "anna@people.test;Anna;Kazan\n"
    "boris@people.test;Борис;Тверь\n"
    "nobody;No Address;\n"
    "anna@people.test;Anna Again;Kazan\n"
    "clara@people.test;;\n"
)


def test_up_prints_how_to_sign_in(running: Running) -> None:
    email, password = running.sign_in
    assert email == "owner@demo.test"
    assert len(password) >= 12


def test_the_example_of_the_docs_does_the_main_job(running: Running, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text(PEOPLE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/examples/main_job.py"), "--url", running.url, "--csv", str(people),
         "--seconds", "60"],
        env={**os.environ, "MAILHUB_KEY": running.key}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    imported = json.loads(said["import"])
    assert (imported["rows_total"], imported["rows_created"], imported["rows_rejected"]) == (5, 3, 2)
    ledger = json.loads(said["ledger"])
    assert ledger == {"audience": 3, "queued": 0, "deferred": 0, "sent": 3, "failed": 0, "unknown": 0, "skipped": 0}
    assert said["letter"] == "sent ['QUEUED', 'SENT']"
    assert json.loads(said["stats"])["sent"] == 3

    letters = {letter.recipients: letter for letter in running.mailbox.list("News for", limit=10)}
    assert letters["boris@people.test"].subject == "News for Борис"
    boris = running.mailbox.get(letters["boris@people.test"].id)
    clara = running.mailbox.get(letters["clara@people.test"].id)
    assert boris is not None
    assert clara is not None
    assert "Hello, Борис!" in boris.html
    assert "Your city is Тверь." in boris.html
    assert "Hello, friend!" in clara.html
    assert "still a secret" in clara.text
    headers = dict(boris.headers)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"<{running.url}/u/" in headers["List-Unsubscribe"]
    assert "https://example.com/autumn" not in boris.html
    assert re.search(rf"{running.url}/t/c/[\w-]+", boris.html)


def test_a_campaign_with_a_grace_starts_by_itself_when_it_ends(running: Running) -> None:
    campaign = running.start_campaign("Patient", running.audience("patient", 3), grace_seconds=5)
    asked = time.time()
    assert running.campaign(campaign)["state"] == "scheduled"
    seen = running.until(lambda: running.campaign(campaign), lambda found: found["started_at"], 60)
    late = datetime.fromisoformat(seen["started_at"]).timestamp() - asked - 5
    print(f"started {late:.2f} s after the end of the grace")
    assert -1 < late < 10
    running.until(lambda: running.campaign(campaign), lambda found: found["state"] == "sent")


def test_killed_workers_lose_nothing_and_repeat_nothing(running: Running) -> None:
    people = 3000
    campaign = running.start_campaign("Killed", running.audience("killed", people))

    def sent_more_than(n: int) -> None:
        running.until(lambda: running.campaign(campaign)["counts"]["sent"], lambda sent: sent > n)

    sent_more_than(200)
    os.kill(children(running.pid_of("bulk"))[0], signal.SIGKILL)  # a child of the pool
    sent_more_than(600)
    killed_at = time.monotonic()
    last = running.campaign(campaign)["counts"]["sent"]
    for name in ("bulk", "celery", "transactional"):
        os.kill(running.pid_of(name), signal.SIGKILL)
    # What was on its way at the kill is counted for a moment longer.
    time.sleep(1)
    last = max(last, running.campaign(campaign)["counts"]["sent"])
    sent_more_than(last)
    resumed = time.monotonic() - killed_at
    seen = running.until(lambda: running.campaign(campaign), lambda found: found["state"] == "sent", 150)
    print(f"sending went on after {resumed:.1f} s; {seen['counts']}")
    assert resumed < 60

    counts = seen["counts"]
    assert counts["audience"] == people
    assert counts["sent"] + counts["unknown"] == people
    letters, states = running.letters_to("killed.test"), running.state_of_everybody(campaign)
    assert len(states) == people
    for email, state in states.items():
        assert letters[email] == 1 or (state == "unknown" and letters[email] == 0), (email, state, letters[email])
    # At each of the two kills a letter was on each connection at most; the relay takes ten.
    assert counts["unknown"] <= 20
