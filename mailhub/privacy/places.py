"""Where in the database an address can stand: every text and JSON column of the schema that is not excused here.

It is read from the schema itself: a table that is added tomorrow is searched without a new line. A test asks for a
reason for each column that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, Column, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from mailhub.models import metadata

#: Rows about a person by their number that stay, because numbers are made of them; all others go with the person.
KEPT_BY_NUMBER: Mapping[str, str] = {
    "message": "loses address, subject, tag and reply; its content is deleted",
    "message_event": "loses address, network address, program and detail",
    "campaign_reaction": "numbers only: what makes unique opens and clicks exact",
    "campaign_link_reaction": "numbers only: what makes unique clicks exact",
    "erasure": "the record of the erasure itself: a number and a keyed hash",
}

#: Tables, or columns, in which nothing is looked for, and why.
LEFT_ALONE: Mapping[str, str] = {
    "user_account": "people who sign in are not subscribers: they close their account",
    "sender": "addresses that the project writes from",
    "sending_domain": "domains and keys of the project",
    "project.notify_email": "an address of the project's own",
    "project.slug": "letters and digits",
    "api_key.key_id": "random letters",
    "api_key.scopes": "words of ours",
    "admin_token.key_id": "random letters",
    "audit_entry.actor": "a user's address, who is no subscriber by it",
    "subscriber.email": "of other people: the erased one's row is deleted",
    "subscriber.email_key": "of other people: the erased one's row is deleted",
    "suppression.email_key": "of other people: the erased one's row has a hash instead",
    "global_suppression.email_key": "of other people: the erased one's row has a hash instead",
}


class Deed(StrEnum):
    """What is done to a row in which an address was found."""

    REPLACE = "replace"
    #: The whole text goes: what stands beside the address is about the same person.
    BLANK = "blank"
    DELETE = "delete"


_DEEDS: Mapping[str, Deed] = {
    "import_rejected_row": Deed.BLANK,
    "import_staging": Deed.DELETE,
    "idempotency_key": Deed.DELETE,
    "rate_limit": Deed.DELETE,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A table in which is looked, the columns that can hold a text, and what happens to a row that has one."""

    table: Table
    columns: tuple[Column[Any], ...]
    deed: Deed

    @property
    def key(self) -> Sequence[Column[Any]]:
        """The primary key but for the project, which is given."""
        return [one for one in self.table.primary_key if one.name != "project_id" or not self.by_project]

    @property
    def by_project(self) -> bool:
        return "project_id" in self.table.primary_key.columns

    def is_unique(self, column: Column[Any]) -> bool:
        """Whether two rows may not have the same text there."""
        if column.primary_key or column.unique:
            return True
        return any(column.name in index.columns for index in self.table.indexes if index.unique) or any(
            column.name in constraint.columns
            for constraint in self.table.constraints
            if isinstance(constraint, UniqueConstraint)
        )


def can_hold_text(column: Column[Any]) -> bool:
    """Whether anything that somebody has typed could get into it."""
    if isinstance(column.type, ARRAY):
        return isinstance(column.type.item_type, Text)
    return isinstance(column.type, Text | JSONB)


def has_given_words(column: Column[Any]) -> bool:
    """Whether a CHECK keeps it inside words of ours."""
    return any(
        isinstance(constraint, CheckConstraint) and str(constraint.sqltext).startswith(f"{column.name} IN ('")
        for constraint in column.table.constraints
    )


def places() -> list[Place]:
    """Every table with a column to look into, in the schema's order."""
    found = []
    for table in metadata.sorted_tables:
        columns = tuple(one for one in table.columns if can_hold_text(one) and not is_excused(one))
        if columns:
            found.append(Place(table, columns, _DEEDS.get(table.name, Deed.REPLACE)))
    return found


def is_excused(column: Column[Any]) -> bool:
    """Whether nothing is looked for in it, for a reason."""
    name = column.table.name
    return name in LEFT_ALONE or f"{name}.{column.name}" in LEFT_ALONE or has_given_words(column)


def tables_of_people() -> list[Table]:
    """Tables whose rows go with their person, by `subscriber_id`; where a foreign key does it, it is done again."""
    return [
        table
        for table in metadata.sorted_tables
        if {"project_id", "subscriber_id"} <= set(table.columns.keys()) and table.name not in KEPT_BY_NUMBER
    ]
