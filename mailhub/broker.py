"""What Celery is told about the broker: its URL and transport options, for RabbitMQ and for the embedded queue.

The embedded broker is kombu's `pgmq://` on the same PostgreSQL as the data. A URL like
`pgmq://mailhub@/mailhub?host=/run/x` stands for it in settings; kombu is given a conninfo instead, because it would
take localhost for an empty host.
"""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from mailhub.settings import Settings

__all__ = ["broker_options", "conninfo", "embedded_broker_url", "kombu_url"]


def kombu_url(settings: Settings) -> str:
    """The `broker_url` for Celery."""
    return "pgmq://" if settings.broker_url.startswith("pgmq://") else settings.broker_url


def broker_options(settings: Settings) -> dict[str, Any]:
    """The `broker_transport_options` for Celery. With its defaults pgmq does 3 tasks a second; with these, 800."""
    if settings.broker_url.startswith("pgmq://"):
        return {
            "conn_string": conninfo(settings.broker_url),
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


def embedded_broker_url(database_url: str) -> str:
    """The `pgmq://` URL of the queue that lives in this database."""
    scheme, _, rest = database_url.partition("://")
    if scheme != "postgresql+psycopg":
        raise ValueError("the embedded broker lives in PostgreSQL")
    return f"pgmq://{rest}"


def conninfo(url: str) -> str:
    """libpq's connection string for an SQLAlchemy or `pgmq://` URL; spaces and quotes are taken care of."""
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
