"""What the sweep does for the brakes: rates as they are set, lanes that may grow, slots of the dead."""

from __future__ import annotations

from pyramid.request import Request

from mailhub.delivery import feedback, slots, throttle
from mailhub.delivery.database import Connection, Database
from mailhub.tasks import sweep


@sweep
def keep_limits(request: Request) -> None:
    """Make the buckets say what settings, projects, campaigns and slowed lanes say."""
    settings = request.registry.mailhub

    def keep(connection: Connection) -> None:
        feedback.grow(connection)
        throttle.sync_rates(connection, settings)
        slots.forget_dead(connection)

    # Its own connection: these are short transactions of their own, in an order that nobody else's locks can cross.
    database = Database(request.registry.engine, patience_seconds=0)
    try:
        database.statement(keep)
    finally:
        database.close()
