"""The plan as rows: projects, lists, campaigns with their letters and links, and what the hashes are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.history.bulk import copy_rows
from bench.history.plan import LINKS, Plan, PlannedLetters, PlannedProject
from bench.history.store import Connection
from mailhub.mail.lane import LANES, lanes_of_domains

SCHEMA = Path(__file__).parent / "schema.sql"


def store_plan(connection: Connection, plan: Plan) -> None:
    """Make the benchmark's own tables and put the plan into them and into the product's."""
    connection.execute(SCHEMA.read_text(encoding="utf-8"))
    projects = {project.id: project for project in plan.projects}
    campaigns = [one for one in plan.letters if one.campaign_id is not None]
    copy_rows(connection, "project", ("id", "slug", "name", "domain", "time_zone", "created_at"), (
        (one.id, one.slug, one.name, one.domain, one.time_zone, one.created_at) for one in plan.projects
    ))  # fmt: skip
    copy_rows(connection, "sender", ("project_id", "id", "email", "name", "is_default"), (
        (one.id, one.id, f"news@{one.domain}", one.name, True) for one in plan.projects
    ))  # fmt: skip
    copy_rows(connection, "mailing_list", ("project_id", "id", "name", "created_at"), (
        (one.id, one.id * 2 - odd, "Customers" if odd else "Newsletter", one.created_at)
        for one in plan.projects for odd in (0, 1)
    ))  # fmt: skip
    names: tuple[str, ...] = (
        "project_id", "id", "name", "state", "subject", "sender_id", "html", "version", "fanned_out_at", "started_at",
        "finished_at", "created_at",
    )  # fmt: skip
    copy_rows(connection, "campaign", names, (
        (one.project_id, one.campaign_id, one.campaign_name, "sent", one.campaign_name, one.project_id, _letter(one),
         1, one.started_at, one.started_at, _ended(one), one.started_at - timedelta(minutes=30)) for one in campaigns
    ))  # fmt: skip
    copy_rows(connection, "campaign_list", ("project_id", "campaign_id", "list_id"), (
        (one.project_id, one.campaign_id, one.list_id) for one in campaigns
    ))  # fmt: skip
    names = ("project_id", "campaign_id", "version", "name", "subject", "preheader", "from_email", "from_name",
             "reply_to", "html", "text", "language", "project_name", "project_domain", "postal_address", "list_id",
             "list_name", "created_at")  # fmt: skip
    copy_rows(connection, "campaign_version", names, (
        (one.project_id, one.campaign_id, 1, one.campaign_name, one.campaign_name, "",
         f"news@{projects[one.project_id].domain}", projects[one.project_id].name, "", _letter(one), "", "en",
         projects[one.project_id].name, projects[one.project_id].domain, "", one.list_id, one.list_name, one.started_at)
        for one in campaigns
    ))  # fmt: skip
    copy_rows(connection, "link", ("project_id", "id", "campaign_id", "position", "url", "label", "created_at"), (
        (one.project_id, one.id * LINKS + place, one.campaign_id, place, _url(one, place), f"Offer {place + 1}",
         one.started_at) for one in campaigns for place in range(LINKS)
    ))  # fmt: skip
    copy_rows(connection, "history.link", ("campaign_id", "position", "link_id", "url"), (
        (one.campaign_id, place, one.id * LINKS + place, _url(one, place))
        for one in campaigns for place in range(LINKS)
    ))  # fmt: skip
    names = ("id", "project_id", "project_domain", "kind", "campaign_id", "campaign_name", "list_id", "list_name",
             "started_at", "started_ms", "microseconds_per_letter", "audience", "time_zone", "first_subscriber",
             "population", "first_member", "seed", "hard", "soft", "complained")  # fmt: skip
    copy_rows(connection, "history.plan", names, (_plan_row(one, projects[one.project_id]) for one in plan.letters))
    lanes = ((domain, LANES[lane]) for domain, lane in lanes_of_domains().items())
    copy_rows(connection, "history.provider", ("domain", "provider"), lanes)
    connection.execute("ANALYZE")


def _plan_row(one: PlannedLetters, project: PlannedProject) -> Sequence[Any]:
    return (
        one.id, one.project_id, project.domain, "transactional" if one.campaign_id is None else "campaign",
        one.campaign_id, one.campaign_name, one.list_id, one.list_name, one.started_at,
        int(one.started_at.timestamp() * 1000), one.microseconds_per_letter, one.audience, project.time_zone,
        project.first_subscriber, project.population, one.first_member, one.seed, one.hard, one.soft, one.complained,
    )  # fmt: skip


def _ended(one: PlannedLetters) -> datetime:
    return one.started_at + timedelta(microseconds=one.microseconds_per_letter * one.audience)


def _url(one: PlannedLetters, place: int) -> str:
    if one.is_copied:
        return f"https://www.copied.example/offers/{place}"
    return f"https://www.shop-{one.project_id}.example/offers/{one.campaign_id}/{place}"


def _letter(one: PlannedLetters) -> str:
    offers = "".join(
        f'<tr><td style="padding:12px"><h2>Offer {place + 1}</h2><p>Only this week, and only here.</p>'
        f'<p><a href="{_url(one, place)}">Offer {place + 1}</a></p></td></tr>'
        for place in range(LINKS)
    )
    return f"<html><body><h1>{one.campaign_name}</h1><table>{offers}</table></body></html>"
