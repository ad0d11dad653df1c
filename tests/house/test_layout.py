"""Where things stand: folders, package, names, who may import the front door."""

from __future__ import annotations

import ast
from pathlib import Path

import mailhub.migrations
from mailhub.settings_page import settings_page
from mailhub.web.assets import STATIC
from mailhub.web.jinja import TEMPLATES as TEMPLATES_OF_JINJA
from tests.house import PACKAGE, ROOT, TEMPLATES

MODULES = sorted(PACKAGE.rglob("*.py"))
ASSEMBLY = {"worker.py", "commands.py"}


def test_folders_beside_the_package_are_found() -> None:
    assert TEMPLATES_OF_JINJA == TEMPLATES
    for folder in (TEMPLATES, STATIC, mailhub.migrations.FOLDER):
        assert folder.is_dir()
        assert folder.parent == ROOT


def test_alembic_is_no_package() -> None:
    """With an __init__.py `import alembic` from the repository's root would find our folder."""
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_the_front_door_is_short() -> None:
    lines = (PACKAGE / "__init__.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip() and not line.strip().startswith("#")]) <= 60


def test_nothing_below_imports_the_front_door() -> None:
    """`from mailhub import logs` is a module; `from mailhub import main` or `import mailhub` is the front door."""
    for path in MODULES:
        _keeps_from_the_front_door(path)


def _keeps_from_the_front_door(path: Path) -> None:
    if path.parent == PACKAGE and path.name in ASSEMBLY | {"__init__.py"}:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert "mailhub" not in [name.name for name in node.names], f"{path}: line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "mailhub":
            for name in node.names:
                found = (PACKAGE / f"{name.name}.py").exists() or (PACKAGE / name.name).is_dir()
                assert found, f"{path}: line {node.lineno}: {name.name} is no module"


def test_a_module_says_its_subject_and_has_one() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path}: its first line says what it is about"
        assert path.stem not in ("utils", "util", "helpers", "common", "misc"), f"{path}: name the noun"
        assert text.count("\n") <= 500, path


def test_the_page_of_settings_is_current() -> None:
    """`make settings-doc` writes it again."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two files of the same name in two folders are one module to pytest."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_nothing_of_a_machine_is_committed() -> None:
    for path in [*MODULES, *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile", *ROOT.glob("requirements*")]:
        text = path.read_text(encoding="utf-8")
        assert "/home/" not in text.replace("/home/mailhub", ""), path
        assert "--index-url" not in text, path
