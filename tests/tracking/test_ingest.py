"""From spools to events: each line once, whoever is killed; what can't be stored holds nothing up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from mailhub.broker import conninfo
from mailhub.events import service as events
from mailhub.models import Link
from mailhub.reporting import verify
from mailhub.tracking import ingest, spool
from mailhub.tracking.hit import Hit, encode
from mailhub.tracking.ingest import Ingest
from mailhub.tracking.spool import Spool
from mailhub.tracking.waiting import Waiting

AT = datetime.now(UTC).replace(microsecond=5) - timedelta(hours=1)


@pytest.fixture
def letters(build: Any, dbsession: Any) -> Any:
    """A sent campaign to three people, and the connection that the hits are stored by."""
    project = build.project(time_zone="Europe/Moscow")
    mailing_list = build.list(project, "Readers")
    people = [build.subscriber(project, f"{name}@mail.test", lists=[mailing_list]) for name in ("anna", "bob", "eve")]
    campaign = build.started_campaign(project, lists=[mailing_list])
    link = dbsession.query(Link).filter_by(campaign_id=campaign.id).one()

    class Letters:
        connection = dbsession.connection().connection.driver_connection
        opened = [Hit("OPENED", AT + timedelta(seconds=n), project.id, campaign.id, p.id) for n, p in enumerate(people)]
        clicked = replace(opened[0], type="REDIRECTED", link=link.id, url=link.url, ip="10.0.0.1", user_agent="Mailer")

    Letters.project, Letters.campaign, Letters.people, Letters.session = project, campaign, people, dbsession
    return Letters


@pytest.fixture
def writer(tmp_path: Path) -> Any:
    made = Spool(tmp_path / "spool")
    yield made
    made.close()


def stored(letters: Any) -> list[Any]:
    asked = text("SELECT type, subscriber_id, email, at, list_name, detail FROM message_event ORDER BY at, type, id")
    return list(letters.session.execute(asked))


def test_hits_become_events_of_their_own_moment(letters: Any, writer: Spool) -> None:
    for hit in (*letters.opened, letters.clicked):
        writer.add(encode(hit))
    assert Ingest(writer.folder, writer).store_all(letters.connection) == 4
    rows = stored(letters)
    assert [row.at for row in rows if row.type == "OPENED"] == [hit.at for hit in letters.opened]
    assert {row.email for row in rows} == {"anna@mail.test", "bob@mail.test", "eve@mail.test"}
    assert {row.list_name for row in rows} == {"Readers"}


def test_a_line_is_stored_once_by_two_who_take_turns(letters: Any, writer: Spool) -> None:
    first, second = Ingest(writer.folder, writer), Ingest(writer.folder, writer)
    for hit in letters.opened:
        writer.add(encode(hit))
        first.store_all(letters.connection)
        second.store_all(letters.connection)
    first.store_all(letters.connection)
    assert len(stored(letters)) == 3


def test_a_batch_that_is_rolled_back_is_stored_by_the_next(
    letters: Any, writer: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.add(encode(letters.opened[0]))
    mine = Ingest(writer.folder, writer)
    with monkeypatch.context() as patch:

        def killed(*_given: Any) -> None:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        patch.setattr(ingest.facts, "move_spool", killed)
        with pytest.raises(psycopg.OperationalError):
            mine.store_all(letters.connection)
    assert stored(letters) == []
    mine.store_all(letters.connection)
    assert len(stored(letters)) == 1


def test_a_file_is_deleted_when_its_writer_is_gone_and_all_is_stored(letters: Any, writer: Spool) -> None:
    mine = Ingest(writer.folder, writer)
    writer.add(encode(letters.opened[0]))
    mine.store_all(letters.connection)
    mine.store_all(letters.connection)
    assert len(spool.files(writer.folder)) == 1
    writer.close()
    mine.store_all(letters.connection)
    assert spool.files(writer.folder) == []
    mine.forget_old(letters.connection, datetime.now(UTC))
    assert letters.session.execute(text("SELECT count(*) FROM hit_spool")).scalar() == 1
    mine.forget_old(letters.connection, datetime.now(UTC) + ingest.REMEMBERED + timedelta(days=1))
    assert letters.session.execute(text("SELECT count(*) FROM hit_spool")).scalar() == 0


def test_a_torn_end_is_nobodys_hit(letters: Any, tmp_path: Path) -> None:
    path = tmp_path / "hits-1.spool"
    path.write_bytes(encode(letters.opened[0]) + encode(letters.opened[1])[:-20])
    mine = Ingest(tmp_path)
    mine.store_all(letters.connection)
    mine.store_all(letters.connection)
    assert len(stored(letters)) == 1
    assert list(tmp_path.glob("hits*")) == []


def test_a_damaged_line_is_set_aside(letters: Any, tmp_path: Path) -> None:
    path = tmp_path / "hits-1.spool"
    path.write_bytes(encode(letters.opened[0]) + b"deadbeef [1,2]\n" + encode(letters.opened[1]))
    Ingest(tmp_path).store_all(letters.connection)
    assert len(stored(letters)) == 2
    (bad,) = spool.bad_files(tmp_path)
    assert bad.read_bytes() == b"deadbeef [1,2]\n"


def test_a_hit_that_the_database_refuses_is_found_among_many(
    letters: Any, writer: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = events.append

    def append(connection: Any, batch: Any) -> None:
        if any(event.user_agent == "poison" for event in batch):
            connection.execute("SELECT 1 / 0")
        real(connection, batch)

    monkeypatch.setattr(ingest.events, "append", append)
    poison = encode(replace(letters.opened[1], user_agent="poison"))
    for line in (encode(letters.opened[0]), poison, encode(letters.opened[2]), encode(letters.clicked)):
        writer.add(line)
    Ingest(writer.folder, writer).store_all(letters.connection)
    assert len(stored(letters)) == 3
    (bad,) = spool.bad_files(writer.folder)
    assert bad.read_bytes() == poison
    # An operator who has mended what was wrong gives it its ending back.
    monkeypatch.undo()
    bad.rename(bad.with_suffix(spool.ENDING))
    Ingest(writer.folder, writer).store_all(letters.connection)
    assert len(stored(letters)) == 4


def test_what_was_deleted_is_no_event_and_holds_nothing_up(letters: Any, writer: Spool) -> None:
    letters.session.execute(text("DELETE FROM subscriber WHERE id = :id"), {"id": letters.people[1].id})
    letters.session.commit()
    gone = replace(letters.opened[0], campaign=letters.campaign.id + 1000)
    single = replace(letters.opened[0], campaign=None, subscriber=None, message=uuid4())
    nowhere = replace(single, project=letters.project.id + 1000)
    for hit in (letters.opened[1], gone, single, nowhere):
        writer.add(encode(hit))
    Ingest(writer.folder, writer).store_all(letters.connection)
    rows = letters.session.execute(text("SELECT kind, subscriber_id, email, project_domain FROM message_event")).all()
    assert sorted(rows) == [
        ("campaign", None, "", letters.project.domain), ("transactional", None, "", letters.project.domain)
    ]  # fmt: skip


def test_what_waits_is_known_without_the_database(letters: Any, writer: Spool) -> None:
    mine = Ingest(writer.folder, writer)
    assert mine.waiting() == Waiting()
    lines = [encode(hit) for hit in letters.opened]
    for line in lines:
        writer.add(line)
    assert mine.waiting() == Waiting(sum(map(len, lines)), AT)
    assert mine.waiting().age_seconds(AT + timedelta(seconds=7)) == 7
    mine.store_all(letters.connection)
    assert mine.waiting() == Waiting()


def test_a_thousand_hits_take_few_statements_and_agree_with_a_recount(live: Any, tmp_path: Path) -> None:
    project = live.build.project(time_zone="Asia/Kolkata")
    campaign = live.build.started_campaign(project)
    people = [live.build.subscriber(project, f"p{n}@mail.test").id for n in range(20)]
    path = tmp_path / "hits-1.spool"
    hits = [Hit("OPENED", AT + timedelta(seconds=n), project.id, campaign.id, people[n % 20]) for n in range(1000)]
    path.write_bytes(b"".join(map(encode, hits)))
    _Counting.statements = 0
    with psycopg.connect(conninfo(live.url), autocommit=True, cursor_factory=_Counting) as connection:
        Ingest(tmp_path).store_all(connection)
    assert 0 < _Counting.statements < 40
    assert live.session.execute(text("SELECT count(*) FROM message_event")).scalar() == 1000
    assert verify.verify(live.engine) == []


class _Counting(psycopg.Cursor[Any]):
    """Counts statements."""

    statements = 0

    def execute(self, *given: Any, **more: Any) -> Any:
        _Counting.statements += 1
        return super().execute(*given, **more)
