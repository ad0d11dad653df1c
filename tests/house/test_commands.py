"""What people are told to type exists: make targets, `mailhub` commands, modules; the inis; the pinned packages."""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys

import pytest
from paste.deploy import loadapp

from mailhub.cli import commands
from mailhub.settings import SettingsError
from tests.house import ROOT

TARGETS = {"help", "install", "run", "test", "lint", "bench", "faults", "vendor", "i18n", "screenshots"}
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONTRACT = {
    *("up", "init", "user add", "project add", "api-key create", "admin-token create"),
    *("campaign start", "campaign pause", "campaign resume", "campaign cancel", "stats verify", "partitions", "purge"),
    *("requeue", "doctor", "send-test"),
}


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def code_of(text: str) -> str:
    """The code blocks and the code in lines of a page."""
    return "\n".join([*re.findall(r"```.*?\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)])


def test_the_makefile_has_its_targets_and_help_lists_them() -> None:
    assert makefile_targets() >= TARGETS
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"make ([a-z0-9-]+)", listed)) >= TARGETS


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_the_docs_exist(path: object) -> None:
    code = code_of(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)) <= makefile_targets()
    known = commands()
    for words in re.findall(
        r"(?:^|\.venv/bin/|[`(])mailhub(?: -c \S+)? ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", code, re.MULTILINE
    ):
        first = words.split()[0]
        assert words in known or first in known, f"mailhub {words}"
    for module in re.findall(r"python3? -m ((?:mailhub|bench|tests|tools)[a-z_.]*)", code):
        assert importlib.util.find_spec(module), module


def test_the_commands_of_the_contract_exist() -> None:
    assert set(commands()) >= CONTRACT


def test_the_command_explains_itself() -> None:
    listed = subprocess.run([sys.executable, "-m", "mailhub.cli", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert listed.returncode == 0
    assert "send-test" in listed.stdout


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["campaign", "start"], ["campaign", "start", "x"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "mailhub.cli", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2


def test_an_ini_that_is_not_there_is_one_line_and_exit_1() -> None:
    command = [sys.executable, "-m", "mailhub.cli", "-c", "nothing.ini", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nothing.ini" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["development.ini", "production.ini"])
def test_the_inis_have_the_sections_that_are_started(name: str) -> None:
    ini = configparser.ConfigParser()
    ini.read(ROOT / name, encoding="utf-8")
    wanted = {f"{kind}:{app}" for kind in ("app", "server") for app in ("main", "reports", "tracking")}
    assert wanted | {"alembic", "loggers"} <= set(ini.sections())
    for section in ("main", "reports", "tracking"):
        assert ini.get(f"app:{section}", "use") == f"egg:mailhub#{section}"


def test_the_apps_of_the_inis_are_installed() -> None:
    found = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="paste.app_factory")}
    for name in ("main", "reports", "tracking"):
        assert found[name].startswith("mailhub")
        importlib.metadata.EntryPoint(name, found[name], "paste.app_factory").load()


@pytest.mark.parametrize("name", ["main", "reports", "tracking"])
def test_an_app_is_given_what_stands_under_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PasteDeploy hands [DEFAULT] over apart: an app that dropped it would run on the settings of development."""
    for variable in [name for name in os.environ if name.startswith(("MAILHUB_", "SQLALCHEMY_", "CELERY_"))]:
        monkeypatch.delenv(variable)
    with pytest.raises(SettingsError) as refused:
        loadapp(f"config:{ROOT}/production.ini", name=name)
    assert any(fault.startswith("mailhub.secret_key") for fault in refused.value.faults)


def test_production_ini_has_no_secret() -> None:
    for line in (ROOT / "production.ini").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if re.search(r"secret|password|sqlalchemy\.url|broker_url|relay\.\w+\.url", name) and not name.startswith("#"):
            assert not value.strip(), line


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_everything_wanted_is_pinned_with_hashes(name: str) -> None:
    wanted = (ROOT / f"{name}.in").read_text(encoding="utf-8")
    pinned = (ROOT / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", pinned.strip())
    names = set()
    for block in blocks:
        assert re.match(r"[a-z0-9.-]+==\S+", block), block[:60]
        assert "--hash=sha256:" in block, block[:60]
        names.add(re.split(r"==", block)[0])
    for line in wanted.splitlines():
        if (match := re.match(r"[A-Za-z0-9._-]+", line)) and not line.startswith("-"):
            assert re.sub(r"[._-]+", "-", match[0]).lower() in names, line
