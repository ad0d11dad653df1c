"""A relay that behaves as badly as a test wants: each connection is a function that reads and writes the bytes itself.

    with Hostile(lambda peer: peer.say("220 hi")) as relay: ...

`heard` has every byte that came, a buffer a connection. A thread a connection; what is raised because the client has
gone is normal, anything else fails the test at the end.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[["Peer"], None]


class Peer:
    """The server's end of one connection."""

    def __init__(self, accepted: socket.socket, heard: bytearray) -> None:
        self.socket = accepted
        self.heard = heard
        self._buffer = bytearray()

    def say(self, *lines: str | bytes) -> None:
        """Lines, in one write."""
        self.raw(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines))

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def trickle(self, data: bytes, seconds: float) -> None:
        """A byte at a time."""
        gone = threading.Event()
        for at in range(len(data)):
            self.raw(data[at : at + 1])
            gone.wait(seconds)

    def line(self) -> bytes:
        """The next command without its line end; raises EOFError when the client has gone."""
        return self._until(b"\r\n")[:-2]

    def body(self) -> bytes:
        """A letter as it came, the final dot included."""
        while len(self._buffer) < 3:
            self._buffer += self._read()
        if self._buffer.startswith(b".\r\n"):
            del self._buffer[:3]
            return b".\r\n"
        return self._until(b"\r\n.\r\n")

    def greet(self, *features: str) -> None:
        """Banner and EHLO."""
        self.say("220 hostile")
        self.answer_ehlo(*features)

    def answer_ehlo(self, *features: str) -> None:
        assert self.line().startswith(b"EHLO ")
        lines = ["hostile", *features]
        self.say(*(f"250{'-' if n < len(lines) - 1 else ' '}{line}" for n, line in enumerate(lines)))

    def envelope(self, mail: str = "250 ok", rcpt: str = "250 ok", data: str = "354 go") -> None:
        """MAIL, RCPT and DATA, each answered when it has come."""
        for verb, reply in ((b"MAIL", mail), (b"RCPT", rcpt), (b"DATA", data)):
            command = self.line()
            if command == b"RSET":
                self.say("250 reset")
                command = self.line()
            assert command.startswith(verb), command
            self.say(reply)

    def take_all(self) -> None:
        """Behave from here on."""
        while True:
            self.envelope()
            self.body()
            self.say("250 taken")

    def silence(self) -> None:
        """Say nothing until the client has gone."""
        while True:
            self._read()

    def deaf(self) -> None:
        """Read nothing until the test is over."""
        self.over.wait(60)

    over: threading.Event

    def reset(self) -> None:
        """Break the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def _until(self, end: bytes) -> bytes:
        since = 0
        while (at := self._buffer.find(end, since)) < 0:
            since = max(0, len(self._buffer) - len(end))
            self._buffer += self._read()
        found = bytes(self._buffer[: at + len(end)])
        del self._buffer[: at + len(end)]
        return found

    def _read(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.heard += data
        return data


class Hostile:
    """Use as a context manager. The n-th connection gets the n-th behaviour, those after the last one the last."""

    def __init__(self, *behaviours: Behaviour, receive_buffer: int = 0) -> None:
        self._behaviours = behaviours
        self._listener = socket.create_server(("127.0.0.1", 0))
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytearray] = []
        self.faults: list[BaseException] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []

    def __enter__(self) -> Hostile:
        self._start(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        if self.faults:
            raise AssertionError("the hostile relay itself failed") from self.faults[0]

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                accepted, _address = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.heard.append(bytearray())
            peer = Peer(accepted, self.heard[-1])
            peer.over = self._over
            self._peers.append(peer)
            self._start(self._serve, peer, self._behaviours[min(len(self.heard), len(self._behaviours)) - 1])

    def _serve(self, peer: Peer, behaviour: Behaviour) -> None:
        try:
            behaviour(peer)
        except (OSError, EOFError, ValueError):
            pass
        except BaseException as fault:
            self.faults.append(fault)
        finally:
            peer.socket.close()


class Certificates:
    """An authority made on the spot and certificates for 127.0.0.1 and localhost: good, expired, for another name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailhub test authority")])
        authority = self._certificate(self._name, self._key.public_key(), days=30, names=[], is_authority=True)
        self.ca_file = folder / "authority.pem"
        self.ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))

    def good(self) -> ssl.SSLContext:
        return self._context("good", 30, ["localhost", "127.0.0.1"])

    def expired(self) -> ssl.SSLContext:
        return self._context("expired", -1, ["localhost", "127.0.0.1"])

    def other_name(self) -> ssl.SSLContext:
        return self._context("other", 30, ["relay.example.org"])

    def _context(self, file: str, days: int, names: list[str]) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._certificate(subject, key.public_key(), days=days, names=names, is_authority=False)
        path = self._folder / f"{file}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int, names: list[str], is_authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        found: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if found:
            builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
        return builder.sign(self._key, hashes.SHA256())
