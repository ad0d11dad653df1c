"""The desk of a process that serves links in letters: takes hits down, knows where a click leads, stores in the back.

    desk = desk_of(registry)
    desk.opened(token, visitor)
    location = desk.clicked(token, visitor)

Once `start` was called a hit is acknowledged as soon as it is on the disk (spool.py), and a thread brings it into the
database (ingest.py). Without that, and when the spool can't be written, it goes into the database at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from mailhub import logs, metrics
from mailhub.events.service import append_in
from mailhub.mail.merge import merge_context
from mailhub.mail.template import RenderFailed, Template, TemplateRefused, compile_template
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.mail.url import UnsafeUrl, safe_url
from mailhub.models import EventType
from mailhub.tracking import spool
from mailhub.tracking.asking import Asking, DatabaseAway
from mailhub.tracking.back_room import BackRoom
from mailhub.tracking.facts import NOBODY, Person, events_in, link_of, person_of
from mailhub.tracking.hit import Hit, Visitor, encode, hit_of, is_nameless
from mailhub.tracking.link_copy import LinkCopy
from mailhub.tracking.memory import StoredLink, memory
from mailhub.web.health import add_part

log = logs.get(__name__)

#: A token's hits that this process stores in a day: a page that reloads for ever costs no more than this.
HITS_A_DAY = 50

#: A hit that waits longer for the database is a reason to look.
MAX_AGE_SECONDS = 60.0

_taken = metrics.counter("mailhub_hits_total", "Hits taken down, by type and by where to.", "type", "place")
_lost = metrics.counter("mailhub_hits_lost_total", "Hits that neither the spool nor the database could take.")


class NoLink(Exception):
    """A forged token, or one whose link is no longer there."""


class NotNow(Exception):
    """The database is away, and nothing here knows the link."""


class Desk:
    """One a process; safe for its threads."""

    def __init__(self, registry: Any) -> None:
        home = registry.mailhub.home
        self._registry = registry
        self._asking = Asking(registry)
        self._seen = memory(registry).seen
        self.spool = spool.Spool(spool.folder_of(home))
        self.links = LinkCopy(home / "links.sqlite")
        self._back = BackRoom(registry, self.spool, self.links)

    @property
    def is_open(self) -> bool:
        """Whether hits go to the spool, because somebody takes them from there."""
        return self._back.is_running

    def start(self) -> None:
        """Take hits to the spool from now on, and bring what lies there into the database."""
        add_part(self._registry, "hits", self.health)
        self._back.start()

    def close(self) -> None:
        """Store what is there if the database answers soon; what is left is stored by the next process."""
        self._back.close()
        self.spool.close()
        self.links.close()

    def health(self) -> tuple[bool, dict[str, float]]:
        """For the heartbeat: what waits on the disk, and how many hits were lost since the start."""
        waiting = self._back.waiting()
        age = round(waiting.age_seconds(datetime.now(UTC)), 1)
        said = {"waiting_bytes": waiting.bytes, "oldest_seconds": age, "lost": _lost.value()}
        return age <= MAX_AGE_SECONDS, said

    def opened(self, token: str, visitor: Visitor) -> None:
        """Take an open down. A forged token costs nothing."""
        try:
            claims = self._registry.signer.read(Kind.OPEN, token)
        except BadToken:
            return
        if visitor.private:
            visitor = Visitor(None, visitor.user_agent, visitor.prefetches)
        self._take(EventType.OPENED, token, claims, visitor)

    def clicked(self, token: str, visitor: Visitor | None) -> str:
        """The URL that was stored when the letter was sent; raises NoLink, NotNow. Without a visitor it is no hit."""
        try:
            claims = self._registry.signer.read(Kind.CLICK, token)
        except BadToken:
            raise NoLink() from None
        link = self._link(claims)
        location = self._location(claims, link)
        if visitor is not None:
            self._take(EventType.REDIRECTED, token, claims, visitor, url=link.url)
        return location

    def _link(self, claims: Claims) -> StoredLink:
        project, number = claims.project, claims.link
        if project is None or number is None:
            raise NoLink()
        link = self.links.get(project, number)
        if link is not None:
            return link
        try:
            link = self._asking.ask(lambda session: link_of(session, project, number))
        except DatabaseAway as away:
            log.warning("click.database_away", error=str(away))
            raise NotNow() from None
        if link is None:
            raise NoLink()
        self.links.keep(project, link)
        return link

    def _location(self, claims: Claims, link: StoredLink) -> str:
        url = link.url
        try:
            if link.personal:
                url = _template(url).render(_merged(self._person(claims)))
            return _safe(url)
        except (UnsafeUrl, TemplateRefused, RenderFailed):
            log.warning("click.unsafe_link", project_id=claims.project, link_id=claims.link)
            raise NoLink() from None

    def _person(self, claims: Claims) -> Person:
        project, subscriber = claims.project, claims.subscriber
        assert project is not None
        try:
            return self._asking.ask(lambda session: person_of(session, project, subscriber))
        except DatabaseAway as away:
            # The page without what is personal in its address is better than none.
            log.warning("click.database_away", error=str(away))
            return NOBODY

    def _take(self, type_: EventType, token: str, claims: Claims, visitor: Visitor, *, url: str = "") -> None:
        now = time.time()
        # The token of letters that are only counted is in many hands: the limit is each address's. It is in the memory
        # only, and what is written down has no address.
        whose = (token, visitor.ip) if is_nameless(claims) else token
        if not self._may_take(whose, int(now // 86400)):
            return
        hit = hit_of(type_.value, now, claims, visitor, url=url)
        if self.is_open:
            try:
                self.spool.add(encode(hit))
            except OSError as failure:
                log.warning("hit.spool_failed", error=str(failure))
            else:
                _taken.add(type=type_.value, place="spool")
                return
        self._store(hit)

    def _store(self, hit: Hit) -> None:
        def store(session: Session) -> None:
            append_in(session, events_in(session, [hit]))

        try:
            self._asking.ask(store)
        except DatabaseAway as away:
            _lost.add()
            log.warning("hit.lost", type=hit.type, project_id=hit.project, error=str(away))
        else:
            _taken.add(type=hit.type, place="database")

    def _may_take(self, token: str | tuple[str, str | None], today: int) -> bool:
        day, hits = self._seen.get(token) or (today, 0)
        hits = hits + 1 if day == today else 1
        self._seen.put(token, (today, hits))
        return hits <= HITS_A_DAY


def desk_of(registry: Any) -> Desk:
    """The desk of this process's application."""
    if not hasattr(registry, "tracking_desk"):
        registry.tracking_desk = Desk(registry)
    found: Desk = registry.tracking_desk
    return found


_safe = lru_cache(maxsize=20_000)(safe_url)


@lru_cache(maxsize=5_000)
def _template(url: str) -> Template:
    return compile_template(url, kind="url")


def _merged(person: Person) -> Any:
    return merge_context(
        email=person.email,
        name=person.name,
        fields=person.fields,
        unsubscribe_url="",
        web_version_url="",
        groups={"project": {}, "campaign": {}, "list": {}},
    )
