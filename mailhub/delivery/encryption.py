"""TLS for connections that never block: encrypted bytes in and out, no socket."""

from __future__ import annotations

import ssl
from functools import lru_cache


class Tls:
    """The client's end of one TLS session. Its methods raise ssl.SSLError."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self, data: bytes = b"") -> bool:
        """Go on with the handshake; True when it is done. Afterwards `decrypt` may have something already."""
        self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def decrypt(self, data: bytes = b"") -> bytes:
        """What the other side said, empty while a record is not complete."""
        self._incoming.write(data)
        pieces = []
        while self._incoming.pending or self._session.pending():
            try:
                pieces.append(self._session.read(16384))
            except ssl.SSLWantReadError:
                break
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Records for the socket, whatever the handshake wants to say included."""
        if data:
            self._session.write(data)
        return self._outgoing.read()

    @property
    def name(self) -> str:
        """Like `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
        cipher = self._session.cipher()
        return f"{self._session.version()} {cipher[0] if cipher else ''}".strip()


@lru_cache(maxsize=32)
def tls_context(*, verify: bool, ca_file: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer; without `verify` any certificate will do (opportunistic TLS, RFC 7435). Raises OSError.

    Made once, as loading the system's authorities takes longer than a handshake.
    """
    if verify:
        return ssl.create_default_context(cafile=ca_file or None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tls_failure(failure: OSError | ValueError) -> str:
    """What went wrong, for people."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the relay's certificate is not good: {failure.verify_message}"
    if isinstance(failure, ssl.SSLError):
        return f"no TLS with the relay: {(failure.reason or 'it broke off').replace('_', ' ').lower()}"
    return f"no TLS with the relay: {getattr(failure, 'strerror', None) or failure}"
