"""Every URL of the site, grouped by room: the table of contents.

The factory loads the object and says 404 to strangers (`<room>/resources.py`); ids are numbers, messages' are UUIDs.
"""

from __future__ import annotations

from pyramid.config import Configurator

ROOT = "mailhub.security.context.Root"
PROJECT = "mailhub.security.context.ProjectContext"


def includeme(config: Configurator) -> None:
    config.include(accounts)
    config.include(projects)
    config.include(lists)
    config.include(suppression)
    config.include(imports)
    config.include(campaigns)
    config.include(transactional)
    config.include(stats)
    config.include(tracking)
    config.include(api, route_prefix="/api/v1")
    config.add_route("api.reference", "/docs/api", factory=ROOT)


def accounts(config: Configurator) -> None:
    add = config.add_route
    add("accounts.sign_in", "/sign-in", factory=ROOT)
    add("accounts.sign_in_link", "/sign-in/{token}", factory=ROOT)
    add("accounts.sign_out", "/sign-out", factory=ROOT)
    add("accounts.profile", "/account", factory=ROOT)
    add("accounts.appearance", "/account/appearance", factory=ROOT)
    add("accounts.password", "/account/password", factory=ROOT)
    add("accounts.sessions", "/account/sessions", factory=ROOT)
    add("accounts.session_end", "/account/sessions/{session_id}/end", factory=ROOT)
    add("accounts.api_keys", "/projects/{project}/api-keys", factory=PROJECT)
    add("accounts.api_key_revoke", "/projects/{project}/api-keys/{key_id}/revoke", factory=PROJECT)


def projects(config: Configurator) -> None:
    add = config.add_route
    add("projects.home", "/", factory=ROOT)
    add("projects.index", "/projects", factory=ROOT)
    add("projects.new", "/projects/new", factory=ROOT)
    add("projects.settings", "/projects/{project}/settings", factory=PROJECT)
    add("projects.senders", "/projects/{project}/senders", factory=PROJECT)
    sender = "mailhub.projects.resources.SenderContext"
    add("projects.sender", "/projects/{project}/senders/{sender_id}", factory=sender)
    add("projects.sender_delete", "/projects/{project}/senders/{sender_id}/delete", factory=sender)
    add("projects.domains", "/projects/{project}/domains", factory=PROJECT)
    domain = "mailhub.projects.resources.DomainContext"
    add("projects.domain", "/projects/{project}/domains/{domain_id}", factory=domain)
    add("projects.domain_verify", "/projects/{project}/domains/{domain_id}/verify", factory=domain)
    add("projects.domain_delete", "/projects/{project}/domains/{domain_id}/delete", factory=domain)
    add("projects.members", "/projects/{project}/members", factory=PROJECT)
    member = "mailhub.projects.resources.MemberContext"
    add("projects.member_role", "/projects/{project}/members/{user_id}/role", factory=member)
    add("projects.member_link", "/projects/{project}/members/{user_id}/link", factory=member)
    add("projects.member_remove", "/projects/{project}/members/{user_id}/remove", factory=member)
    add("projects.journal", "/projects/{project}/journal", factory=PROJECT)


def lists(config: Configurator) -> None:
    add = config.add_route
    add("lists.index", "/projects/{project}/lists", factory=PROJECT)
    add("lists.new", "/projects/{project}/lists/new", factory=PROJECT)
    mailing_list = "mailhub.lists.resources.ListContext"
    add("lists.show", "/projects/{project}/lists/{list_id}", factory=mailing_list)
    add("lists.edit", "/projects/{project}/lists/{list_id}/edit", factory=mailing_list)
    add("lists.delete", "/projects/{project}/lists/{list_id}/delete", factory=mailing_list)
    add("lists.subscribers", "/projects/{project}/subscribers", factory=PROJECT)
    add("lists.subscriber_new", "/projects/{project}/subscribers/new", factory=PROJECT)
    subscriber = "mailhub.lists.resources.SubscriberContext"
    add("lists.subscriber", "/projects/{project}/subscribers/{subscriber_id}", factory=subscriber)
    for action in ("edit", "unsubscribe", "subscribe", "delete"):
        add(
            f"lists.subscriber_{action}",
            "/projects/{project}/subscribers/{subscriber_id}/" + action,
            factory=subscriber,
        )
    # Public: a list's own sign-up page, and the confirmation of a double opt-in.
    add("lists.sign_up", "/s/{token}", factory=ROOT)
    add("lists.confirm", "/c/{token}", factory=ROOT)


