"""A campaign from its first letter to its last, beside a plain baseline and the ceiling of postfix's smtp-source.

    python -m bench.delivery --recipients 5000 --json figures.json

PostgreSQL, the relay (postfix's smtp-sink, else our own) and the workers share this machine. The letter has 11 kB of
HTML, 8 merge fields, 40 tracked links and a text part; each is recorded by itself, with durable positions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import smtplib
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text

from mailhub.models import Campaign, CampaignVersion, Link, Subscriber, Subscription
from tests.conftest import Live
from tests.faults.stand import Stand, Worker, database_of_its_own
from tests.sink import Sink

LINKS = 40
PARAGRAPH = "Сентябрьские скидки: everything for the garden, the terrace and the long evenings. " * 2
HTML = (
    "<html><body><h1>Dear {{ first_name|default('friend') }}</h1>"
    + "".join(
        f'<p>{PARAGRAPH}<a href="https://shop.example.com/item/{n}?from=letter">Item {n}</a> '
        + ("for {{ name }} in {{ city|default('your city') }}" if n % 10 == 0 else "")
        + "</p>"
        for n in range(LINKS)
    )
    + "</body></html>"
)


@contextlib.contextmanager
def relay(port: int) -> Iterator[str]:
    """postfix's smtp-sink, which costs next to nothing; where it is missing, our own."""
    program = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        with Sink() as sink:
            yield f"smtp://127.0.0.1:{sink.port}"
        return
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "200"], stderr=subprocess.DEVNULL)
    try:
        for _turn in range(100):
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=1):
                break
            time.sleep(0.05)
        yield f"smtp://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(5)


def prepare(stand: Stand, recipients: int) -> Campaign:
    """A campaign of the size, ready to be fanned out, paused until the clock starts."""
    session = stand.office.session
    campaign = stand.office.campaign(0)
    version = session.get(CampaignVersion, (campaign.project_id, campaign.id, 1))
    version.html = HTML
    session.query(Link).delete()
    session.execute(
        insert(Link),
        [
            {"project_id": campaign.project_id, "campaign_id": campaign.id, "position": n,
             "url": f"https://shop.example.com/item/{n}?from=letter"}
            for n in range(LINKS)
        ],
    )  # fmt: skip
    session.execute(
        text(
            "INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields)"
            " SELECT :project_id, 'p' || n || '@mail.test', 'p' || n || '@mail.test', 'mail.test', 'Person ' || n,"
            " jsonb_build_object('city', 'City ' || n) FROM generate_series(1, :n) AS n"
        ),
        {"project_id": campaign.project_id, "n": recipients},
    )
    found = select(Subscriber.project_id, version.list_id + 0 * Subscriber.id, Subscriber.id)
    session.execute(insert(Subscription).from_select(["project_id", "list_id", "subscriber_id"], found))
    session.commit()
    return campaign


def peak_rss_bytes(workers: list[Worker]) -> int:
    """The largest of our processes, as the kernel has seen it at its peak."""
    peak = 0
    for worker in workers:
        for pid in [worker.process.pid, *worker.children()]:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
    return peak


def campaign_figures(url: str, folder: Path, relay_url: str, recipients: int, processes: int) -> dict[str, Any]:
    """Fan-out, then a campaign by real workers."""
    live = Live(url, folder)
    with Sink() as unused:
        try:
            settings = {"mailhub.relay.default.url": relay_url, "mailhub.delivery.lease_seconds": "20"}
            with Stand(live, unused, **settings) as stand:
                stand.worker("bulk", processes)
                campaign = prepare(stand, recipients)
                began = time.monotonic()
                stand.office.fan_out(campaign, chunk_size=500)
                fanned_out = time.monotonic() - began
                stand.until_sent(campaign, 60 + recipients / 20)
                rows = stand.office.session.execute(
                    text("SELECT min(at), max(at), count(*) FROM message_event WHERE type = 'SENT'")
                ).one()
                seconds = (rows[1] - rows[0]).total_seconds()
                return {
                    "letters_per_second": round(rows[2] / seconds, 1),
                    "fan_out_per_second": round(recipients / fanned_out),
                    "peak_rss_bytes": peak_rss_bytes(stand.workers),
                    "sent": rows[2],
                }
        finally:
            live.close()


def baseline_per_second(relay_url: str, letters: int, connections: int) -> float:
    """EmailMessage and smtplib, a thread a connection: what one writes first."""
    host, _, port = relay_url.removeprefix("smtp://").partition(":")

    def send(n: int) -> None:
        with smtplib.SMTP(host, int(port)) as smtp:
            for number in range(n):
                letter = EmailMessage()
                letter["From"], letter["To"], letter["Subject"] = "news@p.test", f"p{number}@mail.test", "Hello"
                letter.set_content("Hello\n" * 40)
                letter.add_alternative(HTML.replace("{{ name }}", f"Person {number}"), subtype="html")
                smtp.send_message(letter)

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(letters // connections,)) for _n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(letters // connections * connections / (time.monotonic() - began), 1)


def smtp_source_per_second(relay_url: str, letters: int, connections: int, size: int) -> float | None:
    """postfix's load generator with letters of this size over as many connections; None where it is missing."""
    program = shutil.which("smtp-source", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return None
    address = relay_url.removeprefix("smtp://")
    began = time.monotonic()
    command = [program, "-d", "-s", str(connections), "-m", str(letters), "-l", str(size), address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return round(letters / (time.monotonic() - began), 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("--recipients", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--port", type=int, default=20250)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        url = stack.enter_context(database_of_its_own(folder))
        relay_url = stack.enter_context(relay(given.port))
        figures = campaign_figures(url, folder, relay_url, given.recipients, given.processes)
        few = max(100, min(given.recipients // 5, 2000))
        figures["baseline_per_second"] = baseline_per_second(relay_url, few, given.processes)
        ceiling = smtp_source_per_second(relay_url, few * 5, given.processes, 20_000)
        if ceiling is not None:
            figures["smtp_source_per_second"] = ceiling
    for name, value in figures.items():
        print(f"{name:<28}{value:>14,}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
