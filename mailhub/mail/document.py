"""The document of a campaign: what a marketer wrote, completed with shell, preview text, footer and inlined styles."""

import html as html_module
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mailhub.mail.footer import html_footer, text_footer
from mailhub.mail.links import add_pixel, has_own_link
from mailhub.mail.merge import UNSUBSCRIBE_NAMES, expressions
from mailhub.mail.problem import Problem
from mailhub.mail.scan import after_body_start, tags
from mailhub.mail.styles import StylesNotInlined, inline_styles
from mailhub.mail.text import html_to_text

# Where a link (with its position in three digits) or the pixel goes, in letters of the private use area: the template
# engine sees plain text, which is faster than an expression for each link.
LINK_SLOT = "\ue100"
PIXEL_SLOT = "\ue102"
_SLOT_LETTERS = re.compile("[\ue100\ue102]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSource:
    """What a marketer wrote, and who sends it. `known_fields` are the project's custom fields; None accepts any."""

    subject: str
    html: str
    from_email: str
    from_name: str = ""
    reply_to: str = ""
    preheader: str = ""
    text: str = ""
    list_id: str = ""
    list_name: str = ""
    feedback_id: str = ""
    project_name: str = ""
    campaign_name: str = ""
    postal_address: str = ""
    language: str = "en"
    known_fields: Collection[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def document(source: CampaignSource, problems: list[Problem]) -> str:
    """The HTML with its shell, preheader and footer, styles inlined."""
    html = _SLOT_LETTERS.sub("", source.html if source.html.strip() else _paragraphs(source.text))
    names = {tag.name for tag in tags(html)}
    if "body" not in names and "html" not in names:
        html = (
            f'<!DOCTYPE html>\n<html lang="{html_module.escape(source.language)}">\n'
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
            f"<body>\n{html}\n</body>\n</html>\n"
        )
    if source.preheader.strip():
        place = after_body_start(html)
        hidden = "display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all"
        html = f'{html[:place]}<div style="{hidden}">{_escape_text(source.preheader)}</div>{html[place:]}'
    if not has_own_link(html, UNSUBSCRIBE_NAMES):
        html = add_pixel(html, html_footer(source.language, with_address=bool(source.postal_address)))
    try:
        return inline_styles(html)
    except StylesNotInlined:
        problems.append(Problem("css_not_inlined", level="warning", part="html"))
        return html


def plain_text(source: CampaignSource, slotted: str) -> str:
    """The plain text: the marketer's own, with a footer when it has no way out, or what the HTML says."""
    if not source.text.strip():
        return html_to_text(slotted)
    text = _SLOT_LETTERS.sub("", source.text)
    if has_own_link(text, UNSUBSCRIBE_NAMES):
        return text
    return text.rstrip() + text_footer(source.language, with_address=bool(source.postal_address))


def _paragraphs(text: str) -> str:
    """A plain text as simple HTML, for letters that have no HTML of their own."""
    paragraphs = _escape_text(text.strip()).replace("\r\n", "\n").split("\n\n")
    return "\n".join(f"<p>{paragraph.replace(chr(10), '<br>')}</p>" for paragraph in paragraphs)


def _escape_text(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in (*expressions(text), (len(text), len(text))):
        pieces += (html_module.escape(text[position:start], quote=False), text[start:end])
        position = end
    return "".join(pieces)
