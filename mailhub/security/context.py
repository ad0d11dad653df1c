"""What a request is about: the base of every room's resources."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound
from pyramid.request import Request

from mailhub.models import Project


class Root:
    """The context of pages that belong to no project."""

    def __init__(self, request: Request) -> None:
        self.request = request


class ProjectContext:
    """The tenant that a request is about: from the URL and a membership, or from the API key.

    A project that one does not belong to does not exist (404); a visitor who has not signed in is asked to.
    """

    def __init__(self, request: Request) -> None:
        if request.identity is None:
            raise HTTPForbidden()
        if request.project is None:
            raise HTTPNotFound()
        self.request = request
        self.project: Project = request.project


def number_of(request: Request, name: str) -> int:
    """An id out of the URL. What is no number, or too large for a bigint, is not found."""
    value = request.matchdict.get(name, "")
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise HTTPNotFound()
    return int(value)
