"""Suspects: projects that send like spammers, each with its evidence, and what operators decided about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from mailhub.admin import signals
from mailhub.admin.filters import SuspectsQuery
from mailhub.admin.signals import Evidence
from mailhub.models import Project, SuspectDecision, User
from mailhub.reporting import admin_numbers
from mailhub.reporting.admin_numbers import ProjectName, Rates, Twin, WorstCampaign

#: A decision holds for so long at most; then somebody looks again.
MOST_LOOKED_DAYS = 366
#: Days of the projects' own begin and end within a day of ours.
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    """That somebody has looked at a project and when it is to be looked at again."""

    looked_until: datetime
    note: str
    by: str
    at: datetime

    def holds(self, now: datetime) -> bool:
        return self.looked_until > now


@dataclass(frozen=True)
class Suspect:
    """A project with its signals, the largest first; `score` is the sum of their points."""

    project: ProjectName
    rates: Rates | None
    evidence: tuple[Evidence, ...]
    campaign: WorstCampaign | None
    twin: Twin | None
    twins: tuple[ProjectName, ...]
    decision: Decision | None

    @property
    def score(self) -> int:
        return signals.score(list(self.evidence))


@dataclass(frozen=True)
class Found:
    """Suspects with the highest score first. `looked` of them are hidden unless all are asked for."""

    suspects: list[Suspect]
    looked: int
    since: date
    until: date


def read(session: Session, asked: SuspectsQuery, now: datetime, project_id: int) -> Found:
    """Rollups, and by an index the raw rows of failed letters and frozen letters: under the heavy reports' guard."""
    since, until = asked.period(now.date())
    since_at = datetime.combine(since, time(), UTC) - _A_DAY
    rates = {
        one.id: one
        for one in admin_numbers.rates(session, since=since, until=until, past=signals.PAST_DAYS)
        if project_id in (0, one.id)
    }
    blocked: dict[int, list[admin_numbers.Blocked]] = {}
    for one in admin_numbers.blocked(session, since=since, until=until, least=signals.LEAST):
        blocked.setdefault(one.project_id, []).append(one)
    young_at = now - timedelta(days=signals.YOUNG_DAYS)
    twins = {
        one.project_id: one
        for one in admin_numbers.twins(session, young_at=young_at, since_at=since_at)
        if project_id in (0, one.project_id)
    }
    # Only whose hard bounces could be unknown people at all is looked at letter by letter.
    least = signals.THRESHOLDS[signals.Signal.UNKNOWN_USER][0]
    bouncing = [one.id for one in rates.values() if one.tried >= signals.LEAST and one.hardbounced >= least * one.tried]
    unknown = admin_numbers.unknown_users(session, bouncing, since=since, until=until, since_at=since_at)
    evidence: dict[int, list[Evidence]] = {}
    for number in rates.keys() | twins.keys():
        found = signals.of_twins(twins.get(number))
        if number in rates:
            found += signals.of_rates(rates[number], unknown_users=unknown.get(number, 0))
            found += signals.of_providers(blocked.get(number, []))
            found += signals.of_volume(rates[number], now=now)
        if found:
            evidence[number] = sorted(found, key=lambda one: (-one.points, one.signal))
    campaigns = admin_numbers.worst_campaigns(session, evidence, since=since, until=until)
    others = {other for number in evidence if number in twins for other in twins[number].others}
    names = admin_numbers.project_names(session, evidence.keys() | others)
    decisions = latest_decisions(session, evidence)
    suspects = [
        Suspect(
            names[number], rates.get(number), tuple(found), campaigns.get(number), twins.get(number),
            tuple(names[other] for other in (twins[number].others if number in twins else ()) if other in names),
            decisions.get(number),
        )
        for number, found in evidence.items()
    ]  # fmt: skip
    looked = sum(1 for one in suspects if one.decision is not None and one.decision.holds(now))
    if asked.shown == "open":
        suspects = [one for one in suspects if one.decision is None or not one.decision.holds(now)]
    return Found(sorted(suspects, key=lambda one: (-one.score, one.project.id)), looked, since, until)


def latest_decisions(session: Session, ids: Collection[int]) -> dict[int, Decision]:
    """The newest decision about each of these projects that has one."""
    query = (
        select(SuspectDecision, func.coalesce(User.email, ""))
        .outerjoin(User, User.id == SuspectDecision.decided_by)
        .where(SuspectDecision.project_id.in_(sorted(ids)))
        .ext(distinct_on(SuspectDecision.project_id))
        .order_by(SuspectDecision.project_id, SuspectDecision.id.desc())
    )
    return {
        row.project_id: Decision(row.looked_until, row.note, email, row.created_at)
        for row, email in session.execute(query)
    }


def decide(
    dbsession: Session, project_id: int, *, looked_until: datetime, note: str, user_id: int | None
) -> Project | None:
    """Write down that the project was looked at; the moment of now takes that back. None: there is no such project."""
    project = dbsession.get(Project, project_id)
    if project is None:
        return None
    dbsession.add(SuspectDecision(project_id=project_id, looked_until=looked_until, note=note, decided_by=user_id))
    return project
