"""The records of a sending domain, and what the DNS says of them."""

import pytest

from mailhub.mail.domain_records import DMARC, SPF, Record, judge, look, records

RSA, ED25519 = "MIIB" + "A" * 388, "B" * 43 + "="
RECORDS = {
    record.key: record
    for record in records("shop.test", "mh1", rsa=RSA, ed25519=ED25519, return_path_domain="bounces.host.test")
}


def test_records_are_what_is_to_be_published() -> None:
    assert list(RECORDS) == ["dkim_rsa", "dkim_ed25519", "spf", "dmarc"]
    assert RECORDS["dkim_rsa"] == Record(
        "dkim_rsa", "mh1._domainkey.shop.test", f"v=DKIM1; k=rsa; p={RSA}", required=True
    )
    assert RECORDS["dkim_ed25519"].name == "mh1-ed._domainkey.shop.test"
    assert RECORDS[SPF].value == "v=spf1 include:bounces.host.test ~all"
    assert RECORDS[DMARC].name == "_dmarc.shop.test"
    assert [key for key, record in RECORDS.items() if record.required] == ["dkim_rsa"]


@pytest.mark.parametrize(
    ("key", "texts", "found"),
    [
        ("dkim_rsa", [], "missing"),
        ("dkim_rsa", [f"v=DKIM1; k=rsa; p={RSA}"], "ok"),
        ("dkim_rsa", [f"p={RSA}"], "ok"),
        ("dkim_rsa", [f" v=DKIM1 ;k=rsa;\tp={RSA[:200]} {RSA[200:]} ; t=s"], "ok"),
        ("dkim_rsa", ["google-site-verification=1", f"k=rsa; p={RSA}"], "ok"),
        ("dkim_rsa", ["google-site-verification=1"], "missing"),
        ("dkim_rsa", ["v=DKIM1; k=rsa; p="], "differs"),
        ("dkim_rsa", [f"v=DKIM1; k=rsa; p={RSA[:-1]}"], "differs"),
        ("dkim_rsa", [f"v=DKIM1; k=ed25519; p={RSA}"], "differs"),
        ("dkim_ed25519", [f"v=DKIM1; k=ed25519; p={ED25519}"], "ok"),
        ("dkim_ed25519", [f"v=DKIM1; p={ED25519}"], "differs"),
        ("spf", ["v=spf1 mx include:bounces.host.test -all"], "ok"),
        ("spf", ["V=SPF1 +include:Bounces.Host.Test ?all", "other"], "ok"),
        ("spf", ["v=spf1 mx -all"], "differs"),
        ("spf", ["v=spf1 include:bounces.host.test.evil.test -all"], "differs"),
        ("spf", ["v=spf1 include:bounces.host.test ~all", "v=spf1 mx -all"], "differs"),
        ("spf", ["v=spf10 include:bounces.host.test"], "missing"),
        ("dmarc", ["v=DMARC1; p=reject; rua=mailto:a@b.test"], "ok"),
        ("dmarc", ["v=dmarc1;p=None"], "ok"),
        ("dmarc", ["v=DMARC1"], "differs"),
        ("dmarc", ["v=DMARC1; p=maybe"], "differs"),
        ("dmarc", ["v=DMARC1; p=none", "v=DMARC1; p=none"], "differs"),
        ("dmarc", ["v=spf1"], "missing"),
    ],
)
def test_what_the_dns_says_is_judged(key: str, texts: list[str], found: str) -> None:
    assert judge(RECORDS[key], texts) == found


def test_silence_is_no_answer() -> None:
    table = {"mh1._domainkey.shop.test": [RECORDS["dkim_rsa"].value], "shop.test": []}
    assert look(list(RECORDS.values()), table.get) == {
        "dkim_rsa": "ok", "dkim_ed25519": "unreachable", "spf": "missing", "dmarc": "unreachable",
    }  # fmt: skip
