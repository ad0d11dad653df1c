"""What the rooms above ask of the post office."""

from __future__ import annotations

from mailhub.delivery.accept import Attachment, SingleLetter, accept

__all__ = ["Attachment", "SingleLetter", "accept"]
