"""DKIM signatures: who answers for a letter. RFC 6376, 8301 (rsa-sha256, 2048 bits), 8463 (Ed25519).

relaxed/relaxed, no `l=`. Signed are all fields that say something, List-Unsubscribe and List-Unsubscribe-Post among
them (RFC 8058 §4); those of which there may be one only are named once more than they occur, so that nobody can add a
second From or Subject that a reader would show (RFC 6376 §8.15). A letter may carry the signatures of several domains,
each with an RSA and an Ed25519 key: verifiers take what they know.

Letters have CRLF line ends, the last line too, and no NUL (mime.assert_wire_safe): `Signer.sign` expects that. Measured
on one core for a letter of 20–27 kB: 40 µs and the signature itself, 270 µs for RSA-2048 and 35 µs for Ed25519.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

RSA_BITS = 2048
#: RFC 8301 §3.2: verifiers take no shorter key.
SHORTEST_RSA_BITS = 1024

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

# Named once more than they occur.
_ONCE = (
    b"from", b"to", b"cc", b"subject", b"reply-to", b"date", b"message-id", b"mime-version", b"content-type",
    b"content-transfer-encoding", b"list-id", b"list-unsubscribe", b"list-unsubscribe-post", b"feedback-id",
)  # fmt: skip
# Named as often as they occur.
_MORE = (
    b"sender", b"in-reply-to", b"references", b"list-help", b"list-owner", b"list-archive", b"list-post",
    b"list-subscribe", b"precedence", b"auto-submitted", b"cfbl-address", b"cfbl-feedback-id", b"organization",
)  # fmt: skip
_SPACES = re.compile(rb"[ \t]+")
_FIELD_ENDS = re.compile(rb"\r\n(?![ \t])")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


class BadKey(ValueError):
    """Not a key that we can sign with; the text says what is wrong, and nothing of the key."""


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A private key and where its public half is found: `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    private: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain) or not _SELECTOR.fullmatch(self.selector):
            raise BadKey("the domain and the selector of a DKIM key are host names in ASCII")
        if isinstance(self.private, rsa.RSAPrivateKey):
            if self.private.key_size < SHORTEST_RSA_BITS:
                raise BadKey("the RSA key is shorter than 1024 bits")
        elif not isinstance(self.private, ed25519.Ed25519PrivateKey):
            raise BadKey("a DKIM key is an RSA or an Ed25519 key")

    @property
    def algorithm(self) -> str:
        """The value of the tag `a=`."""
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"

    def signature(self, data: bytes) -> bytes:
        """The signature of the canonical header fields."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), SHA256())
        # RFC 8463 §3: Ed25519 signs the hash, not the data.
        return self.private.sign(sha256(data).digest())


def generate_keys() -> tuple[rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey]:
    """A new RSA and a new Ed25519 key. Takes 50–300 ms."""
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS), ed25519.Ed25519PrivateKey.generate()


def public_text(key: PrivateKey) -> str:
    """The public half as the tag `p=` has it: base64 of the DER for RSA, of the 32 bytes for Ed25519."""
    if isinstance(key, rsa.RSAPrivateKey):
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        raw = key.public_key().public_bytes(*form)
    else:
        raw = key.public_key().public_bytes_raw()
    return base64.b64encode(raw).decode("ascii")


def record_text(kind: str, public: str) -> str:
    """The text of the record that publishes a key (RFC 6376 §3.6.1, RFC 8463 §4); `kind` is `rsa` or `ed25519`."""
    return f"v=DKIM1; k={kind}; p={public}"


def dns_record(key: DkimKey) -> tuple[str, str]:
    """The name and the text of the TXT record that publishes the key."""
    kind = key.algorithm.partition("-")[0]
    return f"{key.selector}._domainkey.{key.domain}", record_text(kind, public_text(key.private))


def private_bytes(key: PrivateKey) -> bytes:
    """The key in PKCS#8 DER, not encrypted: for whoever encrypts it."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private(data: bytes) -> PrivateKey:
    """A key from PKCS#8 DER or from PEM (also PKCS#1, as openssl writes it); raises BadKey."""
    load = serialization.load_pem_private_key if data.lstrip()[:5] == b"-----" else serialization.load_der_private_key
    try:
        key = load(data, None)
    except Exception as error:
        # Many classes, by the version of the library, and the text of some may quote the key.
        raise BadKey(f"the private key can't be read ({type(error).__name__})") from None
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise BadKey("a DKIM key is an RSA or an Ed25519 key")
    return key


