"""Rows that are probably one person: the same mailbox by another spelling, or a mistyped domain.

Gmail reads no dots and nothing after a plus sign, and googlemail.com is gmail.com ("Dots don't matter in Gmail
addresses", Google's help; RFC 5233 for the plus sign in general). Yandex reads a dot as a hyphen, and its domains are
one (Yandex ID help, "Addresses and aliases"). Nothing is merged by this: somebody looks at each pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyramid.request import Request
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, aliased

from mailhub.background import service as background
from mailhub.background.running import Running
from mailhub.mail.misspelt import meant_domain
from mailhub.models import ProjectJob, Subscriber, SubscriberDuplicate
from mailhub.web.paging import Page, page_of, read_cursor

KIND = "people_duplicates"
#: Pairs that are kept of one search; whoever has more has another problem than duplicates.
MOST = 20_000
#: How long a search may take, on everybody.
SECONDS = 120

#: domain → the one that its mailboxes have as well.
SAME = {"googlemail.com": "gmail.com"} | dict.fromkeys(
    ("ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "narod.ru"), "yandex.ru"
)

_DOMAINS = text("SELECT DISTINCT email_domain FROM subscriber WHERE project_id = :project")
_FORGET = text("DELETE FROM subscriber_duplicate WHERE project_id = :project AND dismissed_at IS NULL")
_FIND = text(
    """
    INSERT INTO subscriber_duplicate (project_id, first_id, second_id, reason)
    SELECT :project, ids[1], ids[place], CASE WHEN wrong[1] = wrong[place] THEN 'alias' ELSE 'typo' END
    FROM (
        SELECT array_agg(id ORDER BY id) AS ids, array_agg(wrong ORDER BY id) AS wrong
        FROM (
            SELECT s.id, coalesce(m.wrong, false) AS wrong,
                CASE coalesce(m.domain, s.email_domain)
                    WHEN 'gmail.com' THEN replace(split_part(split_part(s.email_key, '@', 1), '+', 1), '.', '')
                    WHEN 'yandex.ru' THEN replace(split_part(split_part(s.email_key, '@', 1), '+', 1), '.', '-')
                    ELSE split_part(split_part(s.email_key, '@', 1), '+', 1)
                END AS mailbox,
                coalesce(m.domain, s.email_domain) AS domain
            FROM subscriber AS s
            LEFT JOIN unnest(CAST(:known AS text[]), CAST(:meant AS text[]), CAST(:wrong AS boolean[]))
                AS m (known, domain, wrong) ON m.known = s.email_domain
            WHERE s.project_id = :project
        ) AS spelt
        GROUP BY mailbox, domain
        HAVING count(*) > 1
        LIMIT :most
    ) AS same
    CROSS JOIN LATERAL generate_series(2, LEAST(cardinality(ids), 10)) AS place
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True)
class Pair:
    """Two people who may be one."""

    id: int
    reason: str
    first: Subscriber
    second: Subscriber


def ask(request: Request, project_id: int, *, user_id: int | None = None) -> ProjectJob:
    """A search over everybody, as a job. Raises background.TooManyJobs."""
    job, _new = background.ask(request, project_id, KIND, {}, user_id=user_id)
    return job


def do(request: Request, job: Running) -> dict[str, Any]:
    """The handler of KIND: one pass over everybody; pairs that somebody has called two people stay so."""
    with request.tm:
        dbsession: Session = request.dbsession
        dbsession.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(SECONDS * 1000)})
        values = {"project": job.project_id}
        spellings = _spellings(list(dbsession.scalars(_DOMAINS, values)))
        dbsession.execute(_FORGET, values)
        dbsession.execute(
            _FIND,
            values
            | {
                "most": MOST,
                "known": [one[0] for one in spellings],
                "meant": [one[1] for one in spellings],
                "wrong": [one[2] for one in spellings],
            },
        )
        found = count(dbsession, job.project_id)
        job.move(dbsession, done=1, total=1)
    return {"pairs": found}


def _spellings(domains: list[str]) -> list[tuple[str, str, bool]]:
    """(domain, the one that is meant, whether it is mistyped) of those that are not what they stand for."""
    found = []
    for domain in domains:
        meant = meant_domain(domain)
        same = SAME.get(meant or domain, meant or domain)
        if same != domain:
            found.append((domain, same, bool(meant)))
    return found


def count(dbsession: Session, project_id: int) -> int:
    """Pairs that nobody has looked at."""
    pairs = select(func.count()).select_from(SubscriberDuplicate)
    pairs = pairs.where(SubscriberDuplicate.project_id == project_id, SubscriberDuplicate.dismissed_at.is_(None))
    return int(dbsession.scalar(pairs) or 0)


def pairs_of(dbsession: Session, project_id: int, *, after: str | None, limit: int = 50) -> Page[Pair]:
    """A page of pairs, in the order in which they were found. One query."""
    first, second = aliased(Subscriber), aliased(Subscriber)
    wanted = (
        select(SubscriberDuplicate, first, second)
        .join(first, (first.project_id == SubscriberDuplicate.project_id) & (first.id == SubscriberDuplicate.first_id))
        .join(
            second, (second.project_id == SubscriberDuplicate.project_id) & (second.id == SubscriberDuplicate.second_id)
        )
        .where(SubscriberDuplicate.project_id == project_id, SubscriberDuplicate.dismissed_at.is_(None))
        .order_by(SubscriberDuplicate.id)
    )
    place = read_cursor(after, int)
    if place is not None:
        wanted = wanted.where(SubscriberDuplicate.id > place[0])
    rows = [Pair(row[0].id, row[0].reason, row[1], row[2]) for row in dbsession.execute(wanted.limit(limit + 1))]
    return page_of(rows, limit, lambda row: (row.id,))
