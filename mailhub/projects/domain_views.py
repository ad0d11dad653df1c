"""The pages of sending domains: the list, a domain with the records to publish, the check."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.mail.address import display_domain
from mailhub.models import SendingDomain
from mailhub.projects import domains
from mailhub.projects.forms import DomainForm
from mailhub.projects.resources import DomainContext
from mailhub.projects.service import ProjectRefused
from mailhub.projects.tasks import check_domain
from mailhub.security import audit
from mailhub.security.context import ProjectContext
from mailhub.security.sealed import sealer_of
from mailhub.web import forms, htmx
from mailhub.web.i18n import _


@view_config(
    route_name="projects.domains", request_method="GET", permission="domains:view", renderer="projects/domains.html"
)
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _index(context, request, {}, {})


@view_config(
    route_name="projects.domains", request_method="POST", permission="domains:edit", renderer="projects/domains.html"
)
def add(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, DomainForm)
    if form.value is not None:
        try:
            row = domains.add_domain(
                request.dbsession, context.project, sealer_of(request.registry.mailhub), domain=form.value.domain
            )
        except ProjectRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            audit.note(request, "domain.added", row, name=row.domain)
            request.notice(_("The domain is there. Publish the records below, then let us look for them."))
            return htmx.redirect(request, domain_url(request, row))
    request.response.status_int = 422
    return _index(context, request, form.values, form.errors)


@view_config(
    route_name="projects.domain", request_method="GET", permission="domains:view", renderer="projects/domain.html"
)
def show(context: DomainContext, request: Request) -> dict[str, Any]:
    return _page(context, request)


@view_config(
    route_name="projects.domain", request_method="GET", hx_target="domain-state", permission="domains:view",
    renderer="projects/_domain_state.html",
)  # fmt: skip
def state(context: DomainContext, request: Request) -> Any:
    version = _version(context.domain)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return _page(context, request)


@view_config(route_name="projects.domain_verify", request_method="POST", permission="domains:edit")
def verify(context: DomainContext, request: Request) -> Response:
    row = context.domain
    domains.ask_check(request.dbsession, row, now=datetime.now(UTC))
    audit.note(request, "domain.check_asked", row, name=row.domain)
    request.enqueue(check_domain, row.project_id, row.id)
    return htmx.redirect(request, domain_url(request, row))


@view_config(route_name="projects.domain_delete", request_method="POST", permission="domains:edit")
def delete(context: DomainContext, request: Request) -> Response:
    row = context.domain
    audit.note(request, "domain.deleted", row, name=row.domain)
    domains.delete_domain(request.dbsession, row)
    request.notice(
        _("${domain} is removed. Letters from it are not signed any more.",
          mapping={"domain": display_domain(row.domain)})
    )  # fmt: skip
    return htmx.redirect(request, request.route_path("projects.domains", project=context.project.slug))


def domain_url(request: Request, row: SendingDomain) -> str:
    return str(request.route_path("projects.domain", project=request.project.slug, domain_id=row.id))


def _index(
    context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    found = domains.sending_domains(request.dbsession, context.project.id)
    return {
        "domains": [(row, display_domain(row.domain)) for row in found],
        "project_domain": display_domain(context.project.domain),
        "values": values,
        "errors": errors,
    }


def _page(context: DomainContext, request: Request) -> dict[str, Any]:
    row, settings = context.domain, request.registry.mailhub
    return {
        "domain": row,
        "shown": display_domain(row.domain),
        "records": domains.records_of(row, settings),
        "return_path_domain": settings.return_path_domain,
        "version": _version(row),
    }


def _version(row: SendingDomain) -> str:
    checked = row.checked_at.timestamp() if row.checked_at else 0
    return f"{'checking' if row.checking_since else row.status}-{checked}"
