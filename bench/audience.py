"""Pages of people, with a million of them: the real site, every page of the audience that is listed here.

    python -m bench.audience --people 1000000 --json figures.json
    python -m bench.audience --people 1000000 --home /data/audience

People, five lists each, tags, fields and sources are made by SQL, in a project of their own beside a smaller one, and
around them what bench.surroundings has. The pages of ROOMS are found by introspection, those of the operator's list in
the reports process; PAGES are further states of the table. Each is fetched one after the other over a kept connection,
30 times after two that do not count: its time, and what it cost apart from waiting (bench.history.cost). Exit 1: a page
was refused, or nothing is known of what its URL names.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import surroundings
from bench.history import site, store
from bench.history.cost import Meter
from bench.history.timing import Timed, timed
from tests.flows.world import doors

SLOW_MS = 200
LISTS, TAGS, LISTS_EACH = 12, 40, 5
PEOPLE = "/projects/{slug}/subscribers"

#: name → path. Of searches each word has its own trap: common ones, rare ones, none at all, one and two letters.
PAGES: dict[str, str] = {
    "subscribers": PEOPLE,
    "subscribers_by_email": PEOPLE + "?sort=email",
    "subscribers_after_most": PEOPLE + "?sort=added&after={late_cursor}",
    "search_one_letter": PEOPLE + "?q=m",
    "search_two_letters": PEOPLE + "?q=zo",
    "search_two_letters_nobody": PEOPLE + "?q=0x",
    "search_common": PEOPLE + "?q=gmail",
    "search_common_by_email": PEOPLE + "?q=gmail&sort=email",
    "search_common_long_ago": PEOPLE + "?q=longago",
    "search_address": PEOPLE + "?q={email}",
    "search_name": PEOPLE + "?q=%D0%B8%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2%D0%B0+12345",
    "search_nobody": PEOPLE + "?q=qzxqzxw",
    "search_in_list": PEOPLE + "?q=gmail&list={list_id}&status=subscribed",
    "search_in_small_list": PEOPLE + "?q=gmail&list={small_list_id}",
    "search_with_tag": PEOPLE + "?q=yandex&tag={tag_id}",
    "filter_list": PEOPLE + "?list={list_id}",
    "filter_list_left": PEOPLE + "?list={list_id}&status=unsubscribed&sort=email",
    "filter_small_list_by_email": PEOPLE + "?list={small_list_id}&sort=email",
    "filter_tag": PEOPLE + "?tag={tag_id}",
    "filter_rare_tag_by_email": PEOPLE + "?tag={rare_tag_id}&sort=email",
    "filter_bounced": PEOPLE + "?status=bounced",
    "filter_unconfirmed": PEOPLE + "?status=unconfirmed",
    "filter_source": PEOPLE + "?source=form",
    "filter_days": PEOPLE + "?since=2025-03-01&until=2025-03-02",
    "filter_everything": PEOPLE
    + "?q=gmail&list={list_id}&tag={tag_id}&status=subscribed&source=import:3&since=2025-01-01",
}  # fmt: skip


#: Routes whose pages are this issue's: each is found by introspection, with what it names.
ROOMS = (
    "lists.", "segments.", "suppression.", "imports.", "signup.", "preferences.", "privacy.", "exports.",
    "stats.growth", "stats.list", "campaigns.recipients", "campaigns.people", "admin.stop_list",
)  # fmt: skip
#: What is no page.
FILES = (".csv", "/file", "look.css")
#: Pages that need a query to be what they are.
QUERIES = {
    "lists.bulk": "?act=tag_add&all=1&list={list_id}",
    "lists.subscriber_merge": "?with={other_email}",
    "lists.subscriber_field": "?name=age",
}
#: The builder's form as a script sends it at each change: the sentence, the live count and the sample.
BUILDERS = {
    "field_and_domain": {"match": "all", "r0-field": "fields.age", "r0-op": "gt", "r0-value": "40",
                         "r1-field": "domain", "r1-op": "is", "r1-value": "gmail.com"},
    "two_activities": {"match": "all", "r0-field": "opened", "r0-op": "did", "r0-days": "30", "r0-scope": "any",
                       "r1-field": "clicked", "r1-op": "did_not", "r1-days": "90", "r1-scope": "any"},
    "last_ten_campaigns": {"match": "all", "r0-field": "sent", "r0-op": "did", "r0-scope": "last", "r0-last": "10",
                             "r1-field": "opened", "r1-op": "did_not", "r1-scope": "last", "r1-last": "10"},
}  # fmt: skip


@dataclass(frozen=True)
class Audience:
    """What the paths may name."""

    project_id: int
    slug: str
    list_id: int
    small_list_id: int
    tag_id: int
    rare_tag_id: int
    subscriber_id: int
    email: str
    other_email: str
    late_cursor: str


_PEOPLE = """
INSERT INTO subscriber
    (project_id, email, email_key, email_domain, name, fields, status, source, created_at, updated_at)
