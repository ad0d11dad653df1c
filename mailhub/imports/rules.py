"""What happens with the people of a file: which lists, which status, what becomes of those who are known already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mailhub.models import SubscriptionStatus


@dataclass(frozen=True)
class Rules:
    """The rules of an import. `subscriber_import.rules` keeps them as JSON, `import_list` the lists.

    `status` is given to those who join: subscribed, or unconfirmed, and then they are asked by a letter to confirm.
    `update`: whether names and fields of people who are known are taken from the file. `tags` are names, given to
    everybody in the file. `consent_source` says in the importer's words where the consent comes from. `strict`: a
    value that is none of its field's type costs the row; else only the value is left out.
    """

    status: str = SubscriptionStatus.SUBSCRIBED
    update: bool = True
    tags: tuple[str, ...] = ()
    consent_source: str = ""
    strict: bool = True

    @property
    def asks(self) -> bool:
        """Whether people have to confirm by a letter."""
        return self.status == SubscriptionStatus.UNCONFIRMED

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"tags": list(self.tags)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rules:
        """What `as_json` gave; an older import has none of it."""
        known = {name: value[name] for name in ("status", "update", "consent_source", "strict") if name in value}
        return cls(**known, tags=tuple(value.get("tags", ())))
