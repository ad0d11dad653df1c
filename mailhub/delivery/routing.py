"""Which relay a letter takes: groups of relays, by the project's choice and the sender's domain. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from mailhub.settings import Relay

DEFAULT = "default"


class Routes:
    """The relays of the settings, grouped by `route`. The route `default` always exists."""

    def __init__(self, relays: Mapping[str, Relay]) -> None:
        self._relays = relays
        self._members: dict[str, list[Relay]] = {}
        self._of_domain: dict[str, str] = {}
        for name in sorted(relays):
            relay = relays[name]
            self._members.setdefault(relay.route, []).append(relay)
            for domain in relay.domains:
                self._of_domain.setdefault(domain, relay.route)
        self._members.setdefault(DEFAULT, [relays[DEFAULT]])

    def names(self) -> tuple[str, ...]:
        """The routes there are, sorted."""
        return tuple(sorted(self._members))

    def members(self, route: str) -> tuple[str, ...]:
        """The relays of a route (of `default`, where there is no such route)."""
        return tuple(relay.name for relay in self._members.get(route, self._members[DEFAULT]))

    def route_of(self, wanted: str, sender_domain: str = "") -> str:
        """The route of a project that wants the route or relay `wanted` and writes from `sender_domain`.

        A relay that is `domains` for the sender's domain, or for a domain above it, comes first: only it may be allowed
        to send for the domain (SPF, DKIM). Names that the settings don't know any more mean the default route.
        """
        labels = sender_domain.lower().rstrip(".").split(".")
        for start in range(len(labels) - 1):
            found = self._of_domain.get(".".join(labels[start:]))
            if found is not None:
                return found
        if wanted in self._members:
            return wanted
        return self._relays[wanted].route if wanted in self._relays else DEFAULT

    def closed_choices(self, closed: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """For a claim's WHERE: what projects may have chosen and cannot be served now, and every choice that is known.

        A choice outside the second means the default route: it is closed when `default` is among the first.
        """
        known = sorted({*self._members, *self._relays})
        shut = set(self.closed_routes(closed))
        return tuple(name for name in known if self.route_of(name) in shut), tuple(known)

    def pick(self, route: str, closed: Collection[str], choose: Callable[[], float]) -> str | None:
        """An open relay of the route by weight; None while all are closed. `choose` gives a number in [0, 1).

        Relays of weight 0 are in reserve: one of them is used where none of the others is open.
        """
        usable = [r for r in self._members.get(route, self._members[DEFAULT]) if r.name not in closed]
        weighted = [relay for relay in usable if relay.weight > 0]
        if not weighted:
            return usable[int(choose() * len(usable))].name if usable else None
        left = choose() * sum(relay.weight for relay in weighted)
        for relay in weighted:
            left -= relay.weight
            if left < 0:
                return relay.name
        return weighted[-1].name

    def closed_routes(self, closed: Collection[str]) -> tuple[str, ...]:
        """The routes of which no relay is open."""
        return tuple(r for r in self.names() if all(member.name in closed for member in self._members[r]))
