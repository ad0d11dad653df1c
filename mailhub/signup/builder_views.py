"""The form builder, with its preview."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from mailhub.lists.fields import fields_of
from mailhub.lists.letters import speaking
from mailhub.lists.queries import list_choices
from mailhub.models import MailingList, SignUpForm, SubscriberField
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.signup import builder, look, service
from mailhub.signup.builder import Built
from mailhub.signup.colours import hex_colour
from mailhub.signup.design import MAX_BOXES, Colours, Design
from mailhub.signup.opened import Opened, lists_of, questions
from mailhub.signup.public_views import view_values
from mailhub.signup.resources import FormContext
from mailhub.web import htmx
from mailhub.web.i18n import _, use_language

#: As a form's page has it, but that it stands in a frame of ours and can do nothing.
_PREVIEW_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)


@view_config(route_name="signup.new", request_method="GET", renderer="signup/edit.html", permission="lists:edit")
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    fields = fields_of(request.dbsession, context.project.id)
    chosen = [number for number, _name in _choices(request) if str(number) == request.GET.get("list")]
    with speaking(request, context.project.language):
        design = builder.new_design(request)
    return _page(request, None, builder.of_form(None, chosen, design, fields))


@view_config(route_name="signup.new", request_method="POST", renderer="signup/edit.html", permission="lists:edit")
def create(context: ProjectContext, request: Request) -> Any:
    built = builder.read(request, fields_of(request.dbsession, context.project.id))
    if _is_moved(request, built):
        return _page(request, None, built)
    if built.value is not None:
        given = built.value
        try:
            made = service.create(
                request.dbsession, project_id=context.project.id, list_ids=given.lists, design=given.design,
                user_id=request.user.id, **given.model_dump(exclude={"lists", "design"}),
            )  # fmt: skip
        except service.NoSuchList:
            built.errors["list_ids"] = _("There is no such list.")
        except service.TooManyForms:
            built.errors[""] = _("The project has too many forms already.")
        else:
            note(request, "form.created", made, name=made.name, opt_in=made.opt_in)
            request.notice(_("The form “${name}” is open.", mapping={"name": made.name}))
            return htmx.redirect(
                request, request.route_path("signup.form_share", project=context.project.slug, form_id=made.id)
            )
    request.response.status_int = 422
    return _page(request, None, built)


@view_config(route_name="signup.form_edit", request_method="GET", renderer="signup/edit.html", permission="lists:edit")
def edit(context: FormContext, request: Request) -> dict[str, Any]:
    fields = fields_of(request.dbsession, context.project.id)
    chosen = [one.id for one in lists_of(request.dbsession, context.form)]
    design = Design.model_validate(context.form.design)
    return _page(request, context.form, builder.of_form(context.form, chosen, design, fields))


@view_config(
    route_name="signup.form_edit", request_method="POST", renderer="signup/edit.html", permission="lists:edit"
)
def update(context: FormContext, request: Request) -> Any:
    built = builder.read(request, fields_of(request.dbsession, context.project.id))
    if _is_moved(request, built):
        return _page(request, context.form, built)
    if built.value is not None:
        given = built.value
        try:
            service.update(
                request.dbsession, context.form, list_ids=given.lists, design=given.design,
                **given.model_dump(exclude={"lists", "design"}),
            )  # fmt: skip
        except service.NoSuchList:
            built.errors["list_ids"] = _("There is no such list.")
        except service.FixedList:
            built.errors["list_ids"] = _("This is a list's own page: it has that list and no other.")
        else:
            note(request, "form.changed", context.form, name=context.form.name)
            request.notice(_("Saved."))
            return htmx.redirect(
                request, request.route_path("signup.form", project=context.project.slug, form_id=context.form.id)
            )
    request.response.status_int = 422
    return _page(request, context.form, built)


def _is_moved(request: Request, built: Built) -> bool:
    """The buttons that move a row: the page comes back with the rows in their new order, and nothing is saved yet."""
    wish = request.POST.get("move")
    if wish:
        builder.move(built, str(wish))
        built.errors = {}
    return bool(wish)


@view_config(route_name="signup.preview", request_method="GET", renderer="signup/preview.html",
             permission="lists:view")  # fmt: skip
def preview_saved(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The frame as the page comes: a form as it was saved, or a new one."""
    fields = fields_of(request.dbsession, context.project.id)
    number = request.GET.get("form", "")
    form = None
    if number.isascii() and number.isdigit() and len(number) < 19:
        form = request.dbsession.get(SignUpForm, (context.project.id, int(number)))
    if form is not None:
        design, lists = Design.model_validate(form.design), lists_of(request.dbsession, form)
    else:
        form = SignUpForm(project_id=context.project.id, name=request.localizer.translate(_("New form")), language="")
        design, lists = builder.new_design(request), []
    return _frame(request, context, form, lists, design, fields)


