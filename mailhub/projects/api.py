"""Sending domains over the JSON API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request

from mailhub.models import SendingDomain
from mailhub.projects import domains
from mailhub.projects.resources import DomainContext
from mailhub.projects.schema import DomainIn, DomainOut, DomainsQuery, NothingIn, domain_out
from mailhub.projects.service import ProjectRefused
from mailhub.projects.tasks import check_domain
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.security.sealed import sealer_of
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


@endpoint("api.domains", "GET", permission="domains:view", summary="The project's sending domains, by id",
          query=DomainsQuery, answer=DomainOut, many=True)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, DomainsQuery)
    after = read_cursor(query.after, int)
    rows = sorted(domains.sending_domains(request.dbsession, context.project.id), key=lambda row: row.id)
    left = [row for row in rows if after is None or row.id > after[0]]
    page = page_of(left[: query.limit + 1], query.limit, lambda row: (row.id,))
    return {"results": [_out(request, row) for row in page.rows], "next": next_url(request, page)}


@endpoint("api.domains", "POST", permission="domains:edit", summary="Add a sending domain; its keys are made here",
          body=DomainIn, answer=DomainOut, status=201)  # fmt: skip
def add(context: ProjectContext, request: Request) -> DomainOut:
    given = forms.read_json(request, DomainIn)
    try:
        row = domains.add_domain(
            request.dbsession, context.project, sealer_of(request.registry.mailhub), domain=given.domain
        )
    except ProjectRefused as refusal:
        raise ApiProblem(422, refusal.message, [FieldProblem(refusal.field, refusal.message)]) from None
    note(request, "domain.added", row, name=row.domain)
    request.dbsession.refresh(row)
    return _out(request, row)


@endpoint("api.domain", "GET", permission="domains:view", summary="A sending domain and its records", answer=DomainOut)
def show(context: DomainContext, request: Request) -> DomainOut:
    return _out(request, context.domain)


@endpoint("api.domain", "DELETE", permission="domains:edit", summary="Remove a sending domain and its keys", status=204)
def delete(context: DomainContext, request: Request) -> None:
    note(request, "domain.deleted", context.domain, name=context.domain.domain)
    domains.delete_domain(request.dbsession, context.domain)


@endpoint("api.domain_verify", "POST", permission="domains:edit", summary="Look for the domain's DNS records",
          body=NothingIn, answer=DomainOut, status=202)  # fmt: skip
def verify(context: DomainContext, request: Request) -> DomainOut:
    forms.read_json(request, NothingIn)
    row = context.domain
    domains.ask_check(request.dbsession, row, now=datetime.now(UTC))
    note(request, "domain.check_asked", row, name=row.domain)
    request.enqueue(check_domain, row.project_id, row.id)
    return _out(request, row)


def _out(request: Request, row: SendingDomain) -> DomainOut:
    return domain_out(row, domains.records_of(row, request.registry.mailhub))