SELECT p.project_id, p.email, p.email, p.domain, p.name,
    jsonb_build_object('city', p.city, 'age', 18 + p.n %% 60, 'vip', p.n %% 50 = 0,
        'joined_on', (DATE '2024-01-01' + (p.n %% 700)::int)::text),
    CASE p.n %% 40 WHEN 7 THEN 'unsubscribed' WHEN 9 THEN 'bounced' ELSE 'active' END,
    CASE WHEN p.n %% 10 = 0 THEN 'form' WHEN p.n %% 997 = 1 THEN 'api'
        ELSE 'import:' || (1 + p.n * 20 / %(people)s) END,
    p.at, p.at
FROM (
    SELECT %(project)s AS project_id, n, d.domain, c.city,
        f.first || CASE WHEN n < %(people)s / 5 THEN '.longago' ELSE '' END || '.' || l.last || n || '@' || d.domain
            AS email,
        g.given || ' ' || g.family || ' ' || n AS name,
        TIMESTAMPTZ '2024-12-01 00:00+00' + n * (INTERVAL '360 days' / %(people)s) AS at
    FROM generate_series(CAST(%(from)s AS bigint), CAST(%(upto)s AS bigint)) AS n
    CROSS JOIN LATERAL (SELECT (ARRAY['gmail.com','gmail.com','gmail.com','mail.ru','mail.ru','yandex.ru','yandex.ru',
        'outlook.com','yahoo.com','web.de','bk.ru','icloud.com','firma-' || n %% 5000 || '.example'])
        [1 + (n * 7919) %% 13] AS domain) AS d
    CROSS JOIN LATERAL (SELECT (ARRAY['anna','ivan','maria','oleg','john','kate','peter','olga','max','zoe'])
        [1 + n %% 10] AS first) AS f
    CROSS JOIN LATERAL (SELECT (ARRAY['smith','ivanov','petrova','miller','kim','weber','rossi','novak'])
        [1 + (n / 10) %% 8] AS last) AS l
    CROSS JOIN LATERAL (SELECT (ARRAY['Moscow','Berlin','Paris','Kazan','Omsk','London','Riga'])
        [1 + n %% 7] AS city) AS c
    CROSS JOIN LATERAL (SELECT (ARRAY['Анна','Иван','Мария','Олег','John','Kate'])[1 + n %% 6] AS given,
        (ARRAY['Иванова','Петров','Smith','Ким','Weber'])[1 + n %% 5] AS family) AS g
) AS p
"""
# Five of twelve lists each; the last list has a few hundred people only.
_SUBSCRIPTIONS = """
INSERT INTO subscription (project_id, list_id, subscriber_id, status, source, created_at)
SELECT s.project_id, (CAST(%(lists)s AS bigint[]))[1 + (s.id + k * 2) %% 11], s.id,
    CASE (s.id * 31 + k) %% 20 WHEN 3 THEN 'unsubscribed' WHEN 5 THEN 'unconfirmed' ELSE 'subscribed' END, s.source,
    s.created_at
FROM subscriber AS s CROSS JOIN generate_series(0, 4) AS k
WHERE s.project_id = %(project)s AND s.id > %(from)s AND s.id <= %(upto)s
"""
_MARKS = """
INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)
SELECT s.project_id, (CAST(%(tags)s AS bigint[]))[1 + (s.id * k) %% 38], s.id
FROM subscriber AS s CROSS JOIN generate_series(1, 2) AS k
WHERE s.project_id = %(project)s AND s.id > %(from)s AND s.id <= %(upto)s
ON CONFLICT DO NOTHING
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.audience", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="keep the people there, and use those who are there already")
    parser.add_argument("--runs", type=int, default=30, help="answers of each page that are timed")
    parser.add_argument("--only", default="", help="only pages with this in their name")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    figures: dict[str, Any] = {"people": given.people, "load_average_before": round(os.getloadavg()[0], 1)}
    with contextlib.ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        server = stack.enter_context(store.opened(home.resolve()))
        url = people_of(server, given.people, figures)
        faults = measure(server, url, home.resolve() / "site", figures, given.only, given.runs)
    for fault in faults:
        print(f"  {fault}")
    figures["pages_refused"] = len(faults)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if faults else 0


