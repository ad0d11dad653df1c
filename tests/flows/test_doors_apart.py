"""A fault in one front door leaves the other processes starting: why the reports are a process of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailhub.models import WebSession
from mailhub.security.secrets import digest, new_token
from tests.house import ROOT

HOST = "mail.example.org"
BROKEN = "def broken(:\n"
#: Each part runs in a fork with a copy of the program on its path; the libraries are imported once, before.
SCRIPT = """
import os, sys
import celery, kombu, pydantic, pyramid.config, pyramid_jinja2, pyramid_retry, pyramid_tm, psycopg, sqlalchemy.orm
import zope.sqlalchemy
from paste.deploy import loadapp
from webob import Request

def part(folder, work):
    pid = os.fork()
    if pid == 0:
        sys.path.insert(0, folder)
        try:
            work(folder + "/production.ini")
            print(os.path.basename(folder), "started", flush=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            if (fault := sys.exc_info()[1]) is not None:
                import traceback
                traceback.print_exception(fault)
            os._exit(0)
    os.waitpid(pid, 0)

def site_and_worker(ini):
    import mailhub
    from mailhub.settings import read_ini
    from mailhub.worker import app, registry_for, attach
    assert mailhub.__file__.startswith(os.path.dirname(ini))
    assert Request.blank("/sign-in", host=HOST).get_response(loadapp("config:" + ini)).status_int == 200
    attach(registry_for({**read_ini(ini), "mailhub.process": "worker"}))
    assert "mailhub.delivery.pump" in app.tasks
    assert not [name for name in sys.modules if name.startswith("mailhub.admin")]

def reports(ini):
    app = loadapp("config:" + ini, name="reports")
    def get(url):
        return Request.blank(url, host=HOST, cookies={"__Host-mailhub-reports": TOKEN}).get_response(app)
    for page in ("/admin", "/admin/queues", "/admin/tables", "/admin/people"):
        assert get(page).status_int == 200, page
    tasks = get("/admin/periodic").text
    assert "mailhub.reporting.retention" in tasks
    assert "mailhub.projects.seal_again" not in tasks, "its room's tasks are broken"
    assert not [name for name in sys.modules if name.startswith(("mailhub.campaigns.views", "mailhub.stats.views"))]

HOST, TOKEN = sys.argv[3], sys.argv[4]
part(sys.argv[1], site_and_worker)
part(sys.argv[2], reports)
"""


def copy_of_the_program(folder: Path, *broken: str) -> Path:
    """With the compiled files, whose sources have kept their times, and a syntax error in some of them."""
    shutil.copytree(ROOT / "mailhub", folder / "mailhub")
    for name in ("templates", "static", "alembic"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "production.ini", folder / "production.ini")
    for module in broken:
        path = folder / "mailhub" / module
        path.write_text(BROKEN + path.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.fixture
def token(live):
    """An admin's session in the reports process."""
    root, value = live.build.user("root@people.test", is_admin=True), new_token()
    ends = datetime.now(UTC) + timedelta(hours=1)
    live.session.add(WebSession(token_hash=digest(value), user_id=root.id, app="reports", expires_at=ends))
    live.session.commit()
    return value


def test_a_door_that_is_broken_leaves_the_others_starting(live, token, tmp_path):
    """With faults in the reports, site and workers start. With faults in rooms the reports do, without their tasks."""
    parts = (
        copy_of_the_program(tmp_path / "without_reports", "admin/__init__.py", "admin/views.py", "admin/routes.py"),
        copy_of_the_program(
            tmp_path / "without_rooms",
            "campaigns/views/__init__.py", "campaigns/views/draft.py", "stats/views.py", "projects/tasks.py",
        ),
    )  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAILHUB_")} | {
        "MAILHUB_HOME": str(tmp_path / "home"),
        "MAILHUB_SECRET_KEY": live.registry.mailhub.secret_key,
        "MAILHUB_RETURN_PATH_DOMAIN": "bounces.example.org",
        "MAILHUB_RELAY_DEFAULT_URL": "smtp://127.0.0.1:9",
        "SQLALCHEMY_URL": live.url,
        "SQLALCHEMY_REPORTS_URL": live.url,
        "CELERY_BROKER_URL": "amqp://127.0.0.1:9/",
        **{f"MAILHUB_{name}_URL": f"https://{HOST}" for name in ("PUBLIC", "TRACKING", "USERCONTENT", "REPORTS")},
    }
    command = [sys.executable, "-c", SCRIPT, *map(str, parts), HOST, token]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["without_reports", "started", "without_rooms", "started"], done.stdout + done.stderr
