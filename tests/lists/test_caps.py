"""Caps: exactly so many in a window, whoever asks at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mailhub.lists import caps
from mailhub.lists.caps import Cap
from mailhub.mail.address import parse_address
from mailhub.models import SignUpCap

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def test_window_slides_and_never_holds_more_than_the_cap(registry):
    cap = Cap("x", 3, 100)
    taken = [second for second in range(0, 400, 10) if caps.take(registry, [cap], now=at(second)) is None]
    assert taken == [0, 10, 20, 100, 110, 120, 200, 210, 220, 300, 310, 320]
    assert caps.wait_seconds(registry, cap, now=at(330)) == 70
    assert caps.is_reached(registry, cap, now=at(330))
    assert not caps.is_reached(registry, cap, now=at(401))


def test_of_several_caps_all_are_used_or_none(registry):
    wide, narrow = Cap("wide", 5, 100), Cap("narrow", 1, 100)
    assert caps.take(registry, [wide, narrow], now=NOW) is None
    for _n in range(9):
        assert caps.take(registry, [wide, narrow], now=NOW) == narrow
    for _n in range(4):
        assert caps.take(registry, [wide], now=NOW) is None
    assert caps.take(registry, [wide], now=NOW) == wide
    caps.give_back(registry, "wide")
    assert caps.take(registry, [wide], now=NOW) is None


def test_a_hundred_at_once_do_not_get_more_than_the_cap(live):
    address = parse_address("victim@small.example")
    wanted = caps.letter_caps(address, [1, 2], with_domain=True)

    def ask(n):
        # Every one names the caps in another order: nobody waits for anybody in a circle.
        return caps.take(live.registry, wanted[n % 4 :] + wanted[: n % 4])

    with ThreadPoolExecutor(16) as pool:
        assert sum(one is None for one in pool.map(ask, range(100))) == 1
        same = Cap("ten", 10, 3600)
        assert sum(one is None for one in pool.map(lambda _n: caps.take(live.registry, [same]), range(100))) == 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("victim@gmail.com", "V.ic.tim+shop@googlemail.com", True),
        ("victim@mail.ru", "victim+1@mail.ru", True),
        ("vic.tim@mail.ru", "victim@mail.ru", False),
        ("anna@пример.рф", "anna@xn--e1afmkfd.xn--p1ai", True),
    ],
)
def test_spellings_of_one_mailbox(one, other, same):
    assert (caps.canonical(parse_address(one)) == caps.canonical(parse_address(other))) is same


def test_rows_that_are_past_are_purged_and_hold_no_address(registry, dbsession):
    caps.take(registry, caps.letter_caps(parse_address("anna@mail.ru"), [1], with_domain=True),
              now=datetime.now(UTC) - timedelta(days=2))  # fmt: skip
    caps.take(registry, [Cap("now", 1, 100)])
    assert not [row for row in dbsession.query(SignUpCap) if "anna" in row.key]
    assert caps.purge(dbsession) == 2
    assert [row.key for row in dbsession.query(SignUpCap)] == ["now"]
