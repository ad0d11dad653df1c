"""A list's own letters: which there are, how they look, a test to oneself, and back to ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from markupsafe import Markup
from pydantic import Field
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.lists import letters, list_letters
from mailhub.lists.fields import fields_of
from mailhub.lists.list_letters import Reader, Source, Written
from mailhub.lists.resources import ListContext
from mailhub.mail.problem import MESSAGES
from mailhub.mail.template import RenderFailed, TemplateRefused, guarded_text
from mailhub.models import LetterKind
from mailhub.security.audit import note
from mailhub.web import forms, htmx, limits
from mailhub.web.forms import Form
from mailhub.web.i18n import LANGUAGES, _, translate
from mailhub.web.letter_frame import letter_frame

KINDS = tuple(kind.value for kind in LetterKind)
#: Test letters that somebody may send to themselves in an hour.
TESTS_PER_HOUR = 20
_MAX_SOURCE = 256 * 1024


class LetterForm(Form):
    subject: Annotated[str, Field(min_length=1, max_length=300)]
    html: Annotated[str, Field(max_length=_MAX_SOURCE)] = ""
    text: Annotated[str, Field(max_length=_MAX_SOURCE)] = ""
    enabled: Literal["1"] | None = None


@view_config(route_name="lists.letters", request_method="GET", renderer="lists/letters.html", permission="lists:view")
def index(context: ListContext, request: Request) -> dict[str, Any]:
    return {
        "mailing_list": context.mailing_list,
        "kinds": KINDS,
        "stored": list_letters.stored(request.dbsession, context.mailing_list),
        "usual": letters.language_of(context.project, context.mailing_list),
    }


@view_config(route_name="lists.letter", request_method="GET", renderer="lists/letter.html", permission="lists:view")
def show(context: ListContext, request: Request) -> dict[str, Any]:
    kind, language = _which(request)
    source = list_letters.source_of(request, context.mailing_list, kind, language)
    return _page(context, request, source, {})


@view_config(route_name="lists.letter", request_method="POST", renderer="lists/letter.html", permission="lists:edit")
def save(context: ListContext, request: Request) -> Any:
    kind, language = _which(request)
    source, errors = _read(context, request)
    if errors:
        request.response.status_int = 422
        return _page(context, request, source, errors)
    list_letters.save(
        request.dbsession, context.mailing_list, kind, language, source, user_id=request.user.id
    )
    note(request, "list.letter_changed", context.mailing_list, name=context.mailing_list.name, kind=kind,
         language=language)  # fmt: skip
    request.notice(_("Saved."))
    return htmx.redirect(request, _url(request, "lists.letter"))


@view_config(route_name="lists.letter_preview", request_method="GET", permission="lists:view")
def preview_saved(context: ListContext, request: Request) -> Response:
    """The letter as it is, in a frame."""
    kind, language = _which(request)
    source = list_letters.source_of(request, context.mailing_list, kind, language)
    return letter_frame(_sample(context, request, source).html)


@view_config(route_name="lists.letter_preview", request_method="POST", permission="lists:edit")
def preview(context: ListContext, request: Request) -> Response:
    """The letter as it stands in the form; nothing is saved. A stranger's template is first run in a child."""
    source, errors = _read(context, request)
    if errors:
        said = [request.localizer.translate(text) for text in errors.values()]
        rows = Markup("").join(Markup("<li>{}</li>").format(text) for text in said)
        return letter_frame(str(Markup("<!doctype html><ul>{}</ul>").format(rows)))
    try:
        html = guarded_text(lambda: _sample(context, request, source).html)
    except (TemplateRefused, RenderFailed):
        html = translate(request, _("The letter can't be filled in."))
    return letter_frame(html)


