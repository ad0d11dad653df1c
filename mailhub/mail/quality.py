"""How good a list of addresses is before anybody writes to it: a finding for each address, a grade for all.

What costs a sender is mail to mailboxes that are not there, and mail to people who never asked. Amazon SES reviews an
account at 5 % bounces and stops it at 10 % (SES Developer Guide, "Reputation metrics"), and others do alike: so shares
of addresses that will bounce weigh most, and 5 to 10 % of them are the end of the scale.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from mailhub.mail.address import Address
from mailhub.mail.disposable import DISPOSABLE, is_disposable
from mailhub.mail.lane import provider_lane
from mailhub.mail.misspelt import meant_domain
from mailhub.mail.roles import is_role

Key = TypeVar("Key")

#: Signal → (share below which it is ordinary, share at which it costs everything, what it can cost in points).
SCALE = {
    "invalid": (0.01, 0.10, 50),
    "misspelt": (0.005, 0.05, 35),
    "disposable": (0.005, 0.10, 45),
    "placeholder": (0.005, 0.05, 35),
    "pattern": (0.02, 0.20, 45),
    "role": (0.03, 0.25, 30),
    "one_domain": (0.60, 1.00, 25),
    "duplicate": (0.05, 0.50, 12),
    "never_seen": (0.50, 1.00, 8),
}
#: The grade for so many points and fewer; F for more.
GRADES = (("A", 9), ("B", 24), ("C", 44), ("D", 69))
#: A list that is shorter than this is judged as if it were so long: one `info@` among five is no 20 %.
SMALL = 50
#: Domains and stems that are kept in mind at most.
_KEPT = 20_000
#: `user1, user2, …`: the same word before a number is a pattern from so many addresses and such a share of the list on.
#: Among a million real people the most frequent first name has a fraction of that.
_PATTERN_FROM, _PATTERN_SHARE = 5, 0.02

_NOBODY = """
a aa aaa aaaa abc abcd asd asdf asdasd asdfgh fake fakemail foo bar foobar example mymail myemail name noemail
nomail noname none nope no not notvalid qwe qwer qwerty qwertyuiop sample someone somebody temp test teste tester
testing testtest testuser tst user username xxx xyz xx zxc zxcv zxcvbn yourname youremail email
net netu netpochty nepomnu pochta proba probnik testov ytrewq йцукен
"""
_PLACEHOLDERS = frozenset(_NOBODY.split())
_PLACEHOLDER_DOMAINS = frozenset(
    {
        "example.com",
        "example.net",
        "example.org",
        "test.com",
        "test.ru",
        "domain.com",
        "domain.ru",
        "email.ru",
        "site.ru",
        "none.com",
        "no.ru",
    }
)
_HEX = re.compile(r"[0-9a-f]{16,}|[a-z0-9]{24,}")
_ODD = re.compile(r"(.)\1{4,}|[bcdfghjklmnpqrstvwxz]{8,}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one address. `suggestion` is the address that was probably meant, else empty.

    `placeholder`: typed because a form wanted something, or made by a machine; nobody's name.
    """

    role: bool = False
    disposable: bool = False
    placeholder: bool = False
    suggestion: str = ""

    @property
    def is_good(self) -> bool:
        return self == _GOOD


_GOOD = Finding()


def look_at(address: Address, disposable: frozenset[str] = DISPOSABLE) -> Finding:
    """The finding for an address. A person's ordinary one costs 2 µs."""
    domain = address.domain
    local = address.key[: -len(domain) - 1]
    meant = meant_domain(domain)
    role = is_role(local)
    thrown_away = is_disposable(domain, disposable)
    placeholder = is_placeholder(local, domain)
    if not (meant or role or thrown_away or placeholder):
        return _GOOD
    suggestion = f"{address.email[: -len(domain) - 1]}@{meant}" if meant else ""
    return Finding(role, thrown_away, placeholder, suggestion)


def is_placeholder(local: str, domain: str) -> bool:
    """Whether nobody's mailbox is called like this: `test123@`, `asdf@`, `qqqqqq@`, 16 and more hexadecimal digits."""
    if domain in _PLACEHOLDER_DOMAINS:
        return True
    name = local.partition("+")[0] if "+" in local else local
    if len(name) < 4 and provider_lane(domain) == "other":
        return False  # short names are people's in small firms
    if name.rstrip("0123456789") in _PLACEHOLDERS:
        return True
    if len(name) < 5:
        return False
    return _ODD.search(name) is not None or (len(name) > 15 and _is_hexadecimal(name))


def _is_hexadecimal(name: str) -> bool:
    """A hash or a key: digits and letters mixed as no name has them."""
    digits = sum(map(str.isdigit, name))
    return _HEX.fullmatch(name) is not None and len(name) // 5 < digits < len(name)


