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
    # Numbers, and heavy reports as jobs.
    add("admin.numbers", "/admin/numbers/{report:[a-z]+}")
    add("admin.numbers_csv", "/admin/numbers/{report:[a-z]+}.csv")
    add("admin.suspect_look", "/admin/suspects/{project_id}/look")
    add("admin.jobs", "/admin/jobs")
    add("admin.job_file", "/admin/jobs/{job_id}.csv")
    for action in ("cancel", "forget"):
        add(f"admin.job_{action}", "/admin/jobs/{job_id}/" + action)
    # What there is, of all projects.
    for action in ("archive", "restore"):
        add(f"admin.project_{action}", "/admin/projects/{project_id}/" + action)
    add("admin.users", "/admin/people")
    add("admin.user", "/admin/people/{user_id}")
    for action in ("disable", "enable"):
        add(f"admin.user_{action}", "/admin/people/{user_id}/" + action)
    add("admin.campaigns", "/admin/campaigns")
    add("admin.campaign", "/admin/campaigns/{campaign_id}")
    add("admin.campaign_delete", "/admin/campaigns/{campaign_id}/delete")
    add("admin.imports", "/admin/imports")
    add("admin.import", "/admin/imports/{import_id}")
    for action in ("cancel", "retry", "delete"):
        add(f"admin.import_{action}", "/admin/imports/{import_id}/" + action)
    add("admin.messages", "/admin/messages")
    add("admin.message", "/admin/messages/{message_id}")
    add("admin.message_delete", "/admin/messages/{message_id}/delete")
    add("admin.stop_list", "/admin/stop-list")
    for action in ("remove", "note"):
        add(f"admin.stop_list_{action}", "/admin/stop-list/{stop_id}/" + action)
    # The machinery.
    add("admin.queues", "/admin/queues")
    add("admin.periodic", "/admin/periodic")
    add("admin.tables", "/admin/tables")
    add("admin.database", "/admin/database")
    add("admin.query_cancel", "/admin/database/{pid}/cancel")
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
    add("api.reports_users", "/users")
    add("api.reports_user", "/users/{user_id}")
    add("api.reports_campaigns", "/campaigns")
    add("api.reports_campaign", "/campaigns/{campaign_id}")
    add("api.reports_imports", "/imports")
    add("api.reports_import", "/imports/{import_id}")
    for action in ("cancel", "retry"):
        add(f"api.reports_import_{action}", "/imports/{import_id}/" + action)
    add("api.reports_messages", "/messages")
    add("api.reports_message", "/messages/{message_id}")
    add("api.reports_suppressions", "/suppressions")
    add("api.reports_suppression", "/suppressions/{stop_id}")
    add("api.reports_queues", "/queues")
    for name in ("volume", "bounces", "complaints", "movers", "suspects", "jobs"):
        add(f"api.reports_{name}", f"/{name}")
    add("api.reports_job", "/jobs/{job_id}")
    add("api.reports_job_file", "/jobs/{job_id}/file")
    add("api.reports_openapi", "/openapi.json")
