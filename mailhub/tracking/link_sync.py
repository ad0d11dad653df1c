"""Keeps the local copy of the links up to date: what is new every second, whose project is gone every minute."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from mailhub import logs, metrics
from mailhub.reporting import spools as facts
from mailhub.tracking.link_copy import LinkCopy, Place

log = logs.get(__name__)

EVERY_SECONDS = 1.0
PROJECTS_EVERY_SECONDS = 60.0
#: Links in one step.
PAGE = 5000

_copied = metrics.counter("mailhub_links_copied_total", "Links that this process has added to the local copy.")


class LinkSync:
    """Brings a copy forward on the connection of its caller."""

    def __init__(self, copy: LinkCopy) -> None:
        self._copy = copy
        self._due = 0.0
        self._projects_due = 0.0

    def run_if_due(self, connection: psycopg.Connection[Any]) -> int:
        """Copy the next page of links, when it is time; gives how many there were."""
        now = time.monotonic()
        if now < self._due:
            return 0
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            place = self._checked(cursor, self._copy.place())
            links = facts.links_after(cursor, place.position, place.id, most=PAGE)
            projects = facts.project_ids(cursor) if now >= self._projects_due else None
        if links:
            last = links[-1]
            self._copy.extend(
                Place(place.source, last.position, last.id), [(link.project_id, link.id, link.url) for link in links]
            )
            _copied.add(len(links))
        if projects is not None:
            self._copy.keep_projects(projects)
            self._projects_due = now + PROJECTS_EVERY_SECONDS
        # A full page means that there are more, perhaps.
        self._due = now if len(links) == PAGE else now + EVERY_SECONDS
        return len(links)

    def _checked(self, cursor: psycopg.Cursor[Any], place: Place) -> Place:
        """Where to go on; at the beginning, with an empty copy, when this is not the database that was copied."""
        found = facts.link_source(cursor, place.position, place.id)
        if place.source == found.source and (place.position < 0 or found.last_url is not None):
            return place
        if place.source:
            log.warning("links.copied_anew")
        self._copy.begin_anew(found.source)
        return Place(found.source)
