"""Letters as bytes: a campaign's, compiled once a version and filled in for each recipient, and single ones."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from mailhub import logs
from mailhub.delivery.database import Connection, Database
from mailhub.delivery.recipients import Recipient
from mailhub.delivery.signing import Signers, domains_of
from mailhub.mail import campaign as bulk
from mailhub.mail.campaign import to_header
from mailhub.mail.compose import Letter, compose
from mailhub.mail.dkim import Signer as DkimSigner
from mailhub.mail.headers import UnsafeHeader, date_value, structured_header
from mailhub.mail.letter_tokens import NOBODY, LetterTokens, Rests
from mailhub.mail.links import add_pixel, rewrite_links
from mailhub.mail.message_id import make_message_id
from mailhub.mail.mime import Attachment
from mailhub.mail.problem import Problem
from mailhub.mail.scan import escape_attribute
from mailhub.mail.skeleton import Addresses, Endings, Skeleton
from mailhub.mail.template import RenderFailed
from mailhub.mail.tokens import NUMBER, Kind, Signer
from mailhub.mail.verp import ReturnPaths, make_return_path
from mailhub.models import Tracking
from mailhub.settings import Settings

log = logs.get(__name__)

#: A return path is good for as long as a bounce may take: queues give up after 5 days, some reports come weeks later.
RETURN_PATH_SECONDS = 60 * 86400
#: Compiled campaigns that a process keeps.
KEPT = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What every row and event of a campaign's letters repeats: the present names, not the frozen ones."""

    project_id: int
    project_domain: str
    relay: str
    from_email: str
    campaign_id: int
    campaign_name: str
    list_id: int | None
    list_name: str
    subject: str


@dataclass(frozen=True, slots=True)
class Made:
    """A letter ready for the relay. `header_id` is its Message-ID without angle brackets, `tracking` the mode of a
    campaign's letter."""

    return_path: str
    data: bytes
    header_id: str
    subject: str
    tracking: str = Tracking.FULL


class Letters:
    """Makes letters with the keys and URLs of the settings. Campaigns are loaded through a `Database`."""

    def __init__(self, settings: Settings, signer: Signer) -> None:
        self._settings = settings
        self._signer = signer
        self._signers = Signers(settings)
        self._key = settings.secret_key.encode()
        self._kept: OrderedDict[tuple[int, int], CampaignLetters] = OrderedDict()

    def of_campaign(self, database: Database, project_id: int, campaign_id: int) -> CampaignLetters:
        """The campaign's compiled letter; its version never changes once it is being sent."""
        found = self._kept.get((project_id, campaign_id))
        if found is None:
            row, links = database.statement(lambda connection: _frozen(connection, project_id, campaign_id))
            domains = database.statement(lambda connection: domains_of(connection, project_id))
            signer = self._signers.of(domains, row["from_email"])
            found = self._kept[project_id, campaign_id] = CampaignLetters(self, row, links, signer)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end((project_id, campaign_id))
        return found

    def single(self, message: dict[str, Any], content: dict[str, Any], database: Database | None = None) -> Made:
        """A letter from its `message` and `message_content` rows; raises what `compose` raises.

        `database` is asked for the project's sending domains; without it the letter is not signed.
        """
        message_id: UUID = message["id"]
        message_header = self._message_id(content["from_email"], message["project_id"], message_id)
        html: str = content["html"]
        if content["link_ids"] is not None and html:
            # A letter that is only counted has tokens that do not say which letter it is.
            named = None if content["tracking"] == Tracking.AGGREGATE else message_id
            html = self._tracked(html, message["project_id"], named, content["link_ids"])
        data = compose(
            Letter(
                from_email=content["from_email"],
                from_name=content["from_name"],
                to_email=message["email"],
                to_name=content["to_name"],
                reply_to=content["reply_to"],
                subject=content["subject"],
                message_id=message_header,
                date=datetime.now(UTC),
                html=html or None,
                text=content["text"] or None,
                headers=content["headers"],
                attachments=[_attachment(one) for one in content["attachments"]],
                auto_submitted="auto-generated" if message["kind"] == "service" else "",
            )
        )
        if database is not None:
            signer = self._signers.of_single(database, message["project_id"], content["from_email"])
            data = signer.sign(data, at=int(time.time()))
        return_path = make_return_path(
            self._signer,
            self._settings.return_path_domain,
            project=message["project_id"],
            message=message_id,
            expires=int(time.time()) + RETURN_PATH_SECONDS,
        )
        return Made(return_path, data, message_header.strip("<>"), content["subject"])

    def header_id(self, facts: Facts, subscriber_id: int) -> str:
        """The Message-ID, without angle brackets, of a campaign's letter to one person."""
        made = self._message_id(facts.from_email, facts.project_id, facts.campaign_id, subscriber_id)
        return made.strip("<>")

    def _message_id(self, from_email: str, *unique: object) -> str:
        return make_message_id(self._key, from_email.rpartition("@")[2], *unique)

    def _tracked(self, html: str, project_id: int, message_id: UUID | None, link_ids: list[int]) -> str:
        def slot(position: int, url: str) -> str:
            if position >= len(link_ids):
                return url
            token = self._signer.sign(Kind.CLICK, project=project_id, link=link_ids[position], message=message_id)
            return f"{self._settings.tracking_url}/t/c/{token}"

        token = self._signer.sign(Kind.OPEN, project=project_id, message=message_id)
        url = escape_attribute(f"{self._settings.tracking_url}/t/o/{token}")
        pixel = f'<img src="{url}" width="1" height="1" alt="" style="display:block;border:0">'
        return add_pixel(rewrite_links(html, slot), pixel)


