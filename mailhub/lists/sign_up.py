"""Signing up by a list's own page: who is let in at once, who is asked to confirm, and how often.

The caps are those of walls.md, T9: the confirmation letter itself is what list bombs are made of, so an address gets
few of them whatever the number of lists, and the page says the same to everybody.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import Any

from pyramid.request import Request

from mailhub.lists import letters, service
from mailhub.mail.address import Address, parse_address
from mailhub.mail.lane import provider_lane
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.models import (
    MailingList,
    OptIn,
    Project,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
    Visibility,
)
from mailhub.web import limits

#: Nobody fills a form faster than this; the form is shown once more.
MIN_FILL_SECONDS = 0.5
#: An older form is shown again: its stamp may have been kept to be used by a program.
MAX_FORM_SECONDS = 24 * 3600

DAY = 24 * 3600


def form_url(request: Request, mailing_list: MailingList) -> str:
    """The list's own sign-up page; its token never expires and cannot be guessed from another's."""
    token = request.registry.signer.sign(Kind.FORM, project=mailing_list.project_id, list=mailing_list.id)
    return letters.public_url(request, "lists.sign_up", token=token)


def read_token(request: Request, kind: Kind) -> Claims | None:
    """The claims of the token in the URL; None if it is not a good one of this kind."""
    try:
        claims: Claims = request.registry.signer.read(kind, request.matchdict["token"], now=int(time.time()))
    except BadToken:
        return None
    return claims


def list_of(request: Request, claims: Claims) -> tuple[Project, MailingList] | None:
    """The project and list of a token; None where one is archived or gone."""
    found: MailingList | None = request.dbsession.get(MailingList, (claims.project, claims.list))
    project: Project | None = request.dbsession.get(Project, claims.project) if found is not None else None
    if found is None or project is None or found.archived_at is not None or project.archived_at is not None:
        return None
    return project, found


def is_open(mailing_list: MailingList) -> bool:
    """Whether strangers may sign up by the list's page."""
    return mailing_list.visibility == Visibility.PUBLIC


def stamp(request: Request, now: float | None = None) -> str:
    """When a form was shown, signed: milliseconds and a MAC."""
    millis = str(int((time.time() if now is None else now) * 1000))
    return f"{millis}.{_mac(request, millis)}"


def stamp_age(request: Request, given: str) -> float | None:
    """Seconds since the form was shown; None if the stamp is not ours."""
    millis, _, mac = given.partition(".")
    if not millis.isascii() or not millis.isdigit() or len(millis) > 16:
        return None
    if not hmac.compare_digest(mac.encode(), _mac(request, millis).encode()):
        return None
    return time.time() - int(millis) / 1000


def _mac(request: Request, millis: str) -> str:
    key: str = request.registry.mailhub.secret_key
    return hmac.new(key.encode(), b"sign-up:" + millis.encode(), hashlib.sha256).hexdigest()[:32]


def wait_for_ip(request: Request) -> int:
    """Five forms a minute from one network address (an IPv6 /64); the seconds to wait, or 0."""
    key = f"sign_up.ip:{_network(request.client_addr)}"
    return limits.take(request.registry, key, burst=5, per_seconds=60)


def _network(ip: str | None) -> str:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return address.exploded[:19]
    return str(address)


