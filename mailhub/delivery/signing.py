"""Who signs a letter: the project's domain that its sender writes from, and the operator's own."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from mailhub import logs
from mailhub.delivery.database import Connection, Database
from mailhub.mail.dkim import BadKey, DkimKey, Signer, load_private
from mailhub.mail.domain_records import DKIM_ED25519, ED25519_SUFFIX, Found
from mailhub.models.sending_domain import keys_about
from mailhub.security.sealed import CannotOpen, sealer_of
from mailhub.settings import Settings

log = logs.get(__name__)

#: Single letters ask for their project's domains again after this time.
KEPT_SECONDS = 60
KEPT_PROJECTS = 200

_DOMAINS = """
    SELECT project_id, id, domain, selector, rsa_private, ed25519_private, results
    FROM sending_domain
    WHERE project_id = %(project_id)s AND status = 'verified'
"""


@dataclass(frozen=True, slots=True)
class Domain:
    """A verified sending domain, its keys still sealed."""

    project_id: int
    id: int
    domain: str
    selector: str
    rsa_private: bytes
    ed25519_private: bytes
    results: dict[str, Any]


def domains_of(connection: Connection, project_id: int) -> list[Domain]:
    """A project's verified domains."""
    with connection.cursor(row_factory=class_row(Domain)) as cursor:
        return cursor.execute(_DOMAINS, {"project_id": project_id}).fetchall()


class Signers:
    """Makes the signers of letters. Private keys stay in memory, and nowhere else."""

    def __init__(self, settings: Settings) -> None:
        self._sealer = sealer_of(settings)
        self._own = operators_key(settings)
        self._opened: dict[tuple[int, int], list[DkimKey]] = {}
        self._kept: OrderedDict[int, tuple[float, list[Domain]]] = OrderedDict()

    def of(self, domains: Sequence[Domain], from_email: str) -> Signer:
        """Signs for the verified domain that fits the sender best, if one does, and for the operator."""
        keys: list[DkimKey] = []
        if (fitting := best_fit(domains, from_email)) is not None:
            keys += self._keys(fitting)
        if self._own is not None:
            keys.append(self._own)
        return Signer(keys)

    def of_single(self, database: Database, project_id: int, from_email: str) -> Signer:
        """The same for a single letter: the project's domains are at most KEPT_SECONDS old."""
        kept = self._kept.get(project_id)
        now = time.monotonic()
        if kept is None or now - kept[0] > KEPT_SECONDS:
            kept = now, database.statement(lambda connection: domains_of(connection, project_id))
            self._kept[project_id] = kept
            self._kept.move_to_end(project_id)
            while len(self._kept) > KEPT_PROJECTS:
                self._kept.popitem(last=False)
        return self.of(kept[1], from_email)

    def _keys(self, row: Domain) -> list[DkimKey]:
        place = (row.project_id, row.id)
        if place not in self._opened:
            if len(self._opened) >= KEPT_PROJECTS:
                self._opened.clear()
            self._opened[place] = self._open(row)
        keys = self._opened[place]
        # A signature whose key is not published counts as a failed one at verifiers that know Ed25519.
        return keys if row.results.get(DKIM_ED25519) == Found.OK else keys[:1]

    def _open(self, row: Domain) -> list[DkimKey]:
        about = keys_about(row.project_id, row.domain)
        try:
            return [
                DkimKey(row.domain, row.selector, load_private(self._sealer.open(row.rsa_private, about))),
                DkimKey(
                    row.domain,
                    row.selector + ED25519_SUFFIX,
                    load_private(self._sealer.open(row.ed25519_private, about)),
                ),
            ]
        except (CannotOpen, BadKey) as failure:
            # The letters go out without the signature: the owner sees it at the receivers, we see it here.
            log.warning("dkim.cannot_open", project_id=row.project_id, domain_id=row.id, error=type(failure).__name__)
            return []


def best_fit(domains: Sequence[Domain], from_email: str) -> Domain | None:
    """The domain of the sender's address, else the nearest above it: both are aligned for DMARC (RFC 9989)."""
    host = from_email.rpartition("@")[2].lower()
    fitting = [row for row in domains if host == row.domain or host.endswith("." + row.domain)]
    return max(fitting, key=lambda row: len(row.domain), default=None)


def operators_key(settings: Settings) -> DkimKey | None:
    """The key of `mailhub.dkim.*`, if there is one; raises BadKey."""
    if not settings.dkim_domain:
        return None
    return DkimKey(
        settings.dkim_domain, settings.dkim_selector, load_private(settings.dkim_private_key.encode())
    )
