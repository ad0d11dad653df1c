"""Imports: what a file says is in the tables afterwards, and every other row is listed."""

from __future__ import annotations

import io
import os
import random

import pytest
from sqlalchemy import text

from mailhub.imports import running
from mailhub.imports import service as imports
from mailhub.imports.reading import NotACsv
from mailhub.imports.service import MappingRefused, UploadTooLarge, folder
from mailhub.imports.tasks import clean_imports, resume_imports, run_import
from mailhub.models import (
    SubscriberField,
    SubscriberImport,
    Subscription,
    Suppression,
)
from mailhub.tasks import TASKS, run, task_request
from tests.imports.importer import numbers


def test_good_rows_come_in_with_their_names_and_fields(importer):
    row = importer("Эл. почта;ФИО;Город\nAnna@Mail.ru;Анна  Иванова;Уфа\nb@b.ru;;\n".encode("cp1251"))
    assert (row.state, row.encoding, row.delimiter) == ("done", "cp1251", ";")
    assert numbers(row) == (2, 2, 0, 0, 0)
    assert importer.people() == {"anna@mail.ru": ("Анна Иванова", {"город": "Уфа"}), "b@b.ru": ("", {})}
    assert importer.in_list() == 2
    assert importer.session.query(SubscriberField.name).scalar() == "город"
    assert importer.session.query(Subscription.source).distinct().scalar() == f"import:{row.id}"
    assert row.bytes_done == row.bytes_total
    assert row.finished_at is not None
    assert list(folder(importer.settings).iterdir()) == []


def test_every_other_row_is_listed_with_its_line_and_reason(importer):
    data = (
        "email,name\n"
        "a@b.ru,Anna\n"
        "nobody,X\n"
        ",Empty\n"
        '"c@d.ru,open quote\n'
        "e@f.ru,Eva\n"
        "A@B.RU,again\n"
        "g@h.ru,Gleb,extra\n"
        "i@j.ru,nul\0\n"
        '"k@l.ru","Two\nlines"\n'
        "\n"
        "m@n.ru," + "x" * 11_000 + "\n"
        "o@p.ru," + "y" * 70_000 + "\n"
        "q@r.ru,Last"
    )
    row = importer(data)
    assert importer.rejected(row) == [
        (3, "no_at"), (4, "empty"), (5, "row_quote"), (7, "duplicate:2"), (8, "row_columns"), (9, "row_nul"),
        (13, "row_cell_too_long"), (14, "row_too_long"),
    ]  # fmt: skip
    assert sorted(importer.people()) == ["a@b.ru", "e@f.ru", "k@l.ru", "q@r.ru"]
    assert importer.people()["k@l.ru"][0] == "Two lines"
    assert numbers(row) == (12, 4, 0, 0, 8)


def test_second_import_of_the_same_file_creates_nobody(importer):
    data = "email,name\n" + "".join(f"u{n}@b.ru,N{n}\n" for n in range(500))
    importer(data)
    again = importer(data)
    assert numbers(again) == (500, 0, 500, 0, 0)
    assert len(importer.people()) == importer.in_list() == 500


def test_update_takes_what_the_file_has_and_nothing_away(importer):
    importer("email,name,city\na@b.ru,Anna,Ufa\n")
    importer("email,name,city,shop\na@b.ru,,Omsk,S\n")
    assert importer.people() == {"a@b.ru": ("Anna", {"city": "Omsk", "shop": "S"})}


def test_skip_leaves_profiles_alone_but_fills_the_list(importer):
    importer("email,name\na@b.ru,Anna\n")
    other = importer.live.build.list(importer.project)
    row = importer("email,name\na@b.ru,Changed\nc@d.ru,New\n", update=False, mailing_list=other)
    assert numbers(row) == (2, 1, 1, 0, 0)
    again = importer("email,name\na@b.ru,Changed\n", update=False, mailing_list=other)
    assert numbers(again) == (1, 0, 0, 1, 0)
    assert importer.people()["a@b.ru"][0] == "Anna"


