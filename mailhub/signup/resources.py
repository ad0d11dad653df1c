"""The objects in the URLs of this room: a form of the project at hand, what came in by it, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.models import SignUpForm, SignUpSubmission
from mailhub.security.context import ProjectContext, number_of


class FormContext(ProjectContext):
    """A form that is in use; an archived one is not found."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SignUpForm, (self.project.id, number_of(request, "form_id")))
        if found is None or found.archived_at is not None:
            raise HTTPNotFound()
        self.form: SignUpForm = found


class SubmissionContext(FormContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SignUpSubmission, (self.project.id, number_of(request, "submission_id")))
        if found is None or found.form_id != self.form.id:
            raise HTTPNotFound()
        self.submission: SignUpSubmission = found
