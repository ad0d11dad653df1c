"""Exports, measured: everybody of a large list as CSV and as XLSX, made by a real worker, counted row by row.

    python -m bench.exporting --people 1000000 --json figures.json
    python -m bench.exporting --people 1050000 --only xlsx

The files come from a real worker with one process, which shares the machine with PostgreSQL. Each person has a name,
four fields, two tags and two lists. Beyond 1,048,576 rows an XLSX goes on in another sheet. Exit 1: a file lacks rows,
or the worker's memory grew beyond LIMIT_BYTES.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mailhub.background import service as background
from mailhub.exports import service
from mailhub.exports.wanted import Format, checked
from mailhub.models import SubscriberField
from mailhub.tasks import task_request
from tests.faults.stand import Stand
from tests.faults.workers import peak_rss_bytes

Figures = dict[str, Any]

LIMIT_BYTES = 300 * 1024 * 1024
HOUR = 3600.0
FIELDS = {"city": "text", "phone": "text", "age": "number", "born": "date"}

PEOPLE = """
    INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields, source)
    SELECT %(project)s, 'p' || n || '@d' || n %% 997 || '.test', 'p' || n || '@d' || n %% 997 || '.test',
        'd' || n %% 997 || '.test', 'Имя' || n %% 5000 || ' Фамилия' || n %% 50000,
        jsonb_build_object('city', 'Город' || n %% 300, 'phone', '+7900' || lpad(CAST(n AS text), 7, '0'),
            'age', n %% 90, 'born', CAST(DATE '1950-01-01' + n %% 20000 AS text)), 'import:1'
    FROM generate_series(1, %(people)s) AS n
"""
LISTS = """
    INSERT INTO subscription (project_id, list_id, subscriber_id)
    SELECT project_id, %(list)s, id FROM subscriber WHERE project_id = %(project)s
"""
TAGS = "INSERT INTO tag (project_id, name, name_key) SELECT %(project)s, t, t FROM unnest(ARRAY['fair', 'shop']) AS t"
TAGGED = """
    INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)
    SELECT s.project_id, t.id, s.id FROM subscriber AS s JOIN tag AS t ON t.project_id = s.project_id
    WHERE s.project_id = %(project)s
"""
STATISTICS = "ANALYZE subscriber, subscription, subscriber_tag"


class Bench:
    """A project with a million people, and a worker."""

    def __init__(self, stand: Stand, people: int) -> None:
        self.stand, self.people = stand, people
        build, session = stand.live.build, stand.live.session
        self.project = build.project(build.user())
        self.lists = [build.list(self.project), build.list(self.project)]
        for place, (name, kind) in enumerate(FIELDS.items()):
            session.add(SubscriberField(project_id=self.project.id, name=name, type=kind, position=place))
        session.commit()
        binds = {"project": self.project.id, "people": people}
        stand.query("SET statement_timeout = 0")
        for statement in (PEOPLE, TAGS, TAGGED):
            stand.query(statement, binds)
        for one in self.lists:
            stand.query(LISTS, binds | {"list": one.id})
        stand.query(STATISTICS)

    def run(self, format_: Format) -> Figures:
        """An export to its end, by a worker of its own."""
        worker = self.stand.worker("celery", 1)
        self.stand.until(lambda: self.stand.is_ready(worker), 120, "the worker is ready")
        registry = self.stand.live.registry
        request = task_request(registry)
        wanted = checked("list", format_, of=self.lists[0].id)
        began, before = time.monotonic(), cpu_seconds(worker.children())
        with request.tm:
            job, _is_new = service.ask(request, request.dbsession.merge(self.project), wanted, user_id=None)
            job_id = job.id
        self.stand.until(lambda: self._is_over(job_id), HOUR, f"the {format_} is made", pause=0.1)
        seconds = time.monotonic() - began
        spent = cpu_seconds(worker.children()) - before
        rss = peak_rss_bytes(worker.children())
        # By a statement of its own: an open session would be idle in a transaction while the next file is made.
        name = self.stand.query("SELECT file FROM project_job WHERE id = %s", [job_id])[0][0]
        path = background.path_of(registry.mailhub, name)
        rows = rows_of_xlsx(path) if format_ == Format.XLSX else rows_of_csv(path)
        worker.end()
        return {
            f"{format_}_seconds": round(seconds, 1),
            f"{format_}_worker_cpu_seconds": round(spent, 1),
            f"{format_}_peak_rss_bytes": rss,
            f"{format_}_bytes": path.stat().st_size,
            f"{format_}_rows": rows,
        }

    def _is_over(self, job_id: int) -> bool:
        state, error = self.stand.query("SELECT state, error FROM project_job WHERE id = %s", [job_id])[0]
        assert state in ("pending", "running", "done"), f"{state}: {error}\n{self.stand.last_lines()}"
        return bool(state == "done")


def cpu_seconds(pids: list[int]) -> float:
    """Processor time of living processes (proc(5), stat: utime and stime)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rows_of_csv(path: Path) -> int:
    """Lines behind the head; no cell of this bench has a line end."""
    with path.open("rb") as file:
        return sum(piece.count(b"\r\n") for piece in iter(lambda: file.read(1024 * 1024), b"")) - 1


def rows_of_xlsx(path: Path) -> int:
    """Rows of all sheets behind their heads."""
    n = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as sheet:
                    n += _count(sheet, b"<row>") - 1
    return n


def _count(file: IO[bytes], word: bytes) -> int:
    n, rest = 0, b""
    while piece := file.read(1024 * 1024):
        n += (rest + piece).count(word)
        rest = piece[-len(word) + 1 :]
    return n


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.exporting", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--only", choices=[one.value for one in Format], help="leave the other form out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    figures: Figures = {"people": given.people}
    with tempfile.TemporaryDirectory(prefix="mailhub-bench-") as folder, Stand(Path(folder), relays=()) as stand:
        bench = Bench(stand, given.people)
        for format_ in Format:
            if given.only in (None, format_.value):
                found = bench.run(format_)
                figures |= found
                for name, value in found.items():
                    print(f"  {name:<34}{value:>16,}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    faults = [name for name, value in figures.items() if name.endswith("_rows") and value != given.people]
    faults += [name for name, value in figures.items() if name.endswith("_rss_bytes") and value > LIMIT_BYTES]
    for name in faults:
        print(f"missed: {name}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
