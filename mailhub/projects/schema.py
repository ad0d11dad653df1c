"""What the JSON API of sending domains takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from mailhub.mail.domain_records import Record
from mailhub.models import SendingDomain
from mailhub.projects.forms import DomainForm
from mailhub.web.api import utc
from mailhub.web.forms import Form
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX


class DomainIn(DomainForm):
    """A domain that the project writes from: its own or one below it."""


class NothingIn(Form):
    """No fields."""


class DomainsQuery(Form):
    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class RecordOut(BaseModel):
    """A DNS record to publish. `found`: what the last check saw of it; null before the first one."""

    purpose: Literal["dkim_rsa", "dkim_ed25519", "spf", "dmarc"]
    type: Literal["TXT"]
    name: str
    value: str
    required: bool
    found: Literal["ok", "missing", "differs", "unreachable"] | None


class DomainOut(BaseModel):
    """A sending domain. Letters from a `verified` one are signed; `checking`: the DNS is being looked at."""

    id: str
    domain: str
    selector: str
    status: Literal["pending", "verified"]
    checking: bool
    problem: Literal["", "missing", "differs", "unreachable"]
    checked_at: str | None
    created_at: str
    records: list[RecordOut]


def domain_out(row: SendingDomain, records: list[Record]) -> DomainOut:
    """The document of a domain; no private key is ever part of one."""
    return DomainOut.model_validate(
        {
            "id": str(row.id),
            "domain": row.domain,
            "selector": row.selector,
            "status": row.status,
            "checking": row.checking_since is not None,
            "problem": row.problem,
            "checked_at": utc(row.checked_at),
            "created_at": utc(row.created_at),
            "records": [
                {"purpose": record.key, "type": "TXT", "name": record.name, "value": record.value,
                 "required": record.required, "found": row.results.get(record.key)}
                for record in records
            ],
        }
    )  # fmt: skip
