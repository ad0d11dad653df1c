"""The fire drills by name. Each gets a stand, and gives its figures; `passed` says how it went. See docs/drills.md."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ledger import Figures
from tests.faults.stand import Stand


@dataclass(frozen=True)
class Drill:
    """What `python -m tests.faults NAME` holds.

    `people` and `turns` are the full form's size; `options` are the stand's. `around` gives further options and must
    be closed afterwards. A drill of a broker that can be away `needs_rabbitmq`; one of no process at all does without
    a stand that is set up.
    """

    name: str
    hold: Callable[[Stand], Figures]
    people: int = 5000
    turns: int = 20
    needs_rabbitmq: bool = False
    needs_stand: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    around: Callable[[Any], Any] | None = None

    @property
    def says(self) -> str:
        return (self.hold.__doc__ or "").strip().partition("\n")[0]


DRILLS: dict[str, Drill] = {}
#: The rooms of the fire house, in the order in which `all` goes through them.
MODULES = (
    "kills", "services", "refusals", "hostile_relays", "promises", "mayhem", "retention", "hits", "recount", "reports",
    "bombing", "csv_fuzz", "segments",
)  # fmt: skip


def drill(**options: Any) -> Callable[[Callable[[Stand], Figures]], Callable[[Stand], Figures]]:
    """Declare a drill; what is not a field of `Drill` is an option of its stand."""
    names = ("people", "turns", "needs_rabbitmq", "needs_stand", "around")
    own = {name: options.pop(name) for name in names if name in options}

    def declare(function: Callable[[Stand], Figures]) -> Callable[[Stand], Figures]:
        DRILLS[function.__name__] = Drill(function.__name__, function, options=options, **own)
        return function

    return declare


def load() -> dict[str, Drill]:
    """All of them."""
    for name in MODULES:
        importlib.import_module(f"tests.faults.{name}")
    return DRILLS
