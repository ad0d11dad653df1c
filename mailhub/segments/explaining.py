"""Why a person is in a segment or not: every rule, whether it holds, by the very conditions that count the segment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import Subscriber
from mailhub.segments.compile import condition, leaf_condition
from mailhub.segments.counting import database_now
from mailhub.segments.tree import Group, Leaf, Tree


@dataclass(frozen=True)
class LeafVerdict:
    """A rule (`path` is its place in the tree) and whether it holds for the person."""

    path: str
    leaf: Leaf
    holds: bool


@dataclass(frozen=True)
class GroupVerdict:
    """A group with its rules."""

    path: str
    group: Group
    holds: bool
    rules: tuple[LeafVerdict, ...]


@dataclass(frozen=True)
class Explanation:
    """Whether the person is in the segment, and rule by rule why."""

    is_in: bool
    match: str
    rules: tuple[LeafVerdict | GroupVerdict, ...]


def explain(
    dbsession: Session, project_id: int, tree: Tree, subscriber_id: int, *, now: datetime | None = None
) -> Explanation | None:
    """The explanation for one person; None where the project has no such person. One statement."""
    now = now or database_now(dbsession)
    leaves = list(tree.leaves())
    asked = [
        leaf_condition(project_id, leaf, tree.zone, now, one=True).label(f"leaf_{n}")
        for n, (_path, leaf) in enumerate(leaves)
    ]
    row = dbsession.execute(
        select(condition(project_id, tree, now, one=True).label("is_in"), *asked).where(
            Subscriber.project_id == project_id, Subscriber.id == subscriber_id
        )
    ).one_or_none()
    if row is None:
        return None
    held = {path: bool(holds) for (path, _leaf), holds in zip(leaves, row[1:], strict=True)}
    rules: list[LeafVerdict | GroupVerdict] = []
    for n, rule in enumerate(tree.rules):
        path = f"rules.{n}"
        if isinstance(rule, Leaf):
            rules.append(LeafVerdict(path, rule, held[path]))
            continue
        inner = tuple(
            LeafVerdict(f"{path}.rules.{m}", leaf, held[f"{path}.rules.{m}"]) for m, leaf in enumerate(rule.rules)
        )
        answers = [one.holds for one in inner]
        inside = all(answers) if rule.match == "all" else any(answers)
        rules.append(GroupVerdict(path, rule, inside != rule.negated, inner))
    return Explanation(bool(row.is_in), tree.match, tuple(rules))
