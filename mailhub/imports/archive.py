"""ZIP archives, which workbooks are too: looked into with limits, never unpacked to disk.

Names inside an archive are only ever compared and shown, so that none of them can lead out of a folder. What a header
says of sizes is believed only where it speaks against the archive; what comes out is counted.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from mailhub.imports.reading import NotACsv

MAX_UNPACKED = 200 * 1024 * 1024
#: A sheet's XML is read through a window and dropped, so that its limit is one of time.
MAX_SHEET = 1024 * 1024 * 1024
#: Deflate gets 1:1032 out of zeros; lists of people have 1:3 to 1:10, a sheet's XML up to 1:40.
MAX_RATIO = 100
#: So much may come out of an archive whatever its ratio.
HARMLESS = 4 * 1024 * 1024
#: An archive's table of contents: 100 bytes a member. zipfile reads it whole, and makes an object of each member.
MAX_DIRECTORY = 1024 * 1024

_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError, OverflowError)
#: What programs and systems put beside the file that was meant.
_BESIDE = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_ENCRYPTED = 0x1


class CountingFile(io.RawIOBase):
    """A file that knows how many bytes of it have been read, and refuses to read very many at once while it is told to.

    TextIOWrapper's own tell() is slow and forbidden in a loop.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.done = 0
        self.most_at_once = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if self.most_at_once:
            if size > self.most_at_once:
                raise NotACsv("bomb")
            size = size if size >= 0 else self.most_at_once
        data = self._file.read(size)
        self.done += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class Archive:
    """An open ZIP archive. Raises NotACsv where it is damaged."""

    def __init__(self, path: Path, *, broken: str = "archive_broken") -> None:
        self._broken = broken
        self.file = CountingFile(path.open("rb"))
        try:
            self.file.most_at_once = MAX_DIRECTORY
            with self._refusing():
                self._zip = zipfile.ZipFile(cast(IO[bytes], self.file))
            self.file.most_at_once = 0
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *failure: object) -> None:
        self._zip.close()
        self.file.close()

    @property
    def names(self) -> list[str]:
        return self._zip.namelist()

    def only_member(self) -> str:
        """The one file that the archive holds. Raises NotACsv("archive_members")."""
        members = [
            info.filename
            for info in self._zip.infolist()
            if not info.is_dir() and not info.filename.startswith(_BESIDE) and not info.filename.endswith(_BESIDE)
        ]
        if len(members) != 1:
            raise NotACsv("archive_members")
        return members[0]

    @contextmanager
    def member(self, name: str, *, limit: int = MAX_UNPACKED, ratio: int = MAX_RATIO) -> Iterator[Unpacked]:
        """A member's content as a stream. Raises NotACsv: there is none, it is encrypted, too large, damaged."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise NotACsv(self._broken) from None
        if info.flag_bits & _ENCRYPTED:
            raise NotACsv("password")
        if info.file_size > limit:
            raise NotACsv("too_large")
        with self._refusing():
            stream = self._zip.open(info)
        with stream:
            yield Unpacked(stream, packed=max(1, info.compress_size), limit=limit, ratio=ratio, broken=self._broken)

    def text(self, name: str, limit: int = HARMLESS) -> bytes:
        """A small member as a whole; empty where there is none. Raises NotACsv as `member` does."""
        if name not in self._zip.NameToInfo:
            return b""
        with self.member(name, limit=limit) as stream:
            return stream.read()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """zipfile says in many ways that an archive is damaged."""
        try:
            yield
        except RuntimeError as failure:
            if isinstance(failure, NotImplementedError):
                raise NotACsv(self._broken) from None
            raise NotACsv("password" if "encrypted" in str(failure) else self._broken) from None
        except _FAULTS:
            raise NotACsv(self._broken) from None


class Unpacked(io.RawIOBase):
    """A member's bytes, counted as they come. Raises NotACsv in the middle where there are too many."""

    def __init__(self, stream: IO[bytes], *, packed: int, limit: int, ratio: int, broken: str) -> None:
        self._stream = stream
        self._most = min(limit, max(HARMLESS, packed * ratio))
        self._reason = "too_large" if self._most == limit else "bomb"
        self._broken = broken
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _FAULTS:
            raise NotACsv(self._broken) from None
        self.done += len(data)
        if self.done > self._most:
            raise NotACsv(self._reason)
        buffer[: len(data)] = data
        return len(data)
