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
    config.include(segments)
    config.include(lists)
    config.include(suppression)
    config.include(imports)
    config.include(signup)
    config.include(preferences)
    config.include(campaigns)
    config.include(transactional)
    config.include(stats)
    config.include(privacy)
    config.include(exports)
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
    _people(config)
    subscriber = "mailhub.lists.resources.SubscriberContext"
    add("lists.subscriber", "/projects/{project}/subscribers/{subscriber_id}", factory=subscriber)
    for action in ("edit", "unsubscribe", "subscribe", "delete", "field", "tags", "notes", "suppress", "merge"):
        add(
            f"lists.subscriber_{action}",
            "/projects/{project}/subscribers/{subscriber_id}/" + action,
            factory=subscriber,
        )
    add(
        "lists.subscriber_note_delete",
        "/projects/{project}/subscribers/{subscriber_id}/notes/{note_id}/delete",
        factory="mailhub.lists.resources.NoteContext",
    )
    base = "/projects/{project}/lists/{list_id}/letters"
    add("lists.letters", base, factory=mailing_list)
    add("lists.letter", base + "/{kind}/{language}", factory=mailing_list)
    for action in ("preview", "test", "reset"):
        add(f"lists.letter_{action}", base + "/{kind}/{language}/" + action, factory=mailing_list)


def _people(config: Configurator) -> None:
    """What is about many people at once: before the routes of one person, whose id would take these words."""
    people, resources = "/projects/{project}/subscribers", "mailhub.lists.resources."
    add = config.add_route
    add("lists.subscriber_columns", people + "/columns", factory=PROJECT)
    add("lists.subscriber_views", people + "/views", factory=PROJECT)
    add("lists.subscriber_view_delete", people + "/views/{view_id}/delete", factory=resources + "ViewContext")
    add("lists.bulk", people + "/bulk", factory=PROJECT)
    add("lists.bulk_jobs", people + "/changes", factory=PROJECT)
    add("lists.bulk_job", people + "/changes/{job_id}", factory=resources + "BulkContext")
    add("lists.bulk_cancel", people + "/changes/{job_id}/cancel", factory=resources + "BulkContext")
    add("lists.bulk_undo", people + "/changes/{job_id}/undo", factory=resources + "BulkContext")
    add("lists.tags", people + "/tags", factory=PROJECT)
    add("lists.tag", people + "/tags/{tag_id}", factory=resources + "TagContext")
    add("lists.tag_delete", people + "/tags/{tag_id}/delete", factory=resources + "TagContext")
    add("lists.fields", people + "/fields", factory=PROJECT)
    add("lists.field", people + "/fields/{field}", factory=resources + "FieldContext")
    for action in ("move", "retype", "delete"):
        add(f"lists.field_{action}", people + "/fields/{field}/" + action, factory=resources + "FieldContext")
    add("lists.duplicates", people + "/duplicates", factory=PROJECT)
    add("lists.duplicate", people + "/duplicates/{duplicate_id}", factory=resources + "DuplicateContext")
    add(
        "lists.duplicate_dismiss",
        people + "/duplicates/{duplicate_id}/dismiss",
        factory=resources + "DuplicateContext",
    )


def segments(config: Configurator) -> None:
    add = config.add_route
    base = "/projects/{project}/segments"
    add("segments.index", base, factory=PROJECT)
    add("segments.new", base + "/new", factory=PROJECT)
    add("segments.preview", base + "/preview", factory=PROJECT)
    segment = "mailhub.segments.resources.SegmentContext"
    add("segments.show", base + "/{segment_id}", factory=segment)
    for action in ("edit", "people", "count", "copy", "archive", "restore", "delete"):
        add(f"segments.{action}", base + "/{segment_id}/" + action, factory=segment)


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
    for step in ("reading", "columns", "rules", "check"):
        add(f"imports.{step}", "/projects/{project}/imports/{import_id}/" + step, factory=subscriber_import)
    for action in ("discard", "cancel", "retry", "rollback"):
        add(f"imports.{action}", "/projects/{project}/imports/{import_id}/" + action, factory=subscriber_import)
    add("imports.show", "/projects/{project}/imports/{import_id}", factory=subscriber_import)
    add("imports.rejected", "/projects/{project}/imports/{import_id}/rejected.csv", factory=subscriber_import)


def signup(config: Configurator) -> None:
    add = config.add_route
    add("signup.index", "/projects/{project}/forms", factory=PROJECT)
    add("signup.new", "/projects/{project}/forms/new", factory=PROJECT)
    add("signup.preview", "/projects/{project}/forms/preview", factory=PROJECT)
    add("signup.preview_look", "/projects/{project}/forms/preview/look.css", factory=PROJECT)
    form = "mailhub.signup.resources.FormContext"
    base = "/projects/{project}/forms/{form_id}"
    add("signup.form", base, factory=form)
    add("signup.form_csv", base + "/days.csv", factory=form)
    for action in ("edit", "share", "submissions", "copy", "pause", "resume", "archive"):
        add(f"signup.form_{action}", base + "/" + action, factory=form)
    submission = "mailhub.signup.resources.SubmissionContext"
    add("signup.submission_ask", base + "/submissions/{submission_id}/ask", factory=submission)
    # Public: a form's page with its colours, and the confirmation of a double opt-in.
    add("signup.page", "/s/{token}", factory=ROOT)
    add("signup.look", "/s/{token}/look.css", factory=ROOT)
    add("signup.confirm", "/c/{token}", factory=ROOT)


