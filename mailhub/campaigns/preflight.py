"""The pre-flight list: what stands against sending a campaign, what to look at, what is in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from sqlalchemy import ColumnElement, and_, case, func, literal, select
from sqlalchemy.orm import Session

from mailhub.campaigns import audience, guarded, letter
from mailhub.campaigns.audience import AudienceCount
from mailhub.campaigns.chosen import Chosen, chosen_of
from mailhub.campaigns.refusals import Check, check_of
from mailhub.delivery import service as delivery
from mailhub.models import Campaign, Message, MessageKind, Project, Sender, Subscriber
from mailhub.projects.service import fits_domain
from mailhub.web.i18n import _

_ORDER = {"block": 0, "warn": 1, "ok": 2}
#: Fields looked up for gaps; a letter that uses more bare fields than this has other problems.
MAX_GAPS = 20


@dataclass(frozen=True)
class Report:
    """The list, the worst lines first, and the numbers it was made from."""

    checks: list[Check]
    people: AudienceCount
    sender: Sender | None

    @cached_property
    def blocks(self) -> list[Check]:
        return [check for check in self.checks if check.level == "block"]

    @cached_property
    def warnings(self) -> list[Check]:
        return [check for check in self.checks if check.level == "warn"]


def examine(dbsession: Session, project: Project, campaign: Campaign) -> Report:
    """Everything that can be known before the start. Reads, compiles and renders once in a guarded child."""
    chosen = chosen_of(dbsession, project.id, campaign.id)
    people = audience.count_audience(dbsession, project.id, chosen)
    sender = dbsession.get(Sender, (project.id, campaign.sender_id)) if campaign.sender_id is not None else None
    checks = [
        *_recipients(chosen, people),
        *_sender(project, sender),
        *_letter(dbsession, project, campaign, sender, chosen),
        *_gaps(dbsession, project, campaign, chosen, people),
        *_tested(dbsession, campaign),
    ]
    checks.sort(key=lambda check: _ORDER[check.level])
    return Report(checks, people, sender)


def _recipients(chosen: Chosen, people: AudienceCount) -> Iterator[Check]:
    at = partial(Check, "recipients", step="recipients", field="list_ids")
    if not chosen.anybody:
        text_ = _("No list and no segment is chosen: nobody would get the letter.")
        yield at("block", text_)
    elif people.broken:
        text_ = _(
            "The segment “${name}” asks for something that is not there any more. Mend it, or choose another.",
            mapping={"name": people.broken},
        )
        yield at("block", text_)
    elif people.reachable <= 0:
        text_ = _("Nobody of the chosen people can get a letter.")
        yield at("block", text_)
    elif not people.exact:
        text_ = _("Counting takes long: at most ${n} people get the letter.", mapping={"n": f"{people.chosen:,}"})
        yield at("ok", text_)
    else:
        text_ = _("Recipients: ${n}.", mapping={"n": f"{people.reachable:,}"})
        yield at("ok", text_)


def _sender(project: Project, sender: Sender | None) -> Iterator[Check]:
    if sender is None:
        yield Check("sender", "block", _("No sender is chosen."), field="sender_id")
    elif not fits_domain(project.domain, sender.email):
        text_ = _(
            "${email} is not an address in ${domain}: mail from a domain that is not the project's would not arrive.",
            mapping={"email": sender.email, "domain": project.domain},
        )
        yield Check("sender", "block", text_, field="sender_id")
    else:
        yield Check("sender", "ok", _("The sender is ${email}.", mapping={"email": sender.email}), field="sender_id")
    if not project.postal_address.strip():
        text_ = _("The project has no postal address. Many countries require one in the footer of advertising letters.")
        yield Check("postal_address", "warn", text_, field="")


def _letter(
    dbsession: Session,
    project: Project,
    campaign: Campaign,
    sender: Sender | None,
    chosen: Chosen,
) -> Iterator[Check]:
    draft = letter.draft_of(dbsession, project, campaign, sender)
    problems = [check_of(problem) for problem in draft.problems]
    yield from problems
    if any(check.level == "block" for check in problems):
        return
    person = audience.sample(dbsession, project.id, chosen, None).subscriber
    failure = draft.try_render(person)
    if failure is not None:
        yield check_of(failure)
        return
    yield Check("letter", "ok", _("The subject, the text and the merge fields can be read."), field="html")
    if not draft.has_unsubscribe_link:
        text_ = _("The letter has no unsubscribe link of its own: the footer adds one.")
        yield Check("unsubscribe", "ok", text_, field="html")
    if campaign.text.strip():
        yield Check("text", "ok", _("The plain text is your own."), field="text")
    else:
        yield Check("text", "ok", _("The plain text is made from the HTML."), field="text")
    yield from _links(draft)
    if (bare := letter.images_without_text(campaign.html)) > 0:
        text_ = _("Images without a description (alt): ${n}. Many readers see it instead of them.", mapping={"n": bare})
        yield Check("images", "warn", text_, field="html")


def _links(draft: letter.Draft) -> Iterator[Check]:
    urls = draft.link_urls
    plain = sum(1 for url in urls if url.lower().startswith("http:"))
    if plain:
        text_ = _("Links without encryption (http://): ${n}. Use https:// where the site has it.", mapping={"n": plain})
        yield Check("links_http", "warn", text_, field="html")
    if urls:
        yield Check("links", "ok", _("Links whose clicks are counted: ${n}.", mapping={"n": len(urls)}), field="html")
    else:
        yield Check("links", "warn", _("The letter has no link: there is nothing to click."), field="html")


def _gaps(
    dbsession: Session, project: Project, campaign: Campaign, chosen: Chosen, people: AudienceCount
) -> Iterator[Check]:
    """For how many people a field is empty that the letter uses without a fallback."""
    sources = (campaign.subject, campaign.preheader, campaign.html, campaign.text)
    names = sorted(set().union(*(letter.bare_fields(source) for source in sources)))[:MAX_GAPS]
    # Where already the count took too long, this would too.
    if not names or not chosen.anybody or people.broken or not people.exact:
        return
    for name, n in _count_gaps(dbsession, project.id, chosen, names):
        if n:
            text_ = _(
                "The field “${name}” is empty for ${n} people and has no fallback. Write {{ ${name}|default('…') }}.",
                mapping={"name": name, "n": f"{n:,}"},
            )
            yield Check("gaps", "warn", text_, field="html")


def _count_gaps(
    dbsession: Session, project_id: int, chosen: Chosen, names: Sequence[str]
) -> list[tuple[str, int]]:
    people = audience.resolve(dbsession, project_id, chosen).audience()
    told = delivery.candidates(dbsession, project_id, people).subquery()
    columns: list[ColumnElement[int]] = []
    for name in names:
        value: ColumnElement[str] = func.coalesce(Subscriber.fields.op("->>")(literal(name)), "")
        if name in ("name", "first_name"):
            value = case((Subscriber.name != "", Subscriber.name), else_=value)
        columns.append(func.count().filter(func.btrim(value) == ""))
    statement = (
        select(*columns)
        .select_from(told)
        .join(Subscriber, and_(Subscriber.project_id == project_id, Subscriber.id == told.c.id))
        .where(told.c.reason == "")
    )
    rows = guarded.rows_of(dbsession, statement)
    # Too many people to look at each: this line of the list is left out.
    return list(zip(names, rows[0], strict=True)) if rows else []


def _tested(dbsession: Session, campaign: Campaign) -> Iterator[Check]:
    sent = dbsession.scalar(
        select(
            select(1)
            .where(
                Message.project_id == campaign.project_id,
                Message.campaign_id == campaign.id,
                Message.kind == MessageKind.TEST,
                Message.created_at >= campaign.updated_at,
            )
            .exists()
        )
    )
    if sent:
        yield Check("tested", "ok", _("A test letter was sent after the last change."), field="")
    else:
        yield Check("tested", "warn", _("No test letter was sent since the last change."), field="")
