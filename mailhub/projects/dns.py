"""Questions to the DNS, with a short patience. Never asked while a transaction is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import dns.exception
import dns.name
import dns.resolver

#: For one name, over all servers and tries.
SECONDS = 4.0
#: RFC 1035 puts no bound on them; no honest name has more, or longer ones.
MAX_TEXTS, MAX_TEXT = 50, 4_000


class TextRecords(Protocol):
    """Where TXT records come from: the DNS, or a table in tests."""

    def texts(self, name: str) -> Sequence[str] | None:
        """The TXT records at a name, the strings of each joined; empty without any, None when nobody answers."""
        ...


class SystemDns:
    """The resolvers of this machine."""

    def texts(self, name: str) -> Sequence[str] | None:
        try:
            answer = dns.resolver.resolve(name, "TXT", lifetime=SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.LabelTooLong, dns.name.NameTooLong):
            return []
        except (dns.exception.DNSException, OSError):
            return None
        joined = (b"".join(record.strings).decode("utf-8", "replace") for record in answer)
        return [text[:MAX_TEXT] for text, _ in zip(joined, range(MAX_TEXTS), strict=False)]


def text_records(registry: Any) -> TextRecords:
    """What the process asks: `registry.text_records` where a test has put one there."""
    found: TextRecords | None = getattr(registry, "text_records", None)
    return found or SystemDns()