@dataclass(frozen=True)
class Reason:
    """A signal of SCALE that stands out: how many addresses, which share of all (0 to 1), what it cost in points.

    `example` is the domain of `one_domain`, the word before the numbers of `pattern`, else empty.
    """

    signal: str
    count: int
    share: float
    points: int
    example: str = ""


@dataclass(frozen=True)
class Grade:
    """A to D and F; `reasons` are what stands out, the dearest first."""

    letter: str
    points: int
    rows: int
    reasons: tuple[Reason, ...]

    def as_json(self) -> dict[str, Any]:
        """For the import's row."""
        reasons = [
            {"signal": one.signal, "count": one.count, "share": round(one.share, 4), "points": one.points,
             "example": one.example}
            for one in self.reasons
        ]  # fmt: skip
        return {"letter": self.letter, "points": self.points, "rows": self.rows, "reasons": reasons}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Grade:
        """What `as_json` gave."""
        reasons = tuple(Reason(**reason) for reason in value["reasons"])
        return cls(value["letter"], value["points"], value["rows"], reasons)


@dataclass
class Quality:
    """Counts findings; bounded memory whatever the list. Give every row of a file to one of its three doors."""

    disposable: frozenset[str] = DISPOSABLE
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    #: (domain as written, domain as meant) → how many addresses.
    misspelt: Counter[tuple[str, str]] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    stems: Counter[str] = field(default_factory=Counter)

    def add(self, address: Address, *, seen: bool = False) -> Finding:
        """Count an address; `seen` if the project knows the person. Costs 5 µs."""
        finding = look_at(address, self.disposable)
        self.rows += 1
        domain = address.domain
        self.domains[domain] += 1
        if not seen:
            self.counts["never_seen"] += 1
        if finding is not _GOOD:
            self._count(finding, domain)
        local = address.key[: -len(domain) - 1]
        if local[-1].isdigit() and (stem := local.rstrip("0123456789")):
            self.stems[stem] += 1
            if len(self.stems) > _KEPT:
                self.stems = _forget(self.stems)
        if len(self.domains) > _KEPT:
            self.domains = _forget(self.domains)
        return finding

    def add_invalid(self) -> None:
        """Count a row whose address cannot be one."""
        self.rows += 1
        self.counts["invalid"] += 1

    def add_duplicate(self) -> None:
        """Count a row whose address came before in the same file."""
        self.rows += 1
        self.counts["duplicate"] += 1

    def known(self, people: int) -> None:
        """Say afterwards that so many of the counted addresses are known to the project (where `seen` was not told)."""
        self.counts["never_seen"] -= people

    def _count(self, finding: Finding, domain: str) -> None:
        if finding.role:
            self.counts["role"] += 1
        if finding.disposable:
            self.counts["disposable"] += 1
        if finding.placeholder:
            self.counts["placeholder"] += 1
        if finding.suggestion:
            self.counts["misspelt"] += 1
            if len(self.misspelt) < _KEPT:
                self.misspelt[domain, meant_domain(domain)] += 1

    def grade(self) -> Grade:
        """The grade of everything counted so far."""
        found = [Reason(signal, count, 0.0, 0) for signal, count in self.counts.items() if count > 0]
        from_here = max(_PATTERN_FROM, _PATTERN_SHARE * self.rows)
        patterns = [(count, stem) for stem, count in self.stems.items() if count >= from_here]
        if patterns:
            found.append(Reason("pattern", sum(n for n, _stem in patterns), 0.0, 0, max(patterns)[1]))
        if self.domains:
            domain, count = max(self.domains.items(), key=lambda item: item[1])
            # Most people of a country may be at one of the big providers; a firm with 60 % of a list is another thing.
            if provider_lane(domain) == "other" or count > 0.9 * self.rows:
                found.append(Reason("one_domain", count, 0.0, 0, domain))
        weighed = sorted(map(self._weighed, found), key=lambda reason: (-reason.points, reason.signal))
        reasons = tuple(reason for reason in weighed if reason.points)
        points = sum(reason.points for reason in reasons)
        letter = next((letter for letter, most in GRADES if points <= most), "F")
        return Grade(letter, points, self.rows, reasons)

    def _weighed(self, reason: Reason) -> Reason:
        ordinary, worst, dearest = SCALE[reason.signal]
        judged = reason.count / max(self.rows, SMALL)
        points = round(dearest * min(1.0, max(0.0, (judged - ordinary) / (worst - ordinary))))
        return Reason(reason.signal, reason.count, reason.count / max(self.rows, 1), points, reason.example)


def _forget(counter: Counter[Key]) -> Counter[Key]:
    """The more frequent half, sorted for: `most_common(n)` takes five times as long where n is that large."""
    return Counter(dict(sorted(counter.items(), key=itemgetter(1), reverse=True)[: _KEPT // 2]))