def test_who_left_or_is_suppressed_is_not_brought_back(importer):
    build, project = importer.live.build, importer.project
    build.subscriber(project, "left@b.ru", lists=[importer.list], status="unsubscribed")
    build.subscriber(project, "gone@b.ru", status_changed_at=None)
    importer.session.execute(text("UPDATE subscriber SET status = 'bounced' WHERE email_key = 'gone@b.ru'"))
    build.subscriber(project, "wait@b.ru", lists=[importer.list], status="unconfirmed")
    importer.session.add(Suppression(project_id=project.id, email_key="stop@b.ru", reason="manual"))
    importer.session.commit()
    row = importer("email\nleft@b.ru\ngone@b.ru\nstop@b.ru\nwait@b.ru\nnew@b.ru\n")
    assert numbers(row) == (5, 1, 1, 3, 0)
    assert importer.rejected(row) == [
        (2, "skipped_unsubscribed"), (3, "skipped_bounced"), (4, "skipped_suppressed")
    ]  # fmt: skip
    assert "stop@b.ru" not in importer.people()
    assert (importer.in_list(), importer.in_list("unsubscribed")) == (2, 1)


def test_file_without_header_is_a_plain_list_of_addresses(importer):
    row = importer("a@b.ru\nc@d.ru\n")
    assert numbers(row) == (2, 2, 0, 0, 0)


def test_formula_apostrophe_of_our_own_exports_is_taken_off(importer):
    importer("email,note\n'+a@b.ru,'=1+1\nb@b.ru,'quoted\n")
    assert importer.people() == {"+a@b.ru": ("", {"note": "=1+1"}), "b@b.ru": ("", {"note": "'quoted"})}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n \r\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00" + bytes(range(256)) * 20, "image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 20, "image"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(range(256)) * 4, "archive_broken"),
        (random.Random(1).randbytes(5000), "binary"),
        (b"name,city\nAnna,Ufa\n", "no_address"),
        (b"just a text\nwithout any column\n", "no_address"),
    ],
)
def test_what_is_no_list_of_people_is_refused_and_nothing_stays(importer, data, reason):
    with pytest.raises(NotACsv) as refusal:
        imports.receive(importer.settings, io.BytesIO(data))
    assert refusal.value.reason == reason
    assert list(folder(importer.settings).iterdir()) == []


def test_too_large_a_file_is_refused_and_nothing_stays(importer):
    from dataclasses import replace

    with pytest.raises(UploadTooLarge):
        imports.receive(replace(importer.settings, upload_max_bytes=2000), io.BytesIO(b"a@b.ru\n" * 1000))
    assert list(folder(importer.settings).iterdir()) == []


@pytest.mark.parametrize(
    "mapping",
    [{"email": "name"}, {}, {"nothing": "email"}, {"email": "email", "name": "email"}, {"email": "email", "name": "!"}],
)
def test_impossible_mapping_is_refused(importer, mapping):
    upload = imports.receive(importer.settings, io.BytesIO(b"email,name\na@b.ru,A\n"))
    with pytest.raises(MappingRefused):
        imports.check_mapping(upload.head.headers, mapping)


class Killed(BaseException):
    """As if the process had been killed."""


def test_killed_in_a_batch_it_goes_on_with_exactly_the_next_row(importer, monkeypatch):
    rows = [f"u{n}@b.ru,N{n}" if n % 10 else f"bad{n},x" for n in range(1, 1001)]
    rows.append("u1@b.ru,again")
    row = importer.upload("email,name\n" + "\n".join(rows))
    small = importer.settings.import_batch_rows
    object.__setattr__(importer.settings, "import_batch_rows", 100)
    stores, real = [], running.store

    def dying(dbsession, job, batch):
        merged = real(dbsession, job, batch)
        stores.append(batch.line)
        if len(stores) == 4:
            raise Killed
        return merged

    monkeypatch.setattr(running, "store", dying)
    with pytest.raises(Killed):
        importer.run(row)
    importer.session.expire_all()
    assert (row.state, row.rows_total, row.line_done) == ("running", 300, 301)
    importer.run(row)
    assert importer.session.get(SubscriberImport, (row.project_id, row.id)).rows_total == 300  # the lease still runs
    importer.session.execute(text("UPDATE subscriber_import SET lease_until = now() - interval '1 second'"))
    importer.session.commit()
    monkeypatch.setattr(running, "store", real)
    sweeping = task_request(importer.live.registry)
    with sweeping.tm:
        resume_imports(sweeping)
    assert importer.live.publisher.names() == [run_import.spec.name]
    importer.live.publisher.run_all()
    importer.session.expire_all()
    assert row.state == "done"
    assert numbers(row) == (1001, 900, 0, 0, 101)
    assert importer.rejected(row)[-1] == (1002, "duplicate:2")
    assert len(importer.people()) == importer.in_list() == 900
    object.__setattr__(importer.settings, "import_batch_rows", small)


