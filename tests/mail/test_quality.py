"""Findings about single addresses, and the grade of a list."""

from __future__ import annotations

import random

import pytest

from mailhub.mail.address import parse_address
from mailhub.mail.disposable import DISPOSABLE, is_disposable, with_more
from mailhub.mail.misspelt import meant_domain, one_edit
from mailhub.mail.quality import SCALE, Finding, Grade, Quality, look_at
from mailhub.mail.roles import ROLES


def finding(text):
    return look_at(parse_address(text))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gmial.com", "gmail.com"), ("gmal.com", "gmail.com"), ("gmaill.com", "gmail.com"), ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"), ("gmail.ru", "gmail.com"), ("gnail.com", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("yaho.com", "yahoo.com"), ("yandex.ry", "yandex.ru"), ("yandx.ru", "yandex.ru"), ("yadnex.ru", "yandex.ru"),
        ("mail.ry", "mail.ru"), ("maill.ru", "mail.ru"), ("ramler.ru", "rambler.ru"), ("rambler.ri", "rambler.ru"),
        ("bk.ry", "bk.ru"), ("firm.con", "firm.com"), ("gmial.con", "gmail.com"), ("firma.ry", "firma.ru"),
        ("icloud.cm", "icloud.com"), ("outlok.com", "outlook.com"),
    ],
)  # fmt: skip
def test_misspelt_domain_has_a_suggestion(written, meant):
    assert meant_domain(written) == meant
    assert finding(f"Ivan@{written}").suggestion == f"Ivan@{meant}"


@pytest.mark.parametrize(
    "domain",
    ["gmail.com", "ymail.com", "mail.com", "email.com", "mail.ru", "mail.ua", "yandex.ru", "yandex.by", "ya.ru",
     "bk.ru",
     "mil.ru", "mai.ru", "hotmail.de", "gmx.de", "yahoo.co.jp", "inbox.lv", "firm.ru", "live.nl", "me.com", "vip.ru",
     "protonmail.ch", "xn--80a1acny.xn--p1ai", "co.uk"],
)  # fmt: skip
def test_real_domain_is_left_alone(domain):
    assert meant_domain(domain) == ""


@pytest.mark.parametrize(
    ("one", "two", "near"),
    [("abc", "abc", False), ("abc", "ab", True), ("ab", "abc", True), ("abc", "adc", True), ("abc", "acb", True),
     ("abc", "cba", False), ("abc", "a", False), ("", "a", True), ("abcd", "badc", False), ("abcd", "abxy", False)],
)  # fmt: skip
def test_one_edit(one, two, near):
    assert one_edit(one, two) is near


def test_no_slip_of_the_finger_is_missed():
    providers = ("gmail.com", "hotmail.com", "yandex.ru", "rambler.ru", "outlook.com")
    for provider in providers:
        for at in range(len(provider)):
            for slip in (
                provider[:at] + provider[at + 1 :],
                provider[:at] + "q" + provider[at:],
                provider[:at] + "q" + provider[at + 1 :],
                provider[:at] + provider[at + 1 : at + 2] + provider[at] + provider[at + 2 :],
            ):
                if slip not in (provider, "mail.com"):  # mail.com is another provider
                    assert meant_domain(slip) == provider, slip


@pytest.mark.parametrize(
    "local", ["info", "INFO", "sales", "no-reply", "noreply2", "info+news", "info.spb", "sales-msk", "buh", "zakaz",
              "priemnaya", "postmaster", "customer.service"]
)  # fmt: skip
def test_office(local):
    assert finding(f"{local}@firm.ru").role


@pytest.mark.parametrize("local", ["ivan", "infante", "saleswoman", "anna.admin", "ivan+info", "marketova"])
def test_person_is_no_office(local):
    assert not finding(f"{local}@firm.ru").role


@pytest.mark.parametrize(
    "text", ["test@gmail.com", "asdf123@mail.ru", "qqqqqq@firm.ru", "noname@firm.ru", "anna@example.com",
             "d41d8cd98f00b204e9800998@mail.ru", "bcdfghjklm@mail.ru"]
)  # fmt: skip
def test_placeholder(text):
    assert finding(text).placeholder


@pytest.mark.parametrize(
    "text", ["ivan.petrov@mail.ru", "abc@firm.ru", "ivan1985@mail.ru", "konstantin.konstantinov@mail.ru", "ya@ya.ru",
             "79161234567@mail.ru", "s.krzyzanowski@wp.pl", "o@firm.ru"]
)  # fmt: skip
def test_ordinary_address(text):
    assert finding(text) == Finding()
    assert finding(text).is_good


def test_disposable_domains_and_those_below_them():
    assert finding("a@mailinator.com").disposable
    assert finding("a@eu.mailinator.com").disposable
    assert not finding("a@notmailinator.com").disposable


def test_operators_own_list():
    known = with_more(["# ours", "throw.example  # seen 2026-11", "@Away.example", "*.wild.example", "!33mail.com", ""])
    assert {"throw.example", "away.example", "wild.example"} <= known
    assert "33mail.com" in DISPOSABLE
    assert "33mail.com" not in known
    assert is_disposable("a.wild.example", known)