def preferences(config: Configurator) -> None:
    add = config.add_route
    add("preferences.settings", "/projects/{project}/preferences", factory=PROJECT)
    subscriber = "mailhub.lists.resources.SubscriberContext"
    add("preferences.person", "/projects/{project}/subscribers/{subscriber_id}/preferences", factory=subscriber)
    # Public: a person's own page, where one asks for its link, and the confirmation of a new address.
    add("preferences.page", "/p/{token}", factory=ROOT)
    add("preferences.ask", "/p/{token}/link", factory=ROOT)
    add("preferences.address", "/address/{token}", factory=ROOT)


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


def privacy(config: Configurator) -> None:
    add = config.add_route
    add("privacy.index", "/projects/{project}/privacy", factory=PROJECT)
    erasure = "mailhub.privacy.resources.ErasureContext"
    add("privacy.withdraw", "/projects/{project}/privacy/{erasure_id}/withdraw", factory=erasure)
    subscriber = "mailhub.lists.resources.SubscriberContext"
    add("privacy.person_export", "/projects/{project}/subscribers/{subscriber_id}/export", factory=subscriber)
    add("privacy.person_erase", "/projects/{project}/subscribers/{subscriber_id}/erase", factory=subscriber)
    # Public: by the token of a letter.
    add("privacy.my_data", "/p/{token}/data", factory=ROOT)
    add("privacy.my_erase", "/p/{token}/erase", factory=ROOT)


def exports(config: Configurator) -> None:
    add = config.add_route
    add("exports.index", "/projects/{project}/exports", factory=PROJECT)
    export = "mailhub.exports.resources.ExportContext"
    add("exports.file", "/projects/{project}/exports/{export_id}/file", factory=export)
    add("exports.cancel", "/projects/{project}/exports/{export_id}/cancel", factory=export)
    add("exports.remove", "/projects/{project}/exports/{export_id}/remove", factory=export)


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
    person = "mailhub.lists.resources.SubscriberContext"
    add("api.subscriber_data", "/subscribers/{subscriber_id}/data", factory=person)
    add("api.subscriber_erase", "/subscribers/{subscriber_id}/erase", factory=person)
    add("api.erasures", "/erasures", factory=PROJECT)
    add("api.erasure", "/erasures/{erasure_id}", factory="mailhub.privacy.resources.ErasureContext")
    add("api.exports", "/exports", factory=PROJECT)
    add("api.export", "/exports/{export_id}", factory="mailhub.exports.resources.ExportContext")
    add("api.export_file", "/exports/{export_id}/file", factory="mailhub.exports.resources.ExportContext")
    bulk = "mailhub.lists.resources.BulkContext"
    add("api.bulk", "/subscribers/bulk", factory=PROJECT)
    add("api.bulk_job", "/subscribers/bulk/{job_id}", factory=bulk)
    add("api.bulk_cancel", "/subscribers/bulk/{job_id}/cancel", factory=bulk)
    add("api.bulk_undo", "/subscribers/bulk/{job_id}/undo", factory=bulk)
    add("api.fields", "/fields", factory=PROJECT)
    add("api.field", "/fields/{field}", factory="mailhub.lists.resources.FieldContext")
    add("api.tags", "/tags", factory=PROJECT)
    add("api.tag", "/tags/{tag_id}", factory="mailhub.lists.resources.TagContext")
    add("api.subscriber_merge", "/subscribers/{subscriber_id}/merge", factory=person)
    add("api.subscriber", "/subscribers/{subscriber_id}", factory=person)
    add("api.segments", "/segments", factory=PROJECT)
    add("api.segments_preview", "/segments/preview", factory=PROJECT)
    segment = "mailhub.segments.resources.SegmentContext"
    add("api.segment", "/segments/{segment_id}", factory=segment)
    add("api.segment_subscribers", "/segments/{segment_id}/subscribers", factory=segment)
    add("api.segment_explain", "/segments/{segment_id}/subscribers/{subscriber_id}", factory=segment)
    add("api.suppressions", "/suppressions", factory=PROJECT)
    add("api.suppression_check", "/suppressions/check/{address}", factory=PROJECT)
    form = "mailhub.signup.resources.FormContext"
    add("api.forms", "/forms", factory=PROJECT)
    add("api.form", "/forms/{form_id}", factory=form)
    add("api.form_submissions", "/forms/{form_id}/submissions", factory=form)
    add("api.form_days", "/forms/{form_id}/days", factory=form)
    add("api.imports", "/imports", factory=PROJECT)
    add("api.import", "/imports/{import_id}", factory="mailhub.imports.resources.ImportContext")
    for action in ("start", "cancel", "rollback"):
        add(f"api.import_{action}", "/imports/{import_id}/" + action, factory="mailhub.imports.resources.ImportContext")
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
