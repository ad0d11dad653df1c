"""What an SMTP session tells whoever drives it: ready, go ahead, answered, ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailhub.mail.smtp_reply import Stage


@dataclass(frozen=True, slots=True)
class Answer:
    """The relay's last word about a letter or the session. `text` is hostile, without control characters."""

    code: int
    text: str
    stage: Stage

    @property
    def taken(self) -> bool:
        return self.stage == "body" and 200 <= self.code < 300


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open: letters can be offered."""


@dataclass(frozen=True, slots=True)
class GoAhead:
    """The relay waits for the body of this letter."""

    token: object


@dataclass(frozen=True, slots=True)
class Answered:
    """The letter is settled: the relay has taken or refused it."""

    token: object
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; comes once, last.

    The relay does not have the `unsent` letters; about `in_doubt` nobody knows: its whole body had gone out and no
    answer came. `stage` says what was waited for ("idle": nothing), `answer` what the relay said, if it did.
    With `was_ready` False the relay takes no letters now: no connection, greeting, TLS or sign-in.
    """

    reason: str
    unsent: list[object] = field(default_factory=list)
    in_doubt: object | None = None
    stage: str = "idle"
    answer: Answer | None = None
    was_ready: bool = True


Happening = Ready | GoAhead | Answered | Ended
