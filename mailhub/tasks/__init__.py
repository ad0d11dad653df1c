"""Celery's machinery: the `task` decorator, a request for every run, `request.enqueue` after the commit.

A Celery message is a wake-up and nothing more: its arguments are ids, its loss is repaired by a sweep, and its
second delivery finds nothing left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pyramid.config import Configurator
from pyramid.request import Request, apply_request_extensions
from pyramid.threadlocal import RequestContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mailhub import logs
from mailhub.db import Lock, side_transaction, try_lock
from mailhub.tasks.publisher import Publisher

log = logs.get(__name__)

#: serialization_failure, deadlock_detected: the transaction may simply be run again.
RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
RETRIES = 3
#: So many ended runs of a periodic task are remembered.
HISTORY = 50


@dataclass(frozen=True)
class TaskSpec:
    """What Celery must know of a task. `every` (seconds) makes it periodic."""

    name: str
    queue: str
    function: Callable[..., None]
    transaction: bool
    every: float | None


class Task(Protocol):
    """A decorated function: called directly in tests, enqueued by `request.enqueue`."""

    spec: TaskSpec

    def __call__(self, request: Request, *args: Any) -> None: ...


#: Every task of the program by its name, filled as the rooms' `tasks.py` are imported.
TASKS: dict[str, TaskSpec] = {}


def task(
    name: str, *, queue: str = "celery", transaction: bool = True, every: float | None = None
) -> Callable[[Callable[..., None]], Task]:
    """Declare `function(request, *ids)` a task of `queue`.

    It runs in one transaction, or opens its own (`with request.tm:`) where `transaction` is False.
    """

    def declare(function: Callable[..., None]) -> Task:
        spec = TaskSpec(name, queue, function, transaction, every)
        if name in TASKS and TASKS[name].function.__module__ != function.__module__:
            raise ValueError(f"two tasks are named {name}")
        TASKS[name] = spec
        function.spec = spec  # type: ignore[attr-defined]
        return function  # type: ignore[return-value]

    return declare


#: What every worker's first process looks for, every `mailhub.delivery.sweep_seconds`: rows whose wake-up was lost.
SWEEPS: list[Callable[[Request], None]] = []


def sweep(function: Callable[[Request], None]) -> Callable[[Request], None]:
    """Declare `function(request)` part of the sweep. It runs in one transaction; one worker at a time runs sweeps."""
    SWEEPS.append(function)
    return function


def run_sweeps(registry: Any) -> bool:
    """Run every sweep now; False where another worker is at it. A failing sweep does not stop the others."""
    lock = task_request(registry)
    with lock.tm:
        if not try_lock(lock.dbsession, Lock.SWEEP):
            return False
        for function in SWEEPS:
            request = task_request(registry)
            with RequestContext(request):
                try:
                    with request.tm:
                        function(request)
                except Exception:
                    log.exception("sweep.failed", sweep=f"{function.__module__}.{function.__name__}")
    return True


def enqueue(request: Request, wanted: Task, *args: int | str) -> None:
    """Send a wake-up after the commit; at once where no transaction is open."""
    publisher: Publisher = request.registry.publisher
    spec = wanted.spec
    transaction = request.tm.manager._txn if hasattr(request.tm, "manager") else request.tm._txn
    if transaction is None:
        publisher.publish(spec.name, args, spec.queue)
        return

    def after_commit(success: bool) -> None:
        if success:
            publisher.publish(spec.name, args, spec.queue)

    transaction.addAfterCommitHook(after_commit)


def task_request(registry: Any) -> Request:
    """A request as a view has it (tm, dbsession, enqueue), for a run outside the web."""
    request = Request.blank("/", base_url=registry.mailhub.public_url)
    request.registry = registry
    apply_request_extensions(request)
    return request


def run(registry: Any, spec: TaskSpec, args: tuple[Any, ...]) -> None:
    """Run a task now, in this process; serialization failures are tried again."""
    begun = _note_start(registry, spec.name) if spec.every is not None else None
    if spec.every is not None and begun is None:
        return
    error = ""
    started = time.monotonic()
    try:
        for attempt in range(RETRIES):
            try:
                _run_once(registry, spec, args)
                break
            except DBAPIError as failure:
                if getattr(failure.orig, "sqlstate", None) not in RETRIED_SQLSTATES or attempt == RETRIES - 1:
                    raise
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"[:500]
        log.exception("task.failed", task=spec.name, ids=args)
        raise
    finally:
        log.debug("task.done", task=spec.name, ids=args, seconds=round(time.monotonic() - started, 3))
        if begun is not None:
            _note_end(registry, spec.name, begun, error)


def _run_once(registry: Any, spec: TaskSpec, args: tuple[Any, ...]) -> None:
    request = task_request(registry)
    with RequestContext(request), logs.context(task=spec.name):
        try:
            if spec.transaction:
                with request.tm:
                    spec.function(request, *args)
            else:
                spec.function(request, *args)
        finally:
            request._process_finished_callbacks()


def _note_start(registry: Any, name: str) -> datetime | None:
    """Write down that a periodic task begins; None where the operator has paused it."""
    with side_transaction(registry) as session:
        row = session.execute(
            text(
                "INSERT INTO periodic_run AS p (name, started_at) VALUES (:name, clock_timestamp())"
                " ON CONFLICT (name) DO UPDATE SET started_at ="
                " CASE WHEN p.paused THEN p.started_at ELSE clock_timestamp() END"
                " RETURNING CASE WHEN NOT p.paused THEN p.started_at END"
            ),
            {"name": name},
        )
        begun: datetime | None = row.scalar_one()
        return begun


def _note_end(registry: Any, name: str, begun: datetime, error: str) -> None:
    """Write down how it ended; of its runs the last HISTORY are kept."""
    with side_transaction(registry) as session:
        session.execute(
            text("UPDATE periodic_run SET finished_at = clock_timestamp(), error = :error WHERE name = :name"),
            {"name": name, "error": error},
        )
        session.execute(
            text(
                "INSERT INTO periodic_history (name, started_at, finished_at, error)"
                " VALUES (:name, :begun, clock_timestamp(), :error) ON CONFLICT DO NOTHING"
            ),
            {"name": name, "begun": begun, "error": error},
        )
        session.execute(
            text(
                "DELETE FROM periodic_history WHERE name = :name AND started_at <= (SELECT started_at"
                " FROM periodic_history WHERE name = :name ORDER BY started_at DESC OFFSET :kept LIMIT 1)"
            ),
            {"name": name, "kept": HISTORY},
        )


def includeme(config: Configurator) -> None:
    import mailhub.tasks.canary  # noqa: F401  declares its task and its sweep; it needs the names above

    config.registry.publisher = Publisher(config.registry)
    config.add_request_method(enqueue, "enqueue")
