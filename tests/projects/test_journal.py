"""The journal."""

from __future__ import annotations

import pytest

from mailhub.projects.journal import ACTIONS
from mailhub.security import audit

URL = "/projects/bakery/journal"


@pytest.fixture
def noted(dbsession, project, build):
    for n in range(60):
        audit.write(
            dbsession,
            "sender.added",
            project_id=project.id,
            actor="alice@people.test" if n % 2 else "bob@people.test",
            name=f"n{n:02}@bakery.test",
            ip="203.0.113.7",
            detail={"fields": ["name", "domain"]},
        )
    audit.write(dbsession, "sender.added", project_id=build.project().id, actor="eve", name="theirs")
    dbsession.commit()


def test_newest_come_first_and_older_ones_on_the_next_page(client, alice, noted):
    page = client.sign_in(alice).get(URL)
    assert "n59@bakery.test" in page.text
    assert "n09@bakery.test" not in page.text
    assert "theirs" not in page.text
    assert "fields: name, domain" in page.text
    assert "Added a sender" in page.text
    older = page.click("Older entries")
    assert "n09@bakery.test" in older.text
    assert "n10@bakery.test" not in older.text
    assert "First page" in older.text


def test_entries_of_one_person(client, alice, noted):
    page = client.sign_in(alice).get(URL + "?actor=bob%40people.test").text
    assert "n58@bakery.test" in page
    assert "n59@bakery.test" not in page


def test_fragment_is_the_table_alone(client, alice, noted):
    answer = client.sign_in(alice).fragment(URL + "?actor=alice%40people.test", "journal-rows")
    assert answer.text.lstrip().startswith('<section class="card" id="journal-rows"')
    assert "<html" not in answer.text


@pytest.mark.parametrize("after", ["x", "bnVsbA", "W3RydWVd", "WyJhIl0"])
def test_changed_cursor_shows_the_first_page(client, alice, noted, after):
    assert "n59@bakery.test" in client.sign_in(alice).get(f"{URL}?after={after}").text


def test_empty_journal_and_empty_filter_say_so(client, project, alice):
    assert "Nothing has happened yet" in client.sign_in(alice).get(URL).text
    assert "Nothing matches" in client.get(URL + "?actor=nobody").text


def test_unknown_action_is_shown_as_it_is(client, alice, project, dbsession):
    audit.write(dbsession, "dragon.slain", project_id=project.id, actor="x", name="<b>")
    dbsession.commit()
    page = client.sign_in(alice).get(URL).text
    assert "dragon.slain" in page
    assert "&lt;b&gt;" in page
    assert "dragon.slain" not in ACTIONS
