"""Pages of people, campaigns, imports and letters of all projects; and what an admin may do to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy.orm import Session

from mailhub.admin import deeds, letters, objects, reading
from mailhub.admin.forms import Range
from mailhub.admin.schema import counts_of
from mailhub.models import CampaignState, EventType, ImportState, MessageKind, MessageState
from mailhub.security.context import number_of
from mailhub.web import htmx
from mailhub.web.forms import Invalid
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url

USER_STATES = {"active": _("Active"), "disabled": _("Disabled"), "admin": _("Administrators")}
CAMPAIGN_STATES = {
    CampaignState.DRAFT: _("Draft"),
    CampaignState.SCHEDULED: _("Scheduled"),
    CampaignState.SENDING: _("Sending"),
    CampaignState.PAUSED: _("Paused"),
    CampaignState.SENT: _("Sent"),
    CampaignState.CANCELLED: _("Cancelled"),
}
IMPORT_STATES = {
    ImportState.DRAFT: _("Not started"),
    ImportState.PENDING: _("Waiting"),
    ImportState.RUNNING: _("Importing"),
    ImportState.DONE: _("Done"),
    ImportState.FAILED: _("Has failed"),
    ImportState.CANCELLED: _("Stopped"),
    ImportState.ROLLING_BACK: _("Being rolled back"),
    ImportState.ROLLED_BACK: _("Rolled back"),
}
MESSAGE_STATES = {
    MessageState.QUEUED: _("Queued"),
    MessageState.SENT: _("Sent"),
    MessageState.DEFERRED: _("Deferred"),
    MessageState.FAILED: _("Failed"),
    MessageState.UNKNOWN: _("Unknown"),
    MessageState.SKIPPED: _("Skipped"),
}
KINDS = {
    MessageKind.CAMPAIGN: _("Campaigns"),
    MessageKind.TRANSACTIONAL: _("By API"),
    MessageKind.TEST: _("Test letters"),
    MessageKind.SERVICE: _("Service letters"),
}
#: What colour an event has in a letter's timeline.
_EVENT_KINDS = {"SENT": "ok", "OPENED": "info", "REDIRECTED": "info", "HARDBOUNCED": "bad", "SOFTBOUNCED": "bad",
                "BLOCKED": "bad", "COMPLAINED": "bad", "DEFERRED": "warn", "UNKNOWN": "warn",
                "UNSUBSCRIBED": "warn"}  # fmt: skip
_EVENT_NAMES = {
    EventType.QUEUED: _("Accepted"),
    EventType.SENT: _("Taken by the relay"),
    EventType.DEFERRED: _("Deferred"),
    EventType.OPENED: _("Opened"),
    EventType.REDIRECTED: _("Clicked"),
    EventType.HARDBOUNCED: _("Hard bounce"),
    EventType.SOFTBOUNCED: _("Soft bounce"),
    EventType.BLOCKED: _("Blocked"),
    EventType.UNKNOWN: _("Outcome unknown"),
    EventType.UNSUBSCRIBED: _("Unsubscribed"),
    EventType.COMPLAINED: _("Complained"),
}


# People


@view_config(route_name="admin.users", request_method="GET", permission="admin", renderer="admin/users.html")
@view_config(
    route_name="admin.users",
    request_method="GET",
    permission="admin",
    renderer="admin/_user_rows.html",
    hx_target="user-rows",
)
def users(request: Request) -> dict[str, Any]:
    wanted = _wanted(request, USER_STATES)

    def both(session: Session) -> tuple[objects.Found, dict[int, list[Any]]]:
        found = objects.users(session, wanted)
        return found, objects.memberships(session, [row.id for row in found.rows])

    report = reading.read(request, both)
    return _page(request, report, report.found[0], wanted, USER_STATES) | {"members": report.found[1]}


@view_config(route_name="admin.user", request_method="GET", permission="admin", renderer="admin/user.html")
def user(request: Request) -> dict[str, Any]:
    user_id = number_of(request, "user_id")

    def found(session: Session) -> dict[str, Any] | None:
        row = objects.user(session, user_id)
        if row is None:
            return None
        members = objects.memberships(session, [user_id]).get(user_id, [])
        return {"person": row, "members": members, "seen": objects.signed_in(session, user_id)}

    return _one(request, found)


@view_config(route_name="admin.user_disable", request_method="POST", permission="admin")
def disable_user(request: Request) -> Response:
    user_id = number_of(request, "user_id")
    done = _("The account is disabled: its sessions and tokens have ended.")
    return _did(request, deeds.disable_user, user_id, done, request.route_path("admin.user", user_id=user_id))


@view_config(route_name="admin.user_enable", request_method="POST", permission="admin")
def enable_user(request: Request) -> Response:
    user_id = number_of(request, "user_id")
    done = _("The account works again.")
    return _did(request, deeds.enable_user, user_id, done, request.route_path("admin.user", user_id=user_id))


# Projects


@view_config(route_name="admin.project_archive", request_method="POST", permission="admin")
def archive_project(request: Request) -> Response:
    project_id = number_of(request, "project_id")
    done = _("The project is in the archive: its people and keys see it no more.")
    there = request.route_path("admin.project", project_id=project_id)
    return _did(request, deeds.archive_project, project_id, done, there)


@view_config(route_name="admin.project_restore", request_method="POST", permission="admin")
def restore_project(request: Request) -> Response:
    project_id = number_of(request, "project_id")
    done = _("The project is back, as it was.")
    there = request.route_path("admin.project", project_id=project_id)
    return _did(request, deeds.restore_project, project_id, done, there)


# Campaigns


@view_config(route_name="admin.campaigns", request_method="GET", permission="admin", renderer="admin/campaigns.html")
@view_config(
    route_name="admin.campaigns",
    request_method="GET",
    permission="admin",
    renderer="admin/_campaign_rows.html",
    hx_target="campaign-rows",
)
def campaigns(request: Request) -> dict[str, Any]:
    wanted = _wanted(request, CAMPAIGN_STATES)
    report = reading.read(request, lambda session: objects.campaigns(session, wanted))
    return _page(request, report, report.found, wanted, CAMPAIGN_STATES) | {"counts_of": counts_of}


@view_config(route_name="admin.campaign", request_method="GET", permission="admin", renderer="admin/campaign.html")
def campaign(request: Request) -> dict[str, Any]:
    campaign_id = number_of(request, "campaign_id")

    def found(session: Session) -> dict[str, Any] | None:
        row = objects.campaign(session, campaign_id)
        return {"campaign": row, "counts": counts_of(row)} if row is not None else None

    return _one(request, found)


@view_config(route_name="admin.campaign_delete", request_method="POST", permission="admin")
def delete_campaign(request: Request) -> Response:
    campaign_id = number_of(request, "campaign_id")
    done = {"deleted": _("The draft is deleted."), "archived": _("The campaign is in the archive.")}
    there = request.route_path("admin.campaigns")
    back = request.route_path("admin.campaign", campaign_id=campaign_id)
    return _did(request, deeds.delete_campaign, campaign_id, done, there, back)


# Imports


@view_config(route_name="admin.imports", request_method="GET", permission="admin", renderer="admin/imports.html")
@view_config(
    route_name="admin.imports",
    request_method="GET",
    permission="admin",
    renderer="admin/_import_rows.html",
    hx_target="import-rows",
)
def imports(request: Request) -> dict[str, Any]:
    wanted = _wanted(request, IMPORT_STATES)
    report = reading.read(request, lambda session: objects.imports(session, wanted))
    return _page(request, report, report.found, wanted, IMPORT_STATES) | {"rate": objects.rate}


@view_config(route_name="admin.import", request_method="GET", permission="admin", renderer="admin/import.html")
def import_(request: Request) -> dict[str, Any]:
    import_id = number_of(request, "import_id")

    def found(session: Session) -> dict[str, Any] | None:
        row = objects.import_(session, import_id)
        return {"one": row, "rate": objects.rate} if row is not None else None

    return _one(request, found)


@view_config(route_name="admin.import_cancel", request_method="POST", permission="admin")
def cancel_import(request: Request) -> Response:
    import_id = number_of(request, "import_id")
    done = _("The import is stopped. What was imported stays.")
    there = request.route_path("admin.import", import_id=import_id)
    return _did(request, deeds.cancel_import, import_id, done, there)


@view_config(route_name="admin.import_retry", request_method="POST", permission="admin")
def retry_import(request: Request) -> Response:
    import_id = number_of(request, "import_id")
    done = _("The import goes on within seconds.")
    there = request.route_path("admin.import", import_id=import_id)
    return _did(request, deeds.retry_import, import_id, done, there)


@view_config(route_name="admin.import_delete", request_method="POST", permission="admin")
def delete_import(request: Request) -> Response:
    import_id = number_of(request, "import_id")
    done = _("The import is forgotten; the people whom it brought stay.")
    back = request.route_path("admin.import", import_id=import_id)
    return _did(request, deeds.delete_import, import_id, done, request.route_path("admin.imports"), back)


# Letters


@view_config(route_name="admin.messages", request_method="GET", permission="admin", renderer="admin/messages.html")
@view_config(
    route_name="admin.messages",
    request_method="GET",
    permission="admin",
    renderer="admin/_message_rows.html",
    hx_target="message-rows",
)
def messages(request: Request) -> dict[str, Any] | Response:
    """An id in the search leads to its letter."""
    given = request.GET
    text = given.get("q", "").strip()[:320]
    message_id = _uuid(text)
    if message_id is not None:
        return htmx.redirect(request, request.route_path("admin.message", message_id=message_id))
    since, until = _days(request)
    wanted = letters.Wanted(
        project=given.get("project", "").strip()[:40],
        state=given["state"] if given.get("state") in set(MESSAGE_STATES) else "",
        kind=given["kind"] if given.get("kind") in set(KINDS) else "",
        to=text,
        since=since,
        until=until,
        after=_uuid(given.get("after", "")),
        limit=PAGE_SIZE,
    )
    today = datetime.now(UTC).date()
    report = reading.read(request, lambda session: letters.listed(session, wanted, today=today))
    return _page(request, report, report.found, wanted, MESSAGE_STATES, letters.MOST_COUNTED) | {
        "kinds": list(KINDS.items()),
        "kind_names": KINDS,
    }


@view_config(route_name="admin.message", request_method="GET", permission="admin", renderer="admin/message.html")
def message(request: Request) -> dict[str, Any]:
    message_id = message_id_of(request)

    def found(session: Session) -> dict[str, Any] | None:
        row = letters.letter(session, message_id)
        if row is None:
            return None
        return {
            "letter": row,
            "has_content": letters.has_content(session, row),
            "timeline": [
                (_EVENT_NAMES[EventType(one.type)], one.detail or one.url, one.at, _EVENT_KINDS.get(one.type, ""))
                for one in letters.events(session, row)
            ],
        }

    return _one(request, found) | {"kind_names": KINDS}


@view_config(route_name="admin.message_delete", request_method="POST", permission="admin")
def delete_message(request: Request) -> Response:
    message_id = message_id_of(request)
    done = {
        "withdrawn": _("The letter is not sent any more, and what it says is erased."),
        "erased": _("What the letter said is erased. Its numbers stay."),
    }
    there = request.route_path("admin.message", message_id=message_id)
    return _did(request, deeds.delete_message, message_id, done, there)


# What the pages share


def message_id_of(request: Request) -> UUID:
    """The id out of the URL, or 404."""
    found = _uuid(request.matchdict.get("message_id", ""))
    if found is None:
        raise HTTPNotFound()
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _days(request: Request) -> tuple[Any, Any]:
    """The dates of a page's URL; what makes no sense is taken as not asked for."""
    given = {name: request.GET[name] for name in ("since", "until") if request.GET.get(name)}
    try:
        return Range.model_validate(given).bounds(datetime.now(UTC).date())
    except (ValidationError, Invalid):
        return None, None


