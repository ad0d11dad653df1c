"""What the rooms above ask of the post office."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from mailhub.delivery.accept import Attachment, SingleLetter, accept
from mailhub.delivery.fan_out import fan_out
from mailhub.delivery.feedback import LaneState
from mailhub.delivery.feedback import states as _states
from mailhub.delivery.routing import Routes
from mailhub.models import RelayHealth, RelayState, WorkerHeartbeat

__all__ = ["Attachment", "LaneState", "SingleLetter", "accept", "fan_out", "lane_states", "relay_trouble"]


def relay_trouble(dbsession: Session, relay: str, *, routes: Routes | None = None) -> str:
    """Why the relay takes nothing now, in its own words; empty while it works. For a campaign's page.

    With `routes`, `relay` may be a group of relays: it is in trouble when none of them works.
    """
    names = routes.members(routes.route_of(relay)) if routes is not None else (relay,)
    down = dbsession.execute(
        select(RelayHealth.relay, RelayHealth.reason).where(
            RelayHealth.relay.in_(names), RelayHealth.state == RelayState.DOWN
        )
    ).all()
    if down:
        return str(down[0].reason) if len(down) == len(names) else ""
    found = select(WorkerHeartbeat.doing).where(
        WorkerHeartbeat.doing.startswith(f"relay {relay}: ", autoescape=True),
        WorkerHeartbeat.last_seen_at > text("clock_timestamp() - interval '15 s'"),
    )
    doing = dbsession.scalars(found.limit(1)).first()
    return doing.partition(": ")[2] if doing else ""


def lane_states(dbsession: Session, relays: tuple[str, ...]) -> list[LaneState]:
    """The lanes of these relays that were written to or have limits, by relay and lane. For a campaign's page."""
    connection = dbsession.connection().connection.driver_connection
    return [state for state in _states(connection) if state.relay in relays]  # type: ignore[arg-type]
