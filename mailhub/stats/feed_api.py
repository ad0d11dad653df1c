"""`/api/v1/events`: what happened in a project, for programs that come back for more.

It stands with the readers of numbers and not with the letters: it reads the raw events of campaigns and single letters
alike, by a query of reporting/, and changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pyramid.request import Request

from mailhub.reporting import feed
from mailhub.reporting.feed import FeedEvent
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.forms import Form
from mailhub.web.i18n import _
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX, cursor, next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


class EventsQuery(Form):
    """`after` is a cursor: of `next`, or the `id` of the last event that was read. Without it: from the beginning."""

    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class FeedEventOut(BaseModel):
    """An event. Hits (`OPENED`, `REDIRECTED`) have a device, a client and, within 90 seconds, an actor."""

    id: str = Field(description="Opaque; as `after` it continues behind this event.")
    type: str
    at: datetime
    kind: str = Field(description="`campaign`, `transactional`, `test` or `service`.")
    message_id: str | None
    campaign_id: str | None
    list_id: str | None
    subscriber_id: str | None
    email: str = Field(description="Empty for people who have been erased.")
    link_id: str | None
    url: str
    code: int | None = Field(description="The SMTP reply's code.")
    detail: str
    device: str = Field(description="`desktop`, `mobile`, `tablet`, `proxy`, `bot` or empty.")
    client: str
    actor: str = Field(
        description="`human`, `proxy_open`, `machine_open`, `scanner`, `unknown`; empty until it is known, and for all"
        " that is no hit. An event is told once: read it again later for its actor."
    )


@endpoint(
    "api.events", "GET", permission="messages:view", query=EventsQuery, answer=FeedEventOut, many=True,
    summary="Every event, loss-free and in a fixed order: where `next` is null, ask again after the last event's `id`",
)  # fmt: skip
def events(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, EventsQuery)
    after = read_cursor(query.after, int, int)
    if query.after and after is None:
        # To begin anew without a word would tell everything twice.
        message = _("This cursor is not one of ours.")
        raise ApiProblem(422, message, [FieldProblem("after", message)])
    rows = feed.events_after(
        request.dbsession,
        context.project.id,
        after or feed.BEGINNING,
        most=query.limit + 1,
    )
    page = page_of(rows, query.limit, lambda event: event.place)
    following = next_url(request, page)
    return {
        "results": [_out(event) for event in page.rows],
        "next": request.registry.mailhub.public_url + following if following else None,
    }


def _out(event: FeedEvent) -> FeedEventOut:
    return FeedEventOut(
        id=cursor(*event.place),
        type=event.type,
        at=event.at,
        kind=event.kind,
        message_id=_text(event.message_id),
        campaign_id=_text(event.campaign_id),
        list_id=_text(event.list_id),
        subscriber_id=_text(event.subscriber_id),
        email=event.email,
        link_id=_text(event.link_id),
        url=event.url,
        code=event.code,
        detail=event.detail,
        device=event.device,
        client=event.client,
        actor=event.actor,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
