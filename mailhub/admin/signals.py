"""What makes a project suspect: signals with thresholds, and the points that each gives. Pure: numbers in, signals out.

The rates and their thresholds are those at which the large services act: Amazon SES reviews an account at 5 % bounces
and 0.1 % complaints and pauses it at 10 % and 0.5 %; Gmail's limit for complaints is 0.3 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailhub.reporting.admin_numbers import Blocked, Rates, Twin

#: Rates of fewer letters say nothing.
LEAST = 200
#: A project's own past, in days, and on how many of them it must have sent to be compared with it.
PAST_DAYS = 28
LEAST_PAST_DAYS = 5
#: Sudden is only what is many, too.
LEAST_PEAK = 1_000
#: A project younger than this is a young one.
YOUNG_DAYS = 30
#: What a new project may send on its first day; twice as much on each that follows, up to the ceiling.
FIRST_DAY, CEILING = 200, 50_000
#: Points of a signal past its first, second and third threshold.
POINTS = (1, 4, 10)


class Signal(StrEnum):
    HARD = "hard"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    BLOCKED = "blocked"
    UNKNOWN_USER = "unknown_user"
    SUDDEN = "sudden"
    TWIN = "twin"


#: Signal → what is noticeable, grave, past all patience. Shares; of SUDDEN times the usual, of TWIN other projects.
THRESHOLDS: dict[Signal, tuple[float, float, float]] = {
    Signal.HARD: (0.02, 0.05, 0.08),
    Signal.COMPLAINT: (0.0008, 0.001, 0.003),
    Signal.UNSUBSCRIBE: (0.01, 0.02, 0.05),
    Signal.BLOCKED: (0.02, 0.05, 0.10),
    Signal.UNKNOWN_USER: (0.01, 0.03, 0.06),
    Signal.SUDDEN: (3, 10, 30),
    Signal.TWIN: (1, 2, 4),
}


@dataclass(frozen=True)
class Evidence:
    """One signal of one project: `value` = part / whole, the highest threshold that it reaches, and its points.

    SUDDEN: `part` is the best day's letters, `whole` what was usual or allowed (`detail` says which: past or young).
    TWIN: `part` is how many others sent the same letter. `detail` of BLOCKED is the provider.
    """

    signal: Signal
    value: float
    threshold: float
    points: int
    part: float
    whole: float
    detail: str = ""

    @property
    def level(self) -> str:
        """warn, serious or critical."""
        return ("warn", "serious", "critical")[POINTS.index(self.points)]


def of_rates(rates: Rates, *, unknown_users: int | None) -> list[Evidence]:
    """Signals that are shares of a project's letters; `unknown_users` None: it was not counted."""
    found = []
    if rates.tried >= LEAST:
        found.append(_measured(Signal.HARD, rates.hardbounced, rates.tried))
        if unknown_users is not None:
            found.append(_measured(Signal.UNKNOWN_USER, unknown_users, rates.tried))
    if rates.sent >= LEAST:
        found.append(_measured(Signal.COMPLAINT, rates.complained, rates.sent))
        found.append(_measured(Signal.UNSUBSCRIBE, rates.unsubscribed, rates.sent))
    return [one for one in found if one is not None]


def of_providers(found: list[Blocked]) -> list[Evidence]:
    """The provider that refuses most of a project's letters."""
    signals = [_measured(Signal.BLOCKED, one.blocked, one.tried, one.provider) for one in found if one.tried >= LEAST]
    return sorted((one for one in signals if one is not None), key=lambda one: -one.value)[:1]


def of_volume(rates: Rates, *, now: datetime) -> list[Evidence]:
    """A day with many times what was usual, or than a new project should send."""
    if rates.peak < LEAST_PEAK:
        return []
    if rates.past_days >= LEAST_PAST_DAYS and rates.usual is not None:
        usual, detail = rates.usual, "past"
    elif (now - rates.created_at).days < YOUNG_DAYS:
        usual, detail = float(allowed((rates.peak_day - rates.created_at.date()).days)), "young"
    else:
        return []
    one = _measured(Signal.SUDDEN, rates.peak, usual, detail)
    return [one] if one is not None else []


def allowed(age_days: int) -> int:
    """What a project of this age may send in a day without being noticed."""
    return min(CEILING, FIRST_DAY * 2 ** max(0, min(age_days, 20)))


def of_twins(twin: Twin | None) -> list[Evidence]:
    """The same letter in other young projects."""
    if twin is None:
        return []
    one = _measured(Signal.TWIN, len(twin.others), 1, twin.content[:12])
    return [one] if one is not None else []


def score(evidence: list[Evidence]) -> int:
    """The sum of the points."""
    return sum(one.points for one in evidence)


def _measured(signal: Signal, part: float, whole: float, detail: str = "") -> Evidence | None:
    value = part / whole if whole > 0 else 0.0
    reached = [n for n, threshold in enumerate(THRESHOLDS[signal]) if value >= threshold]
    if not reached:
        return None
    return Evidence(signal, value, THRESHOLDS[signal][reached[-1]], POINTS[reached[-1]], part, whole, detail)
