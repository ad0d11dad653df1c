"""The first include of every process: settings, `embedded` resolved for the process's life, log lines."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from pyramid.config import Configurator

from mailhub import logs, metrics
from mailhub.embedded import resolve
from mailhub.mail.dkim import BadKey, DkimKey, load_private
from mailhub.mail.tokens import Signer
from mailhub.security import address_hash
from mailhub.settings import Settings, SettingsError, read_settings

log = logs.get(__name__)


def includeme(config: Configurator) -> None:
    """Put the `Settings` at `registry.mailhub` and the signer of links at `registry.signer`.

    `SettingsError` names everything that is wrong at once.
    """
    if getattr(config.registry, "mailhub", None) is not None:
        return
    given = {name: value for name, value in config.registry.settings.items() if isinstance(value, str)}
    given.pop("mailhub.process", None)
    settings = read_settings(given)
    _check_dkim(settings)
    logs.configure(format=settings.log_format, level=settings.log_level, secret_key=settings.secret_key)
    keys = (settings.secret_key, *settings.secret_keys_old)
    address_hash.configure(keys)
    config.registry.signer = Signer([key.encode() for key in keys])
    _serve_metrics(settings)
    running = ExitStack()
    config.registry.mailhub = running.enter_context(resolve(settings))
    atexit.register(running.close)


def _serve_metrics(settings: Settings) -> None:
    """The internal listener, once a process. A port that is taken is no reason not to serve letters."""
    if settings.metrics_port:
        try:
            metrics.serve(settings.metrics_port)
        except OSError as failure:
            log.warning("metrics.not_served", port=settings.metrics_port, error=str(failure))


def _check_dkim(settings: Settings) -> None:
    """A key that can't sign stops the process now, and not at its first letter."""
    try:
        if settings.dkim_domain:
            DkimKey(settings.dkim_domain, settings.dkim_selector, load_private(settings.dkim_private_key.encode()))
    except BadKey as error:
        raise SettingsError([f"mailhub.dkim.private_key: {error}"]) from None
