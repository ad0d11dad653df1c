"""mailhub: email marketing and transactional mail that people run themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid.config import Configurator

    from mailhub.tracking.door import Door

#: The rooms that have views on the site; their `tasks` are registered too.
ROOMS = (
    "accounts", "projects", "background", "suppression", "segments", "lists", "imports", "signup", "preferences",
    "privacy", "events", "jobs", "delivery", "campaigns", "transactional", "tracking", "stats", "exports",
)  # fmt: skip


def main(global_config: dict[str, str] | None = None, **settings: Any) -> Door:
    """The site: what `pserve development.ini` serves."""
    from mailhub.garbage import settle
    from mailhub.tracking.door import opened_door

    router = configure({**(global_config or {}), **settings}).make_wsgi_app()
    settle()
    given = router.registry.mailhub
    # In production tracking has a process of its own, and its links come here by mistake only.
    return opened_door(router, at_once=given.tracking_url == given.public_url)


def configure(settings: dict[str, Any]) -> Configurator:
    """The site's configuration; the worker uses the same one, so that a task sees what a view sees."""
    # Imported here: every module of ours imports this file first, and `mailhub up` should not wait for Pyramid.
    import pyramid_tm
    from pyramid.config import Configurator

    from mailhub.security.context import Root

    settings = {
        "mailhub.process": "site",
        "tm.manager_hook": pyramid_tm.explicit_manager,
        "tm.commit_veto": "pyramid_tm.default_commit_veto",
        **settings,
    }
    config = Configurator(settings=settings, root_factory=Root)
    config.include("mailhub.startup")  # settings first: everything below reads them
    config.include("mailhub.web.headers")  # the outermost tween, so that error pages carry the headers too
    config.include("pyramid_retry")  # outside the transaction: it runs the whole of it again
    config.include("pyramid_tm")
    config.include("mailhub.db")  # joins request.tm
    config.include("mailhub.tasks")  # request.enqueue, after the commit of request.tm
    config.include("mailhub.security")  # identity reads the database
    config.include("mailhub.web.i18n")
    config.include("mailhub.web.jinja")
    config.include("mailhub.web.htmx")
    config.include("mailhub.web.errors")  # renders templates
    config.include("mailhub.web.api")
    config.include("mailhub.web.health")
    config.include("mailhub.embedded.views")  # the development mailbox, in development only
    config.include("mailhub.web.styleguide")  # /_ui, in development only
    config.include("mailhub.routes")
    config.include("mailhub.web.openapi")  # describes the API of the routes
    for room in ROOMS:
        config.scan(f"mailhub.{room}")
    return config
