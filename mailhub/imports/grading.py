"""The grade of a file's addresses, counted batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mailhub.imports.batches import Batch
from mailhub.imports.disposable_file import disposable_domains
from mailhub.mail.quality import Quality
from mailhub.settings import Settings

#: Mistyped domains that are kept with an import, the most frequent ones.
MISSPELT_KEPT = 20
#: What is counted apart from the grade.
COUNTED = ("role", "disposable", "placeholder", "misspelt", "never_seen")
#: Refusals that say nothing of an address.
_NO_ADDRESS = ("row_", "value:", "gone_")


class Grader:
    """Counts the rows of a file for `subscriber_import.grade`."""

    def __init__(self, settings: Settings) -> None:
        self._quality = Quality(disposable_domains(settings))

    def add(self, batch: Batch) -> None:
        """Every row of a batch. About 5 µs a row."""
        for person in batch.people:
            self._quality.add(person.address)
        for _row, reason in batch.rejected:
            if reason.startswith("duplicate:"):
                self._quality.add_duplicate()
            elif not reason.startswith(_NO_ADDRESS):
                self._quality.add_invalid()

    def each_of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, counted as they pass: by the thread that reads them, while the database is busy."""
        for batch in batches:
            self.add(batch)
            yield batch

    def result(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The grade as JSON: mail.quality's, the counts of its findings, and the domains that look mistyped."""
        quality = self._quality
        people = quality.counts["never_seen"]
        quality.known(max(0, people - counts["created"]))
        shown = [[written, meant, n] for (written, meant), n in quality.misspelt.most_common(MISSPELT_KEPT)]
        return quality.grade().as_json() | {
            "counts": {name: quality.counts[name] for name in COUNTED},
            "misspelt": shown,
            "people": people,
        }
