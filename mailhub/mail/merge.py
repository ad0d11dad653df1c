"""The merge vocabulary (which names a letter may use) and the places of merge expressions in a source.

Names: STANDARD ones, `project.name` and its like, every custom field by its own name, and `subscriber.<name>` as a
synonym of each. Standard names win over a custom field of the same name: nobody can overwrite `unsubscribe_url`.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

UNSUBSCRIBE_NAMES = frozenset({"unsubscribe_url"})
# Links to ourselves: each recipient's own, never tracked, because a tracked unsubscribe link could fail with tracking.
OWN_URL_NAMES = frozenset({"unsubscribe_url", "web_version_url", "preferences_url"})
STANDARD_NAMES = frozenset({"email", "name", "first_name"}) | OWN_URL_NAMES
GROUPS: dict[str, frozenset[str]] = {
    "project": frozenset({"name", "address"}),
    "campaign": frozenset({"name", "subject"}),
    "list": frozenset({"name"}),
}
# Names of Jinja and Python that must not be taken for fields; names beginning with `_` are refused as well.
RESERVED_NAMES = frozenset(
    {"self", "super", "caller", "varargs", "kwargs", "true", "false", "none", "loop", "subscriber"}
)
INTERNAL_PREFIX = "mh_"

_OPENERS = re.compile(r"\{\{|\{%|\{##")
_CLOSER = {"{{": "}}", "{%": "%}", "{##": "##}"}
MASK = "\ue000"


def expressions(source: str) -> list[tuple[int, int]]:
    """The half-open spans of `{{ … }}`, `{% … %}` and `{## … ##}`; an opener without its closer is no expression.

    Linear in the length of the source whatever it holds: a closer that was not found is not looked for again.
    """
    spans: list[tuple[int, int]] = []
    missing: set[str] = set()
    position = 0
    while opener := _OPENERS.search(source, position):
        closer = _CLOSER[opener.group()]
        end = -1 if closer in missing else source.find(closer, opener.end())
        if end < 0:
            missing.add(closer)
            position = opener.end()
        else:
            position = end + len(closer)
            spans.append((opener.start(), position))
    return spans


def mask(source: str) -> str:
    """The source with every merge expression overwritten by as many MASK characters: positions stay the same."""
    pieces: list[str] = []
    position = 0
    for start, end in expressions(source):
        pieces += (source[position:start], MASK * (end - start))
        position = end
    return "".join((*pieces, source[position:]))


def is_known(dotted: str, fields: Collection[str] | None) -> bool:
    """Whether a used name (`city`, `subscriber.city`, `project.name`) exists; `fields` None means any custom field."""
    root, _, rest = dotted.partition(".")
    if root in GROUPS and (fields is None or root not in fields):
        return rest in GROUPS[root]
    if root == "subscriber":
        root = rest.partition(".")[0]
        if not root:
            return False
    return root in STANDARD_NAMES or fields is None or root in fields


def field_of(dotted: str) -> str:
    """The field behind a used name: `subscriber.city` and `city` are both `city`."""
    return dotted.removeprefix("subscriber.")


def merge_context(
    *,
    email: str,
    name: str,
    fields: Mapping[str, Any],
    unsubscribe_url: str,
    web_version_url: str,
    preferences_url: str = "",
    groups: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """What a letter can be filled with, for one recipient. An empty `preferences_url` falls back to unsubscribing."""
    own = {
        "email": email,
        "name": name or fields.get("name") or "",
        "first_name": fields.get("first_name") or (name.split() or [""])[0],
        "unsubscribe_url": unsubscribe_url,
        "web_version_url": web_version_url,
        "preferences_url": preferences_url or unsubscribe_url,
    }
    subscriber = {**fields, **own}
    return {**groups, **subscriber, "subscriber": subscriber}
