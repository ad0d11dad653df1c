"""People, campaigns, imports and letters of all projects as JSON: list, filters, count, retrieve, delete.

Every deletion is what deeds.py makes of it: nothing on its way is cut in half, and no statistic is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy.orm import Session

from mailhub.admin import deeds, letters, objects, reading
from mailhub.admin.forms import CampaignsQuery, ImportsQuery, MessagesQuery, ObjectsQuery, Range, UsersQuery
from mailhub.admin.object_views import message_id_of
from mailhub.admin.schema import (
    CampaignReportOut,
    ImportReportOut,
    MessageDetailReportOut,
    MessageReportOut,
    UserDetailOut,
    UserOut,
    campaign_out,
    happened_out,
    import_out,
    message_out,
    user_out,
)
from mailhub.security.context import number_of
from mailhub.web import forms
from mailhub.web.api import endpoint, utc
from mailhub.web.forms import Invalid
from mailhub.web.openapi import document
from mailhub.web.problems import ApiProblem, FieldProblem

Result = TypeVar("Result")


@endpoint("api.reports_project", "DELETE", permission="admin", status=204,
          summary="Archive a project: nothing is lost, its people and keys see it no more")  # fmt: skip
def delete_project(context: Any, request: Request) -> None:
    _done(deeds.archive_project, request, number_of(request, "project_id"))


@endpoint("api.reports_users", "GET", permission="admin", summary="People, the newest first", query=UsersQuery,
          answer=UserOut, many=True)  # fmt: skip
def users(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, UsersQuery)

    def both(session: Session) -> tuple[objects.Found, dict[int, list[Any]]]:
        found = objects.users(session, _wanted(asked))
        return found, objects.memberships(session, [row.id for row in found.rows[: asked.limit]])

    report = reading.read(request, both)
    found, members = report.found
    return _page(request, report, found, asked.limit, lambda row: UserOut(**user_out(row, members.get(row.id, ()))))


@endpoint("api.reports_user", "GET", permission="admin", summary="A person", answer=UserDetailOut)
def user(context: Any, request: Request) -> UserDetailOut:
    user_id = number_of(request, "user_id")

    def found(session: Session) -> dict[str, Any] | None:
        row = objects.user(session, user_id)
        if row is None:
            return None
        seen = objects.signed_in(session, user_id)
        return user_out(row, objects.memberships(session, [user_id]).get(user_id, ())) | {
            "sessions": seen.sessions,
            "last_seen_at": utc(seen.last_seen_at),
            "admin_tokens": seen.tokens,
        }

    return UserDetailOut(**_one(request, found))


@endpoint("api.reports_user", "DELETE", permission="admin", status=204,
          summary="Disable an account: sessions and admin's tokens end, what they did stays")  # fmt: skip
def delete_user(context: Any, request: Request) -> None:
    _done(deeds.disable_user, request, number_of(request, "user_id"))


@endpoint("api.reports_campaigns", "GET", permission="admin", query=CampaignsQuery, answer=CampaignReportOut,
          many=True, summary="Campaigns that are not in the archive, the newest first")  # fmt: skip
def campaigns(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, CampaignsQuery)
    report = reading.read(request, lambda session: objects.campaigns(session, _wanted(asked)))
    return _page(request, report, report.found, asked.limit, campaign_out)


@endpoint("api.reports_campaign", "GET", permission="admin", summary="A campaign and its ledger",
          answer=CampaignReportOut)  # fmt: skip
def campaign(context: Any, request: Request) -> CampaignReportOut:
    campaign_id = number_of(request, "campaign_id")
    return campaign_out(_one(request, lambda session: objects.campaign(session, campaign_id)))


@endpoint("api.reports_campaign", "DELETE", permission="admin", status=204,
          summary="Delete a draft; archive a campaign that has ended")  # fmt: skip
def delete_campaign(context: Any, request: Request) -> None:
    _done(deeds.delete_campaign, request, number_of(request, "campaign_id"))


@endpoint("api.reports_imports", "GET", permission="admin", summary="Imports, the newest first", query=ImportsQuery,
          answer=ImportReportOut, many=True)  # fmt: skip
def imports(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, ImportsQuery)
    report = reading.read(request, lambda session: objects.imports(session, _wanted(asked)))
    return _page(request, report, report.found, asked.limit, import_out)


@endpoint("api.reports_import", "GET", permission="admin", summary="An import and its counters",
          answer=ImportReportOut)  # fmt: skip
def import_(context: Any, request: Request) -> ImportReportOut:
    import_id = number_of(request, "import_id")
    return import_out(_one(request, lambda session: objects.import_(session, import_id)))


@endpoint("api.reports_import", "DELETE", permission="admin", status=204,
          summary="Forget an import that has ended; the people whom it brought stay")  # fmt: skip
def delete_import(context: Any, request: Request) -> None:
    _done(deeds.delete_import, request, number_of(request, "import_id"))


@endpoint("api.reports_import_cancel", "POST", permission="admin", status=204, summary="Stop an import")
def cancel_import(context: Any, request: Request) -> None:
    _done(deeds.cancel_import, request, number_of(request, "import_id"))


@endpoint("api.reports_import_retry", "POST", permission="admin", status=204, summary="Let a stopped import go on")
def retry_import(context: Any, request: Request) -> None:
    _done(deeds.retry_import, request, number_of(request, "import_id"))


@endpoint("api.reports_messages", "GET", permission="admin", query=MessagesQuery, answer=MessageReportOut, many=True,
          summary="Letters, the newest first: of the last day, unless dates or an address are given")  # fmt: skip
def messages(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, MessagesQuery)
    since, until = _dates(asked)
    wanted = letters.Wanted(
        project=asked.project, state=asked.state or "", kind=asked.kind or "", to=asked.to, since=since, until=until,
        after=asked.after, limit=asked.limit,
    )  # fmt: skip
    today = datetime.now(UTC).date()
    report = reading.read(request, lambda session: letters.listed(session, wanted, today=today))
    return _page(request, report, report.found, asked.limit, lambda row: MessageReportOut(**message_out(row)),
                 letters.MOST_COUNTED)  # fmt: skip


@endpoint("api.reports_message", "GET", permission="admin", summary="A letter and everything that happened to it",
          answer=MessageDetailReportOut)  # fmt: skip
def message(context: Any, request: Request) -> MessageDetailReportOut:
    message_id = message_id_of(request)

    def found(session: Session) -> dict[str, Any] | None:
        row = letters.letter(session, message_id)
        if row is None:
            return None
        return message_out(row) | {
            "has_content": letters.has_content(session, row),
            "events": [happened_out(one) for one in letters.events(session, row)],
        }

    return MessageDetailReportOut(**_one(request, found))


@endpoint("api.reports_message", "DELETE", permission="admin", status=204,
          summary="Take a waiting letter back, or erase what a settled one said")  # fmt: skip
def delete_message(context: Any, request: Request) -> None:
    _done(deeds.delete_message, request, message_id_of(request))


@view_config(route_name="api.reports_openapi", request_method="GET", permission="admin", renderer="json")
def openapi(request: Request) -> dict[str, Any]:
    """The reports' JSON described."""
    return document(
        request.registry,
        description="Reports, people, campaigns, imports and letters of all projects, for admins' programs.",
        url=request.registry.mailhub.reports_url,
        key="An admin's token: mha_…",
    )


