"""Changing many people at once: the question, the job's progress, its end, taking it back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from mailhub.background import service as background
from mailhub.lists import bulk, queries, tags
from mailhub.lists.bulk_actions import ACTIONS
from mailhub.lists.fields import BadValue, fields_of, read_value, show_value
from mailhub.lists.filters import NAMES, PeopleFilter, scope_of
from mailhub.lists.forms import RowIdText, Text, id_in
from mailhub.lists.resources import BulkContext
from mailhub.lists.search import Search, Total
from mailhub.lists.table_views import user_id
from mailhub.models import MailingList, ProjectJob, Subscriber, SubscriberField, Tag, User
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.forms import Form, FormResult
from mailhub.web.i18n import _, pgettext, translate

#: What can be done, in the order of the menu.
LABELS = {
    "tag_add": _("Add a tag"),
    "tag_remove": _("Remove a tag"),
    "list_add": _("Put into a list"),
    "list_remove": _("Take out of a list"),
    "unsubscribe": pgettext("somebody", "Unsubscribe"),
    "set_field": _("Set a field"),
    "delete": _("Delete"),
}
#: Counting everybody who is about to be deleted takes at most so long; else the filter is too wide for it.
COUNT_MS = 3_000


Chosen = Annotated[tuple[RowIdText, ...], Field(max_length=bulk.MOST_CHOSEN)]


class BulkForm(Form):
    """`id`: who was chosen; `all`: all who fit the filter, whose parameters come with the same names as in the URL."""

    act: Literal["tag_add", "tag_remove", "list_add", "list_remove", "unsubscribe", "set_field", "delete"]
    id: Chosen = Field(default_factory=tuple)
    all: Literal["1"] | None = None
    q: Text = ""
    list: Text = ""
    status: Text = ""
    tag: Text = ""
    segment: Text = ""
    source: Text = ""
    since: Text = ""
    until: Text = ""
    tag_id: Text = ""
    new_tag: Text = ""
    list_id: Text = ""
    consent: Literal["1"] | None = None
    field: Text = ""
    value: Text = ""
    number: Text = ""


@view_config(route_name="lists.bulk", request_method="GET", renderer="lists/bulk.html", permission="subscribers:edit")
def question(context: ProjectContext, request: Request) -> Any:
    act = request.GET.get("act", "")
    whom = _whom(request.GET.getall("id"), request.GET.get("all"), request.GET)
    if act not in ACTIONS or whom is None:
        request.notice(_("Choose people and what to do with them."), "warn")
        query = {name: request.GET[name] for name in NAMES if request.GET.get(name)}
        return htmx.redirect(
            request, request.route_path("lists.subscribers", project=context.project.slug, _query=query)
        )
    return _page(context, request, act, whom, {}, {})


@view_config(route_name="lists.bulk", request_method="POST", renderer="lists/bulk.html", permission="subscribers:edit")
def start(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, BulkForm)
    act = form.values.get("act", "")
    whom = _whom(form.values.get("id", []), form.values.get("all"), form.values)
    if act not in ACTIONS or whom is None:
        request.notice(_("Choose people and what to do with them."), "warn")
        return htmx.redirect(request, request.route_path("lists.subscribers", project=context.project.slug))
    total = _total(request, whom, exact=act == "delete")
    what = _what(request, form, act, total)
    if form.value is None:
        request.response.status_int = 422
        return _page(context, request, act, whom, form.values, form.errors)
    try:
        job = bulk.ask(
            request, context.project, whom, act, total=0 if total.more else total.n,
            most=total.n if act == "delete" else None, user_id=user_id(request), **what,
        )  # fmt: skip
    except background.TooManyJobs:
        request.response.status_int = 409
        return _page(
            context, request, act, whom, form.values, {"": _("Too much is going on: wait until a job has ended.")}
        )
    note(request, f"subscriber.bulk_{act}", job, people=total.n, **what)
    return htmx.redirect(request, job_url(request, job))


def _whom(ids: Any, everybody: str | None, given: Any) -> bulk.Whom | None:
    if everybody:
        return bulk.Whom(wanted=PeopleFilter.of(given))
    numbers = [number for one in ids if (number := id_in(one)) is not None]
    return bulk.Whom(ids=tuple(numbers[: bulk.MOST_CHOSEN])) if numbers else None


def _total(request: Request, whom: bulk.Whom, *, exact: bool) -> Total:
    project = request.project
    if whom.wanted is None:
        known = select(func.count()).where(Subscriber.project_id == project.id, Subscriber.id.in_(whom.ids))
        return Total(request.dbsession.scalar(known) or 0)
    search = Search(request.dbsession, scope_of(request.dbsession, project, whom.wanted), whom.wanted)
    total = search.count()
    if not (exact and total.more):
        return total
    try:
        with request.dbsession.begin_nested():
            request.dbsession.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(COUNT_MS)})
            return Total(search.count_all())
    except DBAPIError:
        return total


def _what(request: Request, form: FormResult[BulkForm], act: str, total: Total) -> dict[str, Any]:
    """The parameters of the action; refuses the form where they are not right."""
    given, project_id = form.value, request.project.id
    if given is None:
        return {}
    if act in ("tag_add", "tag_remove"):
        return _tag(request, form, given, new=act == "tag_add")
    if act in ("list_add", "list_remove"):
        found = request.dbsession.get(MailingList, (project_id, id_in(given.list_id) or 0))
        if found is None or found.archived_at is not None:
            form.refuse("list_id", _("There is no such list."))
            return {}
        if act == "list_add" and given.consent is None:
            form.refuse("consent", _("Without their consent they cannot be put into a list."))
        return {"list": found.id}
    if act == "set_field":
        return _field(request, form, given)
    if act == "delete":
        if total.more:
            form.refuse("number", _("These are too many to be counted at once. Narrow the filter."))
        elif given.number.replace(" ", "").replace(",", "").replace("\u00a0", "") != str(total.n):
            form.refuse("number", _("This is not the number of people."))
    return {}


def _tag(request: Request, form: FormResult[BulkForm], given: BulkForm, *, new: bool) -> dict[str, Any]:
    if new and given.new_tag:
        if not tags.clean_tag(given.new_tag):
            form.refuse("new_tag", _("A tag has at most 80 characters."))
            return {}
        try:
            (made,) = tags.ensure_tags(request.dbsession, request.project.id, [given.new_tag])
        except tags.TooManyTags:
            form.refuse("new_tag", _("The project has too many tags already."))
            return {}
        return {"tag": made.id}
    found = request.dbsession.get(Tag, (request.project.id, id_in(given.tag_id) or 0))
    if found is None:
        form.refuse("tag_id", _("Choose a tag."))
        return {}
    return {"tag": found.id}


def _field(request: Request, form: FormResult[BulkForm], given: BulkForm) -> dict[str, Any]:
    found = request.dbsession.get(SubscriberField, (request.project.id, given.field))
    if found is None:
        form.refuse("field", _("Choose a field."))
        return {}
    try:
        return {"field": found.name, "value": read_value(found, given.value)}
    except BadValue as fault:
        form.refuse("value", fault.message)
        return {}


def _page(
    context: ProjectContext, request: Request, act: str, whom: bulk.Whom, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    dbsession, project_id = request.dbsession, context.project.id
    query = whom.wanted.query if whom.wanted is not None else {}
    return {
        "act": act,
        "label": LABELS[act],
        "whom": whom,
        "query": query,
        "total": _total(request, whom, exact=act == "delete"),
        "tags": tags.tags_of(dbsession, project_id) if act in ("tag_add", "tag_remove") else [],
        "choices": queries.list_choices(dbsession, project_id=project_id),
        "fields": fields_of(dbsession, project_id) if act == "set_field" else [],
        "values": values,
        "errors": errors,
    }


@view_config(route_name="lists.bulk_jobs", request_method="GET", renderer="lists/bulk_jobs.html",
             permission="subscribers:view")  # fmt: skip
def jobs(context: ProjectContext, request: Request) -> dict[str, Any]:
    found = [
        job
        for kind in (bulk.KIND, bulk.UNDO)
        for job in background.latest(request.dbsession, context.project.id, kind, most=30)
    ]
    found.sort(key=lambda job: job.id, reverse=True)
    return {"jobs": found, "titles": _titles(request, found), "people": _asked_by(request, found)}


@view_config(route_name="lists.bulk_job", request_method="GET", renderer="lists/bulk_job.html",
             permission="subscribers:view")  # fmt: skip
@view_config(route_name="lists.bulk_job", request_method="GET", hx_target="bulk-progress",
             renderer="lists/_bulk_progress.html", permission="subscribers:view")  # fmt: skip
def job(context: BulkContext, request: Request) -> Any:
    one = context.job
    version = f"{one.state}-{one.done}-{one.cancel_requested}"
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return {
        "job": one,
        "title": _titles(request, [one])[one.id],
        "undoable": bulk.can_undo(request.dbsession, one),
        "final": one.kind == bulk.KIND and ACTIONS[one.parameters["action"]].undo is None,
        "version": version,
    }


@view_config(route_name="lists.bulk_cancel", request_method="POST", permission="subscribers:edit")
def cancel(context: BulkContext, request: Request) -> Any:
    if background.cancel(request.dbsession, context.project.id, context.job.id):
        note(request, "subscriber.bulk_cancelled", context.job)
    else:
        request.notice(_("It has ended already."), "warn")
    return htmx.redirect(request, job_url(request, context.job))


@view_config(route_name="lists.bulk_undo", request_method="POST", permission="subscribers:edit")
def undo(context: BulkContext, request: Request) -> Any:
    try:
        made, is_new = bulk.ask_undo(request, context.job, user_id=user_id(request))
    except bulk.CannotUndo:
        request.notice(_("There is nothing left to be taken back."), "warn")
        return htmx.redirect(request, job_url(request, context.job))
    except background.TooManyJobs:
        request.notice(_("Too much is going on: wait until a job has ended."), "warn")
        return htmx.redirect(request, job_url(request, context.job))
    if is_new:
        note(request, "subscriber.bulk_undone", context.job)
    return htmx.redirect(request, job_url(request, made))


def job_url(request: Request, one: ProjectJob) -> str:
    return str(request.route_path("lists.bulk_job", project=request.project.slug, job_id=one.id))


def _titles(request: Request, found: list[ProjectJob]) -> dict[int, Any]:
    """What each job does, in words: with the tag, the list, the field. At most four queries."""
    dbsession, project_id = request.dbsession, request.project.id
    undone = {one.parameters["job"] for one in found if one.kind == bulk.UNDO}
    firsts = {one.id: one for one in found if one.kind == bulk.KIND}
    missing = undone - set(firsts)
    if missing:
        wanted = select(ProjectJob).where(ProjectJob.project_id == project_id, ProjectJob.id.in_(missing))
        firsts.update({one.id: one for one in dbsession.scalars(wanted)})
    asked = {number: one.parameters for number, one in firsts.items()}
    names: dict[str, dict[Any, str]] = {}
    for key, model in (("tag", Tag), ("list", MailingList)):
        ids = {one[key] for one in asked.values() if one.get(key)}
        known = select(model.id, model.name).where(model.project_id == project_id, model.id.in_(ids))
        names[key] = {row.id: row.name for row in dbsession.execute(known)} if ids else {}
    fields = {field.name: field for field in fields_of(dbsession, project_id)} if any(
        one["action"] == "set_field" for one in asked.values()
    ) else {}  # fmt: skip
    words = {number: _title(request, one, names, fields) for number, one in asked.items()}
    return {
        one.id: words[one.id]
        if one.kind == bulk.KIND
        else _("Take back: ${what}", mapping={"what": translate(request, words.get(one.parameters["job"], "—"))})
        for one in found
    }


def _title(request: Request, asked: dict[str, Any], names: dict[str, dict[Any, str]], fields: dict[str, Any]) -> Any:
    tag, mailing_list = names["tag"].get(asked.get("tag"), "—"), names["list"].get(asked.get("list"), "—")
    match asked["action"]:
        case "tag_add":
            return _("Add the tag “${name}”", mapping={"name": tag})
        case "tag_remove":
            return _("Remove the tag “${name}”", mapping={"name": tag})
        case "list_add":
            return _("Put into the list “${name}”", mapping={"name": mailing_list})
        case "list_remove":
            return _("Take out of the list “${name}”", mapping={"name": mailing_list})
        case "unsubscribe":
            return _("Unsubscribe from everything")
        case "delete":
            return _("Delete people")
    field = fields.get(asked["field"])
    label = (field.label or field.name) if field is not None else asked["field"]
    if asked.get("value") is None:
        return _("Empty the field “${name}”", mapping={"name": label})
    value = show_value(field, asked["value"], request.locale_name) if field is not None else str(asked["value"])
    return _("Set the field “${name}” to “${value}”", mapping={"name": label, "value": value})


def _asked_by(request: Request, found: list[ProjectJob]) -> dict[int, str]:
    ids = {one.requested_by for one in found if one.requested_by is not None}
    if not ids:
        return {}
    rows = request.dbsession.execute(select(User.id, User.name, User.email).where(User.id.in_(ids)))
    return {row.id: row.name or row.email for row in rows}
