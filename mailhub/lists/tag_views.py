"""Pages of tags: all of them, one's name, merging two, the end of one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.lists import tags, uses
from mailhub.lists.forms import id_in
from mailhub.lists.resources import TagContext
from mailhub.models import Tag
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _


class TagForm(Form):
    name: Annotated[str, Field(min_length=1, max_length=200)]


class TagChangeForm(Form):
    """Another name, or the tag that it becomes one with."""

    name: Annotated[str, Field(max_length=200)] = ""
    into: Annotated[str, Field(max_length=20)] = ""


@view_config(route_name="lists.tags", request_method="GET", renderer="lists/tags.html", permission="subscribers:view")
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    return {"tags": tags.tags_of(request.dbsession, context.project.id), "values": {}, "errors": {}}


@view_config(route_name="lists.tags", request_method="POST", renderer="lists/tags.html", permission="subscribers:edit")
def create(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, TagForm)
    known = {tag.name_key for tag in tags.tags_of(request.dbsession, context.project.id)}
    if form.value is not None:
        try:
            made = tags.ensure_tags(request.dbsession, context.project.id, [form.value.name])
        except tags.TooManyTags:
            form.refuse("name", _("The project has too many tags already."))
        else:
            if not made:
                form.refuse("name", _("A tag has at most 80 characters."))
    if form.value is None:
        request.response.status_int = 422
        found = tags.tags_of(request.dbsession, context.project.id)
        return {"tags": found, "values": form.values, "errors": form.errors}
    if made[0].name_key not in known:
        note(request, "tag.created", made[0], name=made[0].name)
    request.notice(_("The tag “${name}” is there.", mapping={"name": made[0].name}))
    return htmx.redirect(request, tags_url(request))


@view_config(route_name="lists.tag", request_method="GET", renderer="lists/tag.html", permission="subscribers:edit")
def edit(context: TagContext, request: Request) -> dict[str, Any]:
    return _page(context, request, {"name": context.tag.name}, {})


@view_config(route_name="lists.tag", request_method="POST", renderer="lists/tag.html", permission="subscribers:edit")
def change(context: TagContext, request: Request) -> Any:
    form, tag = forms.read(request, TagChangeForm), context.tag
    if form.value is not None and form.value.into:
        into = request.dbsession.get(Tag, (context.project.id, id_in(form.value.into) or 0))
        if into is None or into.id == tag.id:
            form.refuse("into", _("Choose a tag."))
        else:
            note(request, "tag.merged", into, name=into.name, gone=tag.name, people=tag.n)
            gone = tag.name
            tags.merge_tags(request.dbsession, gone=tag, into=into)
            request.notice(_("Whoever had “${gone}” has “${name}” now.", mapping={"gone": gone, "name": into.name}))
            return htmx.redirect(request, tags_url(request))
    before = tag.name
    if form.value is not None:
        name = tags.clean_tag(form.value.name)
        try:
            if name:
                tags.rename_tag(request.dbsession, tag, name)
            else:
                form.refuse("name", _("A tag has at most 80 characters."))
        except tags.TagTaken:
            form.refuse("name", _("Another tag has this name. Merge the two instead."))
    if form.value is None:
        request.response.status_int = 422
        return _page(context, request, form.values, form.errors)
    if tag.name != before:
        note(request, "tag.renamed", tag, name=tag.name)
    request.notice(_("Saved."))
    return htmx.redirect(request, tags_url(request))


def _page(context: TagContext, request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    others = [one for one in tags.tags_of(request.dbsession, context.project.id) if one.id != context.tag.id]
    found = uses.of_tag(request.dbsession, context.tag)
    return {
        "tag": context.tag,
        "others": others,
        "uses": found,
        "use_names": uses.names(found),
        "use_kinds": uses.KINDS,
        "values": values,
        "errors": errors,
    }


@view_config(route_name="lists.tag_delete", request_method="POST", permission="subscribers:edit")
def delete(context: TagContext, request: Request) -> Any:
    name = context.tag.name
    note(request, "tag.deleted", context.tag, name=name, people=context.tag.n)
    tags.delete_tag(request.dbsession, context.tag)
    request.notice(_("The tag “${name}” has been deleted.", mapping={"name": name}))
    return htmx.redirect(request, tags_url(request))


def tags_url(request: Request) -> str:
    return str(request.route_path("lists.tags", project=request.project.slug))
