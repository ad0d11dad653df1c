"""A fault found in what a user wrote: a stable code with its parameters, put into words by the web rooms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is one of MESSAGES; `params` fill its sentence; `line` counts from 1, 0 means the whole text.

    An `error` stops sending, a `warning` is advice. `part` says where: html, text, subject, preheader, link or "".
    """

    code: str
    params: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    level: Level = "error"
    part: str = ""


def _(sentence: str) -> str:
    """Marks a sentence for the catalogue; whoever shows it translates it."""
    return sentence


# The English sentences, which are also the msgids of the catalogue: one whole sentence for each code.
MESSAGES: dict[str, str] = {
    "syntax": _("The merge expression can't be read: %(detail)s"),
    "too_large": _("The text is larger than %(limit)s kB."),
    "too_many_tags": _("The text has more than %(limit)s merge expressions."),
    "too_deep": _("The merge expressions are nested too deeply."),
    "tag_not_allowed": _("“%(tag)s” can't be used in a letter."),
    "call_not_allowed": _("Functions and methods can't be called in a letter: use a filter such as |upper."),
    "filter_not_allowed": _("There is no filter “%(name)s”. Allowed: %(allowed)s."),
    "filter_arguments": _("The filter “%(name)s” has too many arguments."),
    "test_not_allowed": _("There is no test “is %(name)s”."),
    "unknown_field": _("There is no field “%(name)s”."),
    "name_reserved": _("The name “%(name)s” can't be used."),
    "loop_nested": _("A loop can't stand inside another loop."),
    "loop_source": _("A loop goes over one field that holds a list, nothing else."),
    "loop_body": _("The loop's body is too large."),
    "constant_too_long": _("A value written in a merge expression is longer than %(limit)s characters."),
    "link_scheme": _("The link “%(url)s” must begin with https:// or http://."),
    "link_relative": _("The link “%(url)s” has no host name: write the whole address with https://."),
    "link_merge_host": _("The link “%(url)s” takes its host from a field: use fields only in the path and the query."),
    "link_userinfo": _("The link “%(url)s” has a user name or password in front of the host."),
    "link_characters": _("The link “%(url)s” contains a character that links can't have."),
    "link_host": _("The link “%(url)s” has no valid host name."),
    "link_too_long": _("The link “%(url)s” is longer than %(limit)s characters."),
    "too_many_links": _("The letter has more than %(limit)s links."),
    "subject_empty": _("The subject is empty."),
    "subject_reply_prefix": _("The subject begins with “%(prefix)s” although the letter is no reply."),
    "body_empty": _("The letter has no content."),
    "html_clipped": _("The HTML is larger than 102 kB: Gmail shows only its beginning."),
    "css_not_inlined": _("The styles could not be copied into the elements; some mail programs will ignore them."),
    "header_unsafe": _("The %(header)s contains a character that can't be sent."),
    "render_too_long": _("The letter becomes larger than %(limit)s kB when the fields are filled in."),
    "render_loop": _("A loop goes over “%(name)s”, which is not a list or has more than %(limit)s entries."),
    "render_value": _("A filter was given a value it can't use: %(detail)s"),
    "render_time": _("Filling in the letter takes too long."),
    "render_failed": _("The letter can't be filled in."),
    "no_confirm_link": _("Without {{ confirm_url }} nobody can confirm."),
}


def describe(problem: Problem) -> str:
    """The problem in English, with its parameters: for logs, the API and tests."""
    return MESSAGES[problem.code] % problem.params
