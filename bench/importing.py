"""Imports, measured: a file through a real worker, the same file again, a kill -9 at half, and all of it taken back.

    python -m bench.importing --rows 1000000 --json figures.json
    python -m bench.importing --rows 200000 --only import

PostgreSQL (which waits for its disk) and one worker with one process share the machine with whatever else runs on it.
Every 200th person of the file is known before. docs/benchmarks.md says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailhub.imports import service as imports
from mailhub.imports import undo
from mailhub.imports.columns import guess_mapping
from mailhub.imports.rules import Rules
from mailhub.imports.tasks import run_import
from mailhub.models import SubscriberImport
from mailhub.tasks import task_request
from tests.faults.stand import Stand
from tests.faults.workers import peak_rss_bytes

Figures = dict[str, Any]

#: What a roll-back leaves as it was, as one text for each table.
DUMPS = {
    "subscriber": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.id), '')) FROM subscriber AS t",
    "subscription": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.list_id, t.subscriber_id), ''))"
    " FROM subscription AS t",
    "subscriber_tag": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.tag_id, t.subscriber_id), ''))"
    " FROM subscriber_tag AS t",
    "consent": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.id), '')) FROM consent AS t",
    "list_count": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.list_id, t.status), ''))"
    " FROM list_count AS t WHERE n <> 0",
    "subscriber_count": "SELECT md5(coalesce(string_agg(CAST(t AS text), '|' ORDER BY t.status), ''))"
    " FROM subscriber_count AS t WHERE n <> 0",
}
DOMAINS = ("mail.ru", "yandex.ru", "gmail.com", "bk.ru", "example.org")
KNOWN_EVERY = 200
HOUR = 3600.0


class Bench:
    """A project, a list, a file, and a worker."""

    def __init__(self, stand: Stand, rows: int, tags: bool) -> None:
        self.stand, self.rows, self.tags = stand, rows, tags
        build = stand.live.build
        self.project = build.project(build.user())
        self.list = build.list(self.project)
        stand.live.session.commit()
        self.path = stand.folder / "people.csv"
        write_file(self.path, rows)
        stand.query(
            "INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields)"
            " SELECT %s, e, e, split_part(e, '@', 2), 'Known', '{\"city\": \"Ufa\"}' FROM unnest(%s::text[]) AS e",
            [self.project.id, [address(n) for n in range(0, rows, KNOWN_EVERY)]],
        )
        self.worker = stand.worker("celery", 1)

    def start(self) -> SubscriberImport:
        """Upload the file and start its import, as the page does."""
        session = self.stand.live.session
        with self.path.open("rb") as file:
            upload = imports.receive(self.stand.live.registry.mailhub, file)
        row = imports.create_import(
            session, project_id=self.project.id, file_name="people.csv", upload=upload, user_id=None
        )
        imports.save_mapping(session, row, guess_mapping(upload.head))
        rules = Rules(tags=("fair",) if self.tags else (), consent_source="bench")
        imports.save_rules(session, row, list_ids=[self.list.id], rules=rules, statement="They agreed.")
        imports.start(session, row)
        session.commit()
        request = task_request(self.stand.live.registry)
        with request.tm:
            request.enqueue(run_import, self.project.id, row.id)
        return row

    def run(self) -> tuple[SubscriberImport, float]:
        """An import to its end; gives it and its seconds, as the worker counts them."""
        row = self.start()
        self.until(row, "done")
        session = self.stand.live.session
        session.expire_all()
        assert row.started_at is not None
        assert row.finished_at is not None
        return row, (row.finished_at - row.started_at).total_seconds()

    def until(self, row: SubscriberImport, state: str) -> None:
        import_id = row.id
        # No transaction of ours is open for the minutes that this takes.
        self.stand.live.session.rollback()

        def there() -> bool:
            now = self.stand.query("SELECT state FROM subscriber_import WHERE id = %s", [import_id])[0][0]
            assert now != "failed", self.stand.last_lines()
            return bool(now == state)

        self.stand.until(there, HOUR, f"the import is {state}", pause=0.1)

    def dump(self) -> dict[str, str]:
        return {name: self.stand.query(query)[0][0] for name, query in DUMPS.items()}


def address(n: int) -> str:
    return f"user{n * 7919 % 10_000_019}.{n}@{DOMAINS[n % len(DOMAINS)]}"


def write_file(path: Path, rows: int) -> None:
    """A list as shops have it: name, town, two fields; one row in a thousand is no address."""
    chance = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write("email,имя,city,phone,company\n")
        for n in range(rows):
            mail = address(n) if n % 1000 != 999 else f"nobody{n}"
            file.write(
                f"{mail},Имя{chance.randrange(5000)} Фамилия{chance.randrange(50000)},Город{chance.randrange(300)},"
                f"+7900{chance.randrange(10**7):07},ООО {chance.randrange(10**5)}\n"
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.importing", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=0, help="rows of a transaction; else as in the settings")
    parser.add_argument("--tags", action="store_true", help="give everybody a tag")
    parser.add_argument("--only", choices=["import"], help="leave the rest out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    settings = {"mailhub.import.batch_rows": str(given.batch)} if given.batch else {}
    with (
        tempfile.TemporaryDirectory(prefix="mailhub-bench-") as folder,
        Stand(Path(folder), relays=(), **settings) as stand,
    ):
        figures: Figures = {}
        for part in measure(Bench(stand, given.rows, given.tags), only_import=given.only == "import"):
            figures |= part
            for name, value in part.items():
                print(f"  {name:<34}{f'{value:,}' if isinstance(value, int | float) else value:>16}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    wrong = [name for name in ("second_created", "killed_wrong", "tables_changed") if figures.get(name)]
    return 1 if wrong else 0


def measure(bench: Bench, *, only_import: bool) -> Iterator[Figures]:
    """The figures of one run, as they come."""
    before = bench.dump()
    row, seconds = bench.run()
    created, updated = row.rows_created, row.rows_updated
    yield {
        "rows": row.rows_total,
        "seconds": round(seconds, 2),
        "rows_per_second": round(row.rows_total / seconds, 1),
        "peak_rss_bytes": peak_rss_bytes(bench.worker.children()),
        "created": created,
        "updated": updated,
        "rejected": row.rows_rejected,
    }
    if only_import:
        return
    again, second = bench.run()
    yield {"second_seconds": round(second, 2), "second_created": again.rows_created}
    yield taken_back(bench, row, before)
    yield killed(bench, created, updated)


def taken_back(bench: Bench, row: SubscriberImport, before: dict[str, str]) -> Figures:
    """The first import rolled back; `tables_changed` names what is not as before."""
    began = time.monotonic()
    request = task_request(bench.stand.live.registry)
    with request.tm:
        undo.begin(request, request.dbsession.get(SubscriberImport, (row.project_id, row.id)))
    bench.until(row, "rolled_back")
    seconds = time.monotonic() - began
    after = bench.dump()
    changed = [name for name in before if before[name] != after[name]]
    return {"roll_back_seconds": round(seconds, 2), "tables_changed": ", ".join(changed)}


def killed(bench: Bench, created: int, updated: int) -> Figures:
    """The same import once more, its worker killed at half; the next one ends it with exactly the same counts."""
    row = bench.start()

    def done() -> int:
        return int(bench.stand.query("SELECT rows_total FROM subscriber_import WHERE id = %s", [row.id])[0][0])

    bench.stand.until(lambda: done() >= bench.rows // 2, HOUR, "half of it", pause=0.02)
    bench.worker.kill()
    at = done()
    # The lease is a minute long; nobody waits for it here.
    bench.stand.query("UPDATE subscriber_import SET lease_until = now() WHERE id = %s AND state = 'running'", [row.id])
    began = time.monotonic()
    bench.until(row, "done")
    bench.stand.live.session.expire_all()
    people = int(bench.stand.query("SELECT count(*) FROM subscriber WHERE source = %s", [f"import:{row.id}"])[0][0])
    wrong = (row.rows_total, row.rows_created, row.rows_updated, people) != (bench.rows, created, updated, created)
    return {
        "killed_at_rows": at,
        "resumed_seconds": round(time.monotonic() - began, 2),
        "killed_wrong": "counts differ" if wrong else "",
    }


if __name__ == "__main__":
    raise SystemExit(main())
