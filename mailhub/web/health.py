"""Is it well: for load balancers, supervisors and people."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from mailhub.db import reading

#: A worker that has been silent for longer is counted as gone.
ALIVE_SECONDS = 30

_CHECKS = text(
    """
    SELECT
        (SELECT count(*) FROM worker_heartbeat
         WHERE role = 'main' AND last_seen_at > clock_timestamp() - make_interval(secs => :alive)) AS workers,
        (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0) FROM message
         WHERE queue = 'transactional' AND state IN ('queued', 'deferred')
           AND due_at < clock_timestamp()) AS transactional_late
    """
)


#: What a room adds to the heartbeat of its process: whether it is well, and what it says.
Part = Callable[[], tuple[bool, Any]]


def add_part(registry: Any, name: str, part: Part) -> None:
    """Let the heartbeat of this process say more."""
    _parts(registry)[name] = part


def heartbeat(request: Request) -> dict[str, Any]:
    """Database, workers (which need the broker), the age of the oldest single letter that is due, the rooms' parts."""
    said: dict[str, Any] = {"database": "down", "workers": None, "transactional_late_seconds": None}
    well = False
    try:
        with reading(request.registry) as session:
            row = session.execute(_CHECKS, {"alive": ALIVE_SECONDS}).one()
    except SQLAlchemyError:
        pass
    else:
        late = round(float(row.transactional_late), 1)
        well = row.workers > 0 and late <= 60
        said = {"database": "ok", "workers": row.workers, "transactional_late_seconds": late}
    for name, part in _parts(request.registry).items():
        part_is_well, said[name] = part()
        well = well and part_is_well
    if not well:
        request.response.status_int = 503
    return said


def _parts(registry: Any) -> dict[str, Part]:
    if not hasattr(registry, "heartbeat_parts"):
        registry.heartbeat_parts = {}
    found: dict[str, Part] = registry.heartbeat_parts
    return found


def lbheartbeat(_request: Request) -> Response:
    return Response("ok\n", content_type="text/plain", charset="utf-8")


def running_version(_request: Request) -> dict[str, str]:
    return {"name": "mailhub", "version": version("mailhub")}


def includeme(config: Configurator) -> None:
    for route, path, view, renderer in (
        ("health.heartbeat", "/__heartbeat__", heartbeat, "json"),
        ("health.lbheartbeat", "/__lbheartbeat__", lbheartbeat, None),
        ("health.version", "/__version__", running_version, "json"),
    ):
        config.add_route(route, path)
        config.add_view(view, route_name=route, renderer=renderer, permission=NO_PERMISSION_REQUIRED)
