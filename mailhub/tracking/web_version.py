"""The letter in a browser: the same compiler, the frozen version, its reader's own links, in a sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy import text

from mailhub.delivery.letters import source_of, urls_of
from mailhub.mail.campaign import CompiledCampaign, Recipient, RecipientUrls, compile_campaign
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.tracking.facts import person_of, tracking_of
from mailhub.tracking.memory import memory
from mailhub.tracking.refused import LinkGone

#: What a letter may do in a browser: be seen, and open its links in a new tab (walls.md, T3).
LETTER_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; "
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; font-src http: https: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_VERSION = text(
    """
    SELECT v.project_id, v.campaign_id, v.name, v.subject, v.preheader, v.from_email, v.from_name, v.reply_to, v.html,
           v.text, v.language, v.project_name, v.project_domain, v.postal_address, v.list_id, v.list_name
    FROM campaign AS c
    JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    WHERE c.project_id = :project AND c.id = :campaign
    """
)
_LINKS = text("SELECT id FROM link WHERE project_id = :project AND campaign_id = :campaign ORDER BY position")

_Compiled = tuple[CompiledCampaign, list[int]]


@view_config(route_name="tracking.web_version", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def show(request: Request) -> Response:
    try:
        claims: Claims = request.registry.signer.read(Kind.WEB_VERSION, request.matchdict["token"])
    except BadToken:
        raise LinkGone() from None
    compiled, links = _compiled(request, claims)
    assert claims.project is not None
    person = person_of(request.dbsession, claims.project, claims.subscriber)
    recipient = Recipient(person.email, person.name, person.fields, _urls(request, claims, compiled, links))
    try:
        parts = compiled.render_parts(recipient)
    except (RenderFailed, TemplateRefused):
        raise LinkGone() from None
    return Response(
        parts.html,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Security-Policy": LETTER_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
            "Cache-Control": "no-store",
        },
    )


def _compiled(request: Request, claims: Claims) -> _Compiled:
    kept = memory(request.registry).letters
    key = (claims.project, claims.campaign)
    found = kept.get(key)
    if found is None:
        binds = {"project": claims.project, "campaign": claims.campaign}
        row = request.dbsession.execute(_VERSION, binds).mappings().one_or_none()
        if row is None:
            raise LinkGone()
        links = list(request.dbsession.scalars(_LINKS, binds))
        found = compile_campaign(source_of(dict(row))), links
        kept.put(key, found)
    return found


def _urls(request: Request, claims: Claims, compiled: CompiledCampaign, links: list[int]) -> RecipientUrls:
    """The reader's own links. The page has no pixel: opening it is no opening of the letter."""
    registry: Any = request.registry
    assert claims.project is not None
    assert claims.campaign is not None
    urls = urls_of(
        registry.signer, registry.mailhub, compiled, links, claims.project, claims.campaign, claims.list,
        claims.subscriber, tracking_of(request.dbsession, claims),
    )  # fmt: skip
    return replace(urls, open=None, web_version=f"{registry.mailhub.usercontent_url}{request.path}")
