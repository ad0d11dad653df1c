"""Suspects as a sheet: each with the sentences of its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyramid.request import Request

from mailhub.admin.filters import SuspectsQuery
from mailhub.admin.sheet import Column, Line, Sheet, sorted_lines
from mailhub.admin.signals import Evidence, Signal
from mailhub.admin.suspects import Found, Suspect
from mailhub.web import charts
from mailhub.web.formats import cldr, number_text, percent_text
from mailhub.web.i18n import _, translate

#: What each signal is called, and the sentence that says what was found.
LABELS = {
    Signal.HARD: _("Hard bounces"),
    Signal.COMPLAINT: _("Complaints"),
    Signal.UNSUBSCRIBE: _("Unsubscriptions"),
    Signal.BLOCKED: _("Blocked by a provider"),
    Signal.UNKNOWN_USER: _("Unknown addresses"),
    Signal.SUDDEN: _("Sudden volume"),
    Signal.TWIN: _("The same letter"),
}
_SHARE = _("${part} of ${whole} letters: ${value}, threshold ${threshold}")
_PAST = _("${part} letters in a day, ${whole} were usual: ${value} times, threshold ${threshold}")
_YOUNG = _("${part} letters in a day, ${whole} are fit for its age: ${value} times, threshold ${threshold}")
_TWIN = _("Other young projects that sent it too: ${part}, threshold ${threshold}")
CHARTED = 10


@dataclass(frozen=True)
class Told:
    """A piece of evidence in words."""

    label: str
    text: str
    points: int
    level: str
    provider: str = ""


def told(request: Request, one: Evidence) -> Told:
    """The numbers and the threshold of a signal, in the reader's language."""
    locale = cldr(request.locale_name)
    part, whole = number_text(round(one.part), locale), number_text(round(one.whole), locale)
    if one.signal in (Signal.SUDDEN, Signal.TWIN):
        value, threshold = number_text(round(one.value, 1), locale), number_text(one.threshold, locale)
    else:
        value, threshold = percent_text(one.value, locale, 2), percent_text(one.threshold, locale, 2)
    sentence = _SHARE
    if one.signal == Signal.SUDDEN:
        sentence = _YOUNG if one.detail == "young" else _PAST
    elif one.signal == Signal.TWIN:
        sentence = _TWIN
    text = translate(request, sentence, part=part, whole=whole, value=value, threshold=threshold)
    provider = one.detail if one.signal == Signal.BLOCKED else ""
    return Told(translate(request, LABELS[one.signal]), text, one.points, one.level, provider)


def sheet(request: Request, asked: SuspectsQuery, found: Found) -> Sheet:
    """One line a suspect; the evidence stands in `extra`, by the project's id."""
    columns = [
        Column("project", _("Project")),
        Column("score", _("Score"), "number"),
        Column("signals", _("Evidence")),
        Column("sent", _("Sent"), "number"),
        Column("campaign", _("Campaign")),
        Column("looked_until", _("Looked at until"), "time"),
        Column("note", _("Note")),
    ]
    by_line: dict[int, Suspect] = {}
    lines = []
    for suspect in found.suspects:
        project, decision = suspect.project, suspect.decision
        words = [told(request, one) for one in suspect.evidence]
        values: dict[str, Any] = {
            "id": project.id,
            "project": project.name,
            "score": suspect.score,
            "signals": "; ".join(f"{one.label} +{one.points}: {one.text}" for one in words),
            "sent": suspect.rates.sent if suspect.rates is not None else 0,
            "campaign": suspect.campaign.name if suspect.campaign is not None else None,
            "looked_until": decision.looked_until if decision is not None else None,
            "note": decision.note if decision is not None else None,
        }
        by_line[project.id] = suspect
        url = request.route_path("admin.project", project_id=project.id)
        lines.append(Line(values, url=url, sub=project.domain, archived=project.archived_at is not None))
    ordered, sort = sorted_lines(lines, columns, asked.sort, "-score")
    return Sheet(
        columns=columns, lines=ordered, sort=sort, chart=_chart(request, found),
        extra={"suspects": by_line, "told": lambda one: told(request, one), "looked": found.looked},
    )  # fmt: skip


def _chart(request: Request, found: Found) -> charts.Chart | None:
    worst = found.suspects[:CHARTED]
    if not worst:
        return None
    finding = translate(request, _("The highest scores, ${n} at most."), n=CHARTED)
    return charts.bar_chart(
        "suspects", translate(request, _("Scores")), finding, [one.project.name for one in worst],
        [charts.Series(translate(request, _("Score")), [one.score for one in worst])],
        label_name=translate(request, _("Project")),
    )  # fmt: skip
