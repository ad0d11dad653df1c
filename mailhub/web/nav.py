"""The sidebar: which doors there are, and who sees which."""

from __future__ import annotations

from dataclasses import dataclass

from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from sqlalchemy import Row, select

from mailhub.models import Membership, Project
from mailhub.web.i18n import _


@dataclass(frozen=True, slots=True)
class Door:
    """One entry. `rooms` are prefixes of the route names at which it is the current one."""

    label: str
    route: str
    icon: str
    permission: str
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A door that this person may open."""

    label: str
    url: str
    icon: str
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    entries: tuple[Entry, ...]


DOORS: tuple[tuple[str, tuple[Door, ...]], ...] = (
    (
        _("Marketing"),
        (
            Door(
                _("Overview"),
                "stats.overview",
                "house",
                "project:view",
                ("stats.overview", "stats.campaigns", "stats.left", "stats.growth"),
            ),
            Door(
                _("Campaigns"),
                "campaigns.index",
                "send",
                "campaigns:view",
                ("campaigns.", "stats.campaign", "stats.compare", "stats.share"),
            ),
            Door(
                _("Subscribers"),
                "lists.subscribers",
                "users",
                "subscribers:view",
                ("lists.subscriber", "lists.bulk", "lists.tag", "lists.field", "lists.duplicate", "privacy.person"),
            ),
            Door(_("Lists"), "lists.index", "list", "lists:view", ("lists.", "stats.list")),
            Door(_("Segments"), "segments.index", "filter", "segments:view", ("segments.",)),
            Door(_("Stop list"), "suppression.index", "ban", "subscribers:view", ("suppression.",)),
            Door(_("Sign-up forms"), "signup.index", "file-text", "lists:view", ("signup.",)),
            Door(_("Imports"), "imports.index", "file-up", "imports:view", ("imports.",)),
            Door(_("Exports"), "exports.index", "download", "subscribers:view", ("exports.",)),
        ),
    ),
    (
        _("Sending"),
        (Door(_("Messages"), "transactional.index", "mail", "messages:view", ("transactional.",)),),
    ),
    (
        _("Settings"),
        (
            Door(_("Project"), "projects.settings", "settings", "project:edit", ("projects.settings",)),
            Door(_("Preference page"), "preferences.settings", "user", "project:edit", ("preferences.settings",)),
            Door(_("Senders"), "projects.senders", "at-sign", "project:edit", ("projects.sender",)),
            Door(_("Sending domains"), "projects.domains", "globe", "domains:view", ("projects.domain",)),
            Door(_("Team"), "projects.members", "user-cog", "members:edit", ("projects.member",)),
            Door(_("API keys"), "accounts.api_keys", "key-round", "api_keys:edit", ("accounts.api_key",)),
            Door(
                _("Erased people"),
                "privacy.index",
                "shield",
                "subscribers:erase",
                ("privacy.index", "privacy.withdraw"),
            ),
            Door(_("Journal"), "projects.journal", "scroll-text", "journal:view", ("projects.journal",)),
        ),
    ),
)


#: What the "Create" menu offers: label, route, icon, permission.
CREATIONS = (
    (_("Campaign"), "campaigns.new", "send", "campaigns:edit"),
    (_("Import of subscribers"), "imports.new", "file-up", "imports:edit"),
    (_("Subscriber"), "lists.subscriber_new", "user-plus", "subscribers:edit"),
    (_("List"), "lists.new", "list", "lists:edit"),
    (_("Segment"), "segments.new", "filter", "segments:edit"),
    (_("Sign-up form"), "signup.new", "file-text", "lists:edit"),
)


def navigation(request: Request) -> tuple[Group, ...]:
    """The groups of doors that exist in this process and that the person may open, in the project at hand."""
    project = getattr(request, "project", None)
    if project is None:
        return ()
    mapper = request.registry.queryUtility(IRoutesMapper)
    here = getattr(request.matched_route, "name", "") if request.matched_route else ""
    current = _current(here)
    groups = []
    for label, doors in DOORS:
        entries = tuple(
            Entry(door.label, request.route_path(door.route, project=project.slug), door.icon, door is current)
            for door in doors
            if mapper.get_route(door.route) is not None and request.has_permission(door.permission)
        )
        if entries:
            groups.append(Group(label, entries))
    return tuple(groups)


def creations(request: Request) -> list[tuple[str, str, str]]:
    """What this person may create in the project at hand: (label, URL, icon)."""
    project = getattr(request, "project", None)
    if project is None:
        return []
    mapper = request.registry.queryUtility(IRoutesMapper)
    return [
        (label, request.route_path(route, project=project.slug), icon)
        for label, route, icon, permission in CREATIONS
        if mapper.get_route(route) is not None and request.has_permission(permission)
    ]


def my_projects(request: Request) -> list[Row[tuple[str, str, str]]]:
    """The person's projects for the switcher: (slug, name, domain) by name. One indexed query a page."""
    if request.user is None:
        return []
    mine = (
        select(Project.slug, Project.name, Project.domain)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == request.user.id, Project.archived_at.is_(None))
        .order_by(Project.name)
        .limit(20)
    )
    return list(request.dbsession.execute(mine))


def _current(route: str) -> Door | None:
    """The door whose prefix fits the route best: `imports.new` is Imports, not Lists."""
    fits = [(len(room), door) for __, doors in DOORS for door in doors for room in door.rooms if route.startswith(room)]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None
