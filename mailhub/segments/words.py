"""A segment in a sentence, rule by rule, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal
from pyramid.i18n import Localizer, make_localizer

from mailhub.segments.catalog import Catalog
from mailhub.segments.tree import Group, Leaf, Tree
from mailhub.segments.vocabulary import BAND_NAMES, CUSTOM, FIELD_NAMES, STATUS_NAMES, Kind
from mailhub.web.i18n import DOMAIN, _

#: So many names of lists, tags or campaigns stand in a sentence; of the others it says how many there are.
MOST_NAMES = 5
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


@lru_cache(maxsize=1)
def english() -> Localizer:
    """What the JSON API speaks."""
    return make_localizer("en", [])


def in_words(tree: Tree, catalog: Catalog, localizer: Localizer | None = None) -> str:
    """The whole segment as one sentence."""
    speaker = Speaker(catalog, localizer or english())
    clauses = [speaker.group(one) if isinstance(one, Group) else speaker.leaf(one) for one in tree.rules]
    if len(clauses) == 1:
        return speaker.say(_("People for whom this holds: ${rule}."), rule=clauses[0])
    text = (
        _("People for whom all of this holds: ${rules}.")
        if tree.match == "all"
        else _("People for whom any of this holds: ${rules}.")
    )
    return speaker.say(text, rules="; ".join(clauses))


class Speaker:
    """Says rules in one language, with the names of one project."""

    def __init__(self, catalog: Catalog, localizer: Localizer) -> None:
        self._catalog = catalog
        self._localizer = localizer
        self._language = localizer.locale_name

    def say(self, text: Any, **mapping: Any) -> str:
        """The text in the language; what the mapping gives stands there as it is."""
        translated: str = self._localizer.translate(text, domain=DOMAIN)
        # At one go: what a field or a list is called may look like a placeholder itself.
        return _PLACEHOLDER.sub(lambda found: str(mapping.get(found[1], found[0])), translated)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The form for a number, with the number in it."""
        text: str = self._localizer.pluralize(singular, plural, n, domain=DOMAIN)
        return text.replace("${n}", self.number(n))

    def number(self, value: int | Decimal) -> str:
        return str(format_decimal(value, locale=self._language))

    def day(self, value: date) -> str:
        return str(format_date(value, format="long", locale=self._language))

    def group(self, group: Group) -> str:
        """A group in brackets."""
        clauses = [self.leaf(one) for one in group.rules]
        joint = self.say(_(" and ")) if group.match == "all" else self.say(_(" or "))
        inside = clauses[0] if len(clauses) == 1 else f"({joint.join(clauses)})"
        return self.say(_("not so: ${rule}"), rule=inside) if group.negated else inside

    def leaf(self, leaf: Leaf) -> str:
        """A rule, as a part of a sentence."""
        text = self._kinds[leaf.kind](self, leaf)
        return self.say(_("not so: ${rule}"), rule=text) if leaf.negated else text

    def name_of(self, field: str) -> str:
        """What a field is called."""
        if field.startswith(CUSTOM):
            custom = self._catalog.fields.get(field[len(CUSTOM) :])
            return self.say(_("“${name}”"), name=custom.label if custom is not None else field[len(CUSTOM) :])
        return self.say(_FIELDS.get(field, FIELD_NAMES[field]))

    def _quoted(self, names: Iterable[str]) -> str:
        found = list(names)
        shown = ", ".join(self.say(_("“${name}”"), name=name) for name in found[:MOST_NAMES])
        left = len(found) - MOST_NAMES
        if left <= 0:
            return shown
        ngettext = self.ngettext
        return f"{shown} {ngettext('and ${n} more', 'and ${n} more', left)}"

    def _text(self, leaf: Leaf) -> str:
        return self.say(_TEXT[leaf.op], field=self.name_of(leaf.field), value=leaf.value)

    def _number(self, leaf: Leaf) -> str:
        field = self.name_of(leaf.field)
        if isinstance(leaf.value, tuple):
            low, high = (self.number(one) for one in leaf.value)
            return self.say(_("${field} is between ${low} and ${high}"), field=field, low=low, high=high)
        shown = self.number(leaf.value) if isinstance(leaf.value, Decimal) else ""
        return self.say(_NUMBER[leaf.op], field=field, value=shown)

    def _date(self, leaf: Leaf) -> str:
        ngettext, field, value = self.ngettext, self.name_of(leaf.field), leaf.value
        if isinstance(value, tuple):
            low, high = (self.day(one) for one in value)
            return self.say(_("${field} is between ${low} and ${high}"), field=field, low=low, high=high)
        if isinstance(value, date):
            return self.say(_DATE[leaf.op], field=field, value=self.day(value))
        if not isinstance(value, int):
            return self.say(_TEXT[leaf.op], field=field)
        match leaf.op:
            case "last":
                text = ngettext("${field} is in the last ${n} day", "${field} is in the last ${n} days", value)
            case "older":
                text = ngettext("${field} is more than ${n} day ago", "${field} is more than ${n} days ago", value)
            case "next":
                text = ngettext("${field} is in the next ${n} day", "${field} is in the next ${n} days", value)
            case _ if value == 0:
                text = self.say(_("the anniversary of ${field} is today"))
            case _:
                text = ngettext(
                    "the anniversary of ${field} is within ${n} day",
                    "the anniversary of ${field} is within ${n} days",
                    value,
                )
        return text.replace("${field}", field)

    def _yes_no(self, leaf: Leaf) -> str:
        if leaf.op != "is":
            return self._text(leaf)
        text = _("${field} is yes") if leaf.value else _("${field} is no")
        return self.say(text, field=self.name_of(leaf.field))

    def _choice(self, leaf: Leaf) -> str:
        if not isinstance(leaf.value, tuple):
            return self._text(leaf)
        names: Mapping[str, Any] = {"status": STATUS_NAMES, "engagement": BAND_NAMES}.get(leaf.field, {})
        shown = self._quoted(self.say(names[one]) if one in names else one for one in leaf.value)
        if len(leaf.value) == 1:
            text = _("${field} is ${values}") if leaf.op == "any" else _("${field} is not ${values}")
        else:
            text = _("${field} is one of ${values}") if leaf.op == "any" else _("${field} is none of ${values}")
        return self.say(text, field=self.name_of(leaf.field), values=shown)

    def _list(self, leaf: Leaf) -> str:
        ids = leaf.value if isinstance(leaf.value, tuple) else ()
        names = self._quoted(self._catalog.lists.get(one, str(one)) for one in ids)
        text = self.say(_LISTS[leaf.op, min(len(ids), 2)], lists=names)
        if leaf.days is None:
            return text
        ngettext = self.ngettext
        joined = ngettext("${what}, for ${n} day at most", "${what}, for ${n} days at most", leaf.days)
        return joined.replace("${what}", text)

    def _tag(self, leaf: Leaf) -> str:
        assert isinstance(leaf.value, tuple)
        names = self._quoted(self._catalog.tags.get(one, str(one)) for one in leaf.value)
        return self.say(_TAGS[leaf.op, min(len(leaf.value), 2)], tags=names)

    def _activity(self, leaf: Leaf) -> str:
        text = self.say(_ACTIVITY[leaf.field, leaf.op])
        ngettext = self.ngettext
        if leaf.link is not None:
            link = self._catalog.links.get(leaf.link)
            shown = (link.label or link.url) if link is not None else str(leaf.link)
            scope = self.say(_("the link ${link}"), link=self._quoted([shown]))
        elif leaf.last is not None:
            scope = ngettext("the last campaign", "any of the last ${n} campaigns", leaf.last)
        elif leaf.campaigns:
            names = self._quoted(self._catalog.campaigns.get(one, str(one)) for one in leaf.campaigns)
            one_only = len(leaf.campaigns) == 1
            scope = self.say(
                _("the campaign ${campaigns}") if one_only else _("any of the campaigns ${campaigns}"), campaigns=names
            )
        else:
            scope = self.say(_("any campaign"))
        return self._when(f"{text} ({scope})", leaf.days)

    def _when(self, text: str, days: int | None) -> str:
        if days is None:
            return text
        ngettext = self.ngettext
        return ngettext("${what} in the last ${n} day", "${what} in the last ${n} days", days).replace("${what}", text)

    def _suppressed(self, leaf: Leaf) -> str:
        return self.say(
            _("the address is on the stop list") if leaf.value else _("the address is not on the stop list")
        )

    _kinds: Mapping[Kind, Any] = {
        Kind.TEXT: _text,
        Kind.NUMBER: _number,
        Kind.DATE: _date,
        Kind.MOMENT: _date,
        Kind.BOOLEAN: _yes_no,
        Kind.CHOICE: _choice,
        Kind.STATUS: _choice,
        Kind.ENGAGEMENT: _choice,
        Kind.LIST: _list,
        Kind.TAG: _tag,
        Kind.ACTIVITY: _activity,
        Kind.SUPPRESSED: _suppressed,
    }


