"""What the rooms above ask of the post office."""

from __future__ import annotations

from mailhub.delivery.accept import Attachment, SingleLetter, accept
from mailhub.delivery.fan_out import fan_out

__all__ = ["Attachment", "SingleLetter", "accept", "fan_out"]
