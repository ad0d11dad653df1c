"""Who may what: one table for the roles of a project's members, one for the scopes of its API keys."""

from __future__ import annotations

from mailhub.models import Role

VIEW = frozenset(
    {
        "project:view",
        "stats:view",
        "lists:view",
        "subscribers:view",
        "segments:view",
        "imports:view",
        "campaigns:view",
        "messages:view",
    }
)
WRITE = frozenset(
    {
        "lists:edit",
        "subscribers:edit",
        "segments:edit",
        "subscribers:erase",
        "imports:edit",
        "campaigns:edit",
        "campaigns:test",
        "campaigns:start",
    }
)
DEVELOP = frozenset({"messages:send", "api_keys:edit", "domains:view", "domains:edit"})
OWN = frozenset({"project:edit", "members:edit", "journal:view"})

#: An analyst sees numbers and campaigns, but no person's address.
PERMISSIONS: dict[str, frozenset[str]] = {
    Role.OWNER: VIEW | WRITE | DEVELOP | OWN,
    Role.MARKETER: VIEW | WRITE,
    Role.ANALYST: VIEW - {"subscribers:view", "imports:view", "messages:view"},
    Role.DEVELOPER: VIEW | DEVELOP,
}

#: What an API key may be limited to. A key without scopes may all of these.
SCOPES: dict[str, frozenset[str]] = {
    "lists:read": frozenset({"lists:view"}),
    "lists:write": frozenset({"lists:view", "lists:edit"}),
    "subscribers:read": frozenset({"subscribers:view", "segments:view", "imports:view", "lists:view"}),
    "subscribers:write": frozenset(
        {
            "subscribers:view",
            "subscribers:edit",
            "segments:view",
            "segments:edit",
            "imports:view",
            "imports:edit",
            "lists:view",
        }
    ),
    "campaigns:read": frozenset({"campaigns:view", "stats:view"}),
    "campaigns:write": frozenset({"campaigns:view", "campaigns:edit", "campaigns:test", "stats:view"}),
    "campaigns:send": frozenset({"campaigns:view", "campaigns:start", "stats:view"}),
    "subscribers:erase": frozenset({"subscribers:view", "subscribers:erase"}),
    "messages:read": frozenset({"messages:view"}),
    "messages:send": frozenset({"messages:view", "messages:send"}),
    "stats:read": frozenset({"stats:view"}),
    "domains:read": frozenset({"domains:view"}),
    "domains:write": frozenset({"domains:view", "domains:edit"}),
}


def of_role(role: str | None) -> frozenset[str]:
    """What a member with this role may; nothing without a role."""
    return PERMISSIONS.get(role or "", frozenset())


def of_scopes(scopes: list[str]) -> frozenset[str]:
    """What a key with these scopes may; everything a key can do where it has none."""
    granted = scopes or list(SCOPES)
    return frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in granted))
