"""Housekeeping of mail by API."""

from __future__ import annotations

from pyramid.request import Request

from mailhub.tasks import task
from mailhub.transactional import idempotency


@task("mailhub.transactional.forget_keys", queue="celery", every=3600)
def forget_keys(request: Request) -> None:
    """Drop idempotency keys that are older than a day."""
    idempotency.forget_old(request.dbsession)
