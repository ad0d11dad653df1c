"""How often the pages of preferences may write letters (walls.md, T9): the letter itself is what bombs are made of.

The caps are over all projects, those of an address together with sign-up's, and silent: pages answer the same when one
is reached.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address, ip_address

from pyramid.request import Request

from mailhub.lists.caps import Cap, canonical, letter_caps, take
from mailhub.mail.address import Address
from mailhub.web import limits


def wait_for_ip(request: Request) -> int:
    """Five forms a minute from one network address (an IPv6 /64); the seconds to wait, or 0."""
    return limits.take(request.registry, f"preferences.ip:{_network(request.client_addr)}", burst=5, per_seconds=60)


def may_write(request: Request, project_id: int, address: Address) -> bool:
    """Whether this address may get a letter that somebody has asked for by a page. Takes from the caps if so."""
    who = hashlib.sha256(canonical(address).encode()).hexdigest()[:24]
    wanted = [
        *letter_caps(address, [], with_domain=True),
        Cap(f"preferences.pair:{who}:{project_id}", 1, 600),
        Cap(f"preferences.project:{project_id}", 200, 3600),
    ]
    return take(request.registry, wanted) is None


def _network(ip: str | None) -> str:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    return address.exploded[:19] if isinstance(address, IPv6Address) else str(address)
