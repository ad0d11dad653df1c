"""A campaign's letter: from the draft or the frozen version to the compiler that preview, test and sending share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import nodes
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.campaigns import chosen as choice
from mailhub.campaigns.refusals import Check, check_of
from mailhub.delivery.letters import source_of
from mailhub.mail.campaign import (
    CampaignSource,
    CompiledCampaign,
    Recipient,
    RecipientUrls,
    RenderedParts,
    compile_campaign,
    guarded_parts,
)
from mailhub.mail.links import LinkUse, has_own_link
from mailhub.mail.lint import SourceRefused, loop_names, parse
from mailhub.mail.merge import UNSUBSCRIBE_NAMES, field_of, merge_context
from mailhub.mail.problem import Problem
from mailhub.mail.scan import tags
from mailhub.mail.template import RenderFailed, TemplateRefused, guarded_text, preview_render
from mailhub.models import Campaign, CampaignVersion, Project, Sender, Subscriber, SubscriberField

#: What a draft may still lack when it is saved; it is asked for at the start.
UNWRITTEN = frozenset({"subject_empty", "body_empty"})
#: Stands for the sender while none is chosen, so that the rest can be compiled.
_NO_SENDER = "nobody@example.com"


@dataclass(frozen=True)
class Draft:
    """A letter as it would be sent now."""

    source: CampaignSource
    field_names: Sequence[str] = ()

    @cached_property
    def compiled(self) -> CompiledCampaign:
        return compile_campaign(self.source)

    @property
    def problems(self) -> list[Problem]:
        return self.compiled.problems

    @property
    def link_urls(self) -> list[str]:
        return self.compiled.links

    @cached_property
    def has_unsubscribe_link(self) -> bool:
        return has_own_link(self.source.html, UNSUBSCRIBE_NAMES)

    def recipient(self, person: Subscriber | None, urls: RecipientUrls) -> Recipient:
        """The person, or somebody made up whose fields hold their own names."""
        if person is not None:
            return Recipient(person.email, person.name, plain_fields(person.fields), urls)
        return Recipient("anna@example.com", "Anna Example", {name: f"[{name}]" for name in self.field_names}, urls)

    def parts(self, person: Subscriber | None, urls: RecipientUrls) -> RenderedParts:
        """Subject, HTML and text for the person, made in a child with limits; raises TemplateRefused, RenderFailed."""
        return guarded_parts(self.source, self.recipient(person, urls))

    def preheader(self, person: Subscriber | None, urls: RecipientUrls) -> str:
        """The line that an inbox shows after the subject; empty where it is not written or can't be filled in."""
        recipient = self.recipient(person, urls)
        context = merge_context(
            email=recipient.email,
            name=recipient.name,
            fields=recipient.fields,
            unsubscribe_url=urls.unsubscribe,
            web_version_url=urls.web_version,
            groups={"project": {"name": self.source.project_name}, "list": {"name": self.source.list_name}},
        )
        try:
            return preview_render(self.source.preheader, context, kind="text", known=self.source.known_fields)
        except (TemplateRefused, RenderFailed):
            return ""

    def raw(self, person: Subscriber | None, urls: RecipientUrls, *, message_id: str, date: datetime) -> str:
        """The bytes on the wire as text (they are ASCII), made in a child with limits; raises as `parts`."""
        recipient = self.recipient(person, urls)

        def work() -> str:
            return compile_campaign(self.source).render(recipient, message_id=message_id, date=date).decode("ascii")

        return guarded_text(work)

    def try_render(self, person: Subscriber | None) -> Problem | None:
        """What goes wrong when the letter is filled in for the person; None if nothing does."""
        try:
            self.parts(person, RecipientUrls(unsubscribe="https://example.com/u", web_version="https://example.com/v"))
        except TemplateRefused as refused:
            return refused.problems[0]
        except RenderFailed as failed:
            return failed.problem
        return None


def draft_of(dbsession: Session, project: Project, campaign: Campaign, sender: Sender | None) -> Draft:
    """The letter of an unsent campaign, checked against the project's custom fields."""
    names = field_names(dbsession, project.id)
    version = version_of(dbsession, project, campaign, sender)
    return Draft(replace(source_of_version(version), known_fields=names), names)


def frozen_of(version: CampaignVersion) -> Draft:
    """The letter as it was frozen. Fields that were deleted since then are empty, as they are for who gets it now."""
    return Draft(source_of_version(version))


