"""The walls between projects, and between a page and a forged request: every view, found by introspection.

Nothing here names the pages one by one: a new view is behind the walls, or one of these tests fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lxml.html
import pytest
from sqlalchemy import Text, text

from mailhub.models import Base
from tests.flows.world import Door, World, doors, make_world, route_patterns

#: Views that change something and ask for no CSRF token: a signed token in the URL is their permission.
WITHOUT_CSRF = {
    "signup.page",
    "signup.confirm",
    "tracking.unsubscribe",
    "preferences.page",
    "preferences.ask",
    "preferences.address",
    "privacy.my_data",
    "privacy.my_erase",
}

#: Whoever takes people's data away is written down in the journal.
NOTED = {"privacy.person_export", "exports.file", "api.subscriber_data", "api.export_file"}

#: Buttons: their POST says all by its URL, so that fields beside it mean nothing and are not read.
BUTTONS = {
    "accounts.api_key_revoke",
    "accounts.session_end",
    "accounts.sessions",
    "accounts.sign_out",
    "campaigns.archive",
    "campaigns.cancel",
    "campaigns.copy",
    "campaigns.delete",
    "campaigns.pause",
    "campaigns.resume",
    "exports.cancel",
    "exports.remove",
    "imports.cancel",
    "imports.check",
    "imports.discard",
    "imports.retry",
    "imports.rollback",
    "lists.bulk_undo",
    "lists.duplicate",
    "lists.duplicate_dismiss",
    "lists.duplicates",
    "lists.field_delete",
    "lists.letter_preview",
    "lists.letter_reset",
    "lists.letter_test",
    "lists.subscriber_columns",
    "lists.subscriber_delete",
    "lists.subscriber_note_delete",
    "lists.subscriber_suppress",
    "lists.subscriber_tags",
    "lists.subscriber_view_delete",
    "lists.tag_delete",
    "privacy.withdraw",
    "projects.domain_delete",
    "projects.domain_verify",
    "projects.member_link",
    "projects.member_remove",
    "projects.sender_delete",
    "segments.archive",
    "segments.copy",
    "segments.count",
    "segments.delete",
    "segments.preview",
    "segments.restore",
    "signup.form_archive",
    "signup.form_copy",
    "signup.form_pause",
    "signup.form_resume",
    "signup.preview",
    "signup.submission_ask",
    "stats.share_revoke",
}

#: What is in the URL is no object of a project: any address may be asked about.
OF_ANYBODY = {"api.suppression_check"}

#: The form whose very subject it is.
OFFERED = {("projects.member_role", "role")}

#: What looking may write: when a browser, a key or a shared link was last seen, a visitor's tries, a form's views.
SEEN = {"web_session", "api_key", "stats_share", "rate_limit", "sign_up_day", "sign_up_cap"}

#: What nobody may set for themselves, whatever the form.
PRIVILEGED = {
    "project_id": "1",
    "is_admin": "1",
    "role": "owner",
    "state": "sent",
    "created_by": "1",
}

#: Downloads of what only a campaign that was started has.
FILES_OF_WHAT_WAS_SENT = ("campaigns.people_csv", "stats.campaign_csv")

POISON = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def hers(build: Any, settings: Any, registry: Any) -> World:
    return make_world(build, settings, registry.signer, "hers")


@pytest.fixture
def his(build: Any, settings: Any, registry: Any) -> World:
    return make_world(build, settings, registry.signer, "his")


def of_project(client: Any) -> list[Door]:
    return [door for door in doors(client.registry) if "{project}" in door.pattern]


def of_api(client: Any) -> list[Door]:
    return [door for door in doors(client.registry) if door.pattern.startswith("/api/")]


def knock(client: Any, door: Door, url: str) -> Any:
    """Ask as a browser does, with a right CSRF token; as htmx does where the view is a fragment."""
    if door.method == "POST":
        return client.post_form(url, {}, expect_errors=True)
    if door.target:
        return client.fragment(url, door.target, expect_errors=True)
    return client.get(url, expect_errors=True)


@contextmanager
def unchanged(dbsession: Any, *but: str) -> Iterator[None]:
    """No row of any table is added, changed or gone afterwards.

    Only the tables are read again into which something was written, even into a savepoint that was taken back.
    """
    before = _rows(dbsession)
    yield
    after = _rows(dbsession)
    changed = {name for name in after if after[name] != before[name]} - set(but)
    assert not changed


_LOOKED_AT = [table.name for table in Base.metadata.sorted_tables if table.name not in SEEN]
_SUM = "SELECT '{0}' AS name, count(*) AS n, coalesce(sum(hashtextextended(t::text, 0)), 0) AS h FROM {0} AS t"
#: What this connection's transaction has written so far, by table; a savepoint that is taken back still counts.
_WRITTEN = text(
    "SELECT coalesce(pg_partition_root(relid), relid)::regclass::text AS name, "
    "sum(n_tup_ins + n_tup_upd + n_tup_del) AS n FROM pg_stat_xact_user_tables GROUP BY 1"
)


def _rows(dbsession: Any) -> dict[str, Any]:
    known, rows = dbsession.info.get("rows", ({}, {}))
    written = _written(dbsession)
    stale = [name for name in _LOOKED_AT if name not in rows or written.get(name) != known.get(name)]
    rows = rows | _read(dbsession, stale)
    dbsession.info["rows"] = (written, rows)
    return rows


def _written(dbsession: Any) -> dict[str, int]:
    return {row.name: row.n for row in dbsession.execute(_WRITTEN)}


def _read(dbsession: Any, names: list[str]) -> dict[str, Any]:
    if not names:
        return {}
    sums = text(" UNION ALL ".join(map(_SUM.format, names)))
    return {row.name: (row.n, row.h) for row in dbsession.execute(sums)}


@pytest.fixture(autouse=True)
def _all_was_seen(dbsession: Any) -> Iterator[None]:
    """Nothing was written past the counters."""
    yield
    written, rows = dbsession.info.get("rows", ({}, {}))
    if rows and written == _written(dbsession):
        assert _read(dbsession, _LOOKED_AT) == rows


def test_every_route_is_answered_by_a_view(client: Any) -> None:
    assert set(route_patterns(client.registry)) == {door.route for door in doors(client.registry)}


def test_the_samples_cover_every_placeholder(client: Any, hers: World) -> None:
    asked = set().union(*(door.names for door in doors(client.registry)))
    assert asked - {"token", "letter_id"} <= set(hers.values)


def test_a_stranger_finds_nothing_of_a_project(client: Any, hers: World, his: World) -> None:
    client.sign_in(his.owner)
    known = of_project(client)
    assert len(known) > 50
    for door in known:
        for what, url in hers.variants(door):
            answer = knock(client, door, url)
            assert answer.status_int == 404, f"{door} {what} answered {answer.status_int}"
            assert "Hers" not in answer.text


def test_ids_of_another_project_do_not_exist_in_ones_own(client: Any, hers: World, his: World, dbsession: Any) -> None:
    client.sign_in(his.owner)
    known = [door for door in of_project(client) if len(door.names) > 1]
    assert len(known) > 40
    hers.values["project"] = his.project.slug
    for door in known:
        for what, url in hers.variants(door):
            with unchanged(dbsession):
                answer = knock(client, door, url)
            assert answer.status_int == 404, f"{door} {what} answered {answer.status_int}"


def test_ids_that_are_none_are_not_found(client: Any, hers: World) -> None:
    client.sign_in(hers.owner)
    for door in of_project(client):
        for name in door.names - {"project"}:
            for wrong in ("0", "-1", "x", "1e3", "9" * 40, "%D9%A1", "%00"):
                answer = knock(client, door, door.url(hers.values | {name: wrong}))
                assert answer.status_int == 404, f"{door} {name}={wrong} answered {answer.status_int}"


def test_the_api_does_not_know_another_projects_objects(client: Any, hers: World, his: World, dbsession: Any) -> None:
    api = client.api(dbsession, his.project.id)
    known = [door for door in of_api(client) if door.names and door.route not in OF_ANYBODY]
    assert len(known) > 15
    for door in known:
        for what, url in hers.variants(door):
            with unchanged(dbsession):
                answer = api.request(url, method=door.method, expect_errors=True)
            assert answer.status_int == 404, f"{door} {what} answered {answer.status_int}"
            assert answer.content_type == "application/problem+json"


def test_another_projects_ids_in_a_document_are_refused(client: Any, hers: World, his: World, dbsession: Any) -> None:
    api = client.api(dbsession, his.project.id)
    foreign_list = hers.values["list_id"]
    draft = his.values["campaign_id"]
    requests = [
        ("POST", "/campaigns", {"name": "x", "list_ids": [foreign_list]}),
        ("POST", "/campaigns", {"name": "x", "from": f"news@{hers.project.domain}"}),
        ("PATCH", f"/campaigns/{draft}", {"list_ids": [foreign_list]}),
        ("POST", "/subscribers", {"email": "new@people.test", "lists": [foreign_list]}),
        ("PATCH", f"/subscribers/{his.values['subscriber_id']}", {"lists": [foreign_list]}),
        ("POST", "/messages", {"from": f"news@{hers.project.domain}", "to": "a@b.test", "subject": "x", "text": "x"}),
    ]
    for method, path, document in requests:
        with unchanged(dbsession):
            answer = api.request(
                f"/api/v1{path}", method=method, body=json.dumps(document).encode(),
                content_type="application/json", expect_errors=True,
            )  # fmt: skip
        assert answer.status_int in (404, 409, 422), f"{method} {path} answered {answer.status_int} {answer.text}"


def test_a_batch_puts_nobody_into_another_projects_list(client: Any, hers: World, his: World, dbsession: Any) -> None:
    api = client.api(dbsession, his.project.id)
    people = [{"email": "new@people.test", "lists": [hers.values["list_id"]]}]
    with unchanged(dbsession, "audit_entry"):
        api.post_json("/api/v1/subscribers/batch", {"subscribers": people}, expect_errors=True)


def test_a_test_letter_is_never_made_for_another_projects_person(
    client: Any, hers: World, his: World, dbsession: Any
) -> None:
    api = client.api(dbsession, his.project.id)
    answer = api.post_json(
        f"/api/v1/campaigns/{his.values['campaign_id']}/test",
        {"to": ["a@b.test"], "subscriber_id": hers.values["subscriber_id"]},
        expect_errors=True,
    )
    stored = text("SELECT subject || html FROM message_content WHERE project_id = :project")
    for (letter,) in dbsession.execute(stored, {"project": his.project.id}):
        assert "mail-hers" not in letter
    assert answer.status_int in (202, 404, 422)


def test_signed_out_visitors_are_asked_to_sign_in(client: Any, hers: World, dbsession: Any) -> None:
    for door in of_project(client):
        with unchanged(dbsession):
            if door.method == "POST":
                answer = client.post(door.url(hers.values), {}, expect_errors=True)
            else:
                answer = client.get(door.url(hers.values), expect_errors=True)
        assert answer.status_int in (303, 400), f"{door} answered {answer.status_int}"
        assert door.method == "POST" or "/sign-in" in answer.headers["Location"]
        assert "Hers" not in answer.text


def test_a_program_without_a_key_is_refused_and_a_cookie_is_no_key(client: Any, hers: World, dbsession: Any) -> None:
    client.sign_in(hers.owner)
    for door in of_api(client):
        if door.route == "api.openapi":
            continue
        with unchanged(dbsession):
            answer = client.request(door.url(hers.values), method=door.method, expect_errors=True)
        assert answer.status_int == 401, f"{door} answered {answer.status_int}"


def test_every_form_needs_its_csrf_token(client: Any, hers: World, dbsession: Any) -> None:
    client.sign_in(hers.owner)
    open_doors = set()
    for door in doors(client.registry):
        if door.method == "GET" or door.pattern.startswith("/api/"):
            continue
        url = door.url(hers.values_for(door) | {"token": "x" * 43, "letter_id": "1"})
        for fields in ({}, {"csrf_token": "0" * 64}, {"csrf_token": client.csrf_token()[:-1]}):
            with unchanged(dbsession):
                answer = client.post(url, fields, expect_errors=True)
            if answer.status_int != 400:
                open_doors.add(door.route)
    assert open_doors == WITHOUT_CSRF


def test_nobody_sets_what_a_form_does_not_offer(client: Any, hers: World, dbsession: Any) -> None:
    client.sign_in(hers.owner)
    for door in doors(client.registry):
        if door.method != "POST" or door.pattern.startswith("/api/") or "{token}" in door.pattern:
            continue
        if door.route in BUTTONS:
            continue
        for name, value in PRIVILEGED.items():
            if (door.route, name) in OFFERED:
                continue
            with unchanged(dbsession):
                answer = client.post_form(door.url(hers.values_for(door)), {name: value}, expect_errors=True)
            # 303: back to where the form was, with a notice that says why.
            assert answer.status_int in (422, 409, 303), f"{door} {name} answered {answer.status_int}"


def test_the_api_refuses_fields_that_it_does_not_know(client: Any, hers: World, dbsession: Any) -> None:
    api = client.api(dbsession, hers.project.id)
    seen = 0
    for door in of_api(client):
        if door.method not in ("POST", "PATCH") or door.route == "api.imports":
            continue
        for name in ("project_id", "created_at", "nonsense"):
            with unchanged(dbsession):
                answer = api.request(
                    door.url(hers.values), method=door.method, body=json.dumps({name: "1"}).encode(),
                    content_type="application/json", expect_errors=True,
                )  # fmt: skip
            # A state that forbids the action may be said first.
            assert answer.status_int in (422, 409), f"{door} {name} answered {answer.status_int}"
            seen += 1
    assert seen > 20


def test_looking_changes_nothing(client: Any, hers: World, dbsession: Any) -> None:
    client.sign_in(hers.owner)
    api = client.api(dbsession, hers.project.id)
    files: dict[str, set[int]] = {name: set() for name in FILES_OF_WHAT_WAS_SENT}
    for door in doors(client.registry):
        if door.method != "GET" or door.route in ("tracking.open", "tracking.click", "health.heartbeat"):
            continue
        asking = api if door.pattern.startswith("/api/") else client
        for what, url in hers.variants(door):
            with unchanged(dbsession, *(("audit_entry",) if door.route in NOTED else ())):
                answer = knock(asking, door, url) if asking is client else api.get(url, expect_errors=True)
                asking.head(url, expect_errors=True)
            if door.route in files:
                files[door.route].add(answer.status_int)
                continue
            assert answer.status_int in (200, 204, 302, 303), f"{door} {what} answered {answer.status_int}"
    assert files == {name: {200, 404} for name in FILES_OF_WHAT_WAS_SENT}, "a draft has none; what was sent has one"


def test_a_machine_that_only_asks_whether_a_link_exists_is_no_reader(client: Any, hers: World, dbsession: Any) -> None:
    for route in ("tracking.open", "tracking.click"):
        pattern = route_patterns(client.registry)[route]
        with unchanged(dbsession):
            client.head(pattern.replace("{token}", hers.tokens[route]), expect_errors=True)


def test_a_forged_token_does_nothing(client: Any, hers: World, dbsession: Any) -> None:
    patterns = route_patterns(client.registry)
    for route, genuine in hers.tokens.items():
        last = "A" if genuine[-2] != "A" else "B"
        # One token opens all pages of a person's preferences and data.
        others = [
            token
            for other, token in hers.tokens.items()
            if other != route and not (patterns[other].startswith("/p/") and patterns[route].startswith("/p/"))
        ]
        for forged in (genuine[:-2] + last + genuine[-1], genuine[1:], genuine + "A", "x", "x" * 500, *others):
            url = patterns[route].replace("{token}", forged)
            with unchanged(dbsession):
                seen = client.get(url, expect_errors=True)
                posted = client.post_form(url, {}, expect_errors=True)
            # The pixel is the same picture for everybody: a letter with a hole in it tells nothing either.
            assert seen.status_int in (404, 410) or route in ("tracking.open", "accounts.sign_in_link"), (route, forged)
            assert posted.status_int in (400, 404, 410, 422, 429), (route, forged, posted.status_int)


def test_nothing_that_users_wrote_is_ever_markup(client: Any, hers: World, dbsession: Any) -> None:
    poisoned = _poison(dbsession)
    assert len(poisoned) > 40
    client.sign_in(hers.owner)
    shown = 0
    for door in doors(client.registry):
        if door.method != "GET" or door.pattern.startswith("/api/"):
            continue
        for what, url in hers.variants(door):
            answer = knock(client, door, url)
            if answer.content_type != "text/html" or not answer.text.strip():
                continue
            assert POISON not in answer.text, f"{door} {what}"
            assert POISON not in answer.headers.get("Location", "")
            page = lxml.html.fromstring(answer.text)
            assert not page.xpath("//img[@src='x']"), f"{door} {what}"
            assert not [name for element in page.iter() for name in element.attrib if name.startswith("on")]
            shown += "&lt;img src=x onerror" in answer.text
    assert shown > 20


#: Texts with a form of their own, which the database or a service has checked: a poisoned one could not be there.
CHECKED = {
    *("slug", "domain", "language", "time_zone", "project_domain", "email_domain", "email_key", "email", "url"),
    *("from_email", "reply_to", "notify_email", "relay", "queue", "key_id", "stored_name", "encoding", "delimiter"),
    *("password_hash", "theme", "version_num", "key", "request_hash", "header_id", "lease_owner", "owner"),
    *("type", "kind", "state", "status", "reason", "opt_in", "visibility", "role", "purpose", "app", "action"),
    *("object_type", "object_id", "error", "html", "text", "tracking", "side", "pause_reason",),
    *("redirect_url", "file", "file_name", "way", "message_event.actor"),
}


def _poison(dbsession: Any) -> list[str]:
    """Put the poison in front of every free text of every table; the columns that have it now."""
    done = []
    for table in Base.metadata.sorted_tables:
        free = [
            column.name for column in table.columns
            if isinstance(column.type, Text) and not column.primary_key
            and not CHECKED & {column.name, f"{table.name}.{column.name}"}
        ]  # fmt: skip
        if free:
            put = ", ".join(f"{name} = :poison || left({name}, 20)" for name in free)
            dbsession.execute(text(f"UPDATE {table.name} SET {put}"), {"poison": POISON})
            done += [f"{table.name}.{name}" for name in free]
    fields = json.dumps({"city": POISON})
    dbsession.execute(text("UPDATE subscriber SET fields = CAST(:fields AS jsonb)"), {"fields": fields})
    mapping = json.dumps({POISON: "email"})
    dbsession.execute(
        text("UPDATE subscriber_import SET mapping = CAST(:m AS jsonb) WHERE state <> 'pending'"), {"m": mapping}
    )
    dbsession.commit()
    return done
