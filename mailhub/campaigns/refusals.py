"""Why the room says no: each refusal carries sentences that can be translated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mailhub.mail.problem import MESSAGES, Problem
from mailhub.models import Campaign, CampaignState
from mailhub.web.i18n import _

Level = Literal["ok", "warn", "block"]
#: The draft's step on which a fault is mended.
Step = Literal["recipients", "content"]

#: Where a problem of the letter is mended: part of the letter → field of the draft.
_FIELDS = {"subject": "subject", "preheader": "preheader", "text": "text", "html": "html", "link": "html", "": "html"}


@dataclass(frozen=True)
class Check:
    """One line of the pre-flight list.

    `text` is a lazy sentence, or an English msgid that `params` fill in (those of mail.problem): templates write
    `_(check.text, **check.params)`, which is right for both. `field` is the draft's field to mend, `line` counts
    from 1.
    """

    code: str
    level: Level
    text: Any
    params: Mapping[str, str] = field(default_factory=dict)
    step: Step = "content"
    field: str = ""
    line: int = 0

    def english(self) -> str:
        """For the JSON API, which speaks English."""
        interpolate = getattr(self.text, "interpolate", None)
        return str(interpolate()) if interpolate is not None else str(self.text) % dict(self.params)


def check_of(problem: Problem) -> Check:
    """A problem of the letter as a line of the pre-flight list."""
    return Check(
        problem.code,
        "block" if problem.level == "error" else "warn",
        MESSAGES[problem.code],
        problem.params,
        field=_FIELDS.get(problem.part, "html"),
        line=problem.line,
    )


class CampaignRefused(Exception):
    """The room's refusals; `message` is a lazy sentence."""

    def __init__(self, message: Any) -> None:
        self.message = message
        super().__init__(str(message))


class CampaignNotReady(CampaignRefused):
    """It can't be started: `reasons` are the blocking lines of the pre-flight list."""

    def __init__(self, reasons: Sequence[Check]) -> None:
        self.reasons = list(reasons)
        super().__init__(_("The campaign is not ready to be sent."))


class LetterRefused(CampaignRefused):
    """What was written can't be saved: `problems` stand in the letter's template."""

    def __init__(self, problems: Sequence[Check]) -> None:
        self.problems = list(problems)
        super().__init__(_("The letter has mistakes. Nothing was saved."))


class FieldRefused(CampaignRefused):
    """One field of the draft is wrong; `name` is its name in the forms and in the JSON API."""

    def __init__(self, name: str, message: Any) -> None:
        self.name = name
        super().__init__(message)


class DraftChanged(CampaignRefused):
    """Somebody has saved the draft since it was opened."""

    def __init__(self) -> None:
        super().__init__(_("The draft was changed in the meantime. Nothing was saved."))


class StateForbids(CampaignRefused):
    """The campaign's state does not allow the action."""


_NOT_NOW = {
    "edit": _("Only a draft can be changed."),
    "delete": _("Only a draft can be deleted. Archive the campaign instead."),
    "pause": _("Only a campaign that is being sent can be paused."),
    "resume": _("Only a paused campaign can go on."),
    "cancel": _("Only a campaign that is scheduled, being sent or paused can be cancelled."),
    "start_now": _("Only a scheduled campaign waits for its time."),
    "unschedule": _("Only a scheduled campaign can be taken back."),
    "again": _("Letters are sent again only by a campaign that is being sent, paused or sent, and not in the archive."),
    "archive": _("A campaign that is being sent can't be archived. Wait for its end or cancel it."),
}
_ALREADY = {
    CampaignState.SCHEDULED: _("The campaign is scheduled already."),
    CampaignState.SENDING: _("The campaign is being sent already."),
    CampaignState.PAUSED: _("The campaign was started already and is paused."),
    CampaignState.SENT: _("The campaign was sent already. Copy it to send it again."),
    CampaignState.CANCELLED: _("The campaign was cancelled. Copy it to send it again."),
}


def forbid(campaign: Campaign, action: str) -> StateForbids:
    """The refusal of an action in the campaign's present state, in words."""
    if action.startswith("start") and campaign.state in _ALREADY:
        return StateForbids(_ALREADY[CampaignState(campaign.state)])
    return StateForbids(_NOT_NOW[action])
