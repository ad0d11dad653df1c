"""What a refusal asks for."""

from __future__ import annotations

import pytest

from mailhub.mail.pushback import Pushback, pushback
from mailhub.mail.smtp_reply import classify


def asked(reply: str) -> Pushback | None:
    code, _, text = reply.partition(" ")
    found = classify(int(code), None, text, "rcpt")
    return pushback(int(code), text, found.reason, retry_after=found.retry_after)


@pytest.mark.parametrize(
    ("reply", "kind", "minutes"),
    [
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", "suspend", 120),
        ("421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", "suspend", 120),
        ("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation", "crawl", 90),
        ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our block list"
         " (S3150)", "crawl", 90),
        ("421 4.7.28 Our system has detected an unusual rate of unsolicited mail", "slow", 15),
        ("454 Throttling failure: Maximum sending rate exceeded.", "slow", 15),
        ("421 4.7.0 Try again later", "slow", 15),
        ("421 Service not available", "slow", 5),
        ("450 4.7.1 rate limit, try again in 30 minutes", "slow", 30),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using Spamhaus", "slow", 30),
    ],
)  # fmt: skip
def test_a_provider_asks_for_less(reply: str, kind: str, minutes: int) -> None:
    found = asked(reply)
    assert found is not None
    assert (found.kind, found.hold_seconds, found.weak) == (kind, minutes * 60, False)


@pytest.mark.parametrize(
    ("reply", "minutes"),
    [
        ("451 4.3.0 Temporary system problem", 5),
        ("450 Requested action not taken", 5),
        ("554 5.7.1 This message was identified as spam", 30),
    ],
)
def test_what_may_be_about_one_letter_is_weak(reply: str, minutes: int) -> None:
    found = asked(reply)
    assert found is not None
    assert (found.kind, found.hold_seconds, found.weak) == ("slow", minutes * 60, True)


@pytest.mark.parametrize(
    "reply",
    [
        "250 2.0.0 Ok",
        "450 4.2.0 Greylisted, try again in 300 seconds",
        "452 4.2.2 The email account that you tried to reach is over quota",
        "452 4.5.3 Too many recipients",
        "550 5.1.1 User unknown",
        "550 5.2.1 The account is disabled",
        "530 5.7.0 Must issue a STARTTLS command first",
        "454 4.7.0 Temporary authentication failure: authentication failed",
        "421 4.3.2 Service shutting down",
        "421 4.4.2 Timeout exceeded, closing connection",
        "421 Too many messages in this connection",
    ],
)
def test_these_ask_for_nothing(reply: str) -> None:
    assert asked(reply) is None