def suppression(config: Configurator) -> None:
    add = config.add_route
    add("suppression.index", "/projects/{project}/stop-list", factory=PROJECT)
    add("suppression.new", "/projects/{project}/stop-list/new", factory=PROJECT)
    entry = "mailhub.suppression.resources.EntryContext"
    add("suppression.remove", "/projects/{project}/stop-list/{suppression_id}/remove", factory=entry)


def imports(config: Configurator) -> None:
    add = config.add_route
    add("imports.index", "/projects/{project}/imports", factory=PROJECT)
    add("imports.new", "/projects/{project}/imports/new", factory=PROJECT)
    subscriber_import = "mailhub.imports.resources.ImportContext"
    add("imports.columns", "/projects/{project}/imports/{import_id}/columns", factory=subscriber_import)
    add("imports.show", "/projects/{project}/imports/{import_id}", factory=subscriber_import)
    add("imports.rejected", "/projects/{project}/imports/{import_id}/rejected.csv", factory=subscriber_import)


def campaigns(config: Configurator) -> None:
    add = config.add_route
    add("campaigns.index", "/projects/{project}/campaigns", factory=PROJECT)
    add("campaigns.new", "/projects/{project}/campaigns/new", factory=PROJECT)
    campaign = "mailhub.campaigns.resources.CampaignContext"
    base = "/projects/{project}/campaigns/{campaign_id}"
    add("campaigns.show", base, factory=campaign)
    # The draft, in steps with a URL each: recipients, content, review.
    add("campaigns.recipients", base + "/edit/recipients", factory=campaign)
    add("campaigns.content", base + "/edit/content", factory=campaign)
    add("campaigns.review", base + "/edit/review", factory=campaign)
    add("campaigns.preview", base + "/preview", factory=campaign)
    add("campaigns.preview_frame", base + "/preview/frame", factory=campaign)
    add("campaigns.test", base + "/test", factory=campaign)
    add("campaigns.start", base + "/start", factory=campaign)
    add("campaigns.send_now", base + "/send-now", factory=campaign)
    add("campaigns.pause", base + "/pause", factory=campaign)
    add("campaigns.resume", base + "/resume", factory=campaign)
    add("campaigns.cancel", base + "/cancel", factory=campaign)
    add("campaigns.resend", base + "/resend", factory=campaign)
    add("campaigns.retry", base + "/retry", factory=campaign)
    add("campaigns.copy", base + "/copy", factory=campaign)
    add("campaigns.rename", base + "/rename", factory=campaign)
    add("campaigns.archive", base + "/archive", factory=campaign)
    add("campaigns.delete", base + "/delete", factory=campaign)
    add("campaigns.people", base + "/people", factory=campaign)
    add("campaigns.people_csv", base + "/people.csv", factory=campaign)


def transactional(config: Configurator) -> None:
    add = config.add_route
    add("transactional.index", "/projects/{project}/messages", factory=PROJECT)
    message = "mailhub.transactional.resources.MessageContext"
    add("transactional.show", "/projects/{project}/messages/{message_id}", factory=message)
    add("transactional.frame", "/projects/{project}/messages/{message_id}/frame", factory=message)