def _wanted(asked: ObjectsQuery) -> objects.Wanted:
    since, until = _dates(asked)
    return objects.Wanted(
        project=asked.project,
        state=getattr(asked, "state", None) or "",
        text=asked.text,
        since=since,
        until=until,
        after=asked.after,
        limit=asked.limit,
    )


def _dates(asked: Range) -> tuple[date | None, date | None]:
    try:
        return asked.bounds(datetime.now(UTC).date())
    except Invalid as refusal:
        raise ApiProblem(422, refusal.message, [FieldProblem("since", refusal.message)]) from None


def _one(request: Request, find: Callable[[Session], Result | None]) -> Result:
    report = reading.read(request, find)
    if report.found is None:
        raise HTTPNotFound()
    return report.found


def _page(
    request: Request,
    report: reading.Report[Any],
    found: Any,
    limit: int,
    shown: Callable[[Any], Any],
    most: int = objects.MOST_COUNTED,
) -> dict[str, Any]:
    """`count_is_exact` is false where as many rows were counted as are counted at most."""
    page, following = found.rows[:limit], None
    if len(found.rows) > limit:
        last: int | UUID = page[-1].id
        query = {name: value for name, value in request.GET.items() if name != "after"} | {"after": str(last)}
        following = request.registry.mailhub.reports_url + request.current_route_path(_query=query)
    return {
        "results": [shown(row) for row in page],
        "next": following,
        "count": found.count,
        "count_is_exact": found.count < most,
        "as_of": utc(report.as_of),
    }


def _done(deed: Callable[..., Any], request: Request, *given: Any) -> None:
    try:
        deed(request, *given)
    except deeds.Refused as refusal:
        reasons = [FieldProblem("", reason) for reason in refusal.reasons]
        raise ApiProblem(409, refusal.message, reasons) from None
