"""How often the pages of preferences may write letters (walls.md, T9): the letter itself is what bombs are made of.

The caps are over all projects, those of an address together with sign-up's, and silent: pages answer the same when one
is reached.
"""

from __future__ import annotations

import hashlib

from pyramid.request import Request

from mailhub.lists.caps import HOUR, Cap, canonical, letter_caps, network_cap, take, wait_seconds
from mailhub.mail.address import Address


def wait_for_ip(request: Request) -> int:
    """Five forms a minute from one network; the seconds to wait, or 0."""
    cap = network_cap("preferences", request.client_addr)
    return 0 if take(request.registry, [cap]) is None else wait_seconds(request.registry, cap)


def may_write(request: Request, project_id: int, address: Address) -> bool:
    """Whether this address may get a letter that somebody has asked for by a page. Takes from the caps if so."""
    who = hashlib.sha256(canonical(address).encode()).hexdigest()[:24]
    wanted = [
        *letter_caps(address, [], with_domain=True),
        Cap(f"preferences.pair:{who}:{project_id}", 1, 600),
        Cap(f"preferences.project:{project_id}", 200, HOUR),
    ]
    return take(request.registry, wanted) is None