@view_config(route_name="lists.letter_test", request_method="POST", permission="lists:edit")
def test(context: ListContext, request: Request) -> Any:
    """The saved letter, to the person who asks; its links lead nowhere real."""
    kind, language = _which(request)
    key = f"lists.letter_test:{request.user.id}"
    if limits.take(request.registry, key, burst=TESTS_PER_HOUR, per_seconds=3600):
        request.notice(_("You have sent yourself many test letters. Wait a while."), "bad")
        return htmx.redirect(request, _url(request, "lists.letter"))
    source = list_letters.source_of(request, context.mailing_list, kind, language)
    written = _sample(context, request, source)
    letters.deliver(
        request, context.project, Written(f"[{translate(request, _('Test'))}] {written.subject}", written.text,
                                          written.html),
        to_email=request.user.email, subscriber_id=None, tag=f"test_{kind}",
    )  # fmt: skip
    request.notice(_("A test letter is on its way to ${email}.", mapping={"email": request.user.email}))
    return htmx.redirect(request, _url(request, "lists.letter"))


@view_config(route_name="lists.letter_reset", request_method="POST", permission="lists:edit")
def reset(context: ListContext, request: Request) -> Any:
    kind, language = _which(request)
    if list_letters.reset(request.dbsession, context.mailing_list, kind, language):
        note(request, "list.letter_reset", context.mailing_list, name=context.mailing_list.name, kind=kind,
             language=language)  # fmt: skip
    request.notice(_("The letter is ours again."))
    return htmx.redirect(request, _url(request, "lists.letter"))


def _which(request: Request) -> tuple[str, str]:
    kind, language = request.matchdict["kind"], request.matchdict["language"]
    if kind not in KINDS or language not in LANGUAGES:
        raise HTTPNotFound()
    return kind, language


def _read(context: ListContext, request: Request) -> tuple[Source, dict[str, Any]]:
    kind, _language = _which(request)
    form = forms.read(request, LetterForm)
    values = form.values
    if form.value is None:
        given = Source(str(values.get("subject", "")), str(values.get("html", "")), str(values.get("text", "")),
                       values.get("enabled") == "1")  # fmt: skip
        return given, form.errors
    value = form.value
    source = Source(value.subject, value.html, value.text, value.enabled == "1")
    errors: dict[str, Any] = {}
    if not source.html and not source.text:
        errors["html"] = _("Fill this in.")
    for problem in list_letters.problems(request.dbsession, context.project.id, kind, source):
        sentence = translate(request, MESSAGES[problem.code]) % problem.params
        errors.setdefault(problem.part, f"{problem.line}: {sentence}" if problem.line else sentence)
    return source, errors


def _sample(context: ListContext, request: Request, source: Source) -> Written:
    kind, language = _which(request)
    home = request.registry.mailhub.public_url.rstrip("/")
    values: dict[str, Any] = {
        "confirm_url": f"{home}/c/example",
        "days": letters.CONFIRM_DAYS,
        "sign_up_url": f"{home}/s/example",
        "unsubscribe_url": f"{home}/u/example",
    }
    reader = Reader("anna@example.com", "Anna") if kind != LetterKind.CONFIRMATION else Reader()
    try:
        return list_letters.render(
            request.dbsession, context.project, [context.mailing_list], source, reader, **values
        )
    except (TemplateRefused, RenderFailed):
        ours = list_letters.default(request, kind, language)
        return list_letters.render(request.dbsession, context.project, [context.mailing_list], ours, reader, **values)


def _page(context: ListContext, request: Request, source: Source, errors: dict[str, Any]) -> dict[str, Any]:
    kind, language = _which(request)
    return {
        "mailing_list": context.mailing_list,
        "kind": kind,
        "language": language,
        "own": source.own,
        "values": {
            "subject": source.subject,
            "html": source.html,
            "text": source.text,
            "enabled": "1" if source.enabled else "",
        },
        "errors": errors,
        "fields": fields_of(request.dbsession, context.project.id) if kind != LetterKind.CONFIRMATION else [],
    }


def _url(request: Request, route: str) -> str:
    kind, language = _which(request)
    return str(
        request.route_path(
            route, project=request.project.slug, list_id=request.matchdict["list_id"], kind=kind, language=language
        )
    )
