"""What a letter costs in processor time, beside the plain way: Jinja, EmailMessage and dkimpy.

    python -m bench.letters --json figures.json

Microseconds of CPU a letter, the best of several rounds, for the letter of bench/letter_source.py: 11 kB of HTML, 80
merge uses, 40 tracked links in both parts, made with all that is a recipient's own. No database, no network.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim as dkimpy
from cryptography.hazmat.primitives import serialization

from bench import letter_source
from mailhub.delivery.letters import CampaignLetters, Letters
from mailhub.delivery.recipients import Recipient
from mailhub.mail.dkim import DkimKey, generate_keys
from mailhub.mail.dkim import Signer as DkimSigner
from mailhub.mail.merge import merge_context
from mailhub.mail.template import compile_template
from mailhub.mail.text import html_to_text
from mailhub.mail.tokens import Kind, Signer
from mailhub.settings import Settings, read_settings

SETTINGS = {
    "mailhub.secret_key": "k" * 40,
    "mailhub.tracking_url": "https://t.example.com",
    "mailhub.usercontent_url": "https://c.example.com",
    "mailhub.return_path_domain": "bounce.example.com",
}
DOMAIN, SELECTOR = "shop.example.com", "m1"


def campaign_letters(kind: letter_source.Kind, settings: Settings) -> CampaignLetters:
    """The benchmark's campaign as delivery has it, without a database."""
    links = list(range(5001, 5001 + len(letter_source.LINKS)))
    return CampaignLetters(Letters(settings, Signer([settings.secret_key.encode()])), letter_source.row(kind), links)


def microseconds(work: Callable[[Recipient], Any], people: Sequence[Recipient], rounds: int) -> float:
    """CPU time of this thread for one letter, the best round."""
    best = float("inf")
    for _round in range(rounds):
        began = time.thread_time()
        for person in people:
            work(person)
        best = min(best, time.thread_time() - began)
    return round(best / len(people) * 1e6, 1)


def plain_way(kind: letter_source.Kind, settings: Settings) -> Callable[[Recipient], bytes]:
    """The letter as one writes it first: two templates, a token for each link, an EmailMessage."""
    row, signer = letter_source.row(kind), Signer([settings.secret_key.encode()])
    html = row["html"]
    for number, link in enumerate(letter_source.LINKS):
        html = html.replace(link.replace("&", "&amp;") + '"', f"{{{{ link_{number} }}}}\"")
    page, text = compile_template(html), compile_template(html_to_text(html), kind="text")
    subject = compile_template(row["subject"], kind="header")

    def make(person: Recipient) -> bytes:
        ids = {"project": 12, "campaign": 3456, "subscriber": person.id}
        links = {
            f"link_{number}": f"{settings.tracking_url}/t/c/{signer.sign(Kind.CLICK, **ids, link=5001 + number)}"
            for number in range(len(letter_source.LINKS))
        }
        unsubscribe = f"{settings.tracking_url}/u/{signer.sign(Kind.UNSUBSCRIBE, **ids)}"
        context = merge_context(
            email=person.email, name=person.name, fields={**person.fields, **links}, unsubscribe_url=unsubscribe,
            web_version_url="https://c.example.com/v/x", groups={"project": {"name": row["project_name"]}},
        )  # fmt: skip
        letter = EmailMessage()
        letter["From"], letter["To"] = row["from_email"], person.email
        letter["Subject"], letter["Message-ID"] = subject.render(context), f"<{person.id}@{DOMAIN}>"
        letter["Date"] = "Mon, 04 May 2026 00:00:00 +0000"
        letter["List-Unsubscribe"] = f"<{unsubscribe}>"
        letter["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        letter.set_content(text.render(context))
        letter.add_alternative(page.render(context), subtype="html")
        return letter.as_bytes()

    return make


def figures(letters: int, rounds: int) -> dict[str, Any]:
    """Microseconds by kind of letter and way of signing."""
    settings = read_settings(SETTINGS, {})
    rsa, ed25519 = generate_keys()
    pem = rsa.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    signers = {
        "": DkimSigner([]),
        "_rsa": DkimSigner([DkimKey(DOMAIN, SELECTOR, rsa)]),
        "_ed25519": DkimSigner([DkimKey(DOMAIN, SELECTOR, ed25519)]),
        "_rsa_and_ed25519": DkimSigner([DkimKey(DOMAIN, SELECTOR, rsa), DkimKey(DOMAIN, "m2", ed25519)]),
    }
    kinds: tuple[letter_source.Kind, ...] = ("latin", "cyrillic", "conditionals")
    found: dict[str, Any] = {"letters": letters, "python": platform.python_version()}
    for kind in kinds:
        people = list(letter_source.people(letters, kind))
        made = campaign_letters(kind, settings)
        found[f"{kind}_bytes"] = len(made.make(people[0]).data)
        for name, signer in signers.items():
            found[f"{kind}{name}_us"] = microseconds(signed(made, signer), people, rounds)
        plain = plain_way(kind, settings)
        few = people[:20]
        found[f"{kind}_email_message_us"] = microseconds(plain, few, min(rounds, 10))
        if kind != "conditionals":
            found[f"{kind}_email_message_and_dkimpy_us"] = microseconds(signed_by_dkimpy(plain, pem), few, 1)
    return found


def signed(made: CampaignLetters, signer: DkimSigner) -> Callable[[Recipient], bytes]:
    """Our way."""
    return lambda person: signer.sign(made.make(person).data, at=1, canonical=True)


def signed_by_dkimpy(plain: Callable[[Recipient], bytes], pem: bytes) -> Callable[[Recipient], bytes]:
    """The plain way."""
    return lambda person: dkimpy.sign(plain(person), SELECTOR.encode(), DOMAIN.encode(), pem)


def main() -> None:
    """Measures and writes the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = figures(arguments.letters, arguments.rounds)
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
