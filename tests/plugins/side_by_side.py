"""`pytest -n 2`: which tests go to a worker together, in which order, and what runs last with nothing beside it.

A file's tests stay together, because they share what the file starts; some files share one `mailhub up`. What takes
longest is begun first, so that the workers end at about the same time. What measures times runs when every other worker
has gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

#: Units of work by the start of their tests' ids; without one, a file is a unit. The first that fits counts.
_RUNNING, _ALONE = "running", "alone"
_UNITS = {
    "tests/flows/test_times.py": _ALONE,
    # These share the session's fixture `running`.
    "tests/flows/test_running.py": _RUNNING,
    "tests/browser/test_main_job.py": _RUNNING,
}
#: Each of these tests is a unit: they take long, and share little.
_APART = ("tests/browser/test_pages.py::test_every_page",)
#: What takes long, the longest first; whatever is not named comes after it in its usual order, _ALONE at the end.
_FIRST = (
    "tests/browser/test_pages.py::test_every_page",
    "tests/production/",
    "tests/browser/test_styleguide.py",
    "tests/embedded/test_supervisor.py",
    "tests/flows/test_walls.py",
    "tests/faults/",
    "tests/browser/",
    "tests/flows/",
    "tests/test_commands.py",
    "tests/lists/",
)


def unit(test: str) -> str:
    """The name of the unit of work that a test, by its id, belongs to."""
    if test.startswith(_APART):
        return test
    return next((name for start, name in _UNITS.items() if test.startswith(start)), test.partition("::")[0])


def turn(test: str) -> int:
    """When a test's unit is begun, as a key to sort by."""
    if unit(test) == _ALONE:
        return len(_FIRST) + 1
    return next((n for n, start in enumerate(_FIRST) if test.startswith(start)), len(_FIRST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # In a worker; where there are none, the order stays.
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        """xdist's own for units of work; it keeps the last unit until one worker is left."""

        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid)

        def _reschedule(self, node: WorkerController) -> None:
            if next(iter(self.workqueue), None) != _ALONE or len(self.nodes) == 1:
                super()._reschedule(node)
            elif node is not self._last():
                node.shutdown()

        def _last(self) -> WorkerController:
            """Who goes on alone: the worker that has a `mailhub up` already, if one has."""
            return next((node for node, units in self.assigned_work.items() if _RUNNING in units), self.nodes[0])

        def remove_node(self, node: WorkerController) -> str | None:
            crashed = super().remove_node(node)
            if _ALONE in self.workqueue:
                self.workqueue.move_to_end(_ALONE)  # behind what a worker that crashed has left
            if len(self.nodes) == 1:
                self._reschedule(self.nodes[0])
            return crashed

    config.option.loadscopereorder = False  # the order is ours
    return Scheduler(config, log)
