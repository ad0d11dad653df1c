"""Uploads and runs imports as the site and a worker do, with real commits."""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import text

from mailhub.imports import checking, undo
from mailhub.imports import service as imports
from mailhub.imports.columns import guess_mapping
from mailhub.imports.rules import Rules
from mailhub.imports.tasks import run_import
from mailhub.models import ImportRejectedRow, Subscriber, Subscription
from mailhub.tasks import TASKS, run, task_request

#: What a roll-back must leave as it was. Counters of a list that nobody was in before stay as zeros.
DUMPED = {
    "subscriber": "SELECT * FROM subscriber ORDER BY id",
    "subscription": "SELECT * FROM subscription ORDER BY list_id, subscriber_id",
    "subscriber_tag": "SELECT * FROM subscriber_tag ORDER BY tag_id, subscriber_id",
    "tag": "SELECT * FROM tag ORDER BY id",
    "subscriber_field": "SELECT * FROM subscriber_field ORDER BY name",
    "consent": "SELECT * FROM consent ORDER BY id",
    "list_count": "SELECT * FROM list_count WHERE n <> 0 ORDER BY list_id, status",
    "subscriber_count": "SELECT * FROM subscriber_count WHERE n <> 0 ORDER BY status",
}


class Importer:
    """A project with a list, and imports into it."""

    expire_leases = text("UPDATE project_job SET lease_until = now() - interval '1 second'")

    def __init__(self, live):
        self.live = live
        self.session = live.session
        self.settings = live.registry.mailhub
        self.project = live.build.project(live.build.user())
        self.list = live.build.list(self.project)

    def upload(self, data, *, mapping=None, update=True, mailing_list=None, draft=False, lists=(), **rules):
        if isinstance(data, str):
            data = data.encode()
        upload = imports.receive(self.settings, io.BytesIO(data), is_mapped=mapping is not None)
        row = imports.create_import(
            self.session, project_id=self.project.id, file_name="a.csv", upload=upload, user_id=None
        )
        imports.save_mapping(self.session, row, mapping or guess_mapping(upload.head))
        imports.save_rules(
            self.session, row, list_ids=[one.id for one in lists or (mailing_list or self.list,)],
            rules=Rules(update=update, **rules), statement="They agreed.",
        )  # fmt: skip
        if not draft:
            imports.start(self.session, row)
        self.session.commit()
        return row

    def run(self, row):
        run(self.live.registry, TASKS[run_import.spec.name], (self.project.id, row.id))
        self.session.expire_all()
        return row

    def __call__(self, data, **options):
        return self.run(self.upload(data, **options))

    def rejected(self, row):
        rows = self.session.query(ImportRejectedRow).filter_by(import_id=row.id).order_by(ImportRejectedRow.line)
        return [(one.line, one.reason) for one in rows]

    def people(self):
        rows = self.session.query(Subscriber).order_by(Subscriber.email_key)
        return {one.email_key: (one.name, one.fields) for one in rows}

    def in_list(self, status="subscribed"):
        return self.session.query(Subscription).filter_by(list_id=self.list.id, status=status).count()

    def check(self, row):
        """Let a draft be checked; gives what the check says."""
        with self.asking() as request:
            checking.begin(request, self.mine(request, row))
        self.live.publisher.run_all()
        self.session.expire_all()
        return {name: n for name, n in row.checked.items() if name != "of"}

    def start(self, row):
        imports.start(self.session, row)
        self.session.commit()
        return self.run(row)

    def roll_back(self, row):
        with self.asking() as request:
            undo.begin(request, self.mine(request, row))
        self.live.publisher.run_all()
        self.session.expire_all()
        return row

    def asking(self):
        return Asking(self.live.registry)

    def mine(self, request, row):
        return request.dbsession.get(type(row), (self.project.id, row.id))

    def dump(self):
        """The tables that a roll-back must leave as they were."""
        self.session.commit()
        return {name: [tuple(row) for row in self.session.execute(text(query))] for name, query in DUMPED.items()}


class Asking:
    """A request of a worker, with its transaction."""

    def __init__(self, registry: Any) -> None:
        self.request = task_request(registry)

    def __enter__(self) -> Any:
        self.request.tm.begin()
        return self.request

    def __exit__(self, kind: Any, _value: Any, _where: Any) -> None:
        (self.request.tm.abort if kind else self.request.tm.commit)()


def numbers(row):
    return row.rows_total, row.rows_created, row.rows_updated, row.rows_skipped, row.rows_rejected
