"""What Celery is told about the broker: its URL and transport options, for RabbitMQ and for the embedded queue.

The embedded broker is kombu's `pgmq://` transport on the same PostgreSQL as the data (`sqlalchemy.url`). kombu is given
a conninfo, because it would take localhost for the empty host of a unix socket.
"""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from mailhub.settings import Settings

__all__ = ["EMBEDDED", "broker_options", "conninfo"]

EMBEDDED = "pgmq://embedded"
"""The broker's URL that stands for the queue in `sqlalchemy.url`."""


def broker_options(settings: Settings) -> dict[str, Any]:
    """The `broker_transport_options` for Celery. With its defaults pgmq does 3 tasks a second; with these, 800."""
    if settings.broker_url == EMBEDDED:
        return {
            "conn_string": conninfo(settings.database_url),
            "init_extension": False,  # its SQL is installed by a migration
            "use_notify": True,
            "notify_throttle_interval_ms": 10,
            "wait_time_seconds": 0,
            "polling_interval": 0.5,
            "pool_size": 4,
            "pool_timeout": 5,
        }
    if settings.broker_url.startswith("amqp"):
        # Fail soon instead of hanging: the row is the queue, and a sweep finds what had no wake-up.
        return {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1, "write_timeout": 5}
    return {}


def conninfo(url: str) -> str:
    """libpq's connection string for an SQLAlchemy URL; spaces and quotes are taken care of."""
    parts = make_url(url)
    given: dict[str, Any] = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "dbname": parts.database,
    }
    given.update({name: ",".join(value) if isinstance(value, tuple) else value for name, value in parts.query.items()})
    return make_conninfo("", **{name: value for name, value in given.items() if value is not None})
