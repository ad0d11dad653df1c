"""The second front door: the reports process, in which admins see all projects. It shares no route with the site."""

from __future__ import annotations

import os
from typing import Any

import pyramid_tm
from pyramid.config import Configurator
from pyramid.router import Router

from mailhub import priority
from mailhub.garbage import settle
from mailhub.security.context import Root
from mailhub.tasks.inspection import Inspector


def main(global_config: dict[str, str] | None = None, **settings: Any) -> Router:
    """What `pserve development.ini --app-name=reports --server-name=reports` serves."""
    # Started with `nice`, it stands back as a session too.
    priority.stand_back(os.getpid(), os.getpriority(os.PRIO_PROCESS, 0))
    router = configure({**(global_config or {}), **settings}).make_wsgi_app()
    settle()
    return router


def configure(settings: dict[str, Any]) -> Configurator:
    """The reports process: the site's foundation, its own pages, its own cookie."""
    settings = {
        "tm.manager_hook": pyramid_tm.explicit_manager,
        "tm.commit_veto": "pyramid_tm.default_commit_veto",
        **settings,
        "mailhub.process": "reports",
    }
    config = Configurator(settings=settings, root_factory=Root)
    config.include("mailhub.startup")  # settings first: everything below reads them
    config.include("mailhub.web.headers")  # the outermost tween, so that error pages carry the headers too
    config.include("pyramid_retry")  # outside the transaction: it runs the whole of it again
    config.include("pyramid_tm")
    config.include("mailhub.db")  # joins request.tm
    config.include("mailhub.tasks")  # request.enqueue, for "run now"
    config.include("mailhub.security")  # identity reads the database
    config.include("mailhub.web.i18n")
    config.include("mailhub.web.jinja")
    config.include("mailhub.web.htmx")
    config.include("mailhub.web.errors")  # renders templates
    config.include("mailhub.web.api")
    config.include("mailhub.web.health")
    config.registry.inspector = Inspector(config.registry)  # what workers run, asked over the broker
    config.include("mailhub.admin.routes")
    config.scan("mailhub.admin")
    return config
