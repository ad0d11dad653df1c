"""The `celery -A mailhub.worker` target: the same ini and the same configuration as the site.

celery -A mailhub.worker worker --ini production.ini -Q bulk
celery -A mailhub.worker beat --ini production.ini
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, current_task, signals
from click import Option
from sqlalchemy.exc import SQLAlchemyError

import mailhub
from mailhub import logs
from mailhub.settings import SettingsError, read_ini
from mailhub.tasks import TASKS, TaskSpec, pool, run, run_sweeps
from mailhub.tasks.canary import Begun, Watch
from mailhub.tasks.celery_app import configure
from mailhub.tasks.heartbeat import Heartbeat

log = logs.get(__name__)

pool.use()
app = Celery("mailhub")
app.user_options["preload"].add(
    Option(["--ini"], default=None, help="The ini file; else $MAILHUB_INI, else development.ini.")
)


class _Worker:
    """What this process knows of itself; filled before the pool is forked, so that its children have it too."""

    registry: Any = None
    queue = ""
    #: The first process.
    pid = 0
    stop = threading.Event()
    begun: Begun


#: Exit code of a worker whose consumer is stuck: EX_TEMPFAIL of sysexits.h. Its supervisor starts it again.
STUCK_CODE = 75
#: Children that are still sending get this long, in seconds, to end after the letter at hand.
LAST_LETTER_SECONDS = 20.0


@signals.user_preload_options.connect
def prepare(options: dict[str, Any], **_kw: Any) -> None:
    """Read the ini. Exceptions in receivers are swallowed, and Celery would run on `amqp://guest@localhost`."""
    ini = options.get("ini") or os.environ.get("MAILHUB_INI") or "development.ini"
    try:
        attach(registry_for({**read_ini(ini), "mailhub.process": "worker"}))
    except (OSError, LookupError, SettingsError) as failure:
        raise SystemExit(f"{ini}: {failure}") from failure
    except Exception as failure:
        log.exception("worker.cannot_start", ini=ini)
        raise SystemExit(1) from failure


def registry_for(settings: dict[str, Any]) -> Any:
    """The site's registry, with a flag in shared memory that tells the pool's children to end.

    They tell through another piece of it when they have begun a task.
    """
    config = mailhub.configure(settings)
    config.commit()
    config.registry.stop_flag = mmap.mmap(-1, 1)
    config.registry.task_begun = Begun(mmap.mmap(-1, 8))
    config.registry.heartbeat = None
    return config.registry


def attach(registry: Any) -> None:
    """Give the Celery application its settings, tasks and periodic tasks."""
    configure(app, registry.mailhub)
    for spec in TASKS.values():
        app.task(_body(spec), name=spec.name, ignore_result=True, acks_late=False)
    app.conf.beat_schedule = {
        spec.name: {
            "task": spec.name,
            "schedule": spec.every,
            "options": {"queue": spec.queue, "expires": spec.every * 2},
        }
        for spec in TASKS.values()
        if spec.every is not None
    }
    _Worker.registry = registry


def _body(spec: TaskSpec) -> Callable[..., None]:
    def body(*args: Any) -> None:
        registry = _Worker.registry
        registry.task_begun.note()
        heartbeat = registry.heartbeat
        if heartbeat is None:
            run(registry, spec, args)
            return
        heartbeat.begin(spec.name, args)
        is_done = False
        try:
            run(registry, spec, args)
            is_done = True
        finally:
            heartbeat.end(_came_through(spec), failed=not is_done)

    body.__name__ = spec.function.__name__
    return body


def _came_through(spec: TaskSpec) -> str:
    """The queue by which the running task came: its own, unless it was sent through another one."""
    delivered: dict[str, Any] = current_task.request.delivery_info or {} if current_task else {}
    return str(delivered.get("routing_key") or spec.queue)


@signals.celeryd_after_setup.connect
def know_queue(instance: Any, **_kw: Any) -> None:
    _Worker.pid = os.getpid()
    _Worker.queue = ",".join(sorted(queue.name for queue in instance.app.amqp.queues.consume_from.values()))


@signals.setup_logging.connect
def keep_logging(**_kw: Any) -> None:
    """Our own log lines are set up already; a receiver here keeps Celery from doing its own."""


@signals.worker_ready.connect
def begin(**_kw: Any) -> None:
    """The first process beats and sweeps; threads are started after the pool was forked."""
    registry = _Worker.registry
    registry.heartbeat = Heartbeat(registry, _Worker.queue, "main")
    registry.heartbeat.start()
    threading.Thread(target=_sweep_forever, name="sweep", daemon=True).start()
    log.info("worker.ready", queue=_Worker.queue, worker=registry.heartbeat.name)


@signals.worker_process_init.connect
def begin_child(**_kw: Any) -> None:
    """A pool child must not outlive the first process, nor share its connections."""
    # Celery has asked the kernel to kill us with it; if it was gone by then, nobody does. Its pool would hang for ever,
    # since who was killed in the middle of reading keeps the lock, and its heartbeat would say that all is well.
    if os.getppid() != _Worker.pid:
        os._exit(1)
    registry = _Worker.registry
    registry.engine.dispose(close=False)
    registry.reading_engine.dispose(close=False)
    registry.heartbeat = Heartbeat(registry, _Worker.queue, "pool")
    registry.heartbeat.start()


@signals.worker_process_shutdown.connect
def end_child(**_kw: Any) -> None:
    if _Worker.registry.heartbeat is not None:
        _Worker.registry.heartbeat.stop()


@signals.worker_shutting_down.connect
def tell_children(**_kw: Any) -> None:
    """Running pumps end after the letter they are at."""
    _Worker.registry.stop_flag[0] = 1
    _Worker.stop.set()


@signals.worker_shutdown.connect
def end(**_kw: Any) -> None:
    if _Worker.registry.heartbeat is not None:
        _Worker.registry.heartbeat.stop()
    _Worker.registry.publisher.close()


def _sweep_forever() -> None:
    registry = _Worker.registry
    watch = Watch(
        registry,
        _Worker.queue.split(","),
        host=registry.heartbeat.host,
        pid=registry.heartbeat.pid,
        begun=registry.task_begun,
        started_at=time.monotonic(),
    )
    while not _Worker.stop.wait(registry.mailhub.delivery_sweep_seconds):
        try:
            run_sweeps(registry)
        except Exception as failure:
            log.warning("sweep.failed", error=type(failure).__name__)
        try:
            found = watch.stuck(time.monotonic(), _reaches_broker)
        except SQLAlchemyError:
            continue
        if found is not None:
            _give_up(watch, *found)


def _reaches_broker() -> bool:
    """Whether the broker takes a new connection: if it does not, it is away, and we are not stuck."""
    try:
        with app.connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
    except Exception:
        return False
    return True


def _give_up(watch: Watch, queue: str, seconds: float) -> None:
    """End, so that the supervisor starts a worker that consumes. Its children go with it."""
    log.error("worker.stuck", queue=queue, canary_waits_seconds=round(seconds), worker=_Worker.registry.heartbeat.name)
    _Worker.registry.stop_flag[0] = 1
    ends_at = time.monotonic() + LAST_LETTER_SECONDS
    with contextlib.suppress(SQLAlchemyError):
        while watch.busy() and time.monotonic() < ends_at:
            time.sleep(0.5)
    os._exit(STUCK_CODE)
