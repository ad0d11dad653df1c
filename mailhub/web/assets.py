"""Static files: served as they are, with a hash of their content in the URL so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.static import static_view

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
PREFIX = "/static"
FOREVER = "public, max-age=31536000, immutable"


def static_url(path: str) -> str:
    """The URL of a file under static/. Vendored files carry their version in the path and need no hash.

    Raises FileNotFoundError for a file that is not there: a page with a missing asset fails in its first test.
    """
    return _url(path, int(time.monotonic()))


@lru_cache(maxsize=512)
def _url(path: str, _second: int) -> str:
    # Once a second and not once an icon: a large table has hundreds, and an edited file is still seen at once.
    file = STATIC / path
    stamp = file.stat()
    url = f"{PREFIX}/{quote(path)}"
    return url if path.startswith("vendor/") else f"{url}?v={_digest(file, stamp.st_mtime_ns, stamp.st_size)}"


@lru_cache(maxsize=512)
def _digest(file: Path, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10]


def _serve(context: object, request: Request) -> Response:
    response = _files(context, request)
    path = "/".join(request.subpath)
    versioned = path.startswith("vendor/") or "v" in request.GET
    response.headers["Cache-Control"] = FOREVER if versioned and response.status_int in (200, 304) else "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


_files = static_view(str(STATIC), use_subpath=True)


def includeme(config: Configurator) -> None:
    config.add_route("static", f"{PREFIX}/*subpath", request_method=("GET", "HEAD"))
    # Public: the sign-in page has a style sheet too.
    config.add_view(_serve, route_name="static", permission=NO_PERMISSION_REQUIRED, require_csrf=False)
