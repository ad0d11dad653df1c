"""A project full of random people, and what a plain reading of a tree says of each: the other side of the property."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from mailhub.models import (
    Campaign,
    CampaignChunk,
    CampaignLinkReaction,
    CampaignReaction,
    ChunkLease,
    GlobalSuppression,
    Link,
    MailingList,
    Message,
    MessageEvent,
    Project,
    Subscriber,
    SubscriberActivity,
    SubscriberField,
    SubscriberTag,
    Subscription,
    Suppression,
    Tag,
)

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ZONE = "Asia/Vladivostok"
FIELDS = {"city": "text", "age": "number", "born": "date", "vip": "boolean", "size": "choice", "a'b\"%_": "text"}
SIZES = ["S", "M", "L"]
WORDS = [
    "moscow",
    "Kazan",
    "O'Neil",
    "100%",
    "a_b",
    "\\",
    "'; DROP TABLE subscriber; --",
    "Пермь",
    "",
    "ПЕРМЬ",
    "$1",
    ":x",
]
DAYS = ["2026-03-01", "2026-02-28", "2024-02-29", "1990-03-05", "2026-02-31", "1.3.2026", "", "2026-03-01 "]


@dataclass
class Person:
    id: int
    email: str
    name: str
    status: str
    source: str
    added: datetime
    fields: dict[str, Any]
    lists: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    tags: set[int] = field(default_factory=set)
    activity: tuple[int, datetime | None, datetime | None, datetime | None] | None = None
    reactions: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    clicks: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: list[tuple[int, str, datetime, int | None, str]] = field(default_factory=list)
    got: set[int] = field(default_factory=set)
    stopped: bool = False

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


@dataclass
class Crowd:
    """The people of one project, with its lists, tags, campaigns and links by id."""

    project_id: int
    people: list[Person]
    lists: list[int]
    tags: list[int]
    campaigns: dict[int, datetime]
    links: dict[int, int]


def gather(dbsession: Session, seed: int, size: int = 40) -> Crowd:
    """Fill a new project, and beside it another one whose people look just the same."""
    rnd = random.Random(seed)
    crowd = _project(dbsession, rnd, size)
    _project(dbsession, random.Random(seed), size)
    return crowd


def _moment(rnd: random.Random) -> datetime:
    return NOW - timedelta(
        days=rnd.choice([0, 1, 6, 7, 8, 29, 31, 89, 91, 179, 181, 400]), minutes=rnd.randrange(1, 900)
    )


def _values(rnd: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, type_ in FIELDS.items():
        if rnd.random() < 0.25:
            continue
        right: dict[str, Any] = {
            "text": rnd.choice(WORDS), "number": rnd.choice([0, 7, -3, 18.5, 10**14]), "date": rnd.choice(DAYS),
            "boolean": rnd.random() < 0.5, "choice": rnd.choice([*SIZES, "XL"]),
        }  # fmt: skip
        wrong = [rnd.choice(WORDS), 7, True, None, [1, 2], {"a": 1}, rnd.choice(DAYS), 0]
        found[name] = right[type_] if rnd.random() < 0.75 else rnd.choice(wrong)
    return found


def _project(dbsession: Session, rnd: random.Random, size: int) -> Crowd:
    n = dbsession.execute(text("SELECT count(*) FROM project")).scalar_one()
    project = Project(slug=f"crowd-{n}", name="Crowd", domain="crowd.test", time_zone=ZONE)
    dbsession.add(project)
    dbsession.flush()
    p = project.id
    lists = [MailingList(project_id=p, name=f"L{i}") for i in range(3)]
    lists.append(MailingList(project_id=p, name="gone", archived_at=NOW))
    tags = [Tag(project_id=p, name=f"T{i}", name_key=f"t{i}") for i in range(3)]
    campaigns = [
        Campaign(project_id=p, name=f"C{i}", state="sent", started_at=NOW - timedelta(days=10 * i)) for i in range(4)
    ]
    dbsession.add_all([*lists, *tags, *campaigns])
    for i, (name, type_) in enumerate(FIELDS.items()):
        choices = SIZES if type_ == "choice" else []
        dbsession.add(SubscriberField(project_id=p, name=name, label=name, type=type_, choices=choices, position=i))
    dbsession.flush()
    links = [Link(project_id=p, campaign_id=one.id, position=0, url="https://x.test") for one in campaigns]
    dbsession.add_all(links)
    dbsession.flush()
    crowd = Crowd(
        p, [], [one.id for one in lists], [one.id for one in tags],
        {one.id: one.started_at for one in campaigns if one.started_at},
        {one.id: one.campaign_id or 0 for one in links},
    )  # fmt: skip
    for i in range(size):
        person = Person(
            0, f"{rnd.choice(['ann', 'bob', 'o_o', '100%'])}{i}@{rnd.choice(['mail.test', 'corp.test', 'bad.test'])}",
            rnd.choice(WORDS), rnd.choice(["active", "active", "unsubscribed", "bounced"]),
            rnd.choice(["api", "import:7", ""]), _moment(rnd), _values(rnd),
        )  # fmt: skip
        row = Subscriber(
            project_id=p, email=person.email, email_key=person.email, email_domain=person.domain, name=person.name,
            status=person.status, source=person.source, created_at=person.added, fields=person.fields,
        )  # fmt: skip
        dbsession.add(row)
        dbsession.flush()
        person.id = row.id
        crowd.people.append(person)
    _happenings(dbsession, rnd, crowd)
    return crowd


def _happenings(dbsession: Session, rnd: random.Random, crowd: Crowd) -> None:
    p = crowd.project_id
    rows: dict[Any, list[dict[str, Any]]] = {}

    def put(table: Any, **values: Any) -> None:
        rows.setdefault(table, []).append({"project_id": p, **values})

    for one in crowd.people:
        who = {"subscriber_id": one.id}
        for list_id in crowd.lists:
            if rnd.random() < 0.4:
                one.lists[list_id] = rnd.choice(["subscribed", "unconfirmed", "unsubscribed"]), _moment(rnd)
                status, at = one.lists[list_id]
                put(Subscription, list_id=list_id, status=status, created_at=at, **who)
        for tag_id in crowd.tags:
            if rnd.random() < 0.4:
                one.tags.add(tag_id)
                put(SubscriberTag, tag_id=tag_id, **who)
        if rnd.random() < 0.7:
            at = [_moment(rnd) if rnd.random() < 0.6 else None for _ in range(3)]
            one.activity = rnd.choice([0, 1, 5, 9]), at[0], at[1], at[2]
            put(SubscriberActivity, sent=one.activity[0], last_sent_at=at[0], last_opened_at=at[1],
                last_redirected_at=at[2], **who)  # fmt: skip
        for link_id, campaign_id in crowd.links.items():
            if rnd.random() < 0.5:
                counts = [rnd.choice([0, 1, 3]) for _ in range(2)]
                machines = [rnd.randint(0, most) for most in counts]
                one.reactions[campaign_id] = counts[0], machines[0], counts[1], machines[1]
                put(CampaignReaction, campaign_id=campaign_id, opened=counts[0], machine_opened=machines[0],
                    redirected=counts[1], machine_redirected=machines[1], **who)  # fmt: skip
                one.clicks[link_id] = counts[1], machines[1]
                put(CampaignLinkReaction, campaign_id=campaign_id, link_id=link_id, redirected=counts[1],
                    machine_redirected=machines[1], **who)  # fmt: skip
            for _ in range(rnd.choice([0, 0, 1, 2])):
                type_ = rnd.choice(["SENT", "OPENED", "REDIRECTED"])
                actor = (
                    ""
                    if type_ == "SENT"
                    else rnd.choice(["human", "proxy_open", "scanner", "machine_open", "", "unknown"])
                )
                link = link_id if type_ == "REDIRECTED" else None
                event = campaign_id, type_, _moment(rnd), link, actor
                one.events.append(event)
                put(MessageEvent, campaign_id=campaign_id, type=type_, kind="campaign", at=event[2], link_id=link,
                    actor=actor, email=one.email, **who)  # fmt: skip
        if rnd.random() < 0.2:
            over = rnd.choice([None, NOW + timedelta(days=1), NOW - timedelta(days=1)])
            one.stopped = over is None or over > NOW
            put(Suppression, email_key=one.email, reason="manual", expires_at=over)
        if one.domain == "bad.test":
            one.stopped = True
    for campaign_id in crowd.campaigns:
        _letters(rnd, crowd, campaign_id, put)
    for table, values in rows.items():
        dbsession.execute(insert(table), values)
    dbsession.execute(
        text("INSERT INTO global_suppression (domain) VALUES ('bad.test') ON CONFLICT (domain) DO NOTHING")
    )
    assert GlobalSuppression.__tablename__ == "global_suppression"


def _letters(rnd: random.Random, crowd: Crowd, campaign_id: int, put: Any) -> None:
    """Two chunks: one that is being sent, one that waits."""
    people = rnd.sample(crowd.people, len(crowd.people) // 2)
    half = len(people) // 2
    for seq, some in enumerate((people[:half], people[half:])):
        put(CampaignChunk, campaign_id=campaign_id, lane=0, seq=seq, n=len(some), ids=[one.id for one in some])
    flushed = rnd.randint(0, half)
    unwritten = [place for place in range(flushed) if rnd.random() < 0.1]
    put(ChunkLease, campaign_id=campaign_id, lane=0, seq=0, pos=half, flushed=flushed, unwritten=unwritten,
        owner="test", lease_until=NOW)  # fmt: skip
    for place, one in enumerate(people[:half]):
        if place >= flushed or place in unwritten:
            continue
        state = rnd.choice(["sent", "sent", "sent", "failed", "deferred", "unknown", "skipped"])
        put(Message, campaign_id=campaign_id, kind="campaign", queue="bulk", state=state, subscriber_id=one.id,
            email=one.email, email_domain=one.domain)  # fmt: skip
        if state == "sent":
            one.got.add(campaign_id)


# What a plain reading says


def holds(tree: dict[str, Any], one: Person, crowd: Crowd) -> bool:
    """Whether the person is in the segment."""
    answers = [holds(rule, one, crowd) if "rules" in rule else _leaf(rule, one, crowd) for rule in tree["rules"]]
    found = all(answers) if tree["match"] == "all" else any(answers)
    return found != tree.get("not", False)


def _leaf(leaf: dict[str, Any], one: Person, crowd: Crowd) -> bool:
    name = leaf["field"]
    if name.startswith("fields."):
        found = _custom(FIELDS[name[7:]], leaf, one.fields.get(name[7:]))
    elif name in ("email", "name", "domain", "source"):
        found = _text(leaf, getattr(one, name))
    elif name == "added":
        found = _added(leaf, one.added)
    elif name == "status":
        found = (one.status in leaf["value"]) == (leaf["op"] == "any")
    elif name == "list":
        found = _lists(leaf, one, crowd)
    elif name == "tag":
        wanted = {int(tag) for tag in leaf["value"]}
        found = {"any": bool(wanted & one.tags), "all": wanted <= one.tags, "none": not wanted & one.tags}[leaf["op"]]
    elif name == "engagement":
        found = (_band(one) in leaf["value"]) == (leaf["op"] == "any")
    elif name == "suppressed":
        found = one.stopped == leaf["value"]
    else:
        found = _did(leaf, one, crowd) == (leaf["op"] == "did")
    return bool(found) != leaf.get("not", False)


def _text(leaf: dict[str, Any], value: str) -> bool:
    have, want = value.lower(), str(leaf.get("value", "")).strip().lower()
    return {
        "is": have == want, "is_not": have != want, "contains": want in have, "not_contains": want not in have,
        "starts": have.startswith(want), "ends": have.endswith(want), "empty": have == "", "not_empty": have != "",
    }[leaf["op"]]  # fmt: skip


def _shown(value: Any) -> str:
    return (
        ""
        if value is None or isinstance(value, list | dict)
        else value
        if isinstance(value, str)
        else json.dumps(value)
    )


def _custom(type_: str, leaf: dict[str, Any], value: Any) -> bool:
    op, want = leaf["op"], leaf.get("value")
    if op in ("empty", "not_empty"):
        return (_shown(value) == "") == (op == "empty")
    if type_ == "text":
        return _text(leaf, _shown(value))
    if type_ == "boolean":
        return value is want
    if type_ == "choice":
        return (isinstance(value, str) and value in want) == (op == "any")
    if type_ == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return op == "is_not"
        return _compared(op, Decimal(str(value)), want)
    if not isinstance(value, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    return _day(op, value, want)


def _compared(op: str, have: Decimal, want: Any) -> bool:
    if op == "between":
        return Decimal(str(want[0])) <= have <= Decimal(str(want[1]))
    number = Decimal(str(want))
    return {
        "is": have == number, "is_not": have != number, "greater": have > number, "at_least": have >= number,
        "less": have < number, "at_most": have <= number,
    }[op]  # fmt: skip


def _day(op: str, have: str, want: Any) -> bool:
    today = NOW.astimezone(ZoneInfo(ZONE)).date()

    def away(days: int) -> str:
        return (today + timedelta(days=days)).isoformat()

    if op == "anniversary":
        for n in range(want + 1):
            day = today + timedelta(days=n)
            leap = (day + timedelta(days=1)).day == 29
            if have[5:] == day.strftime("%m-%d") or (
                have[5:] == "02-29" and day.strftime("%m-%d") == "02-28" and not leap
            ):
                return True
        return False
    if op == "between":
        return bool(want[0] <= have <= want[1])
    if op in ("is", "before", "after"):
        return bool({"is": have == want, "before": have < want, "after": have > want}[op])
    return {"last": lambda: away(-want) <= have <= away(0), "next": lambda: away(0) <= have <= away(want),
            "older": lambda: have < away(-want)}[op]()  # fmt: skip


def _added(leaf: dict[str, Any], at: datetime) -> bool:
    op, want = leaf["op"], leaf["value"]
    if op in ("last", "older"):
        return (at > NOW - timedelta(days=want)) == (op == "last")
    day = at.astimezone(ZoneInfo(ZONE)).date()
    if op == "between":
        return date.fromisoformat(want[0]) <= day <= date.fromisoformat(want[1])
    other = date.fromisoformat(want)
    return {"is": day == other, "before": day < other, "after": day > other}[op]


def _lists(leaf: dict[str, Any], one: Person, crowd: Crowd) -> bool:
    wanted = {int(number) for number in leaf.get("value") or crowd.lists[:3]}
    mine = [one.lists[number] for number in wanted if number in one.lists]
    if leaf["op"] == "not_in":
        return all(status == "unsubscribed" for status, _at in mine)
    days = leaf.get("days")
    return any(status == leaf["op"] and (days is None or at > NOW - timedelta(days=days)) for status, at in mine)


def _band(one: Person) -> str:
    sent, _last, *reacted = one.activity or (0, None, None, None)
    if one.added > NOW - timedelta(days=30):
        return "new"
    latest = max((at for at in reacted if at is not None), default=None)
    if latest is None:
        return "never" if sent >= 5 else "unknown"
    days = (NOW - latest) / timedelta(days=1)
    return "active" if days < 30 else "warm" if days < 90 else "cooling" if days < 180 else "asleep"


_TYPES = {"sent": ["SENT"], "opened": ["OPENED"], "clicked": ["REDIRECTED"], "reacted": ["OPENED", "REDIRECTED"]}


def _did(leaf: dict[str, Any], one: Person, crowd: Crowd) -> bool:
    what = leaf["field"]
    since = NOW - timedelta(days=leaf["days"]) if leaf.get("days") else None
    people = {"human", "proxy_open", "unknown"}
    if leaf.get("link"):
        if since is None:
            clicks, machines = one.clicks.get(int(leaf["link"]), (0, 0))
            return clicks > machines
        return any(e[3] == int(leaf["link"]) and e[2] > since and e[4] in people for e in one.events)
    if not leaf.get("campaigns") and not leaf.get("last"):
        _sent, *at = one.activity or (0, None, None, None)
        which = {"sent": at[:1], "opened": at[1:2], "clicked": at[2:3], "reacted": at[1:3]}[what]
        return any(moment is not None and (since is None or moment > since) for moment in which)
    if leaf.get("last"):
        before = sorted((at, number) for number, at in crowd.campaigns.items() if at < NOW)
        wanted = {number for _at, number in before[-leaf["last"] :]}
    else:
        wanted = {int(number) for number in leaf["campaigns"]}
    if since is not None:
        return any(
            e[0] in wanted and e[1] in _TYPES[what] and e[2] > since and (what == "sent" or e[4] in people)
            for e in one.events
        )
    if what == "sent":
        return bool(wanted & one.got)
    mine = [one.reactions[number] for number in wanted if number in one.reactions]
    opened, clicked = any(row[0] > row[1] for row in mine), any(row[2] > row[3] for row in mine)
    return {"opened": opened, "clicked": clicked, "reacted": opened or clicked}[what]
