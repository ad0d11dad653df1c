"""The local copy of the links: follows the table, survives its database and its file, forgets what is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from mailhub.broker import conninfo
from mailhub.models import Link
from mailhub.tracking import link_sync
from mailhub.tracking.link_copy import LinkCopy, Place
from mailhub.tracking.link_sync import LinkSync
from mailhub.tracking.memory import StoredLink


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    made = LinkCopy(tmp_path / "links.sqlite")
    yield made
    made.close()


@pytest.fixture
def sent(live: Any) -> Any:
    """Two sent campaigns of two projects, three links each, and a connection to read them by."""

    class Sent:
        projects = [live.build.project(), live.build.project()]
        session = live.session

        def urls(self, copy: LinkCopy) -> list[str | None]:
            links = self.session.query(Link).order_by(Link.project_id, Link.position)
            found = [copy.get(link.project_id, link.id) for link in links]
            return [one and one.url for one in found]

    urls = [f"https://example.com/{n}" for n in range(3)]
    for project in Sent.projects:
        live.build.started_campaign(project, links=urls)
    with psycopg.connect(conninfo(live.url), autocommit=True) as connection:
        Sent.connection = connection  # type: ignore[attr-defined]
        Sent.expected = urls * 2  # type: ignore[attr-defined]
        yield Sent()


def follow(copy: LinkCopy, connection: Any) -> int:
    return LinkSync(copy).run_if_due(connection)


def test_the_copy_follows_the_table(copy: LinkCopy, sent: Any, live: Any) -> None:
    assert follow(copy, sent.connection) == 6
    assert sent.urls(copy) == sent.expected
    live.build.started_campaign(sent.projects[0], links=["https://example.com/new"])
    assert follow(copy, sent.connection) == 1
    assert "https://example.com/new" in sent.urls(copy)
    assert follow(copy, sent.connection) == 0


def test_it_goes_page_by_page(copy: LinkCopy, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_sync, "PAGE", 4)
    following = LinkSync(copy)
    assert [following.run_if_due(sent.connection) for _turn in range(3)] == [4, 2, 0]
    assert sent.urls(copy) == sent.expected


def test_what_a_running_transaction_may_come_before_is_left_for_later(copy: LinkCopy, sent: Any, live: Any) -> None:
    """Two writers: the one that began later ends first. Its row is not taken before the other's is there too."""
    insert = text("INSERT INTO link (project_id, url) VALUES (:project, :url)")
    follow(copy, sent.connection)
    with live.engine.connect() as first:
        first.execute(insert, {"project": sent.projects[0].id, "url": "https://example.com/first"})
        with live.engine.begin() as second:
            second.execute(insert, {"project": sent.projects[0].id, "url": "https://example.com/second"})
        assert follow(copy, sent.connection) == 0
        first.commit()
    assert follow(copy, sent.connection) == 2


def test_it_survives_a_restart(copy: LinkCopy, sent: Any, tmp_path: Path) -> None:
    follow(copy, sent.connection)
    copy.close()
    again = LinkCopy(tmp_path / "links.sqlite")
    assert sent.urls(again) == sent.expected
    assert follow(again, sent.connection) == 0
    again.close()


def test_another_database_is_copied_anew(copy: LinkCopy, sent: Any) -> None:
    """Its ids are the same, and lead elsewhere."""
    copy.extend(Place("other 1 2", 5, 7), [(sent.projects[0].id, 7, "https://elsewhere.example/")])
    follow(copy, sent.connection)
    assert sent.urls(copy) == sent.expected
    assert copy.get(sent.projects[0].id, 7) is None


def test_a_database_that_was_set_back_is_copied_anew(copy: LinkCopy, sent: Any) -> None:
    follow(copy, sent.connection)
    place = copy.place()
    copy.extend(Place(place.source, place.position + 9, 99), [(sent.projects[0].id, 99, "https://lost.example/")])
    assert follow(copy, sent.connection) == 6
    assert copy.get(sent.projects[0].id, 99) is None
    assert copy.place() == place


def test_links_of_a_project_that_is_gone_are_forgotten(copy: LinkCopy, sent: Any) -> None:
    follow(copy, sent.connection)
    gone = sent.projects[0].id
    number = sent.session.query(Link).filter_by(project_id=gone).first().id
    assert copy.get(gone, number) is not None
    sent.session.execute(text("DELETE FROM project WHERE id = :id"), {"id": gone})
    sent.session.commit()
    follow(copy, sent.connection)
    assert copy.get(gone, number) is None
    assert sent.urls(copy) == sent.expected[3:]


def test_a_damaged_file_is_made_again(sent: Any, tmp_path: Path) -> None:
    (tmp_path / "links.sqlite").write_bytes(b"this is no database, and never was one" * 100)
    copy = LinkCopy(tmp_path / "links.sqlite")
    assert copy.get(1, 1) is None
    follow(copy, sent.connection)
    assert sent.urls(copy) == sent.expected
    copy.close()


def test_without_a_file_it_is_a_memory(tmp_path: Path) -> None:
    (tmp_path / "nowhere").write_text("a file, not a folder")
    copy = LinkCopy(tmp_path / "nowhere" / "links.sqlite")
    assert copy.get(1, 2) is None
    copy.keep(1, StoredLink(2, "https://example.com/"))
    found = copy.get(1, 2)
    assert found is not None
    assert found.url == "https://example.com/"
