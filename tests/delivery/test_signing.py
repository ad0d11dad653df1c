"""Letters carry the signatures of the project's verified domain and of the operator, and dkimpy takes them."""

from __future__ import annotations

from typing import Any

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization

from mailhub.delivery.letters import Letters
from mailhub.delivery.signing import Domain, Signers, best_fit, operators_key
from mailhub.mail.dkim import BadKey, dns_record
from mailhub.models import Project, SendingDomain
from mailhub.projects.domains import records_of
from mailhub.security.sealed import Sealer
from mailhub.settings import SettingsError, read_settings
from tests.build import dkim_keys
from tests.conftest import build_app
from tests.delivery.conftest import Office
from tests.delivery.test_singles import accepted, send_due

VERIFIED: dict[str, Any] = {"status": "verified", "results": {"dkim_rsa": "ok", "dkim_ed25519": "ok"}}


def pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def project(office: Office) -> Project:
    return office.build.project(domain="p.test")


@pytest.fixture
def domain(office: Office, project: Project) -> SendingDomain:
    return office.build.sending_domain(project, office.registry.mailhub, **VERIFIED)


def signatures(letter: bytes, dns: dict[str, str]) -> list[tuple[str, str, bool]]:
    """(domain, algorithm, whether it verifies) of each signature."""

    def look_up(name: bytes, timeout: int = 0) -> bytes | None:
        return dns.get(name.decode().rstrip("."), "").encode() or None

    found: list[tuple[str, str, bool]] = []
    message = dkimpy.DKIM(letter)
    for number, (name, value) in enumerate([one for one in message.headers if one[0].lower() == b"dkim-signature"]):
        assert name == b"DKIM-Signature"
        tags = dict(part.split("=", 1) for part in "".join(value.decode().split()).split(";") if part)
        found.append((tags["d"], tags["a"], dkimpy.DKIM(letter).verify(number, dnsfunc=look_up)))
    return found


def published(office: Office, row: SendingDomain) -> dict[str, str]:
    return {record.name: record.value for record in records_of(row, office.registry.mailhub)}


def test_a_single_letter_is_signed_for_its_project(office: Office, project: Project, domain: SendingDomain) -> None:
    accepted(office, project, html="<p>Привет</p>", headers={"X-Order": "7"})
    send_due(office)
    (caught,) = office.sink.letters
    assert signatures(caught.data, published(office, domain)) == [
        ("p.test", "rsa-sha256", True), ("p.test", "ed25519-sha256", True),
    ]  # fmt: skip


def test_a_campaign_is_signed_for_its_project_and_the_operator(office: Office, project: Project) -> None:
    _, ed25519 = dkim_keys()
    row = office.build.sending_domain(project, office.registry.mailhub, **(VERIFIED | {"results": {"dkim_rsa": "ok"}}))
    office.settings(dkim_domain="host.test", dkim_selector="m1", dkim_private_key=pem(ed25519))
    own = operators_key(office.registry.mailhub)
    assert own is not None
    campaign = office.campaign(3, project=project)
    office.fan_out(campaign)
    office.pump()
    assert len(office.sink.letters) == 3
    dns = published(office, row) | dict([dns_record(own)])
    for caught in office.sink.letters:
        # The second key of the domain is not published yet, so it does not sign.
        assert signatures(caught.data, dns) == [("p.test", "rsa-sha256", True), ("host.test", "ed25519-sha256", True)]


def test_a_domain_that_is_not_verified_signs_nothing(office: Office, project: Project) -> None:
    office.build.sending_domain(project, office.registry.mailhub)
    office.build.sending_domain(office.build.project(domain="q.test"), office.registry.mailhub, **VERIFIED)
    accepted(office, project)
    send_due(office)
    assert signatures(office.sink.letters[0].data, {}) == []


def test_keys_that_can_not_be_opened_stop_no_letter(
    office: Office, project: Project, domain: SendingDomain, caplog: pytest.LogCaptureFixture
) -> None:
    domain.rsa_private = Sealer(["a key that nobody has kept"]).seal(b"x", "y")
    office.session.commit()
    accepted(office, project)
    send_due(office)
    assert signatures(office.sink.letters[0].data, {}) == []


def row(name: str, number: int = 1) -> Domain:
    return Domain(1, number, name, "s", b"", b"", {})


def test_the_nearest_domain_above_the_sender_signs() -> None:
    rows = [row("p.test"), row("news.p.test", 2), row("other.test", 3)]
    for sender, wanted in (
        ("a@p.test", "p.test"), ("a@x.p.test", "p.test"), ("a@news.p.test", "news.p.test"),
        ("a@b.News.P.test", "news.p.test"),
        ("a@xp.test", None), ("a@test", None), ("", None),
    ):  # fmt: skip
        found = best_fit(rows, sender)
        assert (found.domain if found else None) == wanted


def test_a_letter_without_domains_is_not_signed(office: Office) -> None:
    signers = Signers(office.registry.mailhub)
    assert signers.of([], "a@p.test").sign(b"From: a@p.test\r\n\r\nx\r\n") == b"From: a@p.test\r\n\r\nx\r\n"
    assert Letters(office.registry.mailhub, office.registry.signer)


def test_domains_are_remembered_for_a_while_only(
    office: Office, project: Project, domain: SendingDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(office, project)
    send_due(office)
    domain.status = "pending"
    office.session.commit()
    accepted(office, project)
    send_due(office)
    monkeypatch.setattr("mailhub.delivery.signing.KEPT_SECONDS", -1)
    accepted(office, project)
    send_due(office)
    assert [len(signatures(caught.data, published(office, domain))) for caught in office.sink.letters] == [2, 2, 0]


# The operator's key


@pytest.mark.parametrize(
    "given",
    [{"mailhub.dkim.domain": "host.test"}, {"mailhub.dkim.private_key": "x"}, {"mailhub.dkim.selector": "a b"}],
)
def test_half_of_the_operators_key_is_a_fault(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"mailhub\.dkim"):
        read_settings({"mailhub.secret_key": "k" * 40, **given}, {})


def test_a_key_that_is_none_stops_the_process_and_is_not_shown(tmp_path: Any) -> None:
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----\n")
    with pytest.raises(SettingsError, match="can't be read") as refused:
        build_app(
            "postgresql://nobody@localhost/none", tmp_path,
            **{"mailhub.dkim.domain": "host.test", "mailhub.dkim.private_key": f"file:{path}"},
        )  # fmt: skip
    assert "secretsecret" not in str(refused.value)
    settings = read_settings({"mailhub.secret_key": "k" * 40, "mailhub.dkim.domain": "host.test",
                              "mailhub.dkim.private_key": f"file:{path}"}, {})  # fmt: skip
    assert "secretsecret" not in repr(settings)
    with pytest.raises(BadKey):
        operators_key(settings)
