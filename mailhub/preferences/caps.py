"""How often the pages of preferences may write letters (walls.md, T9): the letter itself is what bombs are made of.

The caps are over all projects, and silent: pages answer the same when one is reached.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address, ip_address

from pyramid.request import Request

from mailhub.mail.address import Address
from mailhub.mail.lane import provider_lane
from mailhub.web import limits

DAY = 24 * 3600


def wait_for_ip(request: Request) -> int:
    """Five forms a minute from one network address (an IPv6 /64); the seconds to wait, or 0."""
    return limits.take(request.registry, f"preferences.ip:{_network(request.client_addr)}", burst=5, per_seconds=60)


def may_write(request: Request, project_id: int, address: Address) -> bool:
    """Whether this address may get a letter that somebody has asked for by a page. Takes from the caps if so."""
    who = hashlib.sha256(_canonical(address).encode()).hexdigest()[:24]
    caps = [
        (f"preferences.pair:{who}:{project_id}", 1, 600),
        (f"preferences.address:{who}", 3, DAY),
        (f"preferences.project:{project_id}", 200, 3600),
    ]
    if provider_lane(address.domain) == "other":
        caps.append((f"preferences.domain:{address.domain}", 10, 60))
    if any(limits.wait_seconds(request.registry, key, burst=n, per_seconds=s) for key, n, s in caps):
        return False
    return not any(limits.take(request.registry, key, burst=n, per_seconds=s) for key, n, s in caps)


def _network(ip: str | None) -> str:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    return address.exploded[:19] if isinstance(address, IPv6Address) else str(address)


def _canonical(address: Address) -> str:
    """One mailbox has many spellings: a plus and what follows it, and Gmail's dots, do not make another victim."""
    local, _, domain = address.key.partition("@")
    local = local.partition("+")[0] or local
    if provider_lane(domain) == "gmail":
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"
