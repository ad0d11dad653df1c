"""Forms and what came in by them over the JSON API."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from pyramid.request import Request
from sqlalchemy import select

from mailhub.models import FormState, SignUpForm, SignUpFormList, SignUpSubmission
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.signup import intake, results, service, submitting
from mailhub.signup.answers import document_name
from mailhub.signup.opened import opened, page_url
from mailhub.signup.resources import FormContext
from mailhub.signup.results import Came
from mailhub.signup.schema import (
    DaysQuery,
    FormDayOut,
    FormIn,
    FormOut,
    FormPatch,
    FormsQuery,
    SubmissionIn,
    SubmissionOut,
    SubmissionsQuery,
    form_out,
    submission_out,
)
from mailhub.signup.tasks import take_in
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


@endpoint("api.forms", "GET", permission="lists:view", summary="The project's sign-up forms", query=FormsQuery,
          answer=FormOut, many=True)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, FormsQuery)
    wanted = select(SignUpForm).where(SignUpForm.project_id == context.project.id, SignUpForm.archived_at.is_(None))
    place = read_cursor(query.after, int)
    if place is not None:
        wanted = wanted.where(SignUpForm.id > place[0])
    rows = list(request.dbsession.scalars(wanted.order_by(SignUpForm.id).limit(query.limit + 1)))
    page = page_of(rows, query.limit, lambda row: (row.id,))
    lists: dict[int, list[int]] = {row.id: [] for row in page.rows}
    of_these = (
        select(SignUpFormList.form_id, SignUpFormList.list_id)
        .where(SignUpFormList.project_id == context.project.id, SignUpFormList.form_id.in_(lists))
        .order_by(SignUpFormList.position)
    )
    for form_id, list_id in request.dbsession.execute(of_these):
        lists[form_id].append(list_id)
    results_ = [form_out(row, url=page_url(request, row), list_ids=lists[row.id]) for row in page.rows]
    return {"results": results_, "next": next_url(request, page)}


@endpoint("api.forms", "POST", permission="lists:edit", summary="Make a sign-up form, open at once", body=FormIn,
          answer=FormOut, status=201)  # fmt: skip
def create(context: ProjectContext, request: Request) -> FormOut:
    given = forms.read_json(request, FormIn)
    values = given.model_dump(exclude={"lists", "design"})
    try:
        made = service.create(
            request.dbsession, project_id=context.project.id, list_ids=given.lists, design=given.design, **values
        )
    except service.NoSuchList:
        raise _no_such_list() from None
    except service.TooManyForms:
        raise ApiProblem(409, _("The project has too many forms already.")) from None
    note(request, "form.created", made, name=made.name, opt_in=made.opt_in)
    return _out(request, made)


@endpoint("api.form", "GET", permission="lists:view", summary="A sign-up form", answer=FormOut)
def show(context: FormContext, request: Request) -> FormOut:
    return _out(request, context.form)


@endpoint("api.form", "PATCH", permission="lists:edit", summary="Change a form, pause it or open it again",
          body=FormPatch, answer=FormOut)  # fmt: skip
def change(context: FormContext, request: Request) -> FormOut:
    given = forms.read_json(request, FormPatch)
    changes = given.model_dump(exclude={"lists", "design", "state"}, exclude_none=True)
    try:
        service.update(request.dbsession, context.form, list_ids=given.lists, design=given.design, **changes)
    except service.NoSuchList:
        raise _no_such_list() from None
    except service.FixedList:
        message = _("This is a list's own page: it has that list and no other.")
        raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem("lists", message)]) from None
    if given.state is FormState.PAUSED:
        service.pause(request.dbsession, context.form)
    elif given.state is FormState.ACTIVE:
        service.resume(request.dbsession, context.form)
    note(request, "form.changed", context.form, name=context.form.name, fields=sorted(given.model_fields_set))
    request.dbsession.refresh(context.form)
    return _out(request, context.form)


@endpoint("api.form", "DELETE", permission="lists:edit", summary="Archive a form; its page is gone", status=204)
def archive(context: FormContext, request: Request) -> None:
    try:
        service.archive(request.dbsession, context.form)
    except service.FixedList:
        raise ApiProblem(409, _("This is a list's own page: make the list private instead.")) from None
    note(request, "form.archived", context.form, name=context.form.name)


@endpoint("api.form_submissions", "GET", permission="subscribers:view", query=SubmissionsQuery, answer=SubmissionOut,
          many=True, summary="What came in by a form, the newest first")  # fmt: skip
def submissions(context: FormContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, SubmissionsQuery)
    page = results.submissions(
        request.dbsession, context.form, state=query.state or "", after=query.after, limit=query.limit
    )
    return {"results": [submission_out(row) for row in page.rows], "next": next_url(request, page)}


@endpoint("api.form_submissions", "POST", permission="subscribers:edit", body=SubmissionIn, answer=SubmissionOut,
          summary="Send a form for somebody who has filled in one of yours", status=202)  # fmt: skip
def submit(context: FormContext, request: Request) -> SubmissionOut:
    """No stamp and no work: the key answers for it. The caps on letters hold as for everybody."""
    given = forms.read_json(request, SubmissionIn)
    if context.form.state != FormState.ACTIVE:
        raise ApiProblem(409, _("The form is paused."))
    found = opened(request.dbsession, context.project, context.form)
    sent = submitting.checked(
        request, found, email=given.email, name=given.name, answers=given.fields, ticked=given.consents,
        list_ids=given.lists,
    )  # fmt: skip
    if given.ip and not _is_ip(given.ip):
        sent.errors["ip"] = _("This is not right.")
    if sent.given is None or sent.errors:
        faults = [FieldProblem(document_name(name), message) for name, message in sent.errors.items()]
        raise ApiProblem(422, _("Some fields are wrong."), faults)
    theirs = replace(sent.given, ip=given.ip or None, user_agent=given.user_agent, host="")
    made = intake.accept(request, context.form, theirs, stamp_key=None)
    assert made is not None
    request.enqueue(take_in, context.project.id, made)
    row = request.dbsession.get_one(SignUpSubmission, (context.project.id, made))
    return submission_out(Came(row, None))


@endpoint("api.form_days", "GET", permission="stats:view", query=DaysQuery, answer=FormDayOut, many=True,
          summary="A form's views, submits and confirmations a day")  # fmt: skip
def days(context: FormContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, DaysQuery)
    last = results.today_of(context.project, datetime.now(UTC))
    rows = results.days(request.dbsession, context.form, last=last, count=query.days)
    return {
        "results": [
            FormDayOut(
                date=row.day.isoformat(),
                views=row.numbers.views,
                submits=row.numbers.submits,
                confirmations=row.numbers.confirmations,
            )
            for row in rows
        ],
        "next": None,
    }


def _out(request: Request, form: SignUpForm) -> FormOut:
    return form_out(form, url=page_url(request, form), list_ids=service.list_ids_of(request.dbsession, form))


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _no_such_list() -> ApiProblem:
    return ApiProblem(422, _("Some fields are wrong."), [FieldProblem("lists", _("There is no such list."))])