#: What a field is called inside a sentence.
_FIELDS: Mapping[str, Any] = {
    "email": _("the address"),
    "name": _("the name"),
    "domain": _("the mail domain"),
    "status": _("the status"),
    "source": _("the source"),
    "added": _("the day of joining"),
    "engagement": _("the engagement"),
}
_TEXT: Mapping[str, Any] = {
    "is": _("${field} is “${value}”"),
    "is_not": _("${field} is not “${value}”"),
    "contains": _("${field} contains “${value}”"),
    "not_contains": _("${field} does not contain “${value}”"),
    "starts": _("${field} starts with “${value}”"),
    "ends": _("${field} ends with “${value}”"),
    "empty": _("${field} is empty"),
    "not_empty": _("${field} is filled in"),
}
_NUMBER: Mapping[str, Any] = {
    "is": _("${field} is ${value}"),
    "is_not": _("${field} is not ${value}"),
    "greater": _("${field} is greater than ${value}"),
    "at_least": _("${field} is at least ${value}"),
    "less": _("${field} is less than ${value}"),
    "at_most": _("${field} is at most ${value}"),
    "empty": _TEXT["empty"],
    "not_empty": _TEXT["not_empty"],
}
_DATE: Mapping[str, Any] = {
    "is": _("${field} is ${value}"),
    "before": _("${field} is before ${value}"),
    "after": _("${field} is after ${value}"),
}
#: By operator and how many lists there are: none (any list), one, several.
_LISTS: Mapping[tuple[str, int], Any] = {
    ("subscribed", 0): _("subscribed to any list"),
    ("subscribed", 1): _("subscribed to the list ${lists}"),
    ("subscribed", 2): _("subscribed to any of the lists ${lists}"),
    ("unconfirmed", 0): _("has not confirmed a subscription to some list"),
    ("unconfirmed", 1): _("has not confirmed the subscription to the list ${lists}"),
    ("unconfirmed", 2): _("has not confirmed the subscription to any of the lists ${lists}"),
    ("unsubscribed", 0): _("has left some list"),
    ("unsubscribed", 1): _("has left the list ${lists}"),
    ("unsubscribed", 2): _("has left any of the lists ${lists}"),
    ("not_in", 0): _("in no list"),
    ("not_in", 1): _("not in the list ${lists}"),
    ("not_in", 2): _("in none of the lists ${lists}"),
}
_TAGS: Mapping[tuple[str, int], Any] = {
    ("any", 1): _("has the tag ${tags}"),
    ("any", 2): _("has any of the tags ${tags}"),
    ("all", 1): _("has the tag ${tags}"),
    ("all", 2): _("has all of the tags ${tags}"),
    ("none", 1): _("does not have the tag ${tags}"),
    ("none", 2): _("has none of the tags ${tags}"),
}
_ACTIVITY: Mapping[tuple[str, str], Any] = {
    ("sent", "did"): _("was sent a letter"),
    ("sent", "did_not"): _("was not sent a letter"),
    ("opened", "did"): _("opened a letter"),
    ("opened", "did_not"): _("did not open a letter"),
    ("clicked", "did"): _("clicked a link"),
    ("clicked", "did_not"): _("did not click a link"),
    ("reacted", "did"): _("opened a letter or clicked a link"),
    ("reacted", "did_not"): _("neither opened a letter nor clicked a link"),
}
