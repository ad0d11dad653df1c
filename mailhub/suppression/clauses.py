"""Who is on a stop list now, as SQL over `Subscriber`: for a few people a condition, for a million a join.

Four things stop an address: the project's own entry, the operator's entry for the address, the operator's entry for its
domain or a domain above it, and the keyed hash of somebody who was erased, in either list. The last two cost something
per person, so they are looked at only where there is such an entry at all.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Select, and_, func, literal, or_, select, union
from sqlalchemy.orm import Session, aliased

from mailhub.models import GlobalSuppression, Subscriber, Suppression, SuppressionReason
from mailhub.security import address_hash

_Entry = type[Suppression] | type[GlobalSuppression]


def in_force(entry: _Entry) -> ColumnElement[bool]:
    """The entry has not run out."""
    return or_(entry.expires_at.is_(None), entry.expires_at > func.now())


def suppressed_clause(project_id: int) -> ColumnElement[bool]:
    """Whether the `Subscriber` of the statement is on a stop list. For many people at once `StopList` is faster."""
    everywhere = select(1).select_from(GlobalSuppression).where(in_force(GlobalSuppression)).correlate(Subscriber)
    own = select(1).select_from(Suppression).where(Suppression.project_id == project_id).correlate(Subscriber)
    above = func.domain_and_parents(Subscriber.email_domain)
    hashes = [_hash(key) for key in address_hash.known_keys()]
    return or_(
        own.where(Suppression.email_key == Subscriber.email_key, in_force(Suppression)).exists(),
        everywhere.where(GlobalSuppression.email_key == Subscriber.email_key).exists(),
        and_(_any_domain(), everywhere.where(GlobalSuppression.domain == func.any(above)).exists()),
        and_(
            _any_hash(project_id),
            or_(
                own.where(Suppression.email_hash.in_(hashes), in_force(Suppression)).exists(),
                everywhere.where(GlobalSuppression.email_hash.in_(hashes)).exists(),
            ),
        ),
    )


class StopList:
    """Everything that stops people of a project, to be joined to a SELECT that has `Subscriber`.

    Joins only: each list is read once, whatever its size, and one without entries is not joined at all: that is asked
    when the StopList is made. Measured in docs/benchmarks.md (Stop lists).
    """

    def __init__(self, dbsession: Session, project_id: int) -> None:
        self._project_id = project_id
        self._own = aliased(Suppression)
        everywhere = aliased(GlobalSuppression)
        addresses, domains, hashes = dbsession.execute(
            select(
                select(1).where(GlobalSuppression.email_key.is_not(None)).exists(),
                _any_domain(),
                _any_hash(project_id),
            )
        ).one()
        #: What is joined: the table, how, and the column that is there for whoever is stopped.
        self._joins: list[tuple[Any, ColumnElement[bool], ColumnElement[Any]]] = []
        if addresses:
            same = and_(everywhere.email_key == Subscriber.email_key, in_force(everywhere))
            self._joins.append((everywhere, same, _column(everywhere.id)))
        if domains:
            stopped = _stopped_domains(project_id)
            self._joins.append((stopped, stopped.c.email_domain == Subscriber.email_domain, stopped.c.email_domain))
        if hashes:
            for key in address_hash.known_keys():
                kept = _stopped_hashes(project_id)
                self._joins.append((kept, kept.c.email_hash == _hash(key), kept.c.email_hash))

    def join(self, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """The statement with the lists beside its people, of whom each stays once."""
        own = self._own
        statement = statement.outerjoin(
            own, and_(own.project_id == self._project_id, own.email_key == Subscriber.email_key, in_force(own))
        )
        for table, condition, _found in self._joins:
            statement = statement.outerjoin(table, condition)
        return statement

    @property
    def unsubscribed(self) -> ColumnElement[bool]:
        """The entry says that the person has unsubscribed."""
        return self._own.reason == SuppressionReason.UNSUBSCRIBED

    @property
    def stopped(self) -> ColumnElement[bool]:
        """The person is on some list."""
        return or_(self._own.id.is_not(None), *(found.is_not(None) for _table, _condition, found in self._joins))


def _column(attribute: Any) -> ColumnElement[Any]:
    column: ColumnElement[Any] = attribute
    return column


def _hash(key: bytes) -> ColumnElement[bytes]:
    return func.sha256(literal(key, LargeBinary).op("||")(func.convert_to(Subscriber.email_key, "UTF8")))


def _any_domain() -> ColumnElement[bool]:
    """Whether the operator stops any domain. Asked once a statement."""
    entry = aliased(GlobalSuppression)
    return select(select(1).where(entry.domain.is_not(None)).exists()).correlate(None).scalar_subquery()


def _any_hash(project_id: int) -> ColumnElement[bool]:
    """Whether anybody was erased, here or everywhere. Asked once a statement."""
    own, everywhere = aliased(Suppression), aliased(GlobalSuppression)
    return (
        select(
            or_(
                select(1).where(own.project_id == project_id, own.email_hash.is_not(None)).exists(),
                select(1).where(everywhere.email_hash.is_not(None)).exists(),
            )
        )
        .correlate(None)
        .scalar_subquery()
    )


def _stopped_domains(project_id: int) -> Any:
    """Domains of the project's people that are stopped. Their different domains are few, so each is looked at once."""
    person = aliased(Subscriber)
    domains = select(person.email_domain).where(person.project_id == project_id).distinct().subquery("domains")
    found = select(domains.c.email_domain).where(
        select(1)
        .select_from(GlobalSuppression)
        .where(
            GlobalSuppression.domain == func.any(func.domain_and_parents(domains.c.email_domain)),
            in_force(GlobalSuppression),
        )
        .correlate(domains)
        .exists()
    )
    return found.cte("stopped_domains").prefix_with("MATERIALIZED")


def _stopped_hashes(project_id: int) -> Any:
    """The hashes of the erased; one that is in both lists is there once."""
    own, everywhere = aliased(Suppression), aliased(GlobalSuppression)
    return union(
        select(own.email_hash.label("email_hash")).where(
            own.project_id == project_id, own.email_hash.is_not(None), in_force(own)
        ),
        select(everywhere.email_hash).where(everywhere.email_hash.is_not(None), in_force(everywhere)),
    ).subquery()
