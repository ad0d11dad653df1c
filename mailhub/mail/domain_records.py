"""The DNS records that a domain needs before letters from it are believed, and what a look at the DNS says of them.

RFC 6376 §3.6 (DKIM keys), 7208 (SPF), 9989 (DMARC). Only the RSA key is needed for our signature; Gmail, Yahoo and
Microsoft want DMARC of everybody who sends much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailhub.mail.dkim import record_text

DKIM_RSA, DKIM_ED25519, SPF, DMARC = "dkim_rsa", "dkim_ed25519", "spf", "dmarc"
#: Names of the selectors of one domain: a key has a selector of its own.
ED25519_SUFFIX = "-ed"


class Found(StrEnum):
    """What the DNS says of a record."""

    OK = "ok"
    MISSING = "missing"
    DIFFERS = "differs"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Record:
    """A TXT record to publish. `required`: without it we do not sign."""

    key: str
    name: str
    value: str
    required: bool = False


def records(domain: str, selector: str, *, rsa: str, ed25519: str, return_path_domain: str) -> list[Record]:
    """What is to be published for a domain, the required record first."""
    return [
        Record(DKIM_RSA, f"{selector}._domainkey.{domain}", record_text("rsa", rsa), required=True),
        Record(DKIM_ED25519, f"{selector}{ED25519_SUFFIX}._domainkey.{domain}", record_text("ed25519", ed25519)),
        Record(SPF, domain, f"v=spf1 include:{return_path_domain} ~all"),
        Record(DMARC, f"_dmarc.{domain}", "v=DMARC1; p=none"),
    ]


def judge(record: Record, texts: Sequence[str]) -> Found:
    """What the TXT records at the record's name say of it."""
    match record.key:
        case "dkim_rsa" | "dkim_ed25519":
            # A name may have other TXT records; those with a `p` are keys. White space in it means nothing.
            keys = [key for key in (_tags(text) for text in texts) if "p" in key]
            wanted = _tags(record.value)
            if any(key["p"] == wanted["p"] and key.get("k", "rsa") == wanted["k"] for key in keys):
                return Found.OK
            return Found.DIFFERS if keys else Found.MISSING
        case "spf":
            policies = [text.lower().split() for text in texts if text.lower().split()[:1] == ["v=spf1"]]
            include = record.value.lower().split()[1]
            if len(policies) == 1 and (include in policies[0] or f"+{include}" in policies[0]):
                return Found.OK
            return Found.DIFFERS if policies else Found.MISSING
        case _:
            rules = [tags for tags in map(_tags, texts) if tags.get("v", "").upper() == "DMARC1"]
            if len(rules) == 1 and rules[0].get("p", "").lower() in ("none", "quarantine", "reject"):
                return Found.OK
            return Found.DIFFERS if rules else Found.MISSING


def _tags(text: str) -> dict[str, str]:
    """A tag list (RFC 6376 §3.2) without its white space."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def look(wanted: Sequence[Record], texts_at: Callable[[str], Sequence[str] | None]) -> dict[str, str]:
    """What is found of each record, by its key; `texts_at(name)` gives TXT records, None where nobody answers."""
    found: dict[str, str] = {}
    for record in wanted:
        texts = texts_at(record.name)
        found[record.key] = (Found.UNREACHABLE if texts is None else judge(record, texts)).value
    return found