class CampaignLetters:
    """One version of a campaign, compiled: a letter with gaps for each mode of tracking that its people have."""

    def __init__(
        self, letters: Letters, row: dict[str, Any], links: list[int], signer: DkimSigner | None = None
    ) -> None:
        self._letters = letters
        self._links = links
        self._dkim = signer or DkimSigner([])
        self.facts = _facts(row)
        self._compiled = bulk.compile_campaign(source_of(row))
        if not self._compiled.ok:
            log.error("letter.cannot_compile", campaign_id=row["campaign_id"], project_id=row["project_id"])
        if self._compiled.ok and len(links) != len(self._compiled.links):
            log.error("letter.links_differ", campaign_id=row["campaign_id"], stored=len(links),
                      found=len(self._compiled.links))  # fmt: skip
            self._links = []
        self._tokens = self._letter_tokens()
        self._fast: dict[str, _Fast | None] = {}
        self._date = (0, b"")

    def make(self, recipient: Recipient) -> Made:
        """The letter for one person; raises RenderFailed or TemplateRefused."""
        now = int(time.time())
        header = self._letters.header_id(self.facts, recipient.id)
        fast = self._fast_of(recipient.tracking)
        if fast is not None:
            data = self._dkim.sign(self._filled(fast, recipient, header, now), at=now, canonical=True)
        else:
            data = self._dkim.sign(self._rendered(recipient, header), at=now)
        return_path = self._return_paths.of(recipient.id, now + RETURN_PATH_SECONDS)
        return Made(return_path, data, header, self.facts.subject, recipient.tracking)

    def person(self, recipient: Recipient) -> bulk.Recipient:
        """The recipient with the addresses of their own."""
        urls = urls_of(
            self._letters._signer, self._letters._settings, self._compiled, self._links, self.facts.project_id,
            self.facts.campaign_id, self.facts.list_id, recipient.id, recipient.tracking,
        )  # fmt: skip
        return bulk.Recipient(recipient.email, recipient.name, recipient.fields, urls)

    def _letter_tokens(self) -> LetterTokens | None:
        """What makes the endings of addresses; None where each letter is made by itself: links that can't be tracked,
        or that were stored far apart."""
        facts, settings = self.facts, self._letters._settings
        signer = self._letters._signer
        self._return_paths = ReturnPaths(
            signer, settings.return_path_domain, project=facts.project_id, campaign=facts.campaign_id
        )
        if not self._compiled.ok or len(self._links) != len(self._compiled.links):
            return None
        try:
            return signer.letter_tokens(
                project=facts.project_id, campaign=facts.campaign_id, list=facts.list_id, links=self._links
            )
        except ValueError:
            return None

    def _fast_of(self, tracking: str) -> _Fast | None:
        """The letter with gaps for people with this mode, made when the first of them has their turn."""
        if tracking not in self._fast:
            self._fast[tracking] = self._prepared(self._tokens, tracking) if self._tokens is not None else None
        return self._fast[tracking]

    def _prepared(self, tokens: LetterTokens, tracking: str) -> _Fast:
        settings = self._letters._settings
        opens, clicks = f"{settings.tracking_url}/t/o/", f"{settings.tracking_url}/t/c/"
        full = tracking == Tracking.FULL
        if full:
            opens, links = opens + tokens.beginning(_OPEN), [clicks + beginning for beginning in tokens.clicks]
        elif tracking == Tracking.AGGREGATE:
            nobody = tokens.rests(NOBODY)
            opens += tokens.beginning(_OPEN) + nobody.of(_OPEN).decode("ascii")
            links = [
                "" if position in self._compiled.personal_links else clicks + start + end.decode("ascii")
                for position, (start, end) in enumerate(zip(tokens.clicks, nobody.clicks, strict=True))
            ]
        else:
            opens, links = "", []
        addresses = Addresses(
            unsubscribe=f"{settings.tracking_url}/u/{tokens.beginning(_UNSUBSCRIBE)}",
            web_version=f"{settings.usercontent_url}/v/{tokens.beginning(_WEB_VERSION)}",
            preferences=f"{settings.public_url}/p/{tokens.beginning(_PREFERENCES)}",
            open=opens,
            links=links,
            whole=not full,
        )
        return _Fast(tokens, addresses, self._compiled.skeleton(addresses))

    def _filled(self, fast: _Fast, recipient: Recipient, header: str, now: int) -> bytes:
        tokens, addresses, skeleton = fast.tokens, fast.addresses, fast.skeleton
        rests = tokens.rests(recipient.id)
        unsubscribe, web_version = rests.of(_UNSUBSCRIBE), rests.of(_WEB_VERSION)
        preferences = rests.of(_PREFERENCES)
        context = self._compiled.context(
            recipient.email,
            recipient.name,
            recipient.fields,
            addresses.unsubscribe + unsubscribe.decode("ascii"),
            addresses.web_version + web_version.decode("ascii"),
            addresses.preferences + preferences.decode("ascii"),
        )
        known, date = self._date
        if known != now:
            date = structured_header("Date", date_value(datetime.fromtimestamp(now, UTC)))
            self._date = (now, date)
        try:
            return skeleton.fill(
                context,
                Endings(unsubscribe, web_version, *_hits_of(rests, addresses), preferences),
                to=to_header(recipient.email, recipient.name),
                date=date,
                message_id=f"Message-ID: <{header}>\r\n".encode("ascii"),
            )
        except UnsafeHeader as unsafe:
            raise RenderFailed(Problem("header_unsafe", {"header": unsafe.header})) from unsafe

    def _rendered(self, recipient: Recipient, header: str) -> bytes:
        return self._compiled.render(self.person(recipient), message_id=f"<{header}>", date=datetime.now(UTC))


