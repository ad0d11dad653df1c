# ruff: noqa: E501 - the replies stand as servers send them.
"""SMTP replies: the class and reason of what servers really say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.smtp_reply import Outcome, classify, find_enhanced, parse_reply
from mailhub.mail.smtp_rules import REASONS

# Reply at RCPT or after DATA, the reason expected. Written by hand after the servers' and providers' own wording.
REPLIES = [
    # Nobody of that name.
    ("550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550-5.1.1 double-checking the "
     "recipient's email address for typos or\r\n550 5.1.1 unnecessary spaces. g12-20020a - gsmtp", "userunknown"),
    ("550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table", "userunknown"),
    ("550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in local recipient table", "userunknown"),
    ("550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", "userunknown"),
    ("550 5.5.0 Requested action not taken: mailbox unavailable", "notaccept"),
    ("554 delivery error: dd This user doesn't have a yahoo.com account (bob@yahoo.com) [0]", "userunknown"),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@example.com not found by SMTP address lookup", "userunknown"),
    ("550 #5.1.0 Address rejected.", "notaccept"),
    ("550 #5.1.1 bad address bob@example.com", "userunknown"),
    ("550 Message was not accepted -- invalid mailbox. Local mailbox bob@mail.ru is unavailable: user not found",
     "userunknown"),
    ("550 5.7.1 No such user!", "userunknown"),
    ("550 No Such User Here", "userunknown"),
    ("550 No such person at this address", "userunknown"),
    ("550 Invalid recipient bob@example.com (Mode: normal)", "userunknown"),
    ("553 5.3.0 <bob@example.com>... No such user here", "userunknown"),
    ("550 Unrouteable address", "hostunknown"),
    ("550 unknown user", "userunknown"),
    ("511 sorry, no mailbox here by that name (#5.1.1 - chkuser)", "userunknown"),
    ("550 <bob@example.com> User doesn't exist", "userunknown"),
    ("550 5.1.1 Mailbox does not exist", "userunknown"),
    ("550 5.1.1 sid=abc Нет такого пользователя", "userunknown"),
    ("550 5.1.3 The recipient address is not a valid RFC 5321 address. gsmtp", "userunknown"),
    ("510", "userunknown"),
    # Closed, disabled, moved.
    ("550 5.2.1 The email account that you tried to reach is disabled. gsmtp", "inactive"),
    ("550 5.2.1 The email account that you tried to reach is inactive. Learn more. gsmtp", "inactive"),
    ("554 30 Sorry, your message to bob@yahoo.com cannot be delivered. This mailbox is disabled (554.30).", "inactive"),
    ("550 5.2.1 This account has been deactivated", "inactive"),
    ("550 Account closed due to inactivity", "inactive"),
    ("550 5.1.6 recipient no longer on server: has moved", "hasmoved"),
    ("551 User not local; please try <bob@new.example>", "hasmoved"),
    ("554 5.2.1 mailbox suspended for non-payment", "inactive"),
    ("550 Mailbox is suspended", "suspend"),
    # The domain.
    ("556 5.1.10 Recipient address has null MX", "nullmx"),
    ("550 5.1.2 Host unknown", "hostunknown"),
    ("550 5.4.4 Invalid domain name", "hostunknown"),
    ("550 5.1.2 <bob@exmaple.com>: Recipient address rejected: Domain not found", "hostunknown"),
    ("550 5.7.27 Null MX", "nullmx"),
    ("550 5.6.7 SMTPUTF8 is required, but was not offered", "unsupported_eai"),
    # The mailbox is full, the letter is too big.
    ("452 4.2.2 The email account that you tried to reach is over quota. Please direct the recipient to", "mailboxfull"),
    ("552 5.2.2 The email account that you tried to reach is over quota and inactive.", "mailboxfull"),
    ("554 5.2.2 mailbox full", "mailboxfull"),
    ("552 5.2.2 <bob@example.com>: user is over quota", "mailboxfull"),
    ("550 5.1.1 Mailbox unavailable: over quota", "mailboxfull"),
    ("422 The recipient's mailbox is over its storage limit", "mailboxfull"),
    ("452 4.3.1 Insufficient system storage", "mailboxfull"),
    ("552", "mailboxfull"),
    ("552 5.3.4 Your message exceeded Google's message size limits.", "toobig"),
    ("552 5.2.3 Message exceeds maximum fixed size", "toobig"),
    ("554 5.3.4 Message size exceeds fixed limit", "toobig"),
    ("452 4.5.3 Too many recipients", "toomanyrecipients"),
    # Later.
    ("450 4.2.0 <bob@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example/", "greylist"),
    ("451 4.7.1 Greylisting in action, please come back in 00:05:00", "greylist"),
    ("451 4.7.1 Please try again in 300 seconds", "greylist"),
    ("421 4.3.2 Service not available, closing transmission channel: system shutting down", "systemerror"),
    ("451 4.3.0 Temporary lookup failure", "systemerror"),
    ("451 Requested action aborted: local error in processing", "systemerror"),
    ("450 Requested mail action not taken", "systemerror"),
    ("451 4.4.1 Connection timed out", "expired"),
    ("554 5.4.7 Delivery expired (message too old)", "expired"),
    ("451 4.4.2 network connection lost", "networkerror"),
    # Us: identity.
    ("550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550-5.7.26 Gmail requires all senders "
     "to authenticate with either SPF or DKIM.\r\n550 5.7.26 gsmtp", "authfailure"),
    ("550 5.7.515 Access denied, sending domain example.com does not meet the required authentication level.", "authfailure"),
    ("550 5.7.1 Email rejected per DMARC policy for example.com", "authfailure"),
    ("550 5.7.23 The message was rejected because of Sender Policy Framework violation", "authfailure"),
    ("554 5.7.9 Message not accepted for policy reasons. See DMARC", "authfailure"),
    ("421 4.7.27 Your email has been rate limited because SPF authentication didn't pass. gsmtp", "authfailure"),
    ("550 5.7.25 The IP address sending this message does not have a PTR record. gsmtp", "requireptr"),
    ("554 5.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", "requireptr"),
    ("421 4.7.23 The sending IP address doesn't have a PTR record. gsmtp", "requireptr"),
    ("450 4.7.25 Client host rejected: cannot find your hostname", "requireptr"),
    ("421 4.7.29 Your email has been rate limited because this message wasn't sent over a TLS connection.", "failedstarttls"),
    ("530 5.7.0 Must issue a STARTTLS command first", "failedstarttls"),
    ("550 5.1.8 <news@example.com>: Sender address rejected: Domain not found", "rejected"),
    ("553 5.1.8 Domain of sender address news@example.com does not exist", "rejected"),
    ("550 5.7.1 Recipient bob@example.com has blocked the sender", "rejected"),
    ("554 5.7.1 <bob@example.com>: Relay access denied", "relaydenied"),
    ("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "relaydenied"),
    # Us: reputation, content, rate.
    ("550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org", "blocked"),
    ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.spamcop.net", "blocked"),
    ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since "
     "part of their network is on our block list (S3140).", "badreputation"),
    ("550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "blocked"),
    ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", "ratelimit"),
    ("553 5.7.1 [BL21] Connections not accepted from IP addresses on Spamhaus PBL", "blocked"),
    ("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.", "ratelimit"),
    ("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)", "ratelimit"),
    ("450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages", "ratelimit"),
    ("421 4.7.0 Too many connections from your host", "ratelimit"),
    ("452 4.3.2 Connection rate limit exceeded", "ratelimit"),
    ("550-5.7.1 Our system has detected that this message is likely unsolicited mail.\r\n550 5.7.1 gsmtp", "spamdetected"),
    ("550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=abc", "spamdetected"),
    ("554 5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc", "spamdetected"),
    ("554 5.7.1 Message scored too high: spam score 9.1", "spamdetected"),
    ("550 5.7.350 Remote server returned message detected as spam", "spamdetected"),
    ("550 High probability of spam", "spamdetected"),
    ("554 5.7.1 Your message was infected with a virus", "virus"),
    ("550 5.7.1 Message rejected due to local policy", "policyviolation"),
    ("554 Transaction failed", "policyviolation"),
    ("550 Administrative prohibition", "policyviolation"),
    ("550 5.7.0 Local Policy Violation", "policyviolation"),
    ("554 5.7.1 You are not allowed to connect.", "blocked"),
    ("550 Blocked by low sender reputation", "badreputation"),
    # Codes without words.
    ("550", "notaccept"),
    ("550 5.1.1", "userunknown"),
    ("550 5.2.2", "mailboxfull"),
    ("550 5.7.1", "policyviolation"),
    ("450 4.4.1", "networkerror"),
    ("599 odd", "unknown"),
    ("499 odd", "systemerror"),
]  # fmt: skip


def outcome(raw: str, stage: str = "rcpt") -> Outcome:
    reply = parse_reply(raw)
    return classify(reply.code, reply.enhanced, reply.text, stage)  # type: ignore[arg-type]


@pytest.mark.parametrize(("raw", "reason"), REPLIES, ids=lambda value: value[:50])
def test_reply_has_its_reason_and_state(raw: str, reason: str) -> None:
    found = outcome(raw)
    assert (found.reason, found.klass) == (reason, REASONS[reason])
    if raw[0] == "4":
        assert (found.state, found.event) == ("deferred", "DEFERRED")
    else:
        event = {"BLOCK": "BLOCKED", "HARD": "HARDBOUNCED"}.get(REASONS[reason], "SOFTBOUNCED")
        assert (found.state, found.event) == ("failed", event)


def test_there_are_enough_replies() -> None:
    assert len(REPLIES) >= 80


@pytest.mark.parametrize(
    "raw", ["250 2.0.0 OK  1700000000 abc - gsmtp", "250 ok", "251 forwarding", "220 hi", "354 go"]
)
def test_acceptance_is_sent(raw: str) -> None:
    assert (outcome(raw, "body").state, outcome(raw, "body").event) == ("sent", "SENT")


@pytest.mark.parametrize("stage", ["connect", "helo", "starttls", "auth", "mail"])
@pytest.mark.parametrize(("raw", "reason"), REPLIES, ids=lambda value: value[:20])
def test_nothing_before_the_recipient_is_held_against_them(raw: str, reason: str, stage: str) -> None:
    found = outcome(raw, stage)
    if raw.startswith("556") and stage == "connect":
        assert found.reason == "nullmx"
        return
    assert found.klass in ("BLOCK", "SOFT")
    assert found.event in ("DEFERRED", "BLOCKED", "SOFTBOUNCED")
    if stage != "mail":
        assert found.state == "deferred"
        assert found.close


def test_wrong_password_of_the_relay_fails_no_letter() -> None:
    found = outcome("535 5.7.8 Username and Password not accepted", "auth")
    assert (found.state, found.klass, found.reason) == ("deferred", "BLOCK", "relayauth")
    assert outcome("530 5.7.0 Authentication required", "mail").state == "deferred"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("timed out", "expired"), ("[Errno 111] Connection refused", "networkerror"), ("", "networkerror"),
     ("[Errno -2] Name or service not known", "hostunknown")],
)  # fmt: skip
def test_lost_connection_is_tried_again(text: str, reason: str) -> None:
    found = classify(0, None, text, "body")
    assert (found.state, found.event, found.close, found.reason) == ("deferred", "DEFERRED", True, reason)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("451 4.7.1 Please try again in 300 seconds", 300), ("451 Greylisted, retry in 5 minutes", 300),
     ("450 come back in 1 hour", 3600), ("450 wait 90s", 90), ("450 try again later", None),
     ("451 try again in 99999 hours", 86_400)],
)  # fmt: skip
def test_wait_the_server_asks_for_is_read(text: str, seconds: int | None) -> None:
    assert outcome(text).retry_after == seconds


def test_421_closes_the_connection() -> None:
    assert outcome("421 4.7.0 Too many connections").close
    assert not outcome("450 4.2.0 Greylisted").close


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [("5.1.1 x", "5.1.1"), ("#5.1.1 x", "5.1.1"), ("(#5.7.1)", "5.7.1"), ("x 4.7.650 y", "4.7.650"), ("192.0.2.1", None),
     ("5.2.1.7", None), ("10.5.1.1", None), ("5.01.001 z", "5.1.1"), ("3.1.1", None)],
)  # fmt: skip
def test_enhanced_code_is_found(text: str, enhanced: str | None) -> None:
    assert find_enhanced(text) == enhanced


def test_reply_of_several_lines_is_read() -> None:
    reply = parse_reply(b"550-Requested action not taken\r\n550-5.1.1 mailbox\r\n550 unavailable\r\n")
    assert (reply.code, reply.enhanced) == (550, "5.1.1")
    assert reply.text == "Requested action not taken 5.1.1 mailbox unavailable"


@given(
    st.integers(0, 999),
    st.none() | st.text(max_size=10),
    st.text(max_size=200),
    st.sampled_from(["connect", "helo", "starttls", "auth", "mail", "rcpt", "data", "body"]),
)
@settings(max_examples=300, deadline=None)
def test_any_reply_has_an_outcome(code: int, enhanced: str | None, text: str, stage: str) -> None:
    found = classify(code, enhanced, text, stage)  # type: ignore[arg-type]
    assert (found.state == "sent") == (200 <= code < 400)
    assert found.state != "failed" or code >= 500
    parse_reply(text)