def _wanted(request: Request, states: dict[Any, Any]) -> objects.Wanted:
    given = request.GET
    since, until = _days(request)
    after = given.get("after", "")
    return objects.Wanted(
        project=given.get("project", "").strip()[:40],
        state=given["state"] if given.get("state") in set(states) else "",
        text=given.get("q", "").strip()[:200],
        since=since,
        until=until,
        after=int(after) if after.isascii() and after.isdigit() and len(after) <= 18 else None,
        limit=PAGE_SIZE,
    )


def _page(
    request: Request,
    report: reading.Report[Any],
    found: Any,
    wanted: Any,
    states: dict[Any, Any],
    most: int = objects.MOST_COUNTED,
) -> dict[str, Any]:
    """A page's rows, their count, and the next page's address."""
    rows, following = found.rows[: wanted.limit], None
    if len(found.rows) > wanted.limit:
        query = {name: value for name, value in request.GET.items() if name != "after"} | {"after": str(rows[-1].id)}
        following = request.current_route_path(_query=query)
    return {
        "report": report,
        "rows": rows,
        "count": found.count,
        "is_counted": found.count < most,
        "wanted": wanted,
        "states": list(states.items()),
        "next": following,
        "first": first_url(request),
    }


def _one(request: Request, find: Callable[[Session], dict[str, Any] | None]) -> dict[str, Any]:
    report = reading.read(request, find)
    if report.found is None:
        raise HTTPNotFound()
    return report.found | {"report": report}


def _did(
    request: Request, deed: Callable[..., Any], given: Any, done: Any, there: str, back: str | None = None
) -> Response:
    """Do it and go on to `there`; or go `back` and say why it could not be done. `done`: by result, or for any."""
    try:
        result = deed(request, given)
    except deeds.Refused as refusal:
        why = ": ".join(filter(None, (str(request.localizer.translate(refusal.message)), ", ".join(refusal.reasons))))
        request.notice(why, "bad")
        return htmx.redirect(request, back or there)
    request.notice(done[result] if isinstance(done, dict) else done)
    return htmx.redirect(request, there)