def urls_of(
    signer: Signer,
    settings: Settings,
    compiled: bulk.CompiledCampaign,
    links: Sequence[int],
    project: int,
    campaign: int,
    list_id: int | None,
    subscriber: int | None,
    tracking: str,
) -> bulk.RecipientUrls:
    """The addresses of one person's letter, or web version, one by one. `links` are the stored ones by position."""
    sign = partial(signer.sign, project=project, campaign=campaign)
    base = settings.tracking_url
    opens: str | None = None
    click: Callable[[int], str | None] | None = None
    # A letter that is only counted says in no address of a hit whose it is.
    named = subscriber if tracking == Tracking.FULL else None
    if tracking != Tracking.OFF:
        opens = f"{base}/t/o/{sign(Kind.OPEN, subscriber=named)}"
        to = signer.link_signer(project=project, campaign=campaign, subscriber=named)
        if links and named is not None:
            click = lambda position: f"{base}/t/c/{to(links[position])}"  # noqa: E731
        elif links:
            click = lambda position: (  # noqa: E731
                None if position in compiled.personal_links else f"{base}/t/c/{to(links[position])}"
            )
    return bulk.RecipientUrls(
        unsubscribe=f"{base}/u/{sign(Kind.UNSUBSCRIBE, subscriber=subscriber, list=list_id)}",
        web_version=f"{settings.usercontent_url}/v/{sign(Kind.WEB_VERSION, subscriber=subscriber, list=list_id)}",
        preferences=f"{settings.public_url}/p/{sign(Kind.PREFERENCES, subscriber=subscriber, list=list_id)}",
        open=opens,
        click=click,
    )


