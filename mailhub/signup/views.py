"""Pages of forms for the project's people: all of them, one with its numbers, what came in, code for other sites."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.lists import sign_up
from mailhub.lists.queries import list_choices
from mailhub.models import MailingList, SubmissionState, Subscriber, Subscription, SubscriptionStatus
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.signup import embed, results, service
from mailhub.signup.opened import opened, page_url, token_of
from mailhub.signup.resources import FormContext, SubmissionContext
from mailhub.web import htmx, sheets
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url

_COLUMNS = ("day", "views", "submits", "confirmations")


@view_config(route_name="signup.index", request_method="GET", renderer="signup/index.html", permission="lists:view")
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    last = results.today_of(context.project, datetime.now(UTC))
    return {
        "forms": results.forms(request.dbsession, context.project.id, last=last, count=results.DEFAULT),
        "has_lists": bool(list_choices(request.dbsession, project_id=context.project.id)),
        "count": results.DEFAULT,
    }


@view_config(route_name="signup.form", request_method="GET", renderer="signup/form.html", permission="lists:view")
@view_config(route_name="signup.form", request_method="GET", hx_target="form-results", permission="lists:view",
             renderer="signup/_form_results.html")  # fmt: skip
def show(context: FormContext, request: Request) -> dict[str, Any]:
    """The form's numbers in a period, by day and by site."""
    count = results.period_of(request.GET.get("days"))
    last = results.today_of(context.project, datetime.now(UTC))
    days = results.days(request.dbsession, context.form, last=last, count=count)
    found = opened(request.dbsession, context.project, context.form)
    return {
        "form": context.form,
        "opened": found,
        "url": page_url(request, context.form),
        "count": count,
        "periods": results.PERIODS,
        "days": days,
        "total": results.total(days),
        "sites": results.sites(request.dbsession, context.form, last=last, count=count),
    }


@view_config(route_name="signup.form_csv", request_method="GET", permission="lists:view")
def days_csv(context: FormContext, request: Request) -> Response:
    count = results.period_of(request.GET.get("days"))
    last = results.today_of(context.project, datetime.now(UTC))
    days = results.days(request.dbsession, context.form, last=last, count=count)
    rows = (
        (one.day.isoformat(), one.numbers.views, one.numbers.submits, one.numbers.confirmations) for one in days
    )
    return sheets.answer(f"{context.project.slug}-form-{context.form.id}-{last}.csv", (_COLUMNS, *rows))


@view_config(route_name="signup.form_share", request_method="GET", renderer="signup/share.html",
             permission="lists:view")  # fmt: skip
def share(context: FormContext, request: Request) -> dict[str, Any]:
    """The page's address, and code for other sites."""
    found = opened(request.dbsession, context.project, context.form, token=token_of(request, context.form))
    url = page_url(request, context.form)
    home = request.registry.mailhub.public_url.rstrip("/")
    return {
        "form": context.form,
        "url": url,
        "origin": home,
        "plain": embed.plain(request, found, url),
        "scripted": embed.scripted(request, found, url),
        "fetched": embed.fetched(found, url),
    }


@view_config(route_name="signup.form_submissions", request_method="GET", renderer="signup/submissions.html",
             permission="subscribers:view")  # fmt: skip
@view_config(route_name="signup.form_submissions", request_method="GET", hx_target="submission-rows",
             renderer="signup/_submission_rows.html", permission="subscribers:view")  # fmt: skip
def submissions(context: FormContext, request: Request) -> dict[str, Any]:
    state = request.GET.get("state", "")
    states = [one.value for one in SubmissionState]
    state = state if state in states else ""
    page = results.submissions(
        request.dbsession, context.form, state=state, after=request.GET.get("after"), limit=PAGE_SIZE
    )
    return {
        "form": context.form,
        "page": page,
        "state": state,
        "states": states,
        "next": next_url(request, page),
        "first": first_url(request),
    }


