"""tests.plugins: in CI a skipped test fails; what touches SQL is found; what measures times runs alone, at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

SKIPPING = """
import pytest

def test_skips():
    pytest.skip("no such program")

@pytest.mark.skipif(True, reason="no such server")
def test_is_skipped():
    pass

@pytest.mark.may_skip
def test_may_skip():
    pytest.skip("another platform")

def test_passes():
    pass
"""


def run(folder: Path, source: str, *options: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    plugins = ["-p", "tests.plugins.no_skips", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-c", os.devnull, "--rootdir", str(folder), *plugins]
    environ = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *options, str(folder)], env=environ, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("ci", ["true", "1"])
def test_a_skip_fails_in_ci_and_says_why(tmp_path: Path, ci: str) -> None:
    done = run(tmp_path, SKIPPING, ci=ci)
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout
    assert "no such program" in done.stdout
    assert "no such server" in done.stdout


def test_a_skip_fails_in_a_worker_too(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPPING, "-n", "2", ci="true")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout


@pytest.mark.parametrize("ci", ["", "false"])
def test_a_skip_is_fine_elsewhere(tmp_path: Path, ci: str) -> None:
    done = run(tmp_path, SKIPPING, ci=ci)
    assert done.returncode == 0
    assert "1 passed, 3 skipped" in done.stdout


def test_a_module_that_skips_itself_fails_in_ci_too(tmp_path: Path) -> None:
    source = 'import pytest\n\npytest.importorskip("no_such_module_at_all")\n'
    done = run(tmp_path, source, ci="true")
    assert done.returncode != 0
    assert "no_such_module_at_all" in done.stdout


def test_the_selection_knows_the_shared_server() -> None:
    command = [sys.executable, "-m", "pytest", "--needs-postgres", "--collect-only", "-q"]
    folders = ["tests/ground", "tests/embedded/test_postgres.py", "tests/embedded/test_views.py"]
    listed = subprocess.run([*command, *folders], cwd=ROOT, capture_output=True, text=True).stdout
    assert "test_views.py::test_the_list_shows_the_newest_first" in listed
    assert "test_postgres.py" not in listed  # its servers are its own
    assert "tests/ground" not in listed


#: Writes down when it ran, and in which worker.
NOTED = """
import os, time
from pathlib import Path

import pytest

@pytest.mark.parametrize("n", range(3))
def test_it(n):
    began = time.monotonic()
    time.sleep(0.05)
    note = f"{Path(__file__).stem} {os.getpid()} {began} {time.monotonic()}\\n"
    with Path("notes").open("a") as file:
        file.write(note)
"""


def test_what_measures_times_runs_last_and_alone(tmp_path: Path) -> None:
    for name in ("flows/test_times", "flows/test_running", "accounts/test_one", "lists/test_two", "mail/test_three"):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(NOTED)
    plugin = ["-p", "tests.plugins.side_by_side", "-p", "no:cacheprovider", "--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-c", os.devnull, "--rootdir", str(tmp_path), *plugin]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "tests"], env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert "15 passed" in done.stdout, done.stdout + done.stderr
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    times = [note for note in notes if note[0] == "test_times"]
    others = [note for note in notes if note[0] != "test_times"]
    assert len({pid for _name, pid, _began, _ended in others}) == 2
    assert min(float(note[2]) for note in times) > max(float(note[3]) for note in others)
    assert {note[1] for note in times} == {note[1] for note in others if note[0] == "test_running"}
