"""Every named statement that a page or a report reads, with what it is asked in the benchmark.

The statements are found in mailhub/reporting/sql; one that nothing is known about makes the benchmark fail, so that a
new one is measured too. A bind gets its value by its name and type, a few by their statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bench.history.subject import Subject
from mailhub.reporting.named import FOLDER, SQL, Named


class Kind(StrEnum):
    """What a statement is for: the bound of its time follows from it."""

    PAGE = "page"
    REPORT = "report"
    #: A report that counts raw events: it runs as a job, with its progress on a page.
    JOB = "job"


#: By file: files that are not here are pages'.
_KINDS = {
    "admin": Kind.REPORT,
    "admin_numbers": Kind.REPORT,
    "admin_machinery": Kind.REPORT,
    "partitions": Kind.REPORT,
    "raw_reports": Kind.JOB,
}
#: Files of what no page waits for: writers of rollups, the recount, what stores hits, tasks that follow the events.
_MACHINERY = {"rollup", "verify", "hits", "renames", "spools", "activity", "erasure", "growth_verify"}
#: And statements: checks, housekeeping, a button's effect.
_NOT_OF_PAGES = {"machinery_cancel", "feed_state", "missing_weeks", "detached_partitions"}
#: Statements that need an extension of the server which is not always there.
NEEDS = {"machinery_statements": "pg_stat_statements"}

Value = Callable[[Subject], Any]
#: A bind's value by its name and declared type.
_VALUES: dict[tuple[str, str], Value] = {
    ("project_id", "bigint"): lambda s: s.project_id,
    ("campaign_id", "bigint"): lambda s: s.campaign_id,
    ("campaign_ids", "bigint[]"): lambda s: list(s.campaign_ids),
    ("list_id", "bigint"): lambda s: s.list_id,
    ("subscriber_id", "bigint"): lambda s: s.subscriber_id,
    ("loser_id", "bigint"): lambda s: s.subscriber_id,
    ("winner_id", "bigint"): lambda s: s.subscriber_id + 1,
    ("message_id", "uuid"): lambda s: s.message_id,
    ("slug", "text"): lambda s: s.slug,
    ("project", "text"): lambda s: "",
    ("pattern", "text"): lambda s: "",
    ("provider", "text"): lambda s: "",
    ("since", "date"): lambda s: s.until - timedelta(days=90),
    ("until", "date"): lambda s: s.until + timedelta(days=1),
    ("before", "date"): lambda s: s.until - timedelta(days=90),
    ("since", "timestamptz"): lambda s: s.ends_at - timedelta(days=90),
    ("until", "timestamptz"): lambda s: s.ends_at,
    ("started_at", "timestamptz"): lambda s: s.campaign_started_at,
    ("before_at", "timestamptz"): lambda s: s.ends_at,
    ("before_id", "bigint"): lambda s: 2**63 - 1,
    ("after_id", "bigint"): lambda s: 0,
    # In the middle of the feed.
    ("position", "bigint"): lambda s: s.last_position // 2,
    ("id", "bigint"): lambda s: 0,
    ("days", "integer"): lambda s: 90,
    ("hours", "integer"): lambda s: 48,
    ("kinds", "integer"): lambda s: 50,
    ("past", "integer"): lambda s: 60,
    ("least", "bigint"): lambda s: 100,
    ("ids", "bigint[]"): lambda s: list(s.project_ids),
    ("since_at", "timestamptz"): lambda s: s.ends_at - timedelta(days=90),
    ("until_at", "timestamptz"): lambda s: s.ends_at,
    ("young_at", "timestamptz"): lambda s: s.ends_at - timedelta(days=60),
    ("by_day", "boolean"): lambda s: True,
    ("by_project", "boolean"): lambda s: True,
    ("by_provider", "boolean"): lambda s: True,
    ("parents", "text[]"): lambda s: ["message", "message_content", "message_event"],
    ("most", "integer"): lambda s: 100,
    ("most", "bigint"): lambda s: 100,
}
_ONE_DAY: dict[str, Value] = {
    "since": lambda s: s.until - timedelta(days=3),
    "until": lambda s: s.until - timedelta(days=2),
    "since_at": lambda s: s.ends_at - timedelta(days=4),
    "until_at": lambda s: s.ends_at - timedelta(days=1),
}
#: What a statement is asked instead, where the name alone does not say it.
_OWN: dict[str, dict[str, Value]] = {
    "admin_projects": {"since": lambda s: None, "until": lambda s: None, "most": lambda s: 1000},
    "message_timeline": {"since": lambda s: _moment_of(s) - timedelta(days=1)},
    "numbers": {"project_id": lambda s: 0},
    "campaign_refusals": {"most": lambda s: 2000},
    # Jobs go through raw events day by day.
    "raw_events": {**_ONE_DAY, "project_ids": lambda s: []},
    "raw_reasons": {**_ONE_DAY, "project_ids": lambda s: []},
    "raw_recipients": {**_ONE_DAY, "project_ids": lambda s: [s.project_id]},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement with its binds."""

    name: str
    file: str
    kind: Kind
    statement: Named
    binds: dict[str, Any]

    @property
    def reads_raw_rows(self) -> bool:
        """Whether it reads letters or events themselves: by a key, for a page."""
        return bool({"message", "message_event"} & set(self.statement.tables))


def of_pages(subject: Subject) -> tuple[list[Asked], list[str]]:
    """Every statement that pages and reports read, and a sentence for each of which the benchmark knows too little."""
    found, faults = [], []
    for file in sorted(FOLDER.glob("*.sql")):
        if file.stem in _MACHINERY:
            continue
        for name in _readers(file.read_text(encoding="utf-8")):
            if name in _NOT_OF_PAGES:
                continue
            statement = SQL[name]
            own = _OWN.get(name, {})
            binds = {}
            for bind, type_ in statement.binds.items():
                value = own.get(bind) or _VALUES.get((bind, type_))
                if value is None:
                    faults.append(f"{file.name}, {name}: no value is known for the bind {bind} {type_}")
                else:
                    binds[bind] = value(subject)
            if len(binds) == len(statement.binds):
                found.append(Asked(name, file.stem, _KINDS.get(file.stem, Kind.PAGE), statement, binds))
    return found, faults


def _readers(text: str) -> list[str]:
    """The names of a file's statements that write nothing."""
    blocks = re.split(r"^-- name: *", text, flags=re.MULTILINE)[1:]
    return [block.split(maxsplit=1)[0] for block in blocks if not re.search(r"^-- writes:", block, re.MULTILINE)]


def _moment_of(subject: Subject) -> datetime:
    return datetime.fromtimestamp((subject.message_id.int >> 80) / 1000, subject.ends_at.tzinfo)
