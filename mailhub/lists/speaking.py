"""Our own words for letters and public pages: one of templates/email in a language, and URLs for other places."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid.request import Request
from pyramid_jinja2 import get_jinja2_environment

from mailhub.models import MailingList, Project
from mailhub.web.i18n import use_language


def language_of(project: Project, mailing_list: MailingList) -> str:
    """The language of a list's public pages and letters."""
    return mailing_list.language or project.language


def public_url(request: Request, route: str, **elements: Any) -> str:
    """A URL for letters and for other sites: from `mailhub.public_url`, never from the Host header."""
    return str(request.registry.mailhub.public_url.rstrip("/") + request.route_path(route, **elements))


def write(request: Request, name: str, language: str, **values: Any) -> tuple[str, str, str]:
    """(subject, text, HTML) of templates/email/<name>. Texts are not escaped, HTML is; a subject is one line."""
    pages = get_jinja2_environment(request, name=".html")
    with speaking(request, language):
        given = {"request": request, **values}
        plain = pages.overlay(autoescape=False)
        subject = " ".join(plain.get_template(f"email/{name}/subject.txt").render(given).split())
        text = plain.get_template(f"email/{name}/body.txt").render(given).strip() + "\n"
        return subject, text, pages.get_template(f"email/{name}/body.html").render(given)


@contextmanager
def speaking(request: Request, language: str) -> Iterator[None]:
    """Let the request speak a language for a while."""
    before = request.locale_name
    use_language(request, language)
    try:
        yield
    finally:
        use_language(request, before)
