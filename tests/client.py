"""A browser for tests: WebTest with a signed-in session, CSRF done, htmx and JSON helpers."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session
from webtest import TestApp, TestResponse

from mailhub.models import ApiKey, User, WebSession
from mailhub.security.secrets import digest, new_token


class Client(TestApp):
    """`get`, `post`, … of WebTest; `post` adds the CSRF token unless `csrf=False`."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})
        self.registry = app.registry
        self.wsgi = app
        self.token = ""

    def new(self) -> Client:
        return Client(self.wsgi)

    def sign_in(self, user: User, app: str = "site") -> Client:
        """Start a session for the person, as the sign-in page does."""
        from datetime import UTC, datetime, timedelta

        self.token = new_token()
        with self.registry.session_factory() as session:
            session.add(
                WebSession(
                    token_hash=digest(self.token),
                    user_id=user.id,
                    app=app,
                    expires_at=datetime.now(UTC) + timedelta(hours=1),
                )
            )
            session.commit()
        self.set_cookie("mailhub" if app == "site" else f"mailhub-{app}", self.token)
        return self

    def csrf_token(self) -> str:
        """The token that a page of this browser would carry."""
        import hashlib
        import hmac

        key = self.registry.mailhub.secret_key.encode()
        return hmac.new(key, b"csrf:" + self.token.encode(), hashlib.sha256).hexdigest()

    def post_form(self, url: str, fields: Any = None, **kw: Any) -> TestResponse:
        """POST with the CSRF token; `fields` is a dict or a list of pairs."""
        pairs = list(fields.items()) if isinstance(fields, dict) else list(fields or [])
        return self.post(url, [*pairs, ("csrf_token", self.csrf_token())], **kw)

    def fragment(self, url: str, target: str, **kw: Any) -> TestResponse:
        """GET as htmx does for the element with the id `target`."""
        return self.get(url, headers={"HX-Request": "true", "HX-Target": f"div#{target}"}, **kw)

    def api(self, session: Session, project_id: int, *scopes: str) -> ApiClient:
        """A client of the JSON API with a fresh key."""
        from mailhub.security.secrets import new_secret

        secret = new_secret("mh")
        session.add(
            ApiKey(
                project_id=project_id,
                key_id=secret.key_id,
                secret_hash=digest(secret.shown.split("_", 2)[2]),
                name="test",
                scopes=list(scopes),
            )
        )
        session.commit()
        return ApiClient(self.wsgi, secret.shown)


class ApiClient(TestApp):
    """JSON in, JSON out, with the key."""

    def __init__(self, app: Any, key: str) -> None:
        super().__init__(app, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})
        self.authorization = ("Bearer", key)
