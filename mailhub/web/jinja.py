"""Templates: the Jinja environment, and what every template may call (docs/ui.md lists it)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from translationstring import TranslationString

from mailhub.web.assets import ROOT, static_url
from mailhub.web.charts import CHARTS
from mailhub.web.formats import FORMATS, number, request_of
from mailhub.web.i18n import DOMAIN, LANGUAGES
from mailhub.web.icons import icon
from mailhub.web.nav import creations, my_projects, navigation

TEMPLATES = ROOT / "templates"
#: Files whose macros make up `ui`.
MACROS = ("form", "table", "badge", "chart", "paging", "progress", "tiles", "dialog", "tabs", "menu", "page", "export")


class Macros:
    """All macros under one name: `{{ ui.field(…) }}`. Pages and fragments share them without an import line."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            for file in MACROS:
                # get_template looks at the file's time in development, so an edited macro is seen at once.
                macro = getattr(self._environment.get_template(f"macros/{file}.html").module, name, None)
                if macro is not None:
                    if not self._environment.auto_reload:
                        # Found without a search from now on: a page asks some hundred times.
                        setattr(self, name, macro)
                    return macro
        raise AttributeError(f"no macro {name!r} in templates/macros/")


@pass_context
def gettext(context: Context, message: str, /, **variables: Any) -> str:
    """`_("Sent to %(name)s", name=x)`; variables are escaped, and a lazy text from Python is taken as it is."""
    localizer = request_of(context).localizer
    if isinstance(message, TranslationString) and (message.mapping or message.context):
        return str(localizer.translate(message, domain=DOMAIN))
    # What localizer.translate does with a text that has no blanks to fill, without its ceremony: a page has hundreds.
    translated = localizer.translations.dugettext(DOMAIN, message)
    return str(translated) if isinstance(message, TranslationString) else _fill(context, translated, variables)


@pass_context
def pgettext(context: Context, meaning: str, message: str, /, **variables: Any) -> str:
    """`pgettext("person", "Name")`: for a word that other languages say in several ways."""
    wanted = TranslationString(message, domain=DOMAIN, context=meaning)
    return _fill(context, request_of(context).localizer.translate(wanted), variables)


@pass_context
def ngettext(context: Context, singular: str, plural: str, count: int, /, **variables: Any) -> str:
    """`ngettext("%(num)s letter", "%(num)s letters", n)`; `num` is the formatted number."""
    translated = request_of(context).localizer.pluralize(singular, plural, count, domain=DOMAIN)
    variables.setdefault("num", number(context, count))
    return _fill(context, translated, variables)


def _fill(context: Context, text: str, variables: Mapping[str, Any]) -> str:
    # As Jinja's newstyle gettext: always %-formatted, so that a literal sign is always written %%.
    # The message is ours (source or catalogue), so it is markup; what is filled in is escaped.
    template = Markup(text) if context.eval_ctx.autoescape else text  # noqa: S704
    return template % variables if "%" in text else template


@pass_context
def csrf_token(context: Context) -> str:
    """The session's token, for a form's hidden field and for htmx's header."""
    return str(get_csrf_token(request_of(context)))


@pass_context
def query_url(context: Context, **changes: Any) -> str:
    """This page's URL with some query parameters set, or taken out (None): the URL is the state."""
    request = request_of(context)
    pairs = [(key, value) for key, value in request.GET.items() if key not in changes]
    pairs += [(key, value) for key, value in changes.items() if value is not None]
    return request.path + ("?" + urlencode(pairs) if pairs else "")


@pass_context
def route_exists(context: Context, name: str) -> bool:
    """Whether this process has a route of that name (the mailbox is there in development only)."""
    return has_route(request_of(context), name)


def has_route(request: Request, name: str) -> bool:
    return request.registry.queryUtility(IRoutesMapper).get_route(name) is not None


@pass_context
def may(context: Context, permission: str) -> bool:
    """Whether the person may do this in the project at hand."""
    return bool(request_of(context).has_permission(permission))


@pass_context
def notices(context: Context) -> list[tuple[str, str]]:
    """The flash notices waiting for this page, each shown once."""
    take = getattr(request_of(context), "notices", None)
    return list(take()) if take else []


@pass_context
def nav(context: Context) -> Any:
    """The sidebar's groups for this person (mailhub.web.nav)."""
    return navigation(request_of(context))


@pass_context
def nav_creations(context: Context) -> Any:
    return creations(request_of(context))


@pass_context
def nav_projects(context: Context) -> Any:
    return request_of(context).my_projects


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    """A lazy text becomes a text in the reader's language wherever it is put out."""
    return gettext(context, value) if isinstance(value, TranslationString) else value


def includeme(config: Configurator) -> None:
    config.include("pyramid_jinja2")
    config.include("mailhub.web.assets")
    config.include("mailhub.web.i18n")
    config.include("mailhub.web.htmx")
    settings = config.registry.settings
    settings.setdefault("jinja2.directories", str(TEMPLATES))
    settings["jinja2.undefined"] = "strict"
    settings["jinja2.i18n.domain"] = DOMAIN
    # Without it `_("… %(x)s", x=…)` raises TypeError in pyramid_jinja2 2.10.
    settings["jinja2.newstyle"] = "true"
    settings["jinja2.trim_blocks"] = settings["jinja2.lstrip_blocks"] = "true"
    settings["jinja2.finalize"] = _finalize
    config.add_request_method(my_projects, "my_projects", reify=True)
    config.add_jinja2_renderer(".html", settings_prefix="jinja2.")

    def equip() -> None:
        furnish(config.get_jinja2_environment(".html"))

    # After add_jinja2_renderer's own action has made the environment.
    config.action(None, equip, order=999)


def furnish(environment: Environment) -> None:
    """Give the environment our functions and filters."""
    assert environment.undefined is StrictUndefined
    assert environment.autoescape
    environment.filters.update(FORMATS)
    environment.globals.update(FORMATS)
    environment.globals.update(CHARTS)
    environment.globals.update(
        _=gettext,
        gettext=gettext,
        ngettext=ngettext,
        pgettext=pgettext,
        ui=Macros(environment),
        icon=icon,
        static_url=static_url,
        csrf_token=csrf_token,
        query_url=query_url,
        route_exists=route_exists,
        may=may,
        notices=notices,
        nav=nav,
        nav_creations=nav_creations,
        nav_projects=nav_projects,
        languages=LANGUAGES,
        now=lambda: datetime.now(UTC),
    )
