"""Room what comes back: opens, clicks, unsubscribes. In production it has a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailhub.tracking.door import Door


def main(global_config: dict[str, str] | None = None, **settings: Any) -> Door:
    """The tracking process: what letters link to, and nothing that needs a session."""
    # Imported here: the doctor reads spools, and should not wait for Pyramid.
    import pyramid_tm
    from pyramid.config import Configurator

    from mailhub.garbage import settle
    from mailhub.security.context import Root
    from mailhub.tracking.door import opened_door

    settings = {
        "mailhub.process": "tracking",
        "tm.manager_hook": pyramid_tm.explicit_manager,
        "tm.commit_veto": "pyramid_tm.default_commit_veto",
        **(global_config or {}),
        **settings,
    }
    config = Configurator(settings=settings, root_factory=Root)
    for part in (
        "mailhub.startup",
        "mailhub.web.headers",
        "pyramid_retry",
        "pyramid_tm",
        "mailhub.db",
        "mailhub.tasks",
        "mailhub.security",
        "mailhub.web.i18n",
        "mailhub.web.jinja",
        "mailhub.web.htmx",
        "mailhub.web.errors",
        "mailhub.web.health",
        "mailhub.routes.tracking",
    ):
        config.include(part)
    config.add_notfound_view("mailhub.tracking.refused.not_found")
    config.scan("mailhub.tracking")
    router = config.make_wsgi_app()
    settle()
    return opened_door(router, keeps_free=True)
