"""A project's sending domains: keys made here, published by their owner in the DNS, looked for by a task."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mailhub.mail.address import InvalidAddress, ascii_domain, display_domain
from mailhub.mail.dkim import PrivateKey, generate_keys, private_bytes, public_text
from mailhub.mail.domain_records import DKIM_RSA, Found, Record, records
from mailhub.models import DomainStatus, Project, SendingDomain
from mailhub.models.sending_domain import keys_about
from mailhub.projects.service import ProjectRefused
from mailhub.security.sealed import CannotOpen, Sealer
from mailhub.settings import Settings
from mailhub.web.i18n import _

MAX_DOMAINS = 50

Keys = tuple[PrivateKey, PrivateKey]


def sending_domains(dbsession: Session, project_id: int) -> Sequence[SendingDomain]:
    """A project's sending domains by name."""
    return dbsession.scalars(
        select(SendingDomain).where(SendingDomain.project_id == project_id).order_by(SendingDomain.domain)
    ).all()


def add_domain(
    dbsession: Session, project: Project, sealer: Sealer, *, domain: str, keys: Keys | None = None
) -> SendingDomain:
    """A new domain, not verified yet, with new keys unless some are given. Raises ProjectRefused.

    Making the keys takes 50–300 ms.
    """
    try:
        name = ascii_domain(domain.strip())
    except InvalidAddress:
        raise ProjectRefused(_("This is not a domain like example.com."), "domain") from None
    if name != project.domain and not name.endswith("." + project.domain):
        raise ProjectRefused(
            _("This project writes from ${domain} and its subdomains only.",
              mapping={"domain": display_domain(project.domain)}),
            "domain",
        )  # fmt: skip
    mine = SendingDomain.project_id == project.id
    if dbsession.scalar(select(SendingDomain.id).where(mine, SendingDomain.domain == name)) is not None:
        raise ProjectRefused(_("This domain is there already."), "domain")
    if (dbsession.scalar(select(func.count()).select_from(SendingDomain).where(mine)) or 0) >= MAX_DOMAINS:
        raise ProjectRefused(_("A project has at most ${n} domains.", mapping={"n": MAX_DOMAINS}), "domain")
    rsa, ed25519 = keys or generate_keys()
    about = keys_about(project.id, name)
    row = SendingDomain(
        project_id=project.id,
        domain=name,
        # Its own for every row, so that a domain that is removed and added again does not meet its old key in caches.
        selector=f"mh{secrets.token_hex(4)}",
        rsa_private=sealer.seal(private_bytes(rsa), about),
        rsa_public=public_text(rsa),
        ed25519_private=sealer.seal(private_bytes(ed25519), about),
        ed25519_public=public_text(ed25519),
        status=DomainStatus.PENDING,
        results={},
    )
    try:
        with dbsession.begin_nested():
            dbsession.add(row)
    except IntegrityError:
        raise ProjectRefused(_("This domain is there already."), "domain") from None
    return row


def delete_domain(dbsession: Session, row: SendingDomain) -> None:
    """Forget a domain and its keys: letters from it are not signed any more."""
    dbsession.delete(row)
    dbsession.flush()


def ask_check(dbsession: Session, row: SendingDomain, *, now: datetime) -> None:
    """A check is wanted; the caller enqueues `tasks.check_domain`."""
    row.checking_since = now
    dbsession.flush()


def seal_again(dbsession: Session, sealer: Sealer, *, limit: int = 100) -> int:
    """Seal with the newest secret key what an older one has sealed; gives how many domains.

    What can't be opened at all is left as it is.
    """
    done = 0
    for row in dbsession.scalars(select(SendingDomain).order_by(SendingDomain.id).with_for_update(skip_locked=True)):
        if done >= limit or (sealer.is_current(row.rsa_private) and sealer.is_current(row.ed25519_private)):
            continue
        about = keys_about(row.project_id, row.domain)
        try:
            keys = [sealer.open(sealed, about) for sealed in (row.rsa_private, row.ed25519_private)]
        except CannotOpen:
            continue
        row.rsa_private, row.ed25519_private = (sealer.seal(key, about) for key in keys)
        done += 1
    dbsession.flush()
    return done


def records_of(row: SendingDomain, settings: Settings) -> list[Record]:
    """What is to be published for a domain."""
    return records(
        row.domain, row.selector, rsa=row.rsa_public, ed25519=row.ed25519_public,
        return_path_domain=settings.return_path_domain,
    )  # fmt: skip


def settle_check(row: SendingDomain, found: dict[str, str], *, now: datetime) -> None:
    """Write down what a check found. A DNS that does not answer takes nothing away from a domain."""
    result = found[DKIM_RSA]
    row.checking_since = None
    row.checked_at = now
    row.problem = "" if result == Found.OK else result
    if result == Found.UNREACHABLE:
        row.results = {**found, **{key: old for key, old in row.results.items() if found.get(key) == result}}
        return
    row.results = found
    row.status = DomainStatus.VERIFIED if result == Found.OK else DomainStatus.PENDING