class Signer:
    """Signs letters with all of its keys."""

    def __init__(self, keys: Sequence[DkimKey]) -> None:
        self._keys = [(key, _beginning(key)) for key in keys]
        self._plans: dict[tuple[bytes, ...], tuple[list[int], bytes, bytes]] = {}

    def sign(self, letter: bytes, *, at: int | None = None, canonical: bool = False) -> bytes:
        """The letter with a DKIM-Signature for each key in front; `at` is the time of signing in seconds since 1970.

        `canonical` promises that the body is in canonical form (letters from a skeleton are), which saves 40 µs.
        """
        if not self._keys:
            return letter
        header, _, body = letter.partition(b"\r\n\r\n")
        fields = _FIELD_ENDS.split(header)
        names = tuple([one.partition(b":")[0].strip().lower() for one in fields])
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = _plan(names)
            if len(self._plans) > 100:
                # Only letters by API choose header fields of their own.
                self._plans = {names: plan}
        order, named, named_canonical = plan
        # Characters that `split` takes for white space and DKIM does not: none stand in what headers.py has made.
        if b"\x0b" in header or b"\x0c" in header or header.count(b"\n") != header.count(b"\r\n"):
            signed = b"".join([relaxed_field(fields[place]) for place in order])
        else:
            halves = [fields[place].partition(b":") for place in order]
            signed = b"".join([b"%b:%b\r\n" % (half[0].strip().lower(), b" ".join(half[2].split())) for half in halves])
        time = b"" if at is None else b" t=%d;" % at
        digest = binascii.b2a_base64(sha256(body if canonical else relaxed_body(body)).digest(), newline=False)
        signatures: list[bytes] = []
        for key, beginning in self._keys:
            tail = b"%b bh=%b;" % (time, digest)
            unsigned = b"dkim-signature:%b%b%b b=" % (beginning.replace(b"\r\n", b""), named_canonical, tail)
            value = binascii.b2a_base64(key.signature(signed + unsigned), newline=False)
            lines = b"\r\n ".join([value[start : start + 72] for start in range(0, len(value), 72)])
            # Folded where the canonical form has a space.
            signatures.append(b"DKIM-Signature: %b\r\n%b\r\n%b\r\n b=%b\r\n" % (beginning, named, tail, lines))
        return b"".join((*signatures, letter))


def relaxed_field(field: bytes) -> bytes:
    """A header field in canonical form, with its CRLF (RFC 6376 §3.4.2)."""
    name, _, value = field.partition(b":")
    value = _SPACES.sub(b" ", value.replace(b"\r\n", b"")).strip(b" \t")
    return b"%b:%b\r\n" % (name.rstrip(b" \t").lower(), value)


def relaxed_body(body: bytes) -> bytes:
    """The body in canonical form (RFC 6376 §3.4.4). Ours seldom need more than a look."""
    if b"\t" in body or b"  " in body or b" \r\n" in body or body[-1:] == b" ":
        body = _SPACES.sub(b" ", body).replace(b" \r\n", b"\r\n")
        body = body.removesuffix(b" ")
    if body.endswith(b"\r\n\r\n") or body == b"\r\n":
        end = len(body)
        while body[end - 2 : end] == b"\r\n":
            end -= 2
        body = body[:end]
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return body


def _beginning(key: DkimKey) -> bytes:
    return f"v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n d={key.domain}; s={key.selector};".encode("ascii")


def _plan(names: tuple[bytes, ...]) -> tuple[list[int], bytes, bytes]:
    """Which fields are signed, in the order of `h=`, and that tag as it is written and as it is hashed.

    The last field of a name comes first, as verifiers look for them from below (RFC 6376 §5.4.2).
    """
    order: list[int] = []
    named: list[bytes] = []
    for name in (*_ONCE, *_MORE):
        places = [place for place in range(len(names) - 1, -1, -1) if names[place] == name]
        order += places
        named += [name] * (len(places) + (name in _ONCE))
    lines: list[bytes] = []
    line = b" h="
    for number, name in enumerate(named):
        piece = name + (b":" if number < len(named) - 1 else b";")
        if len(line) + len(piece) > 76:
            lines.append(line)
            line = b" "
        line += piece
    lines.append(line)
    return order, b"\r\n".join(lines), b"".join(lines)