def test_run_twice_and_run_of_a_row_that_is_gone_do_nothing(importer):
    row = importer("email\na@b.ru\n")
    importer.run(row)
    assert numbers(row) == (1, 1, 0, 0, 0)
    run(importer.live.registry, TASKS[run_import.spec.name], (importer.project.id, 999_999))


def test_lost_file_fails_visibly(importer):
    row = importer.upload("email\na@b.ru\n")
    for path in folder(importer.settings).iterdir():
        path.unlink()
    importer.run(row)
    assert (row.state, row.error, numbers(row)) == ("failed", "file_gone", (0, 0, 0, 0, 0))


def test_worker_that_stops_gives_the_import_back(importer):
    row = importer.upload("email\n" + "".join(f"u{n}@b.ru\n" for n in range(10)))
    importer.live.registry.stop_flag = bytearray(b"\1")
    importer.run(row)
    assert (row.state, row.rows_total) == ("pending", 10)
    importer.live.registry.stop_flag = bytearray(b"\0")
    importer.run(row)
    assert (row.state, numbers(row)) == ("done", (10, 10, 0, 0, 0))


def test_sweep_wakes_a_lost_import_once_and_leaves_undecided_ones(importer):
    row = importer.upload("email\na@b.ru\n")
    upload = imports.receive(importer.settings, io.BytesIO(b"email\nx@b.ru\n"))
    imports.create_import(importer.session, project_id=importer.project.id, list_id=importer.list.id,
                          file_name="b", upload=upload, user_id=None)  # fmt: skip
    importer.session.execute(text("UPDATE subscriber_import SET created_at = now() - interval '1 minute'"))
    importer.session.commit()
    for _turn in range(2):
        request = task_request(importer.live.registry)
        with request.tm:
            resume_imports(request)
    assert importer.live.publisher.sent == [(run_import.spec.name, (importer.project.id, row.id), "celery")]


def test_abandoned_uploads_are_forgotten(importer):
    upload = imports.receive(importer.settings, io.BytesIO(b"email\nx@b.ru\n"))
    imports.create_import(importer.session, project_id=importer.project.id, list_id=importer.list.id,
                          file_name="b", upload=upload, user_id=None)  # fmt: skip
    importer.session.execute(text("UPDATE subscriber_import SET created_at = now() - interval '3 days'"))
    importer.session.commit()
    path = folder(importer.settings) / upload.stored_name
    os.utime(path, (1, 1))
    request = task_request(importer.live.registry)
    with request.tm:
        clean_imports(request)
    assert importer.session.query(SubscriberImport).count() == 0
    assert not path.exists()


def test_two_imports_at_once_share_their_people(importer):
    import threading

    data = "email,name\n" + "".join(f"u{n}@b.ru,N\n" for n in range(3000))
    shuffled = "email,name\n" + "".join(f"u{n}@b.ru,N\n" for n in random.Random(2).sample(range(3000), 3000))
    first, second = importer.upload(data), importer.upload(shuffled)
    object.__setattr__(importer.settings, "import_batch_rows", 200)
    threads = [
        threading.Thread(
            target=run, args=(importer.live.registry, TASKS[run_import.spec.name], (importer.project.id, row.id))
        )
        for row in (first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    importer.session.expire_all()
    assert {first.state, second.state} == {"done"}
    assert first.rows_created + second.rows_created == 3000 == len(importer.people()) == importer.in_list()
