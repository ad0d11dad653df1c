"""Pages about people's data: who was erased and who is being, many at once; a person's data, a person's end."""

from __future__ import annotations

import re
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.lists.resources import SubscriberContext
from mailhub.mail.address import InvalidAddress
from mailhub.models import ErasureState, ErasureWay, User
from mailhub.privacy import bundle, service
from mailhub.privacy.forms import ConfirmForm, ManyForm
from mailhub.privacy.resources import ErasureContext
from mailhub.privacy.tasks import erase_due
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.security.sealed import sealer_of
from mailhub.web import forms, htmx, paging
from mailhub.web.i18n import _

_BETWEEN = re.compile(r"[\s,;]+")


@view_config(
    route_name="privacy.index", request_method="GET", permission="subscribers:erase", renderer="privacy/index.html"
)
@view_config(
    route_name="privacy.index", request_method="GET", permission="subscribers:erase", hx_target="erasure-rows",
    renderer="privacy/_erasure_rows.html",
)  # fmt: skip
def index(context: ProjectContext, request: Request) -> Any:
    values = _listed(context, request)
    if htmx.is_fragment(request) and htmx.unchanged(request, values["version"]):
        return htmx.not_modified(values["version"])
    return {**values, **_lookup(context, request), "values": {}, "errors": {}}


def _listed(context: ProjectContext, request: Request) -> dict[str, Any]:
    after = paging.read_cursor(request.GET.get("after"), int)
    page = paging.page_of(
        service.recent(
            request.dbsession, context.project.id, most=paging.PAGE_SIZE + 1,
            before=after[0] if after is not None else None,
        ),
        paging.PAGE_SIZE,
        lambda row: (row.id,),
    )  # fmt: skip
    rows = page.rows
    names = {one.asked_by for one in rows if one.asked_by is not None}
    users = request.dbsession.query(User.id, User.email).filter(User.id.in_(names)) if names else ()
    version = "-".join(f"{one.id}.{one.state}" for one in rows)
    return {
        "erasures": rows,
        "users": {row.id: row.email for row in users},
        "live": any(one.state in (ErasureState.ERASING, ErasureState.FOLLOWING) for one in rows),
        "version": f"{version}-{page.next}-{request.locale_name}",
        "next": paging.next_url(request, page),
        "first": paging.first_url(request),
    }


def _lookup(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Whether the address that somebody asks about was erased."""
    asked = request.GET.get("email", "").strip()[:320]
    if not asked:
        return {"asked": "", "found": None, "unreadable": False}
    try:
        found = service.erased_before(request.dbsession, context.project.id, asked)
    except InvalidAddress:
        return {"asked": asked, "found": None, "unreadable": True}
    return {"asked": asked, "found": found, "unreadable": False}


@view_config(
    route_name="privacy.index", request_method="POST", permission="subscribers:erase", renderer="privacy/index.html"
)
def erase_many(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, ManyForm)
    emails = [one for one in _BETWEEN.split(form.value.emails if form.value is not None else "") if one]
    if form.value is not None and len(emails) > service.MOST_AT_ONCE:
        form.refuse("emails", _("At most ${n} are possible.", mapping={"n": service.MOST_AT_ONCE}))
    if form.value is not None:
        with request.dbsession.begin_nested() as savepoint:
            asked = service.ask_many(
                request.dbsession, sealer_of(request.registry.mailhub), project_id=context.project.id, emails=emails,
                way=ErasureWay.MANY, user_id=request.user.id,
            )  # fmt: skip
            if asked.refused:
                savepoint.rollback()
        if asked.refused:
            shown = ", ".join(asked.refused[:5])
            form.refuse("emails", _("These are no addresses, and nothing was erased: ${what}", mapping={"what": shown}))
    if form.value is None:
        request.response.status_int = 422
        return {**_listed(context, request), **_lookup(context, request), "values": form.values, "errors": form.errors}
    note(request, "person.erasures_asked", n=len(asked.erasures))
    request.enqueue(erase_due)
    request.notice(_("Addresses that are being erased: ${n}.", mapping={"n": len(asked.erasures) + asked.known}))
    return htmx.redirect(request, _index(request))


@view_config(route_name="privacy.withdraw", request_method="POST", permission="subscribers:erase")
def withdraw(context: ErasureContext, request: Request) -> Response:
    if service.withdraw(request.dbsession, project_id=context.project.id, erasure_id=context.erasure.id):
        note(request, "person.erasure_withdrawn", context.erasure)
        request.notice(_("The person will not be erased."))
    else:
        request.notice(_("It is too late: the person has been erased."), "bad")
    return htmx.redirect(request, _index(request))


@view_config(route_name="privacy.person_export", request_method="GET", permission="subscribers:view")
def person_export(context: SubscriberContext, request: Request) -> Response:
    """Everything about a person as a ZIP. That it was taken is noted."""
    note(request, "person.exported", context.subscriber)
    return bundle.as_zip(request, context.project, context.subscriber)


@view_config(
    route_name="privacy.person_erase", request_method="GET", permission="subscribers:erase",
    renderer="privacy/person_erase.html",
)  # fmt: skip
def ask(context: SubscriberContext, request: Request) -> dict[str, Any]:
    return {"person": context.subscriber, "values": {}, "errors": {}}


@view_config(
    route_name="privacy.person_erase", request_method="POST", permission="subscribers:erase",
    renderer="privacy/person_erase.html",
)  # fmt: skip
def erase(context: SubscriberContext, request: Request) -> Any:
    person = context.subscriber
    form = forms.read(request, ConfirmForm)
    if form.value is not None and form.value.email.casefold() not in (person.email_key, person.email.casefold()):
        form.refuse("email", _("This is not the person's address."))
    if form.value is None:
        request.response.status_int = 422
        return {"person": person, "values": form.values, "errors": form.errors}
    erasure, _new = service.ask(
        request.dbsession, sealer_of(request.registry.mailhub), project_id=context.project.id, person=person,
        way=ErasureWay.PAGE, user_id=request.user.id,
    )  # fmt: skip
    # At once, not by the worker: the next page must not show them any more.
    service.take_out(request.dbsession, sealer_of(request.registry.mailhub), context.project.id, erasure.id)
    note(request, "person.erasure_asked", erasure)
    request.enqueue(erase_due)
    request.notice(_("The person has been erased. Their last traces go within minutes."))
    return htmx.redirect(request, _index(request))


def _index(request: Request) -> str:
    return str(request.route_path("privacy.index", project=request.project.slug))
