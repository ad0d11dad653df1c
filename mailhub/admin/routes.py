"""Every URL of the reports process.

Those of `accounts` have the names that they have on the site, so that error pages and the menu find them.
"""

from __future__ import annotations

from pyramid.config import Configurator

from mailhub.accounts import sign_in, views


def includeme(config: Configurator) -> None:
    add = config.add_route
    add("accounts.sign_in", "/sign-in")
    add("accounts.sign_out", "/sign-out")
    add("accounts.appearance", "/account/appearance")
    add("admin.home", "/")
    add("admin.index", "/admin")
    add("admin.projects", "/admin/projects")
    add("admin.projects_csv", "/admin/projects.csv")
    add("admin.project", "/admin/projects/{project_id}")
    add("admin.queues", "/admin/queues")
    for action in ("pause", "resume", "run"):
        add(f"admin.periodic_{action}", "/admin/periodic/{name}/" + action)
    config.include(api, route_prefix="/api/v1/reports")
    # The same views as on the site; the sign-in page is our own, and there is no page for the appearance.
    config.add_view(sign_in.sign_out, route_name="accounts.sign_out", request_method="POST", permission="authenticated")
    config.add_view(
        views.save_appearance,
        route_name="accounts.appearance",
        request_method="POST",
        permission="admin",
        renderer="accounts/appearance.html",
    )


def api(config: Configurator) -> None:
    add = config.add_route
    add("api.reports_projects", "/projects")
    add("api.reports_project", "/projects/{project_id}")
    add("api.reports_queues", "/queues")
