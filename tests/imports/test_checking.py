"""The check says exactly what the import then does, and changes nobody."""

from __future__ import annotations

import random

import pytest

from mailhub.models import ImportRejectedRow, Subscription, Suppression
from mailhub.tasks import TASKS, run
from tests.imports.importer import Importer

KEYS = ("total", "created", "updated", "unchanged", "skipped", "rejected")


def people_of_all_kinds(importer: Importer) -> str:
    """A project with people in every state, and a file in which every kind of row comes."""
    build, session = importer.live.build, importer.session
    importer("email,name,city\n" + "".join(f"known{n}@b.ru,N{n},Ufa\n" for n in range(40)), tags=("old",))
    for n, status in ((1, "bounced"), (2, "complained"), (3, "unsubscribed")):
        build.subscriber(importer.project, f"{status}{n}@b.ru").status = status
    left = build.subscriber(importer.project, "left@b.ru", lists=[importer.list])
    waits = build.subscriber(importer.project, "waits@b.ru", lists=[importer.list])
    for person, status in ((left, "unsubscribed"), (waits, "unconfirmed")):
        session.query(Subscription).filter_by(subscriber_id=person.id).update({"status": status})
    session.add(Suppression(project_id=importer.project.id, email_key="stopped@b.ru", reason="manual"))
    session.commit()
    rows = [f"new{n}@b.ru,New,Omsk,old" for n in range(30)]
    rows += [f"known{n}@b.ru,N{n},Ufa,old" for n in range(20)]
    rows += [f"known{n}@b.ru,N{n},Omsk,old" for n in range(20, 30)]
    rows += [f"known{n}@b.ru,,,fresh" for n in range(30, 35)]
    rows += ["bounced1@b.ru,,,", "complained2@b.ru,,,", "unsubscribed3@b.ru,,,", "left@b.ru,,,", "waits@b.ru,,,",
             "stopped@b.ru,,,", "nobody,,,", ",,,", "new1@b.ru,,,", "info@b.ru,x,y,old,too,many"]  # fmt: skip
    random.Random(3).shuffle(rows)
    return "email,name,city,tags\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(("update", "status"), [(True, "subscribed"), (False, "unconfirmed")])
def test_what_the_check_says_is_what_the_import_does(importer, update, status):
    data = people_of_all_kinds(importer)
    other = importer.live.build.list(importer.project)
    for lists in ([importer.list], [importer.list, other]):
        row = importer.upload(data, draft=True, update=update, status=status, lists=lists)
        before = importer.dump()
        said = importer.check(row)
        listed = importer.rejected(row)
        assert importer.dump() == before
        assert row.state == "draft"
        importer.start(row)
        assert said == {key: getattr(row, f"rows_{key}") for key in KEYS}
        assert importer.rejected(row) == listed
        assert said["total"] == sum(said[key] for key in ("created", "updated", "skipped", "rejected"))
    assert said["rejected"] == 4


def test_the_first_check_counts_by_hand(importer):
    said = importer.check(importer.upload(people_of_all_kinds(importer), draft=True))
    assert said == {"total": 75, "created": 30, "updated": 36, "unchanged": 20, "skipped": 5, "rejected": 4}


def test_checked_twice_the_rows_are_listed_once(importer):
    row = importer.upload("email\nnobody\na@b.ru\n", draft=True)
    importer.check(row)
    row.checked = {}
    importer.session.commit()
    importer.check(row)
    assert importer.rejected(row) == [(2, "no_at")]
    importer.start(row)
    assert importer.rejected(row) == [(2, "no_at")]


def test_grade_is_kept_with_what_stands_out(importer):
    data = "email\n" + "".join(f"info@firm{n}.ru\nanna{n}x@gmial.com\n" for n in range(40))
    row = importer.upload(data, draft=True)
    importer.check(row)
    assert row.grade["letter"] in "CDF"
    assert row.grade["counts"]["role"] == 40
    assert row.grade["misspelt"] == [["gmial.com", "gmail.com", 40]]
    assert row.grade["counts"]["never_seen"] == row.grade["people"] == 80


def test_check_of_an_upload_that_is_gone_fails_with_a_word(importer):
    from mailhub.imports import checking
    from mailhub.imports.service import path_of

    row = importer.upload("email\na@b.ru\n", draft=True)
    path_of(importer.settings, row.stored_name).unlink()
    importer.check(row)
    with importer.asking() as request:
        job = checking.job_of(request, importer.mine(request, row))
        assert (job.state, job.error) == ("failed", "file_gone")


class Killed(BaseException):
    """As if the process had been killed."""


def test_check_that_was_killed_goes_on_and_counts_every_row_once(importer, monkeypatch):
    from mailhub.imports import checking

    object.__setattr__(importer.settings, "import_batch_rows", 100)
    data = "email\n" + "".join(f"u{n}@b.ru\n" if n % 5 else "nobody\n" for n in range(1, 1001))
    row = importer.upload(data, draft=True)
    with importer.asking() as request:
        job = checking.begin(request, importer.mine(request, row))
        job_id = job.id
    real, calls = checking.foretell, []

    def dying(*given):
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        return real(*given)

    monkeypatch.setattr(checking, "foretell", dying)
    task = TASKS["mailhub.background.run_job"]
    with pytest.raises(Killed):
        run(importer.live.registry, task, (importer.project.id, job_id))
    monkeypatch.setattr(checking, "foretell", real)
    importer.session.execute(importer.expire_leases)
    importer.session.commit()
    run(importer.live.registry, task, (importer.project.id, job_id))
    importer.session.expire_all()
    assert row.checked["total"] == 1000
    assert row.checked["created"] == 800
    assert importer.session.query(ImportRejectedRow).count() == 200