def sign_up(request: Request, project: Project, mailing_list: MailingList, *, email: str, name: str) -> None:
    """Take a stranger's wish to get the list. What happened is not told: the page answers the same to everybody.

    Single opt-in subscribes at once, unless the person had left: then, and for double opt-in, they are asked to
    confirm. Suppressed addresses get nothing.
    """
    dbsession = request.dbsession
    address = parse_address(email)
    if service.is_suppressed(dbsession, project_id=project.id, email_key=address.key):
        return
    known = service.find_by_address(dbsession, project_id=project.id, address=address)
    if known is not None and known.status in (SubscriberStatus.BOUNCED, SubscriberStatus.COMPLAINED):
        return
    now_in_list = _status_in(dbsession, mailing_list, known)
    if now_in_list == SubscriptionStatus.SUBSCRIBED and known is not None and known.status == SubscriberStatus.ACTIVE:
        return
    has_left = now_in_list == SubscriptionStatus.UNSUBSCRIBED or (
        known is not None and known.status == SubscriberStatus.UNSUBSCRIBED
    )
    at_once = mailing_list.opt_in == OptIn.SINGLE and not has_left
    if not at_once and not _may_ask(request, project, mailing_list, address):
        return
    # Nobody can change the name of a person who is known already by filling in a public form.
    person = known
    if person is None:
        person = service.upsert_subscriber(
            dbsession, project_id=project.id, email=address.email, name=name, source="form"
        ).subscriber
    if not has_left:
        service.subscribe(
            dbsession,
            project_id=project.id,
            subscriber_id=person.id,
            list_id=mailing_list.id,
            status=SubscriptionStatus.SUBSCRIBED if at_once else SubscriptionStatus.UNCONFIRMED,
            source="form",
            ip=request.client_addr,
            user_agent=request.user_agent or "",
        )
    elif now_in_list is None:
        _keep_wish(dbsession, mailing_list, person, request.client_addr)
    if at_once:
        letters.send_notice(request, project, mailing_list, person)
    else:
        letters.send_confirmation(request, project, mailing_list, person)


def _status_in(dbsession: Any, mailing_list: MailingList, person: Subscriber | None) -> str | None:
    if person is None:
        return None
    row = dbsession.get(Subscription, (mailing_list.project_id, mailing_list.id, person.id))
    return row.status if row is not None else None


def _keep_wish(dbsession: Any, mailing_list: MailingList, person: Subscriber, ip: str | None) -> None:
    """Somebody who has left everything asks for a list that is new to them: unconfirmed until they confirm."""
    dbsession.add(
        Subscription(
            project_id=mailing_list.project_id,
            list_id=mailing_list.id,
            subscriber_id=person.id,
            status=SubscriptionStatus.UNCONFIRMED,
            source="form",
            ip=ip,
        )
    )
    dbsession.flush()


def ask_to_confirm(request: Request, project: Project, mailing_list: MailingList, person: Subscriber) -> None:
    """Send a confirmation letter to somebody whom the project itself has put into a double opt-in list."""
    if _may_ask(request, project, mailing_list, parse_address(person.email), by_form=False):
        letters.send_confirmation(request, project, mailing_list, person)


def _may_ask(
    request: Request, project: Project, mailing_list: MailingList, address: Address, *, by_form: bool = True
) -> bool:
    """The caps on confirmation letters, over all projects. A cap that is reached is silent."""
    who = hashlib.sha256(_canonical(address).encode()).hexdigest()[:24]
    caps = [
        (f"sign_up.pair:{who}:{mailing_list.id}", 1, DAY),
        (f"sign_up.address:{who}", 3, DAY),
    ]
    if by_form:
        caps.append((f"sign_up.project:{project.id}", 200, 3600))
    if by_form and provider_lane(address.domain) == "other":
        caps.append((f"sign_up.domain:{address.domain}", 10, 60))
    if any(limits.wait_seconds(request.registry, key, burst=n, per_seconds=s) for key, n, s in caps):
        return False
    return not any(limits.take(request.registry, key, burst=n, per_seconds=s) for key, n, s in caps)


def _canonical(address: Address) -> str:
    """One mailbox has many spellings: a plus and what follows it, and Gmail's dots, do not make another victim."""
    local, _, domain = address.key.partition("@")
    local = local.partition("+")[0] or local
    if provider_lane(domain) == "gmail":
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def confirm(request: Request, project: Project, mailing_list: MailingList, claims: Claims) -> bool:
    """The button of the confirmation page. False: the link is worth nothing any more."""
    assert claims.subscriber is not None
    assert claims.expires is not None
    # Tokens keep their end in whole hours, rounded up: the letter is up to an hour older than this.
    asked_at = datetime.fromtimestamp(claims.expires - letters.CONFIRM_SECONDS, UTC)
    done = service.confirm(
        request.dbsession,
        project_id=project.id,
        subscriber_id=claims.subscriber,
        list_id=mailing_list.id,
        asked_at=asked_at,
        ip=request.client_addr,
        user_agent=request.user_agent or "",
    )
    if done:
        person = request.dbsession.get_one(Subscriber, (project.id, claims.subscriber))
        letters.send_notice(request, project, mailing_list, person)
    return done is not None
