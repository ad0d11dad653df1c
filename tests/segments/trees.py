"""Random trees over a crowd, hostile texts included."""

from __future__ import annotations

import random
from typing import Any

from mailhub.segments.vocabulary import CHOICES, OPERATORS, Kind, Takes
from tests.segments.crowd import DAYS, FIELDS, SIZES, WORDS, Crowd

HOSTILE = [
    "' OR 1=1 --", '"; DROP TABLE subscriber', "%", "_", "\\", "$$", ":project_id", "%(x)s", "{}", "a\nb", "\ufeff",
    "É", "pg_sleep(9)", ")", "/*", "\U0001f600",
]  # fmt: skip
_KINDS = {"email": Kind.TEXT, "name": Kind.TEXT, "domain": Kind.TEXT, "status": Kind.STATUS, "source": Kind.TEXT,
          "added": Kind.MOMENT, "list": Kind.LIST, "tag": Kind.TAG, "sent": Kind.ACTIVITY, "opened": Kind.ACTIVITY,
          "clicked": Kind.ACTIVITY, "reacted": Kind.ACTIVITY, "engagement": Kind.ENGAGEMENT,
          "suppressed": Kind.SUPPRESSED}  # fmt: skip


def tree(rnd: random.Random, crowd: Crowd) -> dict[str, Any]:
    """A valid tree."""
    rules = [group(rnd, crowd) if rnd.random() < 0.3 else leaf(rnd, crowd) for _ in range(rnd.randint(1, 4))]
    return {"match": rnd.choice(["all", "any"]), "rules": rules}


def group(rnd: random.Random, crowd: Crowd) -> dict[str, Any]:
    rules = [leaf(rnd, crowd) for _ in range(rnd.randint(1, 3))]
    return _maybe_not(rnd, {"match": rnd.choice(["all", "any"]), "rules": rules})


def _maybe_not(rnd: random.Random, node: dict[str, Any]) -> dict[str, Any]:
    return node | {"not": True} if rnd.random() < 0.2 else node


def leaf(rnd: random.Random, crowd: Crowd) -> dict[str, Any]:
    """A valid leaf of any kind."""
    name = rnd.choice([*_KINDS, *(f"fields.{one}" for one in FIELDS)])
    kind = _KINDS.get(name) or Kind(FIELDS[name[7:]])
    op, takes = rnd.choice(list(OPERATORS[kind].items()))
    found: dict[str, Any] = {"field": name, "op": op}
    day = [one for one in DAYS if len(one) == 10 and one not in ("2026-02-31",) and one[4] == "-"]
    if takes == Takes.TEXT:
        found["value"] = rnd.choice(
            [word for word in WORDS if word] + HOSTILE[:10] + ["ann1", "mail.test", "7", "true", "1"]
        )
    elif takes == Takes.NUMBER:
        found["value"] = rnd.choice([0, 7, -3, 18.5, 10**14, 0.1])
    elif takes == Takes.NUMBERS:
        found["value"] = sorted(rnd.sample([0, 7, -3, 18.5, 10**14], 2))
    elif takes == Takes.DATE:
        found["value"] = rnd.choice(day)
    elif takes == Takes.DATES:
        found["value"] = sorted(rnd.sample(day, 2))
    elif takes == Takes.DAYS:
        found["value"] = rnd.choice([1, 7, 30, 90, 366])
    elif takes == Takes.YES_NO:
        found["value"] = rnd.random() < 0.5
    elif takes == Takes.CHOICES:
        choices = SIZES if kind == Kind.CHOICE else list(CHOICES[name])
        found["value"] = rnd.sample(choices, rnd.randint(1, len(choices)))
    elif takes == Takes.IDS:
        ids = crowd.lists[:3] if kind == Kind.LIST else crowd.tags
        found["value"] = [str(one) for one in rnd.sample(ids, rnd.randint(0 if kind == Kind.LIST else 1, 3))]
    if kind == Kind.ACTIVITY:
        _narrow(rnd, crowd, found)
    if op == "subscribed" and rnd.random() < 0.5:
        found["days"] = rnd.choice([7, 30, 365])
    return _maybe_not(rnd, found)


def _narrow(rnd: random.Random, crowd: Crowd, found: dict[str, Any]) -> None:
    scope = rnd.choice(["any", "campaigns", "last", "link"])
    if scope == "campaigns":
        found["campaigns"] = [str(one) for one in rnd.sample(list(crowd.campaigns), rnd.randint(1, 3))]
    elif scope == "last":
        found["last"] = rnd.randint(1, 4)
    elif scope == "link" and found["field"] == "clicked":
        found["link"] = str(rnd.choice(list(crowd.links)))
    if scope != "last" and rnd.random() < 0.5:
        found["days"] = rnd.choice([7, 30, 90])
