"""The pages of a project's team: who works in it, and as what."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.accounts import service as accounts
from mailhub.models import Role
from mailhub.projects.forms import Invitation, RoleChange
from mailhub.projects.resources import MemberContext
from mailhub.security import audit
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

#: Owner first: role, its name, what it may (security/permissions.py).
ROLES = (
    (Role.OWNER, _("Owner"), _("Everything, also team, settings and journal")),
    (Role.MARKETER, _("Marketer"), _("Lists, subscribers, imports and campaigns")),
    (Role.ANALYST, _("Analyst"), _("Sees campaigns and numbers, but nobody's address")),
    (Role.DEVELOPER, _("Developer"), _("API keys and single messages; sees the rest")),
)


@view_config(
    route_name="projects.members", request_method="GET", permission="members:edit", renderer="projects/members.html"
)
def members_page(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _page(context, request, {"role": Role.MARKETER}, {})


@view_config(
    route_name="projects.members", request_method="POST", permission="members:edit", renderer="projects/members.html"
)
def invite(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    """Somebody without an account gets one; the link that lets them in is in this answer and nowhere else."""
    form = forms.read(request, Invitation)
    if form.value is not None:
        try:
            user = accounts.find_user(request.dbsession, form.value.email)
            is_new = user is None
            if user is None:
                user = accounts.create_user(
                    request.dbsession, email=form.value.email, language=context.project.language
                )
            accounts.add_member(request.dbsession, project_id=context.project.id, user=user, role=form.value.role)
        except accounts.AccountRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            audit.note(request, "member.added", user, name=user.email, role=form.value.role)
            if not is_new:
                request.notice(_("${email} is now in the team.", mapping={"email": user.email}))
                return _to_members(context, request)
            request.response.status_int = 201
            return _page(context, request, {"role": Role.MARKETER}, {}, (user, _new_link(request, user)))
    request.response.status_int = 422
    return _page(context, request, form.values, form.errors)


@view_config(
    route_name="projects.member_link",
    request_method="POST",
    permission="members:edit",
    renderer="projects/members.html",
)
def new_link(context: MemberContext, request: Request) -> dict[str, Any] | Response:
    """Another link for somebody who never came in."""
    user = context.user
    if not accounts.may_be_handed_a_link(request.dbsession, user):
        request.notice(_("Only an administrator can make a link for ${email}.", mapping={"email": user.email}), "bad")
        return _to_members(context, request)
    audit.note(request, "member.link_made", user, name=user.email)
    request.response.status_int = 201
    return _page(context, request, {"role": Role.MARKETER}, {}, (user, _new_link(request, user)))


@view_config(route_name="projects.member_role", request_method="POST", permission="members:edit")
def change_role(context: MemberContext, request: Request) -> Response:
    form = forms.read(request, RoleChange)
    if form.value is None:
        request.notice(_("This is not one of the choices."), "bad")
        return _to_members(context, request)
    before = context.membership.role
    try:
        changed = accounts.change_role(request.dbsession, context.membership, form.value.role)
    except accounts.AccountRefused as refusal:
        request.notice(refusal.message, "bad")
        return _to_members(context, request)
    if changed:
        audit.note(
            request, "member.role_changed", context.user, name=context.user.email, before=before, role=form.value.role
        )
        request.notice(_("The role of ${email} is changed.", mapping={"email": context.user.email}))
    if context.user.id == request.user.id and form.value.role != Role.OWNER:
        return htmx.redirect(request, request.route_path("stats.overview", project=context.project.slug))
    return _to_members(context, request)


@view_config(route_name="projects.member_remove", request_method="POST", permission="members:edit")
def remove(context: MemberContext, request: Request) -> Response:
    user = context.user
    try:
        accounts.remove_member(request.dbsession, context.membership)
    except accounts.AccountRefused as refusal:
        request.notice(refusal.message, "bad")
        return _to_members(context, request)
    audit.note(request, "member.removed", user, name=user.email)
    request.notice(_("${email} is no longer in the team.", mapping={"email": user.email}))
    if user.id == request.user.id:
        return htmx.redirect(request, request.route_path("projects.index"))
    return _to_members(context, request)


def _page(
    context: ProjectContext,
    request: Request,
    values: dict[str, Any],
    errors: dict[str, Any],
    handed: tuple[Any, str] | None = None,
) -> dict[str, Any]:
    found = accounts.members(request.dbsession, context.project.id)
    return {
        "members": found,
        "roles": ROLES,
        "values": values,
        "errors": errors,
        "handed": handed,
        "link_hours": accounts.LINK_HOURS,
    }


def _new_link(request: Request, user: Any) -> str:
    return accounts.link_url(request.registry.mailhub.public_url, accounts.create_link(request.dbsession, user))


def _to_members(context: ProjectContext, request: Request) -> Response:
    return htmx.redirect(request, request.route_path("projects.members", project=context.project.slug))
