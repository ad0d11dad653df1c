"""CSRF: a token derived from the browser's cookie, asked for by every unsafe method (walls.md, T4)."""

from __future__ import annotations

import hashlib
import hmac

from pyramid.config import Configurator
from pyramid.interfaces import ICSRFStoragePolicy
from pyramid.request import Request
from zope.interface import implementer

from mailhub.security.sessions import browser_token


@implementer(ICSRFStoragePolicy)
class DerivedTokens:
    """Token = HMAC(secret, cookie): nothing is stored, and a new sign-in has a new token."""

    def get_csrf_token(self, request: Request) -> str:
        key: str = request.registry.mailhub.secret_key
        return hmac.new(key.encode(), b"csrf:" + self._browser(request).encode(), hashlib.sha256).hexdigest()

    def _browser(self, request: Request) -> str:
        token: str = request.environ.setdefault("mailhub.browser_token", None) or browser_token(request)
        request.environ["mailhub.browser_token"] = token
        return token

    def new_csrf_token(self, request: Request) -> str:
        return self.get_csrf_token(request)

    def check_csrf_token(self, request: Request, token: str) -> bool:
        return hmac.compare_digest(self.get_csrf_token(request).encode(), str(token).encode())


def includeme(config: Configurator) -> None:
    config.set_csrf_storage_policy(DerivedTokens())
    # The origin is compared with the public URL, which is where the browser thinks it is.
    config.set_default_csrf_options(require_csrf=True, check_origin=False)
