"""Who are you, what may you."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.include("mailhub.security.policy")
    config.include("mailhub.security.csrf")
