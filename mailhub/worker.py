"""The `celery -A mailhub.worker` target: the same ini and the same configuration as the site.

celery -A mailhub.worker worker --ini production.ini -Q bulk
celery -A mailhub.worker beat --ini production.ini
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from click import Option

import mailhub
from mailhub import logs
from mailhub.settings import SettingsError, read_ini
from mailhub.tasks import TASKS, TaskSpec, run, run_sweeps
from mailhub.tasks.celery_app import configure
from mailhub.tasks.heartbeat import Heartbeat

log = logs.get(__name__)

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
    """The site's registry, with a flag in shared memory that tells the pool's children to end."""
    config = mailhub.configure(settings)
    config.commit()
    config.registry.stop_flag = mmap.mmap(-1, 1)
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
        run(_Worker.registry, spec, args)

    body.__name__ = spec.function.__name__
    return body


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
    while not _Worker.stop.wait(registry.mailhub.delivery_sweep_seconds):
        try:
            run_sweeps(registry)
        except Exception as failure:
            log.warning("sweep.failed", error=type(failure).__name__)