@view_config(route_name="signup.submission_ask", request_method="POST", permission="subscribers:edit")
def ask_again(context: SubmissionContext, request: Request) -> Any:
    """Send the confirmation letter once more, within the same caps as everybody's."""
    row = context.submission
    person = request.dbsession.get(Subscriber, (row.project_id, row.subscriber_id)) if row.subscriber_id else None
    lists = _unconfirmed(request, row.list_ids, person) if person is not None else []
    if row.state != SubmissionState.ASKED or person is None or not lists:
        request.notice(_("There is nothing to confirm any more."), "bad")
    elif sign_up.ask_to_confirm(
        request, context.project, lists[0], person, others=lists[1:], submission_id=row.id,
        language=context.form.language,
    ):  # fmt: skip
        note(request, "form.asked_again", context.form, name=context.form.name, subscriber_id=person.id)
        request.notice(_("Another confirmation letter is on its way."))
    else:
        request.notice(_("This address has had its confirmation letter today. Try again tomorrow."), "bad")
    return htmx.redirect(request, _to(request, context, "signup.form_submissions"))


def _unconfirmed(request: Request, list_ids: list[int], person: Subscriber) -> list[MailingList]:
    found = []
    for list_id in list_ids:
        now = request.dbsession.get(Subscription, (person.project_id, list_id, person.id))
        one = request.dbsession.get(MailingList, (person.project_id, list_id))
        if one is not None and one.archived_at is None and (
            now is not None and now.status == SubscriptionStatus.UNCONFIRMED
        ):
            found.append(one)
    return found


@view_config(route_name="signup.form_copy", request_method="POST", permission="lists:edit")
def copy(context: FormContext, request: Request) -> Any:
    name = request.localizer.translate(_("${name} (copy)", mapping={"name": context.form.name}))[:120]
    try:
        made = service.copy(request.dbsession, context.form, name=name, user_id=request.user.id)
    except service.NoSuchList:
        request.notice(_("A list of this form is archived: choose others first."), "bad")
        return htmx.redirect(request, _to(request, context, "signup.form_edit"))
    except service.TooManyForms:
        request.notice(_("The project has too many forms already."), "bad")
        return htmx.redirect(request, _to(request, context, "signup.form"))
    note(request, "form.created", made, name=made.name, copy_of=context.form.id)
    request.notice(_("The form has been copied. This is the copy."))
    return htmx.redirect(
        request, request.route_path("signup.form_edit", project=context.project.slug, form_id=made.id)
    )


@view_config(route_name="signup.form_pause", request_method="POST", permission="lists:edit")
def pause(context: FormContext, request: Request) -> Any:
    if service.pause(request.dbsession, context.form):
        note(request, "form.paused", context.form, name=context.form.name)
    request.notice(_("The form is paused: its page says that signing up is not possible at the moment."))
    return htmx.redirect(request, _to(request, context, "signup.form"))


@view_config(route_name="signup.form_resume", request_method="POST", permission="lists:edit")
def resume(context: FormContext, request: Request) -> Any:
    if service.resume(request.dbsession, context.form):
        note(request, "form.resumed", context.form, name=context.form.name)
    request.notice(_("The form is open again."))
    return htmx.redirect(request, _to(request, context, "signup.form"))


@view_config(route_name="signup.form_archive", request_method="POST", permission="lists:edit")
def archive(context: FormContext, request: Request) -> Any:
    try:
        service.archive(request.dbsession, context.form)
    except service.FixedList:
        request.notice(_("This is a list's own page: make the list private instead."), "bad")
        return htmx.redirect(request, _to(request, context, "signup.form"))
    note(request, "form.archived", context.form, name=context.form.name)
    request.notice(_("The form “${name}” has been archived; its page is gone.", mapping={"name": context.form.name}))
    return htmx.redirect(request, request.route_path("signup.index", project=context.project.slug))


def _to(request: Request, context: FormContext, route: str) -> str:
    return str(request.route_path(route, project=context.project.slug, form_id=context.form.id))
