"""Whether a person still wants letters, by what a file says: a column `status` of our exports and of others'.

A list that is carried from one sender to another must not bring back those who have left it there.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Standing(StrEnum):
    """`UNKNOWN` is any other word: it says nothing against the person."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNKNOWN = ""


#: In lower case, without anything but letters, ё written as е. The words are those of our own exports, of Mailchimp,
#: Klaviyo, listmonk, Mautic, UniSender and SendPulse, and what people write.
_WORDS = {
    Standing.ACTIVE: "active subscribed confirmed enabled new optedin optin sub "
    "активен активный активна подписан подписана подписчик подтвержден подтвержденный новый",
    Standing.UNCONFIRMED: "unconfirmed notconfirmed pending waiting doubleoptinpending invited "
    "неподтвержден неподтвержденный ожидает ожидаетподтверждения неподтверждено",
    Standing.UNSUBSCRIBED: "unsubscribed unsubscribe unsub optedout optout cancelled canceled left inactive disabled "
    "nonsubscribed neversubscribed notsubscribed suppressed blocked blacklisted blocklisted donotemail donotcontact "
    "removed deleted отписан отписана отписался отписалась отписавшийся отписка неактивен неактивный неактивна "
    "заблокирован исключен удален вчерномсписке неподписан",
    Standing.BOUNCED: "bounced bounce hardbounce hardbounced softbounced cleaned invalid undeliverable undelivered "
    "error недоставлено недоставляется недоступен ошибка ошибкадоставки несуществует",
    Standing.COMPLAINED: "complained complaint complaints spam spamcomplaint spamreport abuse "
    "жалоба пожаловался пожаловалась жалобанаспам спам",
}
_MEANT = {word: standing for standing, words in _WORDS.items() for word in words.split()}
_NO_LETTERS = re.compile(r"[\W\d_]+")


@lru_cache(maxsize=1_000)
def standing_of(cell: str) -> Standing:
    """What a cell says; of a few different ones in a million rows."""
    return _MEANT.get(_NO_LETTERS.sub("", cell).lower().replace("ё", "е"), Standing.UNKNOWN)
