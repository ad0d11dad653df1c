"""The table of people: search, filters, columns, saved views. Its URL is its whole state."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import AfterValidator, Field
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.lists import columns as table_columns
from mailhub.lists import queries
from mailhub.lists.fields import fields_of, show_value
from mailhub.lists.filters import NAMES, PeopleFilter, scope_of
from mailhub.lists.forms import one_line
from mailhub.lists.resources import ViewContext
from mailhub.lists.search import SORTS, Search, Total
from mailhub.lists.tags import tags_of, tags_of_people
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.segments import service as segments
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url

SOURCES = {
    "form": _("Sign-up page"), "manual": _("Added by hand"), "api": _("API"), "page": _("Sign-up page"),
    "preferences": _("Preference page"),
}  # fmt: skip


class ColumnsForm(Form):
    """`back` is the query of the table to go back to."""

    columns: list[str] = Field(default_factory=list, max_length=table_columns.MOST_COLUMNS)
    back: Annotated[str, Field(max_length=4000)] = ""


class ViewForm(Form):
    name: Annotated[str, Field(min_length=1, max_length=table_columns.MAX_NAME), AfterValidator(one_line)]
    shared: Literal["1"] | None = None
    back: Annotated[str, Field(max_length=4000)] = ""


@view_config(
    route_name="lists.subscribers",
    request_method="GET",
    renderer="lists/subscribers.html",
    permission="subscribers:view",
)
@view_config(
    route_name="lists.subscribers",
    request_method="GET",
    hx_target="subscriber-rows",
    renderer="lists/_subscriber_rows.html",
    permission="subscribers:view",
)
def subscribers(context: ProjectContext, request: Request) -> dict[str, Any]:
    dbsession, project = request.dbsession, context.project
    wanted, sort = PeopleFilter.of(request.GET), request.GET.get("sort", "")
    sort = sort if sort in SORTS else "-added"
    search = Search(dbsession, scope_of(dbsession, project, wanted), wanted)
    page = search.page(sort=sort, after=request.GET.get("after"), limit=PAGE_SIZE)
    total = Total(len(page.rows)) if page.next is None and "after" not in request.GET else search.count()
    fields = fields_of(dbsession, project.id)
    keys = table_columns.chosen(dbsession, project.id, user_id(request), request.GET.get("cols"))
    shown = table_columns.shown_columns(keys, fields)
    ids, shows = [row.id for row in page.rows], {column.key for column in shown}
    answer: dict[str, Any] = {
        "page": page,
        "wanted": wanted,
        "sort": sort,
        "total": total,
        "columns": shown,
        "sources": source_names(request, {row.source for row in page.rows} - {""}) if "source" in shows else {},
        "all_columns": table_columns.all_columns(fields),
        "views": table_columns.views_of(dbsession, project.id, user_id(request)),
        "view_query": table_columns.view_query,
        "view_id": request.GET.get("view", ""),
        "back": _back(request),
        "show": lambda field, value: show_value(field, value, request.locale_name),
        "memberships": queries.list_statuses_of_people(dbsession, project_id=project.id, subscriber_ids=ids)
        if "lists" in shows
        else {},
        "tagged": tags_of_people(dbsession, project.id, ids) if "tags" in shows else {},
        "next": next_url(request, page),
        "first": first_url(request),
    }
    if htmx.target_id(request) == "subscriber-rows":
        return answer
    return answer | {
        "choices": queries.list_choices(dbsession, project_id=project.id),
        "tags": tags_of(dbsession, project.id),
        "segments": [(one.id, one.name) for one in segments.choices(dbsession, project.id)],
        "sources": source_names(request, queries.sources_of(dbsession, project.id)),
    }


def source_names(request: Request, sources: Any) -> dict[str, Any]:
    """source → what a person calls it."""
    files = queries.import_names(request.dbsession, request.project.id, sources)
    names: dict[str, Any] = {}
    for source in sources:
        word = source.partition(":")[0]
        if source in files:
            names[source] = _("Import of ${file}", mapping={"file": files[source][1]})
        else:
            names[source] = SOURCES.get(word) or (_("Import") if word == "import" else source)
    return names


@view_config(route_name="lists.subscriber_columns", request_method="POST", permission="subscribers:view")
def choose_columns(context: ProjectContext, request: Request) -> Any:
    """What somebody wants to see, from now on."""
    form = forms.read(request, ColumnsForm)
    keys: list[str] = form.value.columns if form.value is not None else list(table_columns.DEFAULT)
    known = {column.key for column in table_columns.all_columns(fields_of(request.dbsession, context.project.id))}
    owner = user_id(request)
    if owner is not None:
        table_columns.choose(request.dbsession, context.project.id, owner, [key for key in keys if key in known])
    query = _query_of(form.values.get("back", ""))
    query.pop("cols", None)
    return htmx.redirect(request, _table_url(request, query))


@view_config(route_name="lists.subscriber_views", request_method="POST", permission="subscribers:view")
def save_view(context: ProjectContext, request: Request) -> Any:
    """Keep the table as it is, for oneself or for the team."""
    form = forms.read(request, ViewForm)
    query, owner = _query_of(form.values.get("back", "")), user_id(request)
    if form.value is None or owner is None:
        request.notice(_("Give the view a name of at most 80 characters."), "bad")
        return htmx.redirect(request, _table_url(request, query))
    keys = table_columns.chosen(request.dbsession, context.project.id, owner, query.get("cols"))
    try:
        kept = table_columns.save_view(
            request.dbsession,
            project_id=context.project.id,
            user_id=owner,
            name=form.value.name,
            shared=form.value.shared is not None,
            query=query,
            columns=keys,
        )
    except table_columns.TooManyViews:
        request.notice(_("There are 50 saved views already. Delete one that nobody needs."), "bad")
        return htmx.redirect(request, _table_url(request, query))
    if kept.shared:
        note(request, "subscriber_view.shared", kept, name=kept.name)
    request.notice(_("The view “${name}” has been saved.", mapping={"name": kept.name}))
    return htmx.redirect(request, _table_url(request, table_columns.view_query(kept)))


@view_config(route_name="lists.subscriber_view_delete", request_method="POST", permission="subscribers:view")
def delete_view(context: ViewContext, request: Request) -> Any:
    """One's own; of the team's also by whoever may change people."""
    view = context.view
    if view.user_id != user_id(request) and not request.has_permission("subscribers:edit"):
        raise HTTPNotFound()
    if view.shared:
        note(request, "subscriber_view.deleted", view, name=view.name)
    request.notice(_("The view “${name}” has been deleted.", mapping={"name": view.name}))
    request.dbsession.delete(view)
    return htmx.redirect(request, _table_url(request, {}))


def _back(request: Request) -> str:
    """The query of the table as it is shown, for the forms on the page."""
    return urlencode([(name, request.GET[name]) for name in (*NAMES, "sort", "cols") if request.GET.get(name)])


def _query_of(text: str) -> dict[str, str]:
    """What `_back` has written, or what somebody has put there instead: only parameters of the table."""
    given = dict(parse_qsl(text[:4000], max_num_fields=40)) if text.count("&") < 40 else {}
    return {name: value for name, value in given.items() if name in (*NAMES, "sort", "cols")}


def _table_url(request: Request, query: dict[str, str]) -> str:
    return str(request.route_path("lists.subscribers", project=request.project.slug, _query=query))


def user_id(request: Request) -> int | None:
    """Who is signed in; None for a key of the API."""
    return request.user.id if request.user is not None else None
