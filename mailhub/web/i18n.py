"""Languages: which one a request speaks, and how a text gets into it.

English is the msgid. The catalogues are `mailhub/locale/<language>/LC_MESSAGES/mailhub.po` and `.mo`;
`tools/i18n.py` (behind `make i18n`) keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pyramid.config import Configurator
from pyramid.i18n import TranslationStringFactory
from pyramid.request import Request
from sqlalchemy.exc import SQLAlchemyError

DOMAIN = "mailhub"
DEFAULT_LANGUAGE = "en"
#: code → the language's name in itself.
LANGUAGES: Mapping[str, str] = {"en": "English", "ru": "Русский"}

#: Marks a text for translation and keeps it lazy: `_("Hello, ${name}", mapping={"name": name})`.
_ = TranslationStringFactory(DOMAIN)


def pgettext(context: str, text: str) -> Any:
    """The same for a word that other languages say in several ways: `pgettext("person", "Name")`."""
    return _(text, context=context)


def translate(request: Request, text: str, **mapping: Any) -> str:
    """The text in the request's language; `mapping` fills its `${placeholders}`."""
    translated: str = request.localizer.translate(text, domain=DOMAIN, mapping=mapping or None)
    return translated


def use_language(request: Request, language: str) -> None:
    """From now on the request speaks `language`: a public page speaks its list's, whatever the browser says."""
    request.__dict__["locale_name"] = language if language in LANGUAGES else DEFAULT_LANGUAGE
    request.__dict__.pop("localizer", None)


def choose_language(request: Request, language: str) -> None:
    """The same, unless the reader has chosen another one by `?lang=`: in the URL, because there is no cookie."""
    wanted = request.GET.get("lang", "")
    use_language(request, wanted if wanted in LANGUAGES else language)


def languages_of(request: Request) -> list[tuple[str, str, bool]]:
    """(name, URL, whether it is the present one) for each language that a public page speaks."""
    return [
        (name, f"{request.path}?{urlencode({'lang': code})}", code == request.locale_name)
        for code, name in LANGUAGES.items()
    ]


def negotiate(request: Request) -> str:
    """The person's setting; for a stranger `?lang=`, which needs no cookie, then Accept-Language."""
    chosen = _user_language(request) or request.GET.get("lang")
    if chosen in LANGUAGES:
        return str(chosen)
    best: str | None = request.accept_language.lookup(list(LANGUAGES), default=DEFAULT_LANGUAGE)
    return best or DEFAULT_LANGUAGE


def includeme(config: Configurator) -> None:
    config.add_translation_dirs("mailhub:locale")
    config.set_locale_negotiator(negotiate)


def _user_language(request: Request) -> str | None:
    try:
        user = getattr(request, "user", None)
        return None if user is None else user.language
    except SQLAlchemyError:
        # The page that says "the database is down" must not need the database to choose its language.
        return None
