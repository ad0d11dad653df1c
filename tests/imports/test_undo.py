"""An import taken back: the tables are as before, and whoever something has happened to since is left, and listed."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from mailhub.delivery import service as delivery
from mailhub.imports import service as imports
from mailhub.imports import undo
from mailhub.models import (
    ImportChange,
    MessageKind,
    Segment,
    Subscriber,
    SubscriberField,
    SubscriberTag,
    Subscription,
    Tag,
)
from mailhub.tasks import TASKS, run
from tests.imports.importer import numbers

FILE = (
    "email,name,city,tags,height\n"
    "known@b.ru,Anna New,Omsk,fresh\n"
    "waits@b.ru,,,\n"
    "same@b.ru,,,\n"
    + "".join(f"new{n}@b.ru,N{n},Ufa,fresh;old,180\n" for n in range(20))
    + "nobody,,,\n"
)  # fmt: skip


@pytest.fixture
def filled(importer):
    """A project with people whom FILE changes in every way."""
    build, session = importer.live.build, importer.session
    build.subscriber(importer.project, "known@b.ru", name="Anna", fields={"city": "Ufa", "age": "41"})
    build.subscriber(importer.project, "waits@b.ru", lists=[importer.list], status="unconfirmed")
    same = build.subscriber(importer.project, "same@b.ru", lists=[importer.list])
    session.add(SubscriberField(project_id=importer.project.id, name="city"))
    tag = Tag(project_id=importer.project.id, name="old", name_key="old")
    session.add(tag)
    session.flush()
    session.add(SubscriberTag(project_id=importer.project.id, tag_id=tag.id, subscriber_id=same.id))
    session.commit()
    return importer


def person(importer, key):
    return importer.session.scalars(select(Subscriber).where(Subscriber.email_key == key)).one()


def kept(importer):
    rows = importer.session.query(Subscriber.email_key, ImportChange.kept).join(
        ImportChange, ImportChange.subscriber_id == Subscriber.id
    )
    return dict(rows.filter(ImportChange.kept != "").order_by(Subscriber.email_key).all())


@pytest.mark.parametrize("update", [True, False])
def test_roll_back_leaves_the_tables_as_before(filled, update):
    before = filled.dump()
    other = filled.live.build.list(filled.project)
    row = filled(FILE, update=update, lists=[filled.list, other], tags=("fair",))
    assert numbers(row) == (24, 20, 3, 0, 1)
    assert filled.dump() != before
    filled.roll_back(row)
    assert (row.state, row.rows_kept) == ("rolled_back", 0)
    assert filled.dump() == before
    assert filled.session.query(ImportChange).count() == 0
    # A second one does nothing; the import counts what it did.
    with pytest.raises(imports.ImportRefused), filled.asking() as request:
        undo.begin(request, filled.mine(request, row))


def test_whoever_something_has_happened_to_since_is_kept_with_the_reason(filled):
    row = filled(FILE)
    session, build = filled.session, filled.live.build
    person(filled, "known@b.ru").fields = {"city": "Kazan", "age": "41"}
    person(filled, "new0@b.ru").name = "Changed"
    other = build.list(filled.project)
    session.add(Subscription(project_id=filled.project.id, list_id=other.id, source="manual",
                             subscriber_id=person(filled, "new1@b.ru").id))  # fmt: skip
    joined = session.query(Subscription).filter_by(subscriber_id=person(filled, "new2@b.ru").id)
    joined.update({"status": "unsubscribed", "unsubscribed_at": text("now()")})
    session.commit()
    filled.roll_back(row)
    assert kept(filled) == {
        "known@b.ru": "edited", "new0@b.ru": "edited", "new1@b.ru": "lists", "new2@b.ru": "answered"
    }  # fmt: skip
    assert row.rows_kept == 4
    known = person(filled, "known@b.ru")
    # What was changed since stays; the rest is as before.
    assert (known.name, known.fields) == ("Anna", {"city": "Kazan", "age": "41"})
    assert session.query(Subscriber).count() == 3 + 3


def test_somebody_who_was_written_to_is_kept(filled):
    row = filled("email\nnew0@b.ru\nnew1@b.ru\n")
    build, session = filled.live.build, filled.session
    written = person(filled, "new1@b.ru")
    delivery.accept(
        session, project=filled.project, kind=MessageKind.TRANSACTIONAL, subscriber_id=written.id,
        letter=delivery.SingleLetter(
            from_email=build.sender(filled.project).email, to_email=written.email, subject="s"
        ),
    )  # fmt: skip
    session.commit()
    filled.roll_back(row)
    assert kept(filled) == {"new1@b.ru": "letters"}


class Killed(BaseException):
    """As if the process had been killed."""


def test_killed_anywhere_it_goes_on_to_the_same_end(filled, monkeypatch):
    before = filled.dump()
    row = filled(FILE)
    monkeypatch.setattr(undo, "DELETED", 5)
    monkeypatch.setattr(undo, "SLICE", 1)
    with filled.asking() as request:
        job_id = undo.begin(request, filled.mine(request, row)).id
    real, calls = undo._slice, []

    def dying(*given):
        calls.append(1)
        done = real(*given)
        if len(calls) % 3 == 0:
            raise Killed
        return done

    monkeypatch.setattr(undo, "_slice", dying)
    task, deaths = TASKS["mailhub.background.run_job"], 0
    while True:
        try:
            run(filled.live.registry, task, (filled.project.id, job_id))
            break
        except Killed:
            deaths += 1
            filled.session.execute(filled.expire_leases)
            filled.session.commit()
    filled.session.expire_all()
    assert deaths > 3
    assert row.state == "rolled_back"
    assert filled.dump() == before
    assert row.rows_undone == 20 + 2 + 1


def test_stopped_import_is_taken_back_as_far_as_it_came(filled, monkeypatch):
    from mailhub.imports import running

    object.__setattr__(filled.settings, "import_batch_rows", 100)
    before = filled.dump()
    row = filled.upload("email\n" + "".join(f"u{n}@b.ru\n" for n in range(400)))
    real = running.store

    def cancelled_meanwhile(dbsession, job, batch):
        if batch.line > 201:
            imports.cancel(filled.session, row)
            filled.session.commit()
        return real(dbsession, job, batch)

    monkeypatch.setattr(running, "store", cancelled_meanwhile)
    filled.run(row)
    assert (row.state, row.rows_created) == ("cancelled", 200)
    assert filled.in_list() == 200 + 1
    filled.roll_back(row)
    assert filled.dump() == before


def test_an_old_import_cannot_be_taken_back(filled):
    row = filled("email\na@b.ru\n")
    filled.session.execute(text("UPDATE subscriber_import SET finished_at = now() - interval '31 days'"))
    filled.session.commit()
    with pytest.raises(imports.ImportRefused), filled.asking() as request:
        undo.begin(request, filled.mine(request, row))


def test_fields_that_the_import_has_made_go_where_nothing_uses_them(importer):
    row = importer("email,height,size,shoe\na@b.ru,180,L,44\nb@b.ru,,,\n")
    session, project = importer.session, importer.project
    session.add(Segment(project_id=project.id, name="Tall", definition={"field": "height"}))
    importer.live.build.subscriber(project, "c@b.ru", fields={"size": "M"})
    importer.roll_back(row)
    stays = session.scalars(select(SubscriberField.name).order_by(SubscriberField.name)).all()
    assert stays == row.reading["made"] == ["height", "size"]
