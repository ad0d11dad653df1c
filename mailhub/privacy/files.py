"""Files that may hold an address: uploads, files of jobs, the operator's reports. One that does is deleted."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.jobs import files as reports
from mailhub.models import ImportState, ProjectJob, ReportJob, SubscriberImport
from mailhub.privacy.traces import Traces
from mailhub.settings import Settings

_PIECE = 1024 * 1024
#: An archive that unpacks to more is taken to hold the address: it goes unread.
_MOST_UNPACKED = 4 * 1024**3
#: Bytes that are looked at on both sides of a find; longer than any address, and even.
_AROUND = 2_000
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "windows-1251", "koi8-r")
_OPEN_IMPORTS = (ImportState.PENDING, ImportState.RUNNING)


def clean(dbsession: Session, settings: Settings, project_id: int, traces: Traces) -> int:
    """Delete the files in which an address stands; gives how many. What is still being read or written is left.

    The operator's reports are of many projects: whichever person of that address one means, it can be made again.
    """
    gone = 0
    for job in dbsession.scalars(
        select(ProjectJob).where(
            ProjectJob.project_id == project_id, ProjectJob.file != "", ProjectJob.finished_at.is_not(None)
        )
    ):
        if _delete_if_held(background.path_of(settings, job.file), traces):
            dbsession.execute(
                update(ProjectJob)
                .where(ProjectJob.project_id == project_id, ProjectJob.id == job.id)
                .values(file="", file_bytes=0)
            )
            gone += 1
    stored = select(SubscriberImport).where(
        SubscriberImport.project_id == project_id,
        SubscriberImport.stored_name != "",
        SubscriberImport.state.not_in(_OPEN_IMPORTS),
    )
    folder = settings.home / "imports"
    # The name is ours; only the last part counts all the same.
    for row in dbsession.scalars(stored):
        if _delete_if_held(folder / Path(row.stored_name).name, traces):
            # A draft cannot go on, nor can one that was stopped: their pages say why.
            row.error = "erased"
            gone += 1
    for report in dbsession.scalars(select(ReportJob).where(ReportJob.file != "", ReportJob.finished_at.is_not(None))):
        if _delete_if_held(reports.path_of(settings, report.file), traces):
            report.file, report.file_bytes = "", 0
            gone += 1
    dbsession.flush()
    return gone


def _delete_if_held(path: Path, traces: Traces) -> bool:
    if not path.is_file() or not holds(path, traces):
        return False
    path.unlink(missing_ok=True)
    return True


def holds(path: Path, traces: Traces) -> bool:
    """Whether an address stands in a file, or in what a ZIP (also XLSX, ODS) has inside. Memory is bounded."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _has(file, traces)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > _MOST_UNPACKED:
                return True
            for one in archive.infolist():
                with archive.open(one) as member:
                    if _has(member, traces):
                        return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        # What nobody can read for sure is not kept.
        return True
    return False


def _needles(traces: Traces) -> dict[bytes, str]:
    """The bytes to look for, and the encoding in which they are an address."""
    found: dict[bytes, str] = {}
    for text in traces.needles():
        for encoding in _ENCODINGS:
            try:
                found.setdefault(text.encode(encoding), encoding)
            except UnicodeEncodeError:
                continue
    return found


def _has(file: IO[bytes], traces: Traces) -> bool:
    needles = _needles(traces)
    before = b""
    while True:
        piece = file.read(_PIECE)
        here = before + piece
        low = here.lower()
        for needle, encoding in needles.items():
            place = low.find(needle)
            while place >= 0:
                # What stands around tells a longer address from this one.
                first = max(0, place - _AROUND)
                first += (place - first) % 2
                around = here[first : place + len(needle) + _AROUND].decode(encoding, "replace")
                if traces.has(around):
                    return True
                place = low.find(needle, place + 1)
        if not piece:
            return False
        before = here[-2 * _AROUND :] if len(here) % 2 == 0 else here[-2 * _AROUND + 1 :]
