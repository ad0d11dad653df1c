"""What a campaign is compared with: postfix's smtp-sink and smtp-source, and the plain way of sending."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from bench.office.letter import HTML
from tests.embedded.test_supervisor import free_port
from tests.faults.relay import Relay

_PATH = os.environ.get("PATH", "") + ":/usr/sbin"
BACKLOG = 1000


@dataclass(frozen=True)
class Sink:
    """A relay that takes everything. `kind`: smtp-sink, or our own where that is missing."""

    port: int
    pid: int
    kind: str

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@contextlib.contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """postfix's smtp-sink, which costs next to nothing; where it is missing, the relay of the drills."""
    program = shutil.which("smtp-sink", path=_PATH)
    if program is None:
        with Relay(folder, "sink") as relay:
            yield Sink(relay.port, relay.process.pid, "our own")
        return
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", str(BACKLOG)], stderr=subprocess.DEVNULL)
    try:
        for _turn in range(100):
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=1):
                break
            time.sleep(0.05)
        yield Sink(port, process.pid, "smtp-sink")
    finally:
        process.terminate()
        process.wait(5)


def smtp_source_per_second(port: int, letters: int, connections: int, size: int) -> float | None:
    """postfix's load generator with letters of this size over as many connections; None where it is missing."""
    program = shutil.which("smtp-source", path=_PATH)
    if program is None:
        return None
    command = [program, "-d", "-s", str(connections), "-m", str(letters), "-l", str(size), f"127.0.0.1:{port}"]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return round(letters / (time.monotonic() - began), 1)


def baseline_per_second(port: int, letters: int, connections: int) -> float:
    """EmailMessage and smtplib, a thread a connection: what one writes first."""

    def send(n: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as smtp:
            for number in range(n):
                letter = EmailMessage()
                letter["From"], letter["To"], letter["Subject"] = "news@p.test", f"p{number}@mail.test", "Hello"
                letter.set_content("Hello\n" * 40)
                html = HTML.replace("{{ name|default('friend') }}", f"Person {number}")
                letter.add_alternative(html.replace("{{ city|default('your city') }}", "City"), subtype="html")
                smtp.send_message(letter)

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(letters // connections,)) for _n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(letters // connections * connections / (time.monotonic() - began), 1)
