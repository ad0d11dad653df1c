"""The declarative base: naming convention, column shorthands, and the enum CHECK."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Base(DeclarativeBase):
    """Every table's base class."""

    metadata = metadata
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Text, int: BigInteger, datetime: DateTime(timezone=True)}


#: The object's number: unique over the whole table, so that a composite key can begin with the project.
RowId = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
#: The tenant's part of a composite key.
ProjectId = Annotated[int, mapped_column(BigInteger, primary_key=True, autoincrement=False)]
Now = Annotated[datetime, mapped_column(server_default=text("now()"))]
Updated = Annotated[datetime, mapped_column(server_default=text("now()"), onupdate=text("now()"))]


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """A CHECK that keeps a text column inside a StrEnum's values."""
    allowed = ", ".join(f"'{member.value}'" for member in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)