def people_of(server: store.Store, people: int, figures: dict[str, Any]) -> str:
    """The database with so many people; made where it is not there."""
    name = f"audience_{people}"
    if store.has_history(server, name):
        return server.database(name)
    began = time.monotonic()
    url = store.make_database(server, name)
    with store.connect(url) as connection:
        build(connection, "large", people)
        build(connection, "small", people // 20)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CREATE SCHEMA history")
        connection.execute("CREATE TABLE history.built AS SELECT 0 AS events, now() AS until")
    figures["build_seconds"] = round(time.monotonic() - began, 1)
    print(f"made {people:,} people in {figures['build_seconds']} s, {store.gigabytes(store.disk_bytes(url))}")
    return url


def build(connection: store.Connection, slug: str, people: int) -> None:
    """A project with its people, lists, tags and fields."""

    def one(statement: str, *values: Any) -> int:
        row = connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])

    project = one(
        "INSERT INTO project (slug, name, domain) VALUES (%s, %s, %s) RETURNING id", slug, slug, f"{slug}.test"
    )
    lists = [
        one("INSERT INTO mailing_list (project_id, name) VALUES (%s, %s) RETURNING id", project, f"List {n}")
        for n in range(LISTS)
    ]
    new_tag = "INSERT INTO tag (project_id, name, name_key) VALUES (%s, %s, %s) RETURNING id"
    tags = [one(new_tag, project, f"Tag {n}", f"tag {n}") for n in range(TAGS)]
    kinds = {"city": "text", "age": "number", "joined_on": "date", "vip": "boolean"}
    for place, (name, kind) in enumerate(kinds.items()):
        connection.execute(
            "INSERT INTO subscriber_field (project_id, name, label, type, position) VALUES (%s, %s, %s, %s, %s)",
            (project, name, name.replace("_", " "), kind, place),
        )
    step = 50_000
    places = [one("SELECT coalesce(max(id), 0) FROM subscriber")]
    for begin in range(0, people, step):
        values = {"project": project, "people": people, "from": begin, "upto": min(begin + step, people) - 1}
        connection.execute(_PEOPLE, values)
        places.append(one("SELECT max(id) FROM subscriber"))
    # The checks of the foreign keys are plans too: without statistics they read every person of the project.
    connection.execute("ANALYZE")
    for before, last in pairwise(places):
        named = {"project": project, "lists": lists, "tags": tags, "from": before, "upto": last}
        connection.execute(_SUBSCRIPTIONS, named)
        connection.execute(_MARKS, named)
    connection.execute(
        "INSERT INTO subscription (project_id, list_id, subscriber_id)"
        " SELECT project_id, %s, id FROM subscriber WHERE project_id = %s AND id %% 3001 = 0",
        (lists[-1], project),
    )
    connection.execute(
        "INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)"
        " SELECT project_id, %s, id FROM subscriber WHERE project_id = %s AND id %% 2003 = 0",
        (tags[-1], project),
    )


def find(url: str) -> Audience:
    """What the paths name: the larger project, its first list and tag, its smallest ones, a person in the middle."""
    from mailhub.web.paging import cursor

    with store.connect(url) as connection:
        row = connection.execute(
            """
            SELECT p.id, p.slug, (SELECT min(id) FROM mailing_list WHERE project_id = p.id),
                (SELECT max(id) FROM mailing_list WHERE project_id = p.id),
                (SELECT min(id) FROM tag WHERE project_id = p.id), (SELECT max(id) FROM tag WHERE project_id = p.id),
                s.id, s.email, (SELECT o.email FROM subscriber AS o WHERE o.project_id = p.id AND o.id = s.id + 1)
            FROM project AS p
            JOIN subscriber AS s ON s.project_id = p.id
                AND s.id = (SELECT max(id) / 2 FROM subscriber WHERE project_id = p.id)
            WHERE p.slug = 'large'
            """
        ).fetchone()
    assert row is not None
    return Audience(*row, late_cursor=cursor(row[6] + 1))


