#!/usr/bin/env python3
"""The message catalogues: `make i18n`.

    python tools/i18n.py update     read the sources, add new messages to each .po, drop those that are gone
    python tools/i18n.py compile    write the .mo files
    python tools/i18n.py missing    list what is not translated
    python tools/i18n.py check      exit 1 if a catalogue is incomplete, wrong or not compiled

English is the msgid and needs no catalogue. Messages are never matched by similarity: a changed sentence is a new one.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "mailhub" / "locale"
DOMAIN = "mailhub"
LANGUAGES = ("ru",)
METHODS = {
    "mailhub": [("**.py", "python")],
    "templates": [("**.html", "jinja2"), ("**.txt", "jinja2")],
}
OPTIONS = {"jinja2": {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
#: `%(name)s` in templates, `${name}` in Python.
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|\$\{(\w+)\}")
#: A header date that does not change with every run, so that a diff shows messages only.
EPOCH = datetime(2026, 11, 23, tzinfo=UTC)


def po_path(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def extract() -> Catalog:
    """All messages of the sources, with the files they stand in."""
    catalog = Catalog(project=DOMAIN, version="", domain=DOMAIN, creation_date=EPOCH, fuzzy=False)
    for folder, methods in METHODS.items():
        options = {pattern: OPTIONS.get(method, {}) for pattern, method in methods}
        found = extract_from_dir(
            ROOT / folder, methods, options, comment_tags=("Translators:",), strip_comment_tags=True
        )
        for name, __, message, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
            catalog.add(message, None, [(f"{folder}/{name}", None)], auto_comments=comments, context=context)
    return catalog


def load(language: str) -> Catalog:
    """The catalogue as it stands; an empty one where there is none yet."""
    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language, project=DOMAIN, version="", domain=DOMAIN, creation_date=EPOCH, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def update(language: str, template: Catalog) -> Catalog:
    """The language's catalogue with exactly the template's messages."""
    catalog = load(language)
    catalog.update(template, no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = EPOCH
    catalog.version, catalog.header_comment = "", f"# mailhub: {catalog.locale.english_name}"
    catalog.msgid_bugs_address = catalog.last_translator = ""
    catalog.language_team = language
    return catalog


def save(language: str, catalog: Catalog) -> None:
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=120, sort_by_file=True, include_lineno=False)


def compiled(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def messages(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def faults(language: str, template: Catalog) -> Iterator[str]:
    """What is wrong with a language's catalogue, a line each."""
    catalog = load(language)
    known = {(message.id, message.context): message for message in messages(catalog)}
    for wanted in messages(template):
        message = known.pop((wanted.id, wanted.context), None)
        shown = wanted.id if isinstance(wanted.id, str) else wanted.id[0]
        if message is None:
            yield f"{language}: not in the catalogue: {shown!r}"
            continue
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        if not all(texts) or (isinstance(message.id, tuple) and len(texts) != catalog.num_plurals):
            yield f"{language}: not translated: {shown!r}"
        elif message.fuzzy:
            yield f"{language}: fuzzy: {shown!r}"
        else:
            yield from _placeholders(language, message, texts)
    for gone in known.values():
        yield f"{language}: no longer in the sources: {gone.id!r}"
    target = po_path(language).with_suffix(".mo")
    if not target.exists() or target.read_bytes() != compiled(catalog):
        yield f"{language}: {target.name} is not current, run `make i18n`"


def _placeholders(language: str, message: Message, texts: list[str]) -> Iterator[str]:
    sources = [message.id] if isinstance(message.id, str) else list(message.id)
    wanted = {name for source in sources for name in names(source)}
    # The singular may leave the number out ("One letter"); a translation may use any of the placeholders there are.
    always = set.intersection(*(names(source) for source in sources))
    for text in texts:
        given = names(text)
        if not (always <= given <= wanted):
            yield f"{language}: placeholders of {sources[0]!r} are {sorted(wanted)}, of {text!r} {sorted(given)}"
        if "%(" in sources[-1] + sources[0] and re.search(r"(?<!%)%(?![%(])", text.replace("%%", "")):
            yield f"{language}: a lone % in {text!r}"


def names(text: str) -> set[str]:
    return {first or second for first, second in PLACEHOLDER.findall(text)}


def main(command: str) -> int:
    if command not in ("update", "compile", "missing", "check"):
        print(__doc__, file=sys.stderr)
        return 2
    template = extract()
    bad = 0
    for language in LANGUAGES:
        if command == "update":
            save(language, update(language, template))
        if command in ("update", "compile"):
            po_path(language).with_suffix(".mo").write_bytes(compiled(load(language)))
        else:
            for fault in faults(language, template):
                print(fault)
                bad += 1
    return 1 if bad and command == "check" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
