"""The first include of every process: settings, `embedded` resolved for the process's life, log lines."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from pyramid.config import Configurator

from mailhub import logs
from mailhub.embedded import resolve
from mailhub.mail.tokens import Signer
from mailhub.settings import read_settings


def includeme(config: Configurator) -> None:
    """Put the `Settings` at `registry.mailhub` and the signer of links at `registry.signer`.

    `SettingsError` names everything that is wrong at once.
    """
    if getattr(config.registry, "mailhub", None) is not None:
        return
    given = {name: value for name, value in config.registry.settings.items() if isinstance(value, str)}
    given.pop("mailhub.process", None)
    settings = read_settings(given)
    logs.configure(format=settings.log_format, level=settings.log_level, secret_key=settings.secret_key)
    keys = (settings.secret_key, *settings.secret_keys_old)
    config.registry.signer = Signer([key.encode() for key in keys])
    running = ExitStack()
    config.registry.mailhub = running.enter_context(resolve(settings))
    atexit.register(running.close)
