"""Certificates for a relay on 127.0.0.1: one that is trusted, and those that must not be."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


def make(folder: Path) -> dict[str, list[str]]:
    """[certificate file, key file] by name: good, stranger (another's authority), elsewhere (another host), expired.

    `ca.pem` in the folder is the authority to be trusted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, stranger = _authority("drill"), _authority("stranger")
    (folder / "ca.pem").write_bytes(authority[1].public_bytes(serialization.Encoding.PEM))
    return {
        "good": _leaf(folder, "good", authority),
        "stranger": _leaf(folder, "stranger", stranger),
        "elsewhere": _leaf(folder, "elsewhere", authority, host="10.9.8.7"),
        "expired": _leaf(folder, "expired", authority, days=(-30, -1)),
    }


def _authority(name: str) -> tuple[Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(subject, subject, key, (-1, 30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _leaf(
    folder: Path,
    name: str,
    authority: tuple[Key, x509.Certificate],
    *,
    host: str = "127.0.0.1",
    days: tuple[int, int] = (-1, 30),
) -> list[str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[0].public_key())
    certificate = (
        _builder(subject, authority[1].subject, key, days)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority[0], hashes.SHA256())
    )
    paths = [folder / f"{name}.pem", folder / f"{name}.key"]
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return [str(path) for path in paths]


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: tuple[int, int]) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )
