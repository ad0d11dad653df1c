"""What a rule may ask: the kinds of fields, and which operators each kind knows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mailhub.models import FieldType, SubscriberStatus
from mailhub.web.i18n import _, pgettext

#: A custom field stands in a rule as `fields.<name>`.
CUSTOM = "fields."

MAX_NODES = 50
MAX_TEXT = 500
MAX_CHOICES = 100
MAX_CAMPAIGNS = 20
MAX_LAST = 10
MAX_DAYS = 3660
MAX_ANNIVERSARY_DAYS = 366
MAX_NUMBER = 10**15


class Kind(StrEnum):
    """What a field holds, and so which operators it knows."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    #: One of a column's fixed words.
    STATUS = "status"
    #: A point in time that is always there.
    MOMENT = "moment"
    LIST = "list"
    TAG = "tag"
    ACTIVITY = "activity"
    ENGAGEMENT = "engagement"
    SUPPRESSED = "suppressed"


class Takes(StrEnum):
    """What an operator wants as its value."""

    NOTHING = "nothing"
    TEXT = "text"
    NUMBER = "number"
    NUMBERS = "numbers"
    DATE = "date"
    DATES = "dates"
    DAYS = "days"
    YES_NO = "yes_no"
    CHOICES = "choices"
    IDS = "ids"


class Band(StrEnum):
    """How much a person takes part (mailhub.segments.engagement has the definition)."""

    NEW = "new"
    ACTIVE = "active"
    WARM = "warm"
    COOLING = "cooling"
    ASLEEP = "asleep"
    NEVER = "never"
    UNKNOWN = "unknown"


#: Fields that every project has, in the order in which they are offered.
PROFILE: Mapping[str, Kind] = {
    "email": Kind.TEXT,
    "name": Kind.TEXT,
    "domain": Kind.TEXT,
    "status": Kind.STATUS,
    "source": Kind.TEXT,
    "added": Kind.MOMENT,
}
ACTIVITIES = ("sent", "opened", "clicked", "reacted")
FIXED: Mapping[str, Kind] = {
    **PROFILE,
    "list": Kind.LIST,
    "tag": Kind.TAG,
    **dict.fromkeys(ACTIVITIES, Kind.ACTIVITY),
    "engagement": Kind.ENGAGEMENT,
    "suppressed": Kind.SUPPRESSED,
}

OPERATORS: Mapping[Kind, Mapping[str, Takes]] = {
    Kind.TEXT: {
        "is": Takes.TEXT, "is_not": Takes.TEXT, "contains": Takes.TEXT, "not_contains": Takes.TEXT,
        "starts": Takes.TEXT, "ends": Takes.TEXT, "empty": Takes.NOTHING, "not_empty": Takes.NOTHING,
    },
    Kind.NUMBER: {
        "is": Takes.NUMBER, "is_not": Takes.NUMBER, "greater": Takes.NUMBER, "at_least": Takes.NUMBER,
        "less": Takes.NUMBER, "at_most": Takes.NUMBER, "between": Takes.NUMBERS, "empty": Takes.NOTHING,
        "not_empty": Takes.NOTHING,
    },
    Kind.DATE: {
        "is": Takes.DATE, "before": Takes.DATE, "after": Takes.DATE, "between": Takes.DATES, "last": Takes.DAYS,
        "older": Takes.DAYS, "next": Takes.DAYS, "anniversary": Takes.DAYS, "empty": Takes.NOTHING,
        "not_empty": Takes.NOTHING,
    },
    Kind.MOMENT: {
        "last": Takes.DAYS, "older": Takes.DAYS, "is": Takes.DATE, "before": Takes.DATE, "after": Takes.DATE,
        "between": Takes.DATES,
    },
    Kind.BOOLEAN: {"is": Takes.YES_NO, "empty": Takes.NOTHING, "not_empty": Takes.NOTHING},
    Kind.CHOICE: {
        "any": Takes.CHOICES, "none": Takes.CHOICES, "empty": Takes.NOTHING, "not_empty": Takes.NOTHING,
    },
    Kind.STATUS: {"any": Takes.CHOICES, "none": Takes.CHOICES},
    Kind.LIST: {
        "subscribed": Takes.IDS, "unconfirmed": Takes.IDS, "unsubscribed": Takes.IDS, "not_in": Takes.IDS,
    },
    Kind.TAG: {"any": Takes.IDS, "all": Takes.IDS, "none": Takes.IDS},
    Kind.ACTIVITY: {"did": Takes.NOTHING, "did_not": Takes.NOTHING},
    Kind.ENGAGEMENT: {"any": Takes.CHOICES, "none": Takes.CHOICES},
    Kind.SUPPRESSED: {"is": Takes.YES_NO},
}  # fmt: skip

