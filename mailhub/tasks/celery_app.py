"""The Celery application: queues, and the settings that measurements asked for (delivery.md, 1.8)."""

from __future__ import annotations

import os

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue

from mailhub.broker import broker_options
from mailhub.models import Queue
from mailhub.settings import Settings


def make_celery(settings: Settings) -> Celery:
    """A Celery application on the broker of the settings, with no task registered yet."""
    app = Celery("mailhub")
    configure(app, settings)
    return app


def configure(app: Celery, settings: Settings) -> None:
    """Put the project's settings into a Celery application."""
    embedded = settings.broker_url.startswith("pgmq")
    queue_arguments = {"x-queue-type": "quorum"} if settings.broker_quorum_queues and not embedded else None
    # Celery would take the text of the environment over its configuration: `file:/…` as it stands, for one.
    os.environ.pop("CELERY_BROKER_URL", None)
    app.conf.update(
        broker_url=settings.broker_url,
        broker_transport_options=broker_options(settings),
        broker_heartbeat=0 if embedded else 20,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        result_backend=None,
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=Queue.CELERY.value,
        task_queues=[
            KombuQueue(
                name.value,
                Exchange(name.value, "direct"),
                routing_key=name.value,
                durable=True,
                queue_arguments=queue_arguments,
            )
            for name in Queue
        ],
        worker_prefetch_multiplier=4 if embedded else 1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_soft_shutdown_timeout=10,
        worker_max_tasks_per_child=None,
        worker_send_task_events=False,
        # Remote control needs fanout, which the embedded broker answers by polling: there the reports pages and
        # the heartbeats say what `celery inspect` says on RabbitMQ.
        worker_enable_remote_control=not embedded,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