def _hits_of(rests: Rests, addresses: Addresses) -> tuple[bytes, Sequence[bytes]]:
    """The endings of the pixel and the links; none where the addresses are whole."""
    return (b"", ()) if addresses.whole else (rests.of(_OPEN), rests.clicks)


@dataclass(frozen=True, slots=True)
class _Fast:
    tokens: LetterTokens
    addresses: Addresses
    skeleton: Skeleton


_OPEN, _UNSUBSCRIBE, _WEB_VERSION, _PREFERENCES = (
    NUMBER[kind] for kind in (Kind.OPEN, Kind.UNSUBSCRIBE, Kind.WEB_VERSION, Kind.PREFERENCES)
)


def source_of(row: dict[str, Any]) -> bulk.CampaignSource:
    """What is compiled, from a `campaign_version` row as a dict."""
    list_part = f"list-{row['list_id']}" if row["list_id"] else "campaigns"
    return bulk.CampaignSource(
        subject=row["subject"],
        html=row["html"],
        text=row["text"],
        preheader=row["preheader"],
        from_email=row["from_email"],
        from_name=row["from_name"],
        reply_to=row["reply_to"],
        list_id=f"{list_part}.{row['project_domain']}",
        list_name=row["list_name"],
        feedback_id=f"{row['campaign_id']}:{row['project_id']}:campaign:mailhub",
        project_name=row["project_name"],
        campaign_name=row["name"],
        postal_address=row["postal_address"],
        language=row["language"],
    )


def facts_of(connection: Connection, project_id: int, campaign_id: int) -> Facts:
    """The facts without the compiled letter: for writing down what somebody else has sent."""
    return _facts(_frozen(connection, project_id, campaign_id)[0])


def _facts(row: dict[str, Any]) -> Facts:
    return Facts(
        project_id=row["project_id"],
        project_domain=row["present_domain"],
        relay=row["relay"],
        from_email=row["from_email"],
        campaign_id=row["campaign_id"],
        campaign_name=row["present_name"],
        list_id=row["list_id"],
        list_name=row["present_list_name"],
        subject=row["subject"],
    )


def _frozen(connection: Connection, project_id: int, campaign_id: int) -> tuple[dict[str, Any], list[int]]:
    binds = {"project_id": project_id, "campaign_id": campaign_id}
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_FROZEN, binds).fetchone()
    assert row is not None, "a campaign that is being sent has a frozen version"
    links = connection.execute(_LINKS, binds).fetchall()
    return row, [link[0] for link in links]


_FROZEN = """
    SELECT v.project_id, v.campaign_id, v.name, v.subject, v.preheader, v.from_email, v.from_name, v.reply_to, v.html,
           v.text, v.language, v.project_name, v.project_domain, v.postal_address, v.list_id, v.list_name, p.relay,
           p.domain AS present_domain, c.name AS present_name, coalesce(l.name, v.list_name) AS present_list_name
    FROM campaign AS c
    JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    JOIN project AS p ON p.id = c.project_id
    LEFT JOIN mailing_list AS l ON l.project_id = v.project_id AND l.id = v.list_id
    WHERE c.project_id = %(project_id)s AND c.id = %(campaign_id)s
"""

_LINKS = """
    SELECT id FROM link WHERE project_id = %(project_id)s AND campaign_id = %(campaign_id)s ORDER BY position
"""


def _attachment(stored: dict[str, Any]) -> Attachment:
    return Attachment(
        stored["filename"],
        stored["content_type"],
        base64.b64decode(stored["content"]),
        stored.get("content_id") or None,
    )
