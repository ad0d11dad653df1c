"""Signing in to an SMTP server (RFC 4954): which way, and the lines that are said."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["auto", "plain", "login", "xoauth2"]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Credentials of a relay; for XOAUTH2 `secret` is the access token. `in_clear`: they may go without TLS."""

    username: str
    secret: str = field(repr=False)
    kind: Kind = "auto"
    in_clear: bool = False


def auth_kind(sign_in: SignIn, offered: str) -> Kind | None:
    """The way that was chosen, else the first we know of those offered (the words after AUTH); None when there is none.

    XOAUTH2 is never chosen by itself: a password would be sent for a token.
    """
    if sign_in.kind != "auto":
        return sign_in.kind
    words = offered.upper().split()
    return "plain" if "PLAIN" in words else "login" if "LOGIN" in words else None


def auth_lines(sign_in: SignIn, kind: Kind) -> list[bytes]:
    """The command, then what answers each 334: PLAIN (RFC 4616), LOGIN, XOAUTH2 (Google's and Microsoft's pages)."""

    def encoded(text: str) -> bytes:
        return base64.b64encode(text.encode()) + b"\r\n"

    if kind == "plain":
        return [b"AUTH PLAIN " + encoded(f"\0{sign_in.username}\0{sign_in.secret}")]
    if kind == "login":
        return [b"AUTH LOGIN\r\n", encoded(sign_in.username), encoded(sign_in.secret)]
    bearer = f"user={sign_in.username}\x01auth=Bearer {sign_in.secret}\x01\x01"
    # A refused token is explained in a 334; only after an empty line comes the 535.
    return [b"AUTH XOAUTH2 " + encoded(bearer), b"\r\n"]
