"""A file opened as rows, whatever its format: text, text in a ZIP archive, or a sheet of a workbook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mailhub.imports.reading import Reading
from mailhub.imports.rows import Row, RowReader, open_lines


def read_rows(
    path: Path, reading: Reading, *, columns: int = 0, progress: Callable[[int], None] | None = None
) -> Iterator[Row]:
    """All rows of a file under a reading that leaves nothing open. Raises NotACsv where that cannot be.

    `columns` is how many cells the header has (see RowReader). `progress` is told how many of the file's bytes, as
    it lies on disk, have been read so far: at most its size.
    """
    counting, text = open_lines(path, reading.encoding)
    with text:
        for row in RowReader(text, reading.delimiter, columns=columns):
            if progress is not None:
                progress(counting.done)
            yield row