@view_config(route_name="signup.preview", request_method="POST", renderer="signup/preview.html",
             permission="lists:edit")  # fmt: skip
def preview(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The frame as the builder stands now; nothing is saved. What is wrong is said in the frame."""
    fields = fields_of(request.dbsession, context.project.id)
    if not request.POST.get("name"):
        request.POST["name"] = request.localizer.translate(_("New form"))
    built = builder.read(request, fields)
    given = built.value
    if given is None and set(built.errors) == {"list_ids"}:
        # Nobody has chosen a list yet: that is no reason to see nothing.
        request.POST["list_ids"] = "0"
        given = builder.read(request, fields).value
    if given is None:
        request.response.headers["Content-Security-Policy"] = _PREVIEW_POLICY
        request.response.status_int = 422
        return {"faults": list(built.errors.values()), "look_url": "", "project": context.project}
    form = SignUpForm(
        project_id=context.project.id, name=given.name, language=given.language, choose_lists=given.choose_lists,
        opt_in=given.opt_in, redirect_url="", default_list_id=None,
    )  # fmt: skip
    wanted = select(MailingList).where(
        MailingList.project_id == context.project.id,
        MailingList.id.in_(given.lists),
        MailingList.archived_at.is_(None),
    )
    lists = list(request.dbsession.scalars(wanted.order_by(MailingList.name)))
    return _frame(request, context, form, lists, given.design, fields)


def _frame(
    request: Request,
    context: ProjectContext,
    form: SignUpForm,
    lists: list[MailingList],
    design: Design,
    fields: Sequence[SubscriberField],
) -> dict[str, Any]:
    request.response.headers["Content-Security-Policy"] = _PREVIEW_POLICY
    opened = Opened(context.project, form, lists, design, questions(design, fields), "")
    use_language(request, opened.language)
    return {
        **view_values(opened),
        "faults": [],
        "values": {},
        "errors": {},
        "stamp": "",
        "work_bits": 0,
        "look_url": request.route_path(
            "signup.preview_look", project=context.project.slug, _query=design.colours.model_dump()
        ),
    }


@view_config(route_name="signup.preview_look", request_method="GET", permission="lists:view")
def preview_look(context: ProjectContext, request: Request) -> Response:
    """The colours of the preview, out of the URL; what is no colour, or cannot be read, is ours."""
    given = {name: hex_colour(request.GET[name]) for name in builder.COLOURS if name in request.GET}
    try:
        colours = Colours(**{name: colour for name, colour in given.items() if colour is not None})
    except ValueError:
        colours = Colours()
    return Response(look.sheet(colours), content_type="text/css", charset="utf-8")


def _choices(request: Request) -> list[tuple[int, str]]:
    return list_choices(request.dbsession, project_id=request.project.id)


def _page(request: Request, form: SignUpForm | None, built: Built) -> dict[str, Any]:
    return {
        "form": form,
        "values": built.values,
        "errors": built.errors,
        "rows": built.rows,
        "choices": _choices(request),
        "slots": range(MAX_BOXES),
        "colours": builder.COLOURS,
        # The button that was pressed keeps the focus, so that a row goes up two places by two presses.
        "moved": request.POST.get("move", "") if request.method == "POST" else "",
    }