def stats(config: Configurator) -> None:
    add = config.add_route
    add("stats.overview", "/projects/{project}", factory=PROJECT)
    add("stats.overview_csv", "/projects/{project}/stats/days.csv", factory=PROJECT)
    add("stats.campaigns", "/projects/{project}/stats/campaigns", factory=PROJECT)
    add("stats.campaigns_csv", "/projects/{project}/stats/campaigns.csv", factory=PROJECT)
    add("stats.compare", "/projects/{project}/stats/compare", factory=PROJECT)
    add("stats.growth", "/projects/{project}/stats/growth", factory=PROJECT)
    add("stats.growth_csv", "/projects/{project}/stats/growth.csv", factory=PROJECT)
    add("stats.left", "/projects/{project}/stats/unsubscribed", factory=PROJECT)
    mailing_list = "mailhub.lists.resources.ListContext"
    add("stats.list", "/projects/{project}/lists/{list_id}/growth", factory=mailing_list)
    add("stats.list_csv", "/projects/{project}/lists/{list_id}/growth.csv", factory=mailing_list)
    campaign = "mailhub.stats.resources.CampaignStatsContext"
    add("stats.campaign", "/projects/{project}/campaigns/{campaign_id}/stats", factory=campaign)
    add("stats.campaign_map", "/projects/{project}/campaigns/{campaign_id}/stats/map", factory=campaign)
    add("stats.campaign_csv", "/projects/{project}/campaigns/{campaign_id}/stats/{table}.csv", factory=campaign)
    add("stats.shares", "/projects/{project}/campaigns/{campaign_id}/shares", factory=campaign)
    share = "mailhub.stats.resources.ShareContext"
    add("stats.share_revoke", "/projects/{project}/campaigns/{campaign_id}/shares/{share_id}/revoke", factory=share)
    # Public: a campaign's report for whoever was given the link.
    add("stats.shared", "/r/{token}", factory=ROOT)


def tracking(config: Configurator) -> None:
    """Without session or cookie: the token says everything. In production these have a process of their own."""
    add = config.add_route
    add("tracking.open", "/t/o/{token}", factory=ROOT)
    add("tracking.click", "/t/c/{token}", factory=ROOT)
    add("tracking.unsubscribe", "/u/{token}", factory=ROOT)
    add("tracking.web_version", "/v/{token}", factory=ROOT)


def api(config: Configurator) -> None:
    """The JSON API: the project is the key's."""
    add = config.add_route
    add("api.openapi", "/openapi.json", factory=ROOT)
    add("api.lists", "/lists", factory=PROJECT)
    add("api.list", "/lists/{list_id}", factory="mailhub.lists.resources.ListContext")
    add("api.subscribers", "/subscribers", factory=PROJECT)
    add("api.subscribers_batch", "/subscribers/batch", factory=PROJECT)
    add("api.subscriber", "/subscribers/{subscriber_id}", factory="mailhub.lists.resources.SubscriberContext")
    add("api.suppressions", "/suppressions", factory=PROJECT)
    add("api.suppression_check", "/suppressions/check/{address}", factory=PROJECT)
    add("api.imports", "/imports", factory=PROJECT)
    add("api.import", "/imports/{import_id}", factory="mailhub.imports.resources.ImportContext")
    add("api.import_rejected", "/imports/{import_id}/rejected.csv", factory="mailhub.imports.resources.ImportContext")
    campaign = "mailhub.campaigns.resources.CampaignContext"
    add("api.campaigns", "/campaigns", factory=PROJECT)
    add("api.campaign", "/campaigns/{campaign_id}", factory=campaign)
    for action in ("start", "pause", "resume", "cancel", "resend", "retry", "archive", "test"):
        add(f"api.campaign_{action}", "/campaigns/{campaign_id}/" + action, factory=campaign)
    add("api.campaign_recipients", "/campaigns/{campaign_id}/recipients", factory=campaign)
    add("api.campaign_stats", "/campaigns/{campaign_id}/stats", factory="mailhub.stats.resources.CampaignStatsContext")
    add("api.messages", "/messages", factory=PROJECT)
    add("api.message", "/messages/{message_id}", factory="mailhub.transactional.resources.MessageContext")
    add("api.events", "/events", factory=PROJECT)
    add("api.stats_daily", "/stats/daily", factory=PROJECT)
    domain = "mailhub.projects.resources.DomainContext"
    add("api.domains", "/domains", factory=PROJECT)
    add("api.domain", "/domains/{domain_id}", factory=domain)
    add("api.domain_verify", "/domains/{domain_id}/verify", factory=domain)
