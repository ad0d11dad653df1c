"""Is an address in one of many networks? One look-up a length of prefix, however many networks there are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

__all__ = ["MICROSOFT_MAIL", "Networks", "is_inside", "network"]

#: Microsoft 365's own mail servers: what learn.microsoft.com lists as "Office 365 URLs and IP address ranges" for
#: Exchange Online and its protection, and what spf.protection.outlook.com says. All of it is AS8075, and none of it is
#: rented out. The rest of AS8075 is Azure, where people's own cloud desktops are: an operator may add it.
MICROSOFT_MAIL = (
    "40.92.0.0/15", "40.96.0.0/13", "40.104.0.0/15", "40.107.0.0/16", "52.96.0.0/14", "52.100.0.0/14",
    "104.47.0.0/17", "2a01:111:f400::/48", "2a01:111:f403::/48",
)  # fmt: skip

_Address = IPv4Address | IPv6Address


class Networks:
    """A set of networks in CIDR notation, v4 and v6; `"192.0.2.7" in networks`."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._known: dict[tuple[int, int], set[int]] = {}
        known = [network(text) for text in networks]
        # One network inside another says nothing of its own.
        for one in collapse_addresses(n for n in known if isinstance(n, IPv4Network)):
            self._add(one)
        for other in collapse_addresses(n for n in known if isinstance(n, IPv6Network)):
            self._add(other)

    def _add(self, one: IPv4Network | IPv6Network) -> None:
        shift = one.max_prefixlen - one.prefixlen
        self._known.setdefault((one.version, shift), set()).add(int(one.network_address) >> shift)

    def __contains__(self, address: str) -> bool:
        found = _parsed(address)
        if found is None:
            return False
        number = int(found)
        return any(
            number >> shift in prefixes
            for (version, shift), prefixes in self._known.items()
            if version == found.version
        )

    def __bool__(self) -> bool:
        return bool(self._known)


def network(text: str) -> IPv4Network | IPv6Network:
    """A network or a single address. Raises ValueError with a text that names it."""
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no network like 192.0.2.0/24 or 2001:db8::/32") from None


#: Addresses that stand for many machines or for a proxy of ours, never for one machine out there: RFC 1918, 6598 (what
#: carriers share), 3927, 4193, 4291.
_INSIDE = Networks((
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "::1/128",
    "fc00::/7", "fe80::/10",
))  # fmt: skip


def is_inside(address: str) -> bool:
    """Whether the address is of a private network, where it tells nobody from anybody."""
    return address in _INSIDE


@lru_cache(maxsize=8192)
def _parsed(address: str) -> _Address | None:
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
