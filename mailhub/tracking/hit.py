"""A hit as it stands in a spool: one line with a checksum, enough to become an event without the request."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mailhub.mail.agents import class_of
from mailhub.mail.tokens import Claims

#: Longer user agents are cut.
MAX_AGENT = 300
#: `detail` of a hit that a browser or a proxy made ahead of its reader.
PREFETCH = "prefetch"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class BadHit(ValueError):
    """A line that is not a hit of ours: torn, flipped, or of another version."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as the request says. A `private` one (Sec-GPC) has no address in an open's event."""

    ip: str | None
    user_agent: str = ""
    prefetches: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """An open or a click: `type` is an EventType, `at` the moment of the request, in UTC."""

    type: str
    at: datetime
    project: int
    campaign: int | None = None
    subscriber: int | None = None
    link: int | None = None
    message: UUID | None = None
    url: str = ""
    ip: str | None = None
    user_agent: str = ""
    detail: str = ""


def is_nameless(claims: Claims) -> bool:
    """Whether the token is of a letter that is only counted: it is the same in the letters of many people."""
    return claims.subscriber is None and claims.message is None


def nameless(hit: Hit) -> Hit:
    """What may be kept of a hit that must say of nobody: what happened, when, with what kind of program.

    A single letter's links are its own, so that one of them would tell who: of such a click only that it was one.
    """
    alone = hit.campaign is None
    return replace(
        hit, subscriber=None, message=None, ip=None, user_agent=class_of(hit.user_agent),
        link=None if alone else hit.link, url="" if alone else hit.url,
    )  # fmt: skip


def hit_of(type_: str, at: float, claims: Claims, visitor: Visitor, *, url: str = "") -> Hit:
    """The hit of a genuine token; `at` is in seconds since 1970."""
    assert claims.project is not None
    hit = Hit(
        type_,
        _EPOCH + timedelta(seconds=at),
        claims.project,
        claims.campaign,
        claims.subscriber,
        claims.link,
        claims.message,
        url,
        visitor.ip,
        visitor.user_agent[:MAX_AGENT],
        PREFETCH if visitor.prefetches else "",
    )
    return nameless(hit) if is_nameless(claims) else hit


def encode(hit: Hit) -> bytes:
    """The line: eight hexadecimal digits of CRC-32, a space, a JSON array in ASCII, a line feed. 6 µs."""
    microseconds = (hit.at - _EPOCH) // _MICROSECOND
    message = None if hit.message is None else hit.message.hex
    body = json.dumps(
        (hit.type, microseconds, hit.project, hit.campaign, hit.subscriber, hit.link, message, hit.url, hit.ip,
         hit.user_agent, hit.detail),
        separators=(",", ":"),
    ).encode("ascii")  # fmt: skip
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> Hit:
    """The hit of a line without its line feed; raises BadHit."""
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise BadHit("the checksum is wrong")
    try:
        type_, at, project, campaign, subscriber, link, message, url, ip, user_agent, detail = json.loads(body)
        return Hit(
            type_, _EPOCH + timedelta(microseconds=at), project, campaign, subscriber, link,
            None if message is None else UUID(message), url, ip, user_agent, detail,
        )  # fmt: skip
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise BadHit(f"not a hit: {error}") from None
