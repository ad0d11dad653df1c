"""What the room does, for its own doors, for commands and for the demo project."""

from __future__ import annotations

from mailhub.campaigns.control import (
    cancel,
    freeze,
    pause,
    resend,
    resume,
    retry,
    start,
    start_due,
    start_now,
    unschedule,
)
from mailhub.campaigns.drafts import Content, archive, copy, create, default_sender_id, remove, rename, update
from mailhub.campaigns.preflight import Report, examine
from mailhub.campaigns.refusals import (
    CampaignNotReady,
    CampaignRefused,
    Check,
    DraftChanged,
    FieldRefused,
    LetterRefused,
    StateForbids,
    check_of,
)
from mailhub.campaigns.testing import send_test

__all__ = [
    "CampaignNotReady",
    "CampaignRefused",
    "Check",
    "Content",
    "DraftChanged",
    "FieldRefused",
    "LetterRefused",
    "Report",
    "StateForbids",
    "archive",
    "cancel",
    "check_of",
    "copy",
    "create",
    "default_sender_id",
    "examine",
    "freeze",
    "pause",
    "remove",
    "rename",
    "resend",
    "resume",
    "retry",
    "send_test",
    "start",
    "start_due",
    "start_now",
    "unschedule",
    "update",
]
