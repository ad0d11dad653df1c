"""An import whose process is killed by the kernel, not by an exception: nothing of ours runs after it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import text

from mailhub.imports import service as imports
from mailhub.imports.columns import guess_mapping
from mailhub.imports.tasks import resume_imports, run_import
from mailhub.models import ImportRejectedRow, Subscriber, Subscription
from mailhub.tasks import task_request

WORKER = """
import sys
from pathlib import Path
from tests.conftest import build_app
from mailhub.tasks import TASKS, run
app = build_app(sys.argv[1], Path(sys.argv[2]), **{"mailhub.import.batch_rows": "200"})
print("ready", flush=True)
run(app.registry, TASKS["mailhub.imports.run_import"], (int(sys.argv[3]), int(sys.argv[4])))
"""
ROWS = 20_000


def test_kill_9_in_the_middle_and_the_next_worker_ends_with_exactly_the_right_counts(live):
    project = live.build.project(live.build.user())
    mailing_list = live.build.list(project)
    lines = [f"u{n}@b.ru,N{n}" if n % 10 else f"bad{n},x" for n in range(1, ROWS + 1)]
    data = "email,name\n" + "\n".join([*lines, "u1@b.ru,again"])
    upload = imports.receive(live.registry.mailhub, io.BytesIO(data.encode()))
    row = imports.create_import(live.session, project_id=project.id, list_id=mailing_list.id, file_name="a.csv",
                                upload=upload, user_id=None)  # fmt: skip
    imports.start_import(live.session, row, head=upload.head, mapping=guess_mapping(upload.head), update_existing=True)
    live.session.commit()
    home = live.registry.mailhub.home
    args = [sys.executable, "-c", WORKER, live.url, str(home), str(project.id), str(row.id)]
    with subprocess.Popen(args, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        killed_at = wait_for_rows(live, row, 2_000)
        os.kill(worker.pid, signal.SIGKILL)
    live.session.expire_all()
    assert row.state == "running"
    assert killed_at <= row.rows_total < ROWS
    people = live.session.query(Subscriber).count()
    assert people == row.rows_created
    live.session.execute(text("UPDATE subscriber_import SET lease_until = now() - interval '1 second'"))
    live.session.commit()
    sweeping = task_request(live.registry)
    with sweeping.tm:
        resume_imports(sweeping)
    assert live.publisher.names() == [run_import.spec.name]
    live.publisher.run_all()
    live.session.expire_all()
    good = ROWS - ROWS // 10
    assert (row.state, row.rows_total, row.rows_created, row.rows_updated, row.rows_skipped, row.rows_rejected) == (
        "done", ROWS + 1, good, 0, 0, ROWS // 10 + 1
    )  # fmt: skip
    assert live.session.query(Subscriber).count() == live.session.query(Subscription).count() == good
    rejected = live.session.query(ImportRejectedRow).order_by(ImportRejectedRow.line).all()
    assert len(rejected) == ROWS // 10 + 1
    assert rejected[-1].reason == "duplicate:2"


def wait_for_rows(live, row, wanted: int) -> int:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        done = live.session.execute(
            text("SELECT rows_total FROM subscriber_import WHERE id = :id"), {"id": row.id}
        ).scalar_one()
        live.session.rollback()
        if done >= wanted:
            return int(done)
        time.sleep(0.01)
    raise AssertionError("the worker did nothing for two minutes")
