"""Who has left: the people behind the number of unsubscribes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import Row, and_, select, tuple_
from sqlalchemy.orm import Session

from mailhub.models import Leaving, MailingList, Subscriber, Subscription, SubscriptionStatus
from mailhub.preferences import leaving
from mailhub.security.context import ProjectContext
from mailhub.stats import periods
from mailhub.web import paging


@view_config(route_name="stats.left", permission="subscribers:view", request_method="GET", renderer="stats/left.html")
@view_config(route_name="stats.left", permission="subscribers:view", request_method="GET", hx_target="left-rows",
             renderer="stats/_left_rows.html")  # fmt: skip
def left(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Who left a list in the period and has not come back, the latest first."""
    span = periods.span_of(context.project, periods.days_of(request.GET.get("days")), now=datetime.now(UTC))
    after = paging.read_cursor(request.GET.get("after"), str, int, int)
    found = people_who_left(
        request.dbsession, context.project.id, *span.moments, after=_moment(after), limit=paging.PAGE_SIZE + 1
    )
    page = paging.page_of(
        found, paging.PAGE_SIZE, lambda row: (row.unsubscribed_at.isoformat(), row.list_id, row.subscriber_id)
    )
    return {
        "rows": page.rows,
        "reasons": leaving.of_days(request.dbsession, context.project.id, span.since, span.until),
        "span": span,
        "periods": periods.PERIODS,
        "next": paging.next_url(request, page),
        "first": paging.first_url(request),
    }


def people_who_left(
    dbsession: Session,
    project_id: int,
    since: datetime,
    until: datetime,
    *,
    after: tuple[datetime, int, int] | None = None,
    limit: int,
) -> list[Row[Any]]:
    """(subscriber_id, email, name, list_id, list_name, unsubscribed_at, reason, note) in the half-open range.

    The latest first; reason and note are None where nothing was said.

    By the index `ix_subscription_left`; `after` are the time, the list and the person of the last row seen.
    """
    at = Subscription.unsubscribed_at
    place = tuple_(at, Subscription.list_id, Subscription.subscriber_id)
    wanted = (
        select(
            Subscription.subscriber_id, Subscriber.email, Subscriber.name, Subscription.list_id,
            MailingList.name.label("list_name"), at, Leaving.reason, Leaving.note,
        )
        .join(
            Subscriber,
            and_(Subscriber.project_id == Subscription.project_id, Subscriber.id == Subscription.subscriber_id),
        )
        .join(
            MailingList,
            and_(MailingList.project_id == Subscription.project_id, MailingList.id == Subscription.list_id),
        )
        .outerjoin(
            Leaving,
            and_(
                Leaving.project_id == Subscription.project_id,
                Leaving.list_id == Subscription.list_id,
                Leaving.subscriber_id == Subscription.subscriber_id,
                # What was said at an earlier leaving is not why they have left now.
                Leaving.at >= Subscription.unsubscribed_at,
            ),
        )
        .where(
            Subscription.project_id == project_id,
            Subscription.status == SubscriptionStatus.UNSUBSCRIBED,
            at >= since,
            at < until,
        )
        .order_by(at.desc(), Subscription.list_id.desc(), Subscription.subscriber_id.desc())
        .limit(limit)
    )  # fmt: skip
    if after is not None:
        wanted = wanted.where(place < after)
    return list(dbsession.execute(wanted))


def _moment(after: tuple[Any, ...] | None) -> tuple[datetime, int, int] | None:
    """The keys of a cursor; one that somebody has written by hand is none."""
    if after is None:
        return None
    try:
        at = datetime.fromisoformat(after[0])
    except ValueError:
        return None
    return (at, after[1], after[2]) if at.tzinfo is not None else None