def measure(
    server: store.Store, url: str, home: Path, figures: dict[str, Any], only: str = "", runs: int = 30
) -> list[str]:
    """Time every page; gives a sentence for each that could not be had."""
    about = find(url)
    named = surroundings.furnish(url, home, about.slug, about.subscriber_id)
    faults: list[str] = []
    found: list[Page] = []
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(site.serving(url, home, about.project_id))
        watching = stack.enter_context(store.connect(server.url))
        for process, wanted in asked(url, home, about, named, faults).items():
            here = running[process]
            meter = Meter(watching, url.rpartition("/")[2].partition("?")[0], here.pid, f"mailhub {process}")
            connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=120)
            for name, (path, form) in wanted.items():
                if only not in name:
                    continue
                call = partial(here.get, connection, path)
                if form is not None:
                    call = partial(here.post, connection, path, form)
                status, size = call()
                if status != 200:
                    faults.append(f"{name}: {path} answers {status}")
                    continue
                found.append(costed(name, size, call, meter, runs))
                print(found[-1].line, flush=True)
    slow = [page.name for page in found if page.taken.p95_ms > SLOW_MS]
    print(f"{len(found)} pages, {len(slow)} above {SLOW_MS} ms: {', '.join(slow) or 'none'}")
    for page in found:
        figures |= page.figures
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    return faults


@dataclass(frozen=True)
class Page:
    """What was found of one page; the costs are those of one answer."""

    name: str
    size: int
    taken: Timed
    server_ms: float
    database_ms: float | None
    statements: int | None

    @property
    def line(self) -> str:
        mark = "  slow" if self.taken.p95_ms > SLOW_MS else ""
        database = "-" if self.database_ms is None else f"{self.database_ms:.1f}"
        return (
            f"{self.name:32} {self.taken.median_ms:8.1f} ms {self.taken.p95_ms:8.1f} p95, processor"
            f" {self.server_ms:6.1f} + {database:>6} ms, {self.statements or '-':>3} statements,"
            f" {self.size / 1000:6.1f} kB{mark}"
        )

    @property
    def figures(self) -> dict[str, Any]:
        return {
            f"{self.name}_p50_ms": self.taken.median_ms,
            f"{self.name}_p95_ms": self.taken.p95_ms,
            f"{self.name}_server_cpu_ms": self.server_ms,
            f"{self.name}_database_cpu_ms": self.database_ms,
            f"{self.name}_statements": self.statements,
        }


def costed(name: str, size: int, call: Callable[[], Any], meter: Meter, runs: int) -> Page:
    """Times and costs of a page that has been asked for before."""
    call()
    before = meter.read()
    taken = timed(call, runs=runs)
    after = meter.read()
    # `timed` calls once or twice before it begins to count.
    calls = taken.runs + (2 if taken.median_ms < 1000 else 1)
    database, statements = None, None
    if after.database_ms is not None and before.database_ms is not None:
        database = round((after.database_ms - before.database_ms) / calls, 1)
    if after.statements is not None and before.statements is not None:
        statements = round((after.statements - before.statements) / calls)
    return Page(name, size, taken, round((after.server_ms - before.server_ms) / calls, 1), database, statements)


def asked(
    url: str, home: Path, about: Audience, named: dict[str, Any], faults: list[str]
) -> dict[str, dict[str, tuple[str, dict[str, str] | None]]]:
    """Process → name → (path, the form that is sent to it or None): PAGES, and every page of ROOMS by introspection."""
    found: dict[str, dict[str, tuple[str, dict[str, str] | None]]] = {
        "site": {name: (pattern.format(**about.__dict__), None) for name, pattern in PAGES.items()},
        "reports": {},
    }
    more = {"subscriber_id": str(about.subscriber_id), "list_id": str(about.list_id), "tag_id": str(about.tag_id)}
    for process, registry in site.registries(url, home).items():
        for door in doors(registry):
            if not door.route.startswith(ROOMS) or door.method != "GET" or door.target or door.pattern.endswith(FILES):
                continue
            path = surroundings.path_of(door, named, more)
            if path is None:
                faults.append(f"{door.route}: something of {door.pattern} is not known")
                continue
            found[process][door.route] = (path + QUERIES.get(door.route, "").format(**about.__dict__), None)
        registry.engine.dispose()
        registry.reading_engine.dispose()
    for name, number in named["segments"].items():
        base, word = f"/projects/{about.slug}/segments/{number}", name.replace(" ", "_").replace(",", "")
        found["site"][f"segment_{word}"] = (base, None)
        found["site"][f"segment_why_{word}"] = (f"{base}?q={about.email}", None)
        found["site"][f"segment_people_{word}"] = (f"{base}/people", None)
    for word, form in BUILDERS.items():
        found["site"][f"builder_{word}"] = (f"/projects/{about.slug}/segments/preview", form)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
