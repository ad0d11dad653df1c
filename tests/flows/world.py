"""A project with a row of every kind that a URL can name, made for every route by introspection."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pyramid.interfaces import IRoutesMapper
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.delivery import service as delivery
from mailhub.delivery.ids import new_message_id
from mailhub.events.marking import Mark, mark_in
from mailhub.events.service import Event, append_in
from mailhub.imports import service as imports
from mailhub.imports.columns import guess_mapping
from mailhub.imports.rules import Rules
from mailhub.jobs import files
from mailhub.mail.lane import LANES
from mailhub.mail.tokens import Kind, Signer
from mailhub.models import (
    ApiKey,
    Campaign,
    CampaignChunk,
    CampaignCount,
    CampaignLane,
    CampaignState,
    CampaignStats,
    CampaignVersion,
    ChunkLease,
    Erasure,
    GlobalSuppression,
    ImportList,
    ImportRejectedRow,
    JobState,
    Link,
    ListLetter,
    Message,
    MessageEvent,
    MessageKind,
    MessageState,
    OneTimeLink,
    Project,
    ProjectJob,
    RateBucket,
    RelayHealth,
    RelayLane,
    ReportJob,
    Role,
    Segment,
    SignUpDay,
    SignUpForm,
    SignUpFormList,
    SignUpSubmission,
    StatsShare,
    SubscriberChange,
    SubscriberDuplicate,
    SubscriberField,
    SubscriberImport,
    SubscriberNote,
    SubscriberTag,
    SubscriberView,
    Suppression,
    Tag,
    User,
    WebSession,
)
from mailhub.preferences import address
from mailhub.security.secrets import digest, new_token
from mailhub.settings import Settings
from mailhub.suppression import service as suppression
from tests.build import Builder

PLACEHOLDER = re.compile(r"{(\w+)(?::[^}]*)?}")
CSV = "E-mail;Name;City\nanna@people.test;Anna;Kazan\nboris@people.test;Boris;Tver\n"
HTML = '<h1>Hello, {{ name|default("friend") }}!</h1><p><a href="https://example.com/news">The news</a></p>'
#: Three tracked links: words, a picture, a button; and one that only some people see.
RICH_HTML = (
    '<h1>Hello, {{ name|default("friend") }}!</h1>'
    '<p>We write about <a href="https://example.com/news">The news</a>.</p>'
    '<p><a href="https://example.com/autumn"><img alt="Autumn" width="480" height="120" src="data:image/svg+xml;base64,'
    "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI0ODAiIGhlaWdodD0iMTIwIj48cmVjdCB3aWR0aD0iNDgwIiBoZWln"
    'aHQ9IjEyMCIgZmlsbD0iI2Y0Yjg2MCIvPjwvc3ZnPg=="></a></p>'
    '<p><a href="https://example.com/order?what=an-apple-pie" style="display:inline-block;padding:10px 20px;'
    'background:#0b6b42;color:#ffffff;border-radius:6px">Order</a></p>'
    '{% if city == "Kazan" %}<p><a href="https://example.com/kazan">For Kazan</a></p>{% endif %}'
)
RICH_LINKS = (("https://example.com/news", "The news"), ("https://example.com/autumn", "Autumn"),
              ("https://example.com/order?what=an-apple-pie", "Order"), ("https://example.com/kazan", "For Kazan"))


#: A phone, Gmail's proxy, and Apple's, which opens everything.
AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22B83",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0",
)


@dataclass(frozen=True)
class Door:
    """One method of one route, as the outside sees it."""

    route: str
    pattern: str
    method: str
    target: str | None = None

    @property
    def names(self) -> set[str]:
        """What has to be filled in."""
        return set(PLACEHOLDER.findall(self.pattern))

    def url(self, values: dict[str, str]) -> str:
        return PLACEHOLDER.sub(lambda match: values[match[1]], self.pattern)


def doors(registry: Any) -> list[Door]:
    """Every view of the application: a new one is tested without a new line here."""
    mapper = registry.getUtility(IRoutesMapper)
    patterns = {route.name: "/" + route.pattern.lstrip("/") for route in mapper.get_routes()}
    found = set()
    for item in registry.introspector.get_category("views"):
        view = item["introspectable"]
        pattern = patterns.get(view.get("route_name"))
        if pattern is None or "*" in pattern:
            continue
        methods = view.get("request_methods") or ("GET",)
        for method in (methods,) if isinstance(methods, str) else methods:
            found.add(Door(view["route_name"], pattern, method, view.get("hx_target")))
    return sorted(found, key=lambda door: (door.pattern, door.method, door.target or ""))


def route_patterns(registry: Any) -> dict[str, str]:
    """Route name → pattern, also of routes that no view answers yet."""
    routes = registry.getUtility(IRoutesMapper).get_routes()
    return {route.name: "/" + route.pattern.lstrip("/") for route in routes if "*" not in route.pattern}


@dataclass
class World:
    """A project, who owns it and who works in it, and a value for every placeholder of its URLs."""

    owner: User
    helper: User
    project: Project
    values: dict[str, str] = field(default_factory=dict)
    #: Further objects whose pages look different: (placeholder, value, what it is).
    others: list[tuple[str, str, str]] = field(default_factory=list)
    #: Route → a genuine token for its URL.
    tokens: dict[str, str] = field(default_factory=dict)

    #: Route → other values, where the usual object is past this page.
    special: dict[str, dict[str, str]] = field(default_factory=dict)

    #: Route → query strings with which its page looks different.
    queries: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def values_for(self, door: Door) -> dict[str, str]:
        """A value for every placeholder of this door."""
        return self.values | {"token": self.tokens.get(door.route, "")} | self.special.get(door.route, {})

    def variants(self, door: Door) -> Iterator[tuple[str, str]]:
        """(what, URL) of the door for each object that it can be about."""
        values = self.values_for(door)
        yield "", door.url(values)
        for name, value, what in self.others:
            if name in door.names:
                yield what, door.url(values | {name: value})
        for query in self.queries.get(door.route, ()) if door.method == "GET" else ():
            yield query, door.url(values) + query


def make_world(build: Builder, settings: Settings, signer: Signer, slug: str, *, language: str = "en") -> World:
    """A project after some weeks of work: drafts, a campaign on its way, one that was read, imports, letters, keys."""
    session = build.session
    owner = build.user(f"owner@{slug}.test", name="Olga Owner", language=language)
    helper = build.user(f"helper@{slug}.test", name="Henry Helper")
    project = build.project(
        owner, slug=slug, name=slug.title(), domain=f"{slug}.test", postal_address="1 Main Street, Springfield"
    )
    build.member(project, helper, Role.MARKETER)
    world = World(owner, helper, project)
    sender = build.sender(project, is_default=True)
    readers = build.list(project, name="Readers", description="Everybody who asked for news")
    partners = build.list(project, name="Partners", opt_in="double", visibility="public")
    people = [
        build.subscriber(project, f"person{n}@mail-{slug}.test", lists=[readers], name=f"Person {n}",
                         fields={"city": "Kazan"}, source="import")
        for n in range(6)
    ]  # fmt: skip
    joining = build.subscriber(project, f"waiting@mail-{slug}.test", lists=[partners], status="unconfirmed")
    session.add(SubscriberField(project_id=project.id, name="city", label="City"))
    session.add(SubscriberField(project_id=project.id, name=f"size_{slug}", label="Size", type="number", position=1))
    crowd = _crowd(session, project, owner, people)
    form, submission, flooded = _forms(session, project, partners, joining)
    draft = build.campaign(project, lists=[readers], sender_id=sender.id, html=HTML, name="Spring news")
    empty = build.campaign(project, name="Empty draft", subject="", html="")
    sent = _sent_campaign(build, project, sender.email, readers, people)
    sending = _moving_campaign(build, project, readers, CampaignState.SENDING, people)
    paused = _moving_campaign(build, project, readers, CampaignState.PAUSED, people)
    leaving = build.campaign(
        project, lists=[readers], sender_id=sender.id, html=HTML, name="In a minute", state=CampaignState.SCHEDULED,
        send_at=datetime.now(UTC) + timedelta(minutes=9), spread_seconds=14_400,
    )  # fmt: skip
    _brakes(session)
    done, waiting, failed = _imports(session, settings, project, readers.id, owner)
    letter = _letter(session, project, sender.email)
    key = ApiKey(project_id=project.id, key_id=f"key{slug}", secret_hash=b"x" * 32, name="Shop", scopes=["lists:read"])
    web_session = WebSession(
        token_hash=digest(new_token()),
        user_id=owner.id,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ip="192.0.2.7",
    )
    link = new_token()
    domain = build.sending_domain(project, settings)
    looking = build.sending_domain(project, settings, domain=f"news.{slug}.test", checking_since=datetime.now(UTC))
    session.add_all(
        [
            key,
            web_session,
            OneTimeLink(token_hash=digest(link), user_id=helper.id, expires_at=datetime.now(UTC) + timedelta(hours=1)),
        ]
    )
    segment = Segment(
        project_id=project.id, name="Lively in Kazan", description="For the spring meeting", count=3,
        counted_at=datetime.now(UTC), definition={
            "match": "all",
            "rules": [
                {"field": "fields.city", "op": "is", "value": "Kazan"},
                {"match": "any", "rules": [
                    {"field": "opened", "op": "did", "days": 30},
                    {"field": "clicked", "op": "did_not", "campaigns": [str(sent.id)]},
                    {"field": "list", "op": "subscribed", "value": [str(readers.id)], "not": True},
                ]},
            ],
        },
    )  # fmt: skip
    session.add(segment)
    share_token = new_token()
    share = StatsShare(project_id=project.id, campaign_id=sent.id, token_hash=digest(share_token), name="Our client")
    over = StatsShare(
        project_id=project.id, campaign_id=sent.id, token_hash=digest(new_token()), created_by=helper.id,
        expires_at=datetime.now(UTC) - timedelta(days=1),
    )  # fmt: skip
    session.add_all([share, over])
    session.commit()
    export = _export(session, settings, project, owner)
    waiting_erasure = Erasure(
        project_id=project.id, way="own", subscriber_id=people[5].id, email_hash=b"h" * 32, sealed=b"",
        due_at=datetime.now(UTC) + timedelta(hours=9),
    )  # fmt: skip
    session.add(waiting_erasure)
    session.commit()
    world.values = {
        "erasure_id": str(waiting_erasure.id),
        "export_id": str(export.id),
        "project": project.slug,
        "list_id": str(readers.id),
        "subscriber_id": str(people[0].id),
        "campaign_id": str(draft.id),
        "sender_id": str(sender.id),
        "domain_id": str(domain.id),
        "import_id": str(done.id),
        "address": f"own@{slug}.test",
        "stop_id": str(_global_stop(session, slug)),
        "suppression_id": str(_stop_list(session, project, people[1].email, sent.id)),
        "key_id": str(key.id),
        "user_id": str(helper.id),
        "session_id": str(web_session.id),
        "message_id": str(letter.id),
        "share_id": str(share.id),
        "segment_id": str(segment.id),
        "table": "report",
        "field": f"size_{slug}",
        "tag_id": str(crowd["tag"]),
        "view_id": str(crowd["view"]),
        "note_id": str(crowd["note"]),
        "duplicate_id": str(crowd["duplicate"]),
        "job_id": str(crowd["job"]),
        "form_id": str(form.id),
        "submission_id": str(submission.id),
        "kind": "confirmation",
        "language": "en",
    }
    world.special = {
        **{
            f"imports.{name}": {"import_id": str(waiting.id)}
            for name in ("reading", "columns", "rules", "check", "discard")
        },
        "imports.columns": {"import_id": str(waiting.id)},
        "signup.look": {"token": signer.sign(Kind.FORM, project=project.id, link=form.id)},
        "stats.campaign_csv": {"campaign_id": str(sent.id), "table": "report"},
        "stats.share_revoke": {"campaign_id": str(sent.id)},
    }
    world.queries = {
        "stats.compare": (f"?a={sent.id}&b={sending.id}",),
        "stats.overview": ("?days=7",),
        "lists.bulk": ("?act=delete&all=1&q=person",),
        "lists.subscriber_merge": (f"?with={people[1].email}",),
        "lists.subscriber_field": ("?name=city",),
    }
    world.queries["segments.show"] = (f"?q={people[0].email}",)
    world.others = [
        ("list_id", str(partners.id), "double opt-in"),
        ("form_id", str(flooded.id), "flooded"),
        ("campaign_id", str(empty.id), "empty"),
        ("campaign_id", str(sent.id), "sent"),
        ("campaign_id", str(sending.id), "sending"),
        ("campaign_id", str(paused.id), "paused"),
        ("campaign_id", str(leaving.id), "leaving"),
        ("domain_id", str(looking.id), "being looked at"),
        ("import_id", str(waiting.id), "waiting"),
        ("import_id", str(failed.id), "failed"),
    ]
    url = session.query(Link.id).filter_by(project_id=project.id, campaign_id=sent.id).first()
    ids = {"project": project.id, "campaign": sent.id, "subscriber": people[1].id}
    world.tokens = {
        "tracking.open": signer.sign(Kind.OPEN, **ids),
        "tracking.click": signer.sign(Kind.CLICK, **ids, link=url.id),
        "tracking.unsubscribe": signer.sign(Kind.UNSUBSCRIBE, **ids, list=readers.id),
        "tracking.web_version": signer.sign(Kind.WEB_VERSION, **ids, list=readers.id),
        "signup.page": signer.sign(Kind.FORM, project=project.id, link=form.id),
        "signup.confirm": signer.sign(
            Kind.CONFIRM,
            project=project.id,
            list=partners.id,
            subscriber=joining.id,
            expires=int(datetime.now(UTC).timestamp()) + 86_400,
        ),
        "preferences.page": signer.sign(Kind.PREFERENCES, **ids, list=readers.id),
        "preferences.ask": signer.sign(Kind.PREFERENCES, project=project.id),
        "preferences.address": address.ask(
            session, people[1], f"new@{slug}.test", language=language, now=datetime.now(UTC)
        ),
        "privacy.my_data": signer.sign(Kind.PREFERENCES, project=project.id, subscriber=people[2].id),
        "privacy.my_erase": signer.sign(Kind.PREFERENCES, project=project.id, subscriber=people[2].id),
        "accounts.sign_in_link": link,
        "stats.shared": share_token,
    }
    session.commit()
    return world


def _crowd(session: Session, project: Project, owner: User, people: list[Any]) -> dict[str, int]:
    """What a team keeps beside its people: a tag, a note, a view, a pair, a change that was made."""
    ids = {"project_id": project.id}
    tag = Tag(**ids, name="VIP", name_key="vip")
    note = SubscriberNote(**ids, subscriber_id=people[0].id, user_id=owner.id, author=owner.name, body="Called twice.")
    view = SubscriberView(**ids, user_id=owner.id, name="From Kazan", shared=True, query={"q": "mail"},
                          columns=["name", "field:city"])  # fmt: skip
    pair = SubscriberDuplicate(**ids, first_id=people[2].id, second_id=people[3].id, reason="alias")
    session.add_all([tag, note, view, pair])
    session.flush()
    job = ProjectJob(**ids, kind="people", parameters={"action": "tag_add", "tag": tag.id, "ids": [], "upto": 0},
                     state=JobState.DONE, done=3, total=3, result={"changed": 1}, requested_by=owner.id,
                     finished_at=datetime.now(UTC), expires_at=datetime.now(UTC) + timedelta(days=7))  # fmt: skip
    session.add(job)
    session.flush()
    session.add(SubscriberTag(**ids, tag_id=tag.id, subscriber_id=people[0].id))
    session.add(SubscriberChange(**ids, job_id=job.id, subscriber_id=people[0].id, after={"at": "2026-01-01T00:00Z"}))
    session.commit()
    return {"tag": tag.id, "note": note.id, "view": view.id, "duplicate": pair.id, "job": job.id}


def _forms(
    session: Session, project: Project, mailing_list: Any, joining: Any
) -> tuple[SignUpForm, SignUpSubmission, SignUpForm]:
    """One with all that a form can have, and what came in by it; one that was flooded."""
    design = {
        "fields": [{"name": "email"}, {"name": "name", "required": True}, {"name": "city", "hint": "Where you live"}],
        "texts": {"title": "News from us", "intro": "Once a week.", "privacy_url": "https://example.com/privacy"},
        "boxes": [{"text": "I agree to the [privacy policy](https://example.com/privacy)", "required": True},
                  {"text": "I agree to get advertising"}],
        "colours": {"button": "#0b6b42"},
    }  # fmt: skip
    common = {"project_id": project.id, "list_ids": [mailing_list.id], "host": "blog.example.com"}
    form = SignUpForm(project_id=project.id, name="On the blog", design=design, tags=["blog"])
    flooded = SignUpForm(project_id=project.id, name="Flooded", state="paused", pause_reason="flood",
                         paused_at=datetime.now(UTC))  # fmt: skip
    session.add_all([form, flooded])
    session.flush()
    for one in (form, flooded):
        session.add(SignUpFormList(project_id=project.id, form_id=one.id, list_id=mailing_list.id))
    rows = [
        SignUpSubmission(**common, form_id=form.id, email="", state=state, subscriber_id=person)
        for state, person in (("asked", joining.id), ("stopped", None), ("capped", None))
    ]
    session.add_all(rows)
    today = datetime.now(UTC).date()
    for days, host in enumerate(("blog.example.com", "", "other")):
        session.add(SignUpDay(project_id=project.id, form_id=form.id, day=today - timedelta(days=days), host=host,
                              views=90 - days, submits=20, confirmations=9))  # fmt: skip
    session.add(ListLetter(project_id=project.id, list_id=mailing_list.id, kind="welcome", language="en",
                           subject="Welcome!", html="<p>Hello, {{ name }}!</p>"))  # fmt: skip
    session.commit()
    return form, rows[0], flooded


def _freeze(
    build: Builder, campaign: Campaign, project: Project, email: str, list_id: int, list_name: str,
    links: tuple[tuple[str, str], ...] = RICH_LINKS[:1],
) -> list[Link]:  # fmt: skip
    session = build.session
    session.add(
        CampaignVersion(
            project_id=project.id, campaign_id=campaign.id, version=1, name=campaign.name, subject=campaign.subject,
            preheader="", from_email=email, from_name="News", reply_to="", html=campaign.html, text="", language="en",
            project_name=project.name, project_domain=project.domain, postal_address=project.postal_address,
            list_id=list_id, list_name=list_name,
        )
    )  # fmt: skip
    made = [
        Link(project_id=project.id, campaign_id=campaign.id, position=position, url=url, label=label)
        for position, (url, label) in enumerate(links)
    ]
    session.add_all(made)
    session.commit()
    return made


def _sent_campaign(build: Builder, project: Project, email: str, mailing_list: Any, people: list[Any]) -> Campaign:
    now = datetime.now(UTC)
    session = build.session
    campaign = build.campaign(
        project, lists=[mailing_list], name="Autumn news", state=CampaignState.SENT, version=1, html=RICH_HTML,
        started_at=now - timedelta(hours=3), fanned_out_at=now - timedelta(hours=3),
        finished_at=now - timedelta(hours=2),
    )  # fmt: skip
    links = _freeze(build, campaign, project, email, mailing_list.id, mailing_list.name, RICH_LINKS)
    session.add(
        CampaignCount(project_id=project.id, campaign_id=campaign.id, audience=len(people), sent=len(people) - 1,
                      failed=1)
    )  # fmt: skip
    facts = {
        "project_id": project.id, "kind": MessageKind.CAMPAIGN.value, "project_domain": project.domain,
        "campaign_id": campaign.id, "campaign_name": campaign.name, "list_id": mailing_list.id,
        "list_name": mailing_list.name,
    }  # fmt: skip
    events = []
    for n, person in enumerate(people):
        who = facts | {"subscriber_id": person.id, "email": person.email, "email_domain": person.email_domain}
        failed = n == 0
        at = now - timedelta(hours=2, minutes=n)
        message_id = new_message_id(at)
        session.add(
            Message(
                project_id=project.id, id=message_id, created_at=at, kind=MessageKind.CAMPAIGN.value, queue="bulk",
                state=(MessageState.FAILED if failed else MessageState.SENT).value,
                reason="userunknown" if failed else "", project_domain=project.domain, campaign_id=campaign.id,
                campaign_name=campaign.name, list_id=mailing_list.id, list_name=mailing_list.name,
                subscriber_id=person.id, email=person.email, email_domain=person.email_domain,
                subject=campaign.subject, attempts=1, smtp_code=550 if failed else 250,
                smtp_reply="550 5.1.1 no such user" if failed else "250 2.0.0 ok", settled_at=at,
            )
        )  # fmt: skip
        kind = "HARDBOUNCED" if failed else "SENT"
        events.append(Event(kind, at=at, message_id=message_id, code=550 if failed else 250, **who))
        if n in (1, 2, 3):
            opened_at = at + timedelta(minutes=5)
            events.append(Event("OPENED", at=opened_at, user_agent=AGENTS[n - 1], **who))
        if n in (1, 2):
            link = links[n]
            events.append(Event("REDIRECTED", at=at + timedelta(minutes=6), link_id=link.id, url=link.url, **who))
        if n == 5:
            events.append(Event("UNSUBSCRIBED", at=at + timedelta(minutes=50), **who))
    append_in(session, events)
    session.commit()
    _machines(session, campaign, people[3].id)
    _older(build, project)
    return campaign


def _machines(session: Session, campaign: Campaign, subscriber_id: int) -> None:
    """One person's opens were a machine's."""
    hits = session.execute(
        select(MessageEvent.project_id, MessageEvent.position, MessageEvent.id, MessageEvent.at).filter_by(
            project_id=campaign.project_id, campaign_id=campaign.id, subscriber_id=subscriber_id, type="OPENED"
        )
    )
    mark_in(session, [Mark(*hit, actor="machine_open", cause="apple") for hit in hits])
    session.commit()


def _older(build: Builder, project: Project) -> None:
    """Three campaigns of the weeks before: what is usual."""
    for week in (1, 2, 3):
        at = datetime.now(UTC) - timedelta(weeks=week)
        older = build.campaign(project, name=f"News of week {week}", state=CampaignState.SENT, started_at=at,
                               finished_at=at, archived_at=at)  # fmt: skip
        build.session.add(
            CampaignStats(project_id=project.id, campaign_id=older.id, sent=100, opened=50, unique_opened=30 + week,
                          unique_redirected=4)
        )  # fmt: skip
    build.session.commit()


def _moving_campaign(
    build: Builder, project: Project, mailing_list: Any, state: CampaignState, people: list[Any]
) -> Campaign:
    """With three lanes, letters that failed, were put off or are in doubt."""
    now = datetime.now(UTC)
    campaign = build.campaign(
        project, lists=[mailing_list], name=f"A {state.value} campaign", state=state, version=1, html=HTML,
        started_at=now - timedelta(minutes=4), fanned_out_at=now - timedelta(minutes=4), spread_seconds=3600,
    )  # fmt: skip
    _freeze(build, campaign, project, f"news@{project.domain}", mailing_list.id, mailing_list.name)
    own = {"project_id": project.id, "campaign_id": campaign.id}
    session = build.session
    session.add(
        CampaignCount(
            **own, audience=1000, sent=399, failed=3, skipped=7, deferred=2, unknown=1,
            before_at=now - timedelta(seconds=9), before_done=300,
        )
    )  # fmt: skip
    ends = (
        ("failed", "userunknown", 550, "5.1.1 <b>no such user</b> here"),
        ("failed", "blocked", 554, "5.7.1 blocked using bl.example, see https://bl.example/" + "q" * 180),
        ("failed", "mailboxfull", 452, "4.2.2 over quota"),
        ("deferred", "greylist", 451, "4.7.1 greylisted, try again in 300 seconds"),
        ("deferred", "ratelimit", 421, "4.7.28 unusual rate of mail"),
        ("unknown", "", None, ""),
    )
    for person, (end, reason, code, reply) in zip(people, ends, strict=True):
        session.add(
            Message(
                **own, created_at=now, id=new_message_id(now), kind=MessageKind.CAMPAIGN.value, queue="bulk", state=end,
                reason=reason, smtp_code=code, smtp_reply=reply, campaign_name=campaign.name, subscriber_id=person.id,
                email=person.email, email_domain=person.email_domain, attempts=2, header_id=f"{person.id}@letters.test",
                due_at=now + timedelta(minutes=5) if end == "deferred" else None,
                settled_at=None if end == "deferred" else now,
            )
        )  # fmt: skip
    for lane, name in enumerate(LANES):
        if name in ("gmail", "mailru", "other"):
            session.add(CampaignLane(**own, lane=lane, next_seq=1, last_seq=1))
            session.add_all(CampaignChunk(**own, lane=lane, seq=seq, n=160, ids=[]) for seq in (0, 1))
            session.add(
                ChunkLease(
                    **own, lane=lane, seq=0, pos=120, owner="a worker", claimed_at=now - timedelta(seconds=20),
                    lease_until=now + timedelta(hours=1),
                )
            )  # fmt: skip
    session.commit()
    return campaign


def _brakes(session: Session) -> None:
    """What holds up the default relay; the tables belong to all projects."""
    now = datetime.now(UTC)
    reply = "4.7.28 Our system has detected an unusual rate of mail, see https://support.example/answer/" + "8" * 90
    session.merge(RelayLane(relay="default", lane="gmail", base_rate=50.0, rate=12.5, normal_rate=50.0,
                            reason="ratelimit", last_code=421, last_reply=reply, slowed_at=now))  # fmt: skip
    session.merge(RelayLane(relay="default", lane="mailru", suspended_until=now + timedelta(hours=2),
                            reason="badreputation", last_code=550, last_reply="5.7.1 <p>", slowed_at=now))  # fmt: skip
    session.merge(RateBucket(key="relay:default", rate=200.0, burst=20.0, tokens=20.0))
    session.merge(RelayHealth(relay="default", state="down", reason="connect: Connection refused", since=now,
                              probe_at=now + timedelta(seconds=30)))  # fmt: skip
    session.commit()


def _imports(
    session: Session, settings: Settings, project: Project, list_id: int, owner: User
) -> tuple[SubscriberImport, SubscriberImport, SubscriberImport]:
    """One that is done, one whose columns are still to be chosen, one that failed."""
    now = datetime.now(UTC)
    upload = imports.receive(settings, io.BytesIO(CSV.encode()))
    waiting = imports.create_import(
        session, project_id=project.id, list_id=list_id, file_name="new people.csv", upload=upload, user_id=owner.id
    )
    imports.save_mapping(session, waiting, guess_mapping(upload.head))
    rules = Rules(tags=("fair",), consent_source="Book fair, Kazan")
    imports.save_rules(session, waiting, list_ids=[list_id], rules=rules, statement=str(imports.CONSENT))
    grade = {
        "letter": "C", "points": 30, "rows": 9, "people": 7, "counts": {"never_seen": 6},
        "reasons": [{"signal": "role", "count": 3, "share": 0.3333, "points": 30, "example": ""}],
        "misspelt": [["gmial.com", "gmail.com", 2]],
    }  # fmt: skip
    counts = {"total": 9, "created": 6, "updated": 1, "unchanged": 1, "skipped": 1, "rejected": 1}
    waiting.grade, waiting.checked = grade, counts | {"of": imports.settings_digest(session, waiting)}
    common = {
        "project_id": project.id, "list_id": list_id, "encoding": "utf-8", "delimiter": ";",
        "mapping": {"E-mail": "email"}, "headers": ["E-mail"], "created_by": owner.id,
        "started_at": now - timedelta(minutes=2), "finished_at": now,
    }  # fmt: skip
    done = SubscriberImport(
        **common, state="done", file_name="people.csv", stored_name="gone.csv", rows_total=9, rows_created=6,
        rows_updated=1, rows_skipped=1, rows_rejected=1, grade=grade, rules=rules.as_json(),
    )  # fmt: skip
    failed = SubscriberImport(
        **common, state="failed", file_name="photo.csv", stored_name="gone2.csv", error="file_gone", rows_total=0
    )
    session.add_all([done, failed])
    session.flush()
    session.add_all(ImportList(project_id=project.id, import_id=one.id, list_id=list_id) for one in (done, failed))
    session.add_all(
        ImportRejectedRow(
            project_id=project.id, import_id=one.id, line=7, reason="no_at", raw="nobody;No Address;",
            cells=["nobody", "No Address", ""],
        )
        for one in (done, waiting)
    )  # fmt: skip
    session.commit()
    return done, waiting, failed


def _export(session: Session, settings: Settings, project: Project, owner: User) -> ProjectJob:
    """A file that is there; beside it one being made and one that failed."""
    name = background.new_name("csv")
    background.path_of(settings, name).write_text("email,name\r\nann@people.test,'=Ann\r\n", encoding="utf-8")
    now = datetime.now(UTC)
    common = {"project_id": project.id, "kind": "exports.table", "requested_by": owner.id, "started_at": now}
    export = ProjectJob(
        **common, parameters={"what": "subscribers", "format": "csv"}, state="done", done=12_345, total=12_345,
        file=name, file_name=f"{project.slug}-subscribers-2026-11-27.csv", file_bytes=37, finished_at=now,
        expires_at=now + timedelta(days=7),
    )  # fmt: skip
    session.add_all(
        [
            export,
            ProjectJob(
                **common, parameters={"what": "events", "format": "xlsx"}, state="running", done=4_000,
                file_name=f"{project.slug}-events-2026-11-27.xlsx", lease_owner="a worker",
                lease_until=now + timedelta(hours=1),
            ),
            ProjectJob(
                **common, parameters={"what": "segment", "format": "csv", "of": 1}, state="failed",
                error="segment_id_broken", file_name=f"{project.slug}-segment-Old-2026-11-27.csv", finished_at=now,
            ),
        ]
    )  # fmt: skip
    session.commit()
    return export


def made_report(session: Session, settings: Settings) -> ReportJob:
    """A heavy report that is done, with its file in this home."""
    name = files.new_name()
    files.path_of(settings, name).write_text("day,project\r\n2026-11-01,=world\r\n", encoding="utf-8")
    now = datetime.now(UTC)
    job = ReportJob(
        kind="events", parameters={"since": "2026-11-01", "until": "2026-11-02"}, state="done", slices_done=1,
        slices_total=1, rows=1, file=name, file_bytes=37, started_at=now - timedelta(seconds=90), finished_at=now,
        expires_at=now + timedelta(days=7),
    )  # fmt: skip
    session.add(job)
    session.commit()
    return job


def _global_stop(session: Session, slug: str) -> int:
    """A domain that the operator has stopped; gives its id."""
    entry = GlobalSuppression(domain=f"trap.{slug}.test", note="A court's order")
    session.add(entry)
    session.commit()
    return entry.id


def _stop_list(session: Session, project: Project, email: str, campaign_id: int) -> int:
    """An entry of each kind; gives the id of one that a bounce has made."""
    stops = {"project_id": project.id}
    suppression.suppress(session, **stops, email=f"own@{project.slug}.test", reason="manual", note="Asked by phone")
    suppression.suppress(
        session, **stops, email=f"old@{project.slug}.test", reason="unsubscribed",
        expires_at=datetime.now(UTC) - timedelta(days=1),
    )  # fmt: skip
    suppression.suppress_erased(session, project_id=project.id, email_key=f"erased@{project.slug}.test")
    suppression.suppress(session, **stops, email=f"bounced@{project.slug}.test", reason="hard_bounce",
                         campaign_id=campaign_id)  # fmt: skip
    session.commit()
    found = select(Suppression.id).where(Suppression.project_id == project.id, Suppression.reason == "hard_bounce")
    return session.scalars(found).one()


def _letter(session: Session, project: Project, email: str) -> Message:
    letter = delivery.SingleLetter(
        from_email=email, from_name="Shop", to_email=f"buyer@mail-{project.slug}.test", to_name="Bella Buyer",
        subject="Your receipt", html="<p>Thank you for your <b>order</b>.</p>", text="Thank you for your order.",
        tag="receipt",
    )  # fmt: skip
    message = delivery.accept(session, project=project, kind=MessageKind.TRANSACTIONAL, letter=letter)
    session.commit()
    return message