def test_there_are_enough_names():
    assert len(ROLES) >= 120
    assert len(DISPOSABLE) >= 200
    assert all(name == name.lower() and name.isalnum() for name in ROLES)


PEOPLE = [f"{first}.{last}" for first in ["ivan", "anna", "olga", "petr", "maria", "oleg"] for last in
          ["ivanov", "petrov", "sidorov", "kuznetsov", "smirnov", "popov", "volkov", "orlov", "zaitsev"]]  # fmt: skip


def listed(count, **more):
    """A list of `count` ordinary people, with so many of the given kind instead."""
    rng = random.Random(count)
    quality = Quality()
    for number in range(count):
        local = rng.choice(PEOPLE) + "abcdefghij"[number % 10] + "klmnopqrst"[number // 10 % 10]
        domain = rng.choice(["mail.ru", "yandex.ru", "gmail.com", f"firm{number % 50}.ru"])
        quality.add(parse_address(f"{local}@{domain}"), seen=True)
    for kind, times in more.items():
        for number in range(times):
            if kind == "invalid":
                quality.add_invalid()
            elif kind == "duplicate":
                quality.add_duplicate()
            else:
                text = kind.replace("_at_", "@").replace("_dot_", ".").replace("N", str(number))
                quality.add(parse_address(text), seen=True)
    return quality


def reasons(quality):
    return {reason.signal: reason for reason in quality.grade().reasons}


def test_good_list_is_an_a():
    grade = listed(2000, invalid=10, info_at_firm_dot_ru=20).grade()
    assert (grade.letter, grade.reasons, grade.rows) == ("A", (), 2030)


@pytest.mark.parametrize(
    ("more", "signal", "letter"),
    [
        ({"invalid": 250}, "invalid", "D"),
        ({"invalid": 80}, "invalid", "B"),
        ({"info_at_fN_dot_ru": 600}, "role", "C"),
        ({"ivan_at_gmial_dot_com": 120}, "misspelt", "C"),
        ({"ivan_at_mailinator_dot_com": 150}, "disposable", "C"),
        ({"test_at_mail_dot_ru": 120}, "placeholder", "C"),
        ({"agentN_at_mail_dot_ru": 600}, "pattern", "D"),
        ({"duplicate": 1500}, "duplicate", "B"),
        ({"ivan_at_one_dot_ru": 9000}, "one_domain", "B"),
    ],
)
def test_what_costs_a_grade(more, signal, letter):
    quality = listed(2000, **more)
    grade = quality.grade()
    assert grade.reasons[0].signal == signal
    assert grade.reasons[0].count == pytest.approx(next(iter(more.values())), abs=20)
    assert grade.letter == letter
    assert 0 < grade.reasons[0].share <= 1


def test_bought_list_is_an_f():
    grade = listed(500, invalid=80, info_at_fN_dot_ru=300, ivan_at_gmial_dot_com=60).grade()
    assert grade.letter == "F"
    assert [reason.signal for reason in grade.reasons] == ["invalid", "misspelt", "role"]


def test_few_addresses_are_not_judged_by_one():
    quality = listed(4, info_at_firm_dot_ru=1)
    assert quality.grade().letter == "A"


def test_most_people_at_one_provider_is_nothing_odd():
    assert "one_domain" not in reasons(listed(300, ivan_at_mail_dot_ru=1500))
    assert reasons(listed(30, ivan_at_mail_dot_ru=1500))["one_domain"].example == "mail.ru"


def test_never_seen_weighs_little_and_can_be_told_afterwards():
    quality = Quality()
    for number in range(1000):
        quality.add(parse_address(f"{PEOPLE[number % 54]}{'abcdefghijklmnopqrstuvwxyz'[number % 26]}@f{number}.ru"))
    assert reasons(quality)["never_seen"].points == SCALE["never_seen"][2]
    assert quality.grade().letter == "A"
    quality.known(600)
    assert "never_seen" not in reasons(quality)


def test_grade_is_kept_as_json():
    grade = listed(500, invalid=80, ivan_at_gmial_dot_com=60).grade()
    assert Grade.from_json(grade.as_json()).as_json() == grade.as_json()


def test_suggestions_are_counted_by_domain():
    quality = listed(10, ivan_at_gmial_dot_com=3, ivan_at_mail_dot_ry=2)
    assert quality.misspelt == {("gmial.com", "gmail.com"): 3, ("mail.ry", "mail.ru"): 2}


def test_memory_stays_bounded_and_the_frequent_stay(monkeypatch):
    monkeypatch.setattr("mailhub.mail.quality._KEPT", 200)
    quality = Quality()
    for number in range(3_000):
        quality.add(parse_address(f"u{number:x}g{number}@d{number}.ru"))
        quality.add(parse_address(f"agent{number}@often.ru"))
        assert len(quality.domains) <= 200
        assert len(quality.stems) <= 200
    assert quality.domains["often.ru"] == quality.stems["agent"] == 3_000
