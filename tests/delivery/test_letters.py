"""A campaign's letters: addresses that name their reader and their link, Message-IDs, one by one where needed."""

from __future__ import annotations

import re
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from bench import letter_source
from bench.letters import SETTINGS
from mailhub.delivery.letters import RETURN_PATH_SECONDS, CampaignLetters, Letters, Made
from mailhub.delivery.recipients import Recipient
from mailhub.mail.template import RenderFailed
from mailhub.mail.tokens import Kind, Signer
from mailhub.mail.verp import read_local_part
from mailhub.settings import read_settings

SIGNER = Signer([SETTINGS["mailhub.secret_key"].encode()])
LINKS = list(range(5001, 5041))
APART = [5001 + 100 * n for n in range(40)]


def letters(links: list[int] = LINKS, **columns: Any) -> CampaignLetters:
    row = letter_source.row() | columns
    return CampaignLetters(Letters(read_settings(SETTINGS, {}), SIGNER), row, links)


def parts(made: Made) -> tuple[EmailMessage, str, str]:
    message = message_from_bytes(made.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text, html = message.iter_parts()
    return message, text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


@pytest.fixture
def anna() -> Recipient:
    return next(letter_source.people(2))


@pytest.mark.parametrize("links", [LINKS, APART, sorted(LINKS, reverse=True)])
def test_every_address_names_its_reader_and_its_link(anna: Recipient, links: list[int]) -> None:
    made = letters(links).make(anna)
    message, text, html = parts(made)
    for body in (html, text):
        found = [SIGNER.read(Kind.CLICK, token) for token in re.findall(r"https://t\.example\.com/t/c/([\w-]+)", body)]
        assert [claims.link for claims in found] == links
        assert {(claims.project, claims.campaign, claims.subscriber) for claims in found} == {(12, 3456, anna.id)}
        (leave,) = re.findall(r"https://t\.example\.com/u/([\w-]+)", body)
        claims = SIGNER.read(Kind.UNSUBSCRIBE, leave)
        assert (claims.project, claims.campaign, claims.subscriber, claims.list) == (12, 3456, anna.id, 78)
        (browser,) = re.findall(r"https://c\.example\.com/v/([\w-]+)", body)
        assert SIGNER.read(Kind.WEB_VERSION, browser).list == 78
    (pixel,) = re.findall(r"https://t\.example\.com/t/o/([\w-]+)", html)
    assert SIGNER.read(Kind.OPEN, pixel).subscriber == anna.id
    assert message["List-Unsubscribe"] == f"<https://t.example.com/u/{leave}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert b"\r\nList-Unsubscribe: <https://t.example.com/u/" in made.data


def test_return_path_and_message_id_name_the_letter(anna: Recipient) -> None:
    made = letters().make(anna)
    now = int(time.time())
    claims = read_local_part(SIGNER, made.return_path.partition("@")[0], now=now)
    assert (claims.project, claims.campaign, claims.subscriber) == (12, 3456, anna.id)
    assert abs((claims.expires or 0) - now - RETURN_PATH_SECONDS) < 7200
    assert made.return_path.endswith("@bounce.example.com")
    message, *_ = parts(made)
    assert message["Message-ID"] == f"<{made.header_id}>"


def test_message_id_is_stable_and_a_persons_own() -> None:
    people = list(letter_source.people(50))
    first, again = letters(), letters(APART)
    ids = [first.make(person).header_id for person in people]
    assert ids == [again.make(person).header_id for person in people]
    assert len(set(ids)) == 50
    assert first._letters.header_id(first.facts, people[0].id) == ids[0]


@pytest.mark.parametrize("kind", ["latin", "cyrillic", "conditionals"])
def test_letter_says_what_the_web_version_says(kind: letter_source.Kind) -> None:
    made = letters(**letter_source.row(kind))
    for person in letter_source.people(8, kind):
        message, text, html = parts(made.make(person))
        plain = made._compiled.render_parts(made.person(person))
        token = re.compile(r"/(?:t/c|t/o|u|v)/[\w-]+")
        assert token.sub("/x", html).rstrip() == token.sub("/x", plain.html).rstrip()
        assert token.sub("/x", text).rstrip() == token.sub("/x", plain.text).rstrip()
        assert message["Subject"] == plain.subject
        assert person.name in str(message["To"])


def test_links_that_differ_from_the_stored_ones_are_not_tracked(anna: Recipient) -> None:
    _, _, html = parts(letters([1, 2, 3]).make(anna))
    assert "/t/c/" not in html
    assert letter_source.LINKS[7].replace("&", "&amp;") in html


def test_name_that_can_not_stand_in_the_subject_fails_this_letter_only(anna: Recipient) -> None:
    made = letters(subject="For {{ name }}")
    nasty = Recipient(5, anna.email, "", "", "=?utf-8?q?x=0D=0ABcc:_a@b.c?=", {}, "")
    with pytest.raises(RenderFailed) as failed:
        made.make(nasty)
    assert failed.value.problem.code == "header_unsafe"
    assert made.make(anna).subject == "For {{ name }}"


def test_letters_are_made_fast() -> None:
    made = letters()
    people = list(letter_source.people(300))
    made.make(people[0])
    began = time.thread_time()
    for person in people:
        made.make(person)
    # 60 µs on one core; the bound leaves room for the slowest machine and catches a return to the plain way.
    assert (time.thread_time() - began) / len(people) < 450e-6
