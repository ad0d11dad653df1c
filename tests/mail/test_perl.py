"""Letters say the same to Python's email and to Perl's Email::MIME, a reader that nobody of ours has written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from mailhub.mail.compose import Letter, compose
from mailhub.mail.dkim import Signer
from tests.mail.test_dkim import KEYS, MANY, UnsafeHeader, _fields
from tests.mail.test_skeleton import COMPILED, HOSTILE, fill

NAMES = [
    *HOSTILE, "Ann Lee", "O'Neil, Ann", 'Ann "The" Lee', "Ann (work)", "a@b.test", "Анна Кузнецова", "Ann Ё Lee " * 9,
    "=?x?=",
    "Müller; Søren", "山田 太郎", "ann\\", "\"", "<x@y.z>", "a:b;", "И" * 60, "é" * 33,
]  # fmt: skip

# The letters come as lines of hex; so do the decoded bodies of the answer, a JSON document a line.
SCRIPT = r"""
use strict; use warnings; use Email::MIME; use JSON::PP;
my $json = JSON::PP->new->utf8->canonical;
sub parts {
    my ($part) = @_;
    my @inner = $part->subparts;
    return map { parts($_) } @inner if @inner;
    return { type => ($part->content_type =~ m{^([^;\s]+)}), body => unpack("H*", $part->body) };
}
while (my $line = <STDIN>) {
    chomp $line;
    my $mail = Email::MIME->new(pack("H*", $line));
    my @headers = $mail->header_raw_pairs;
    my @names = map { lc $headers[2 * $_] } 0 .. $#headers / 2;
    my %text = map { lc($_) => $mail->header_str($_) } qw(From To Subject);
    print $json->encode({ names => \@names, text => \%text, parts => [parts($mail)],
        raw => { map { $_ => $mail->header_raw($_) } qw(Message-ID List-Unsubscribe Date) } }), "\n";
}
"""


def letters() -> list[bytes]:
    """Campaign letters to every name, and letters of all shapes."""
    made: list[bytes] = []
    for compiled, skeleton in COMPILED.values():
        for name in NAMES:
            fields = {"city": name, "points": 7, "items": [name, "b"], "note": name}
            try:
                made.append(fill(compiled, skeleton, name, fields))
            except UnsafeHeader:
                made.append(fill(compiled, skeleton, "Ann", {"note": name, "points": name}))
    given = _fields(MANY)
    for name in NAMES:
        for shape in ({}, {"attachments": ()}, {"html": None}, {"html": None, "attachments": ()}):
            try:
                made.append(compose(Letter(**{**given, "to_name": name, "subject": name or "x", **shape})))
            except UnsafeHeader:
                continue
    return made


def by_python(data: bytes) -> dict[str, Any]:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    bodies = [part for part in message.walk() if not part.is_multipart()]
    return {
        "names": [name.lower() for name in message],
        "text": {name.lower(): str(message[name]) for name in ("From", "To", "Subject")},
        "parts": [
            {"type": part.get_content_type(), "body": bytes(part.get_payload(decode=True) or b"").hex()}
            for part in bodies
        ],
        "raw": {name: message[name] and str(message[name]) for name in ("Message-ID", "List-Unsubscribe", "Date")},
    }


def by_perl(given: Sequence[bytes]) -> list[dict[str, Any]]:
    lines = "".join(f"{data.hex()}\n" for data in given)
    done = subprocess.run(["perl", "-e", SCRIPT], input=lines, capture_output=True, text=True, timeout=300, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def _has_email_mime() -> bool:
    perl = shutil.which("perl")
    return perl is not None and subprocess.run([perl, "-MEmail::MIME", "-e", "1"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_email_mime(), reason="needs Perl's Email::MIME (Debian: libemail-mime-perl)")
def test_python_and_perl_read_the_same() -> None:
    given = letters()
    assert len(given) > 200
    signed = [Signer(KEYS).sign(data, at=1) for data in given[::20]]
    for data, perl in zip([*given, *signed], by_perl([*given, *signed]), strict=True):
        python = by_python(data)
        assert perl["names"] == python["names"]
        assert perl["parts"] == python["parts"]
        assert _words(perl["text"]["subject"]) == _words(python["text"]["subject"])
        for name in ("from", "to"):
            assert _bare(perl["text"][name]) == _bare(python["text"][name])
        for name, value in perl["raw"].items():
            assert _words(value or "") == _words(python["raw"][name] or "")


@pytest.mark.parametrize("data", [pytest.param(data, id=str(n)) for n, data in enumerate(letters()[::3])])
def test_every_byte_of_a_header_is_what_it_may_be(data: bytes) -> None:
    header = data.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert set(header) <= {*range(0x20, 0x7F), 13, 10}
    lines = header.split(b"\r\n")[:-1]
    assert b"\r\n".join(lines) + b"\r\n" == header
    for line in lines:
        assert 0 < len(line) <= 998
        assert b"\r" not in line
        assert b"\n" not in line
        # A field begins with a name; a folded line with white space and has something in it (RFC 5322 §2.2.3).
        name, colon, _ = line.partition(b":")
        assert (line[:1] == b" " and line.strip()) or (colon and name.replace(b"-", b"").isalnum())
    names = [line.partition(b":")[0].lower() for line in lines if not line.startswith(b" ")]
    assert len(names) == len(set(names))
    assert {b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"} <= set(names)
    assert not set(names) & {b"bcc", b"cc", b"sender", b"return-path", b"received"}


def _words(text: str) -> str:
    return " ".join(text.split())


def _bare(text: str) -> str:
    """An address field without quotes and white space: Perl keeps the quotes, CPython's parser of address fields puts
    spaces between encoded-words that follow each other (RFC 2047 §6.2 says that there are none)."""
    return "".join(text.replace("\\", "").replace('"', "").split())