def version_of(dbsession: Session, project: Project, campaign: Campaign, sender: Sender | None) -> CampaignVersion:
    """What would be frozen now; nothing is stored."""
    chosen = choice.chosen_of(dbsession, project.id, campaign.id)
    names = choice.names_of(dbsession, project.id, [campaign.id])[campaign.id]
    return CampaignVersion(
        project_id=project.id,
        campaign_id=campaign.id,
        version=(campaign.version or 0) + 1,
        name=campaign.name,
        subject=campaign.subject,
        preheader=campaign.preheader,
        from_email=sender.email if sender else _NO_SENDER,
        from_name=campaign.from_name or (sender.name if sender else ""),
        reply_to=campaign.reply_to or (sender.reply_to if sender else ""),
        html=campaign.html,
        text=campaign.text,
        language=project.language,
        project_name=project.name,
        project_domain=project.domain,
        postal_address=project.postal_address,
        # Somebody who leaves a campaign to several lists leaves them all, so no single one is named.
        list_id=chosen.lists[0] if len(chosen.lists) == 1 and not chosen.segments else None,
        list_name=", ".join(names.included),
    )


def source_of_version(version: CampaignVersion) -> CampaignSource:
    """What the pumps compile, from the version's row: preview and sending can't differ."""
    return source_of({column.key: getattr(version, column.key) for column in CampaignVersion.__table__.columns})


def link_rows(version: CampaignVersion) -> list[LinkUse]:
    """The links of a frozen letter, by position."""
    return list(compile_campaign(source_of_version(version)).link_uses)


def mistakes(
    dbsession: Session, project: Project, *, subject: str, preheader: str, html: str, text: str
) -> list[Check]:
    """What can't be saved: merge expressions and links that could never be sent."""
    source = CampaignSource(
        subject=subject, preheader=preheader, html=html, text=text, from_email=_NO_SENDER,
        postal_address=project.postal_address, language=project.language,
        known_fields=field_names(dbsession, project.id),
    )  # fmt: skip
    found = compile_campaign(source).problems
    return [check_of(problem) for problem in found if problem.level == "error" and problem.code not in UNWRITTEN]


def field_names(dbsession: Session, project_id: int) -> list[str]:
    """The project's custom fields."""
    rows = dbsession.scalars(
        select(SubscriberField.name).where(SubscriberField.project_id == project_id).order_by(SubscriberField.name)
    )
    return list(rows)


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A person's custom fields as the merge language takes them: JSON is plain data already."""
    return dict(fields)


def bare_fields(source: str) -> set[str]:
    """The people's fields that a source uses without a fallback: no `|default`, and not inside an `if` about them."""
    try:
        tree = parse(source)
    except SourceRefused:
        return set()
    skipped = loop_names(tree)
    return {name for name in _bare(tree, frozenset()) if name and name not in skipped}


def _bare(node: nodes.Node, asked: frozenset[str]) -> Iterator[str]:
    match node:
        case nodes.Filter(name="default" | "d"):
            return
        case nodes.If():
            inside = asked | {field_of(name) for name in _names(node.test)}
            for child in (*node.body, *node.elif_):
                yield from _bare(child, inside)
            for child in node.else_:
                yield from _bare(child, asked)
        case nodes.CondExpr():
            inside = asked | {field_of(name) for name in _names(node.test)}
            yield from _bare(node.expr1, inside)
            if node.expr2 is not None:
                yield from _bare(node.expr2, asked)
        case nodes.Name(ctx="load"):
            if node.name not in asked and _is_personal(node.name):
                yield node.name
        case nodes.Getattr(node=nodes.Name(name="subscriber")):
            if node.attr not in asked and _is_personal(node.attr):
                yield node.attr
        case nodes.Getattr():
            return
        case _:
            for child in node.iter_child_nodes():
                yield from _bare(child, asked)


def _names(node: nodes.Node) -> Iterator[str]:
    for found in (node, *node.find_all((nodes.Name, nodes.Getattr))):
        match found:
            case nodes.Getattr(node=nodes.Name(name="subscriber")):
                yield found.attr
            case nodes.Name():
                yield found.name


def _is_personal(name: str) -> bool:
    """Whether the value differs between people and may be missing: not the address, not our own links."""
    return name not in ("email", "subscriber", "project", "campaign", "list") and not name.endswith("_url")


def images_without_text(html: str) -> int:
    """Images that say nothing where images are not shown."""
    return sum(1 for tag in tags(html) if tag.name == "img" and not tag.closing and tag.get("alt") is None)

