"""The embedded default: what mailhub needs, without anything installed on the machine.

PostgreSQL from a wheel (`postgres`), the queue in the same database (`mailhub.broker`), a mailbox that catches every
letter (`mailbox`), and `mailhub up`, which starts and watches all of it (`supervisor`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from mailhub.broker import EMBEDDED, broker_options
from mailhub.embedded.postgres import PostgresError, Server, find_server, running_server
from mailhub.settings import Settings

__all__ = ["PostgresError", "Server", "broker_options", "find_server", "resolve", "running_server", "with_server"]


@contextmanager
def resolve(settings: Settings) -> Iterator[Settings]:
    """Settings in which `embedded` is replaced by real URLs, as long as the block lasts.

    Uses the server of `mailhub.home` if it runs (`mailhub up`), else starts it for the block. With URLs of real
    servers, as under `mailhub up` and in production, it does nothing. Raises PostgresError.
    """
    if settings.database_url != "embedded":
        yield _with_broker(settings)
        return
    with running_server(settings.home) as server:
        yield with_server(settings, server)


def with_server(settings: Settings, server: Server) -> Settings:
    """The settings with this server wherever they say `embedded`."""
    reports = server.url if settings.reports_database_url == "embedded" else settings.reports_database_url
    return _with_broker(dataclasses.replace(settings, database_url=server.url, reports_database_url=reports))


def _with_broker(settings: Settings) -> Settings:
    if settings.broker_url != "embedded":
        return settings
    return dataclasses.replace(settings, broker_url=EMBEDDED)