#: Lists that may be left open: "in any list".
OPEN_LISTS = frozenset({"subscribed", "unconfirmed", "unsubscribed", "not_in"})

OF_TYPE: Mapping[str, Kind] = {
    FieldType.TEXT: Kind.TEXT,
    FieldType.NUMBER: Kind.NUMBER,
    FieldType.DATE: Kind.DATE,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.CHOICE: Kind.CHOICE,
}

#: The words that fixed choices hold, by field.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": tuple(status.value for status in SubscriberStatus),
    "engagement": tuple(band.value for band in Band),
}

FIELD_NAMES: Mapping[str, Any] = {
    "email": _("Address"),
    "name": pgettext("person", "Name"),
    "domain": _("Mail domain"),
    "status": _("Status"),
    "source": pgettext("person", "Source"),
    "added": _("Added"),
    "list": _("List"),
    "tag": _("Tag"),
    "sent": _("Was sent a letter"),
    "opened": _("Opened a letter"),
    "clicked": _("Clicked a link"),
    "reacted": _("Opened or clicked"),
    "engagement": _("Engagement"),
    "suppressed": _("On the stop list"),
}

#: By kind and operator; without a kind, for all.
OPERATOR_NAMES: Mapping[tuple[str, str] | str, Any] = {
    "is": _("is"),
    "is_not": _("is not"),
    "contains": _("contains"),
    "not_contains": _("does not contain"),
    "starts": _("starts with"),
    "ends": _("ends with"),
    "empty": _("is empty"),
    "not_empty": _("is filled in"),
    "greater": _("is greater than"),
    "at_least": _("is at least"),
    "less": _("is less than"),
    "at_most": _("is at most"),
    "between": _("is between"),
    "before": _("is before"),
    "after": _("is after"),
    "last": _("is in the last … days"),
    "older": _("is more than … days ago"),
    "next": _("is in the next … days"),
    "anniversary": _("has its anniversary within … days"),
    "any": _("is any of"),
    "none": _("is none of"),
    "subscribed": _("is subscribed to"),
    "unconfirmed": _("has not confirmed the subscription to"),
    "unsubscribed": _("has left the list"),
    "not_in": _("is not in"),
    ("tag", "any"): _("has any of"),
    ("tag", "all"): _("has all of"),
    ("tag", "none"): _("has none of"),
    "did": _("it happened"),
    "did_not": _("it did not happen"),
}

STATUS_NAMES: Mapping[str, Any] = {
    "active": _("Active"),
    "unsubscribed": _("Has left all lists"),
    "bounced": _("Mail bounces"),
    "complained": _("Has complained"),
}

BAND_NAMES: Mapping[str, Any] = {
    Band.NEW: _("New people"),
    Band.ACTIVE: _("Active readers"),
    Band.WARM: _("Warm"),
    Band.COOLING: _("Cooling down"),
    Band.ASLEEP: _("Asleep"),
    Band.NEVER: _("Never reacted"),
    Band.UNKNOWN: _("Not known yet"),
}


def operator_name(kind: Kind, op: str) -> Any:
    """What an operator of a kind is called."""
    return OPERATOR_NAMES[(kind.value, op) if (kind.value, op) in OPERATOR_NAMES else op]
