"""Which relay a letter takes."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mailhub.delivery.routing import Routes
from mailhub.mail.lane import LANES
from mailhub.setting_values import LANE_DEFAULTS
from mailhub.settings import SettingsError, read_settings

INI = {
    "mailhub.relay.default.url": "smtp://a.test",
    "mailhub.relay.east.url": "smtp://e.test",
    "mailhub.relay.east.route": "pool",
    "mailhub.relay.east.weight": "3",
    "mailhub.relay.west.url": "smtp://w.test",
    "mailhub.relay.west.route": "pool",
    "mailhub.relay.spare.url": "smtp://s.test",
    "mailhub.relay.spare.route": "pool",
    "mailhub.relay.spare.weight": "0",
    "mailhub.relay.own.url": "smtp://o.test",
    "mailhub.relay.own.domains": "shop.example news.shop.example",
}


def routes(**changes: str) -> Routes:
    return Routes(read_settings({**INI, **changes}, {}).relays)


@pytest.mark.parametrize(
    ("wanted", "domain", "route"),
    [
        ("default", "x.example", "default"),
        ("pool", "x.example", "pool"),
        ("east", "x.example", "pool"),
        ("gone", "x.example", "default"),
        ("", "", "default"),
        ("pool", "shop.example", "own"),
        ("pool", "mail.Shop.example.", "own"),
        ("pool", "workshop.example", "pool"),
        ("pool", "example", "pool"),
    ],
)
def test_the_route_of_a_project(wanted: str, domain: str, route: str) -> None:
    assert routes().route_of(wanted, domain) == route


def test_letters_are_shared_by_weight() -> None:
    found = routes()
    chance = random.Random(7)
    picked = Counter(found.pick("pool", (), chance.random) for _turn in range(4000))
    assert set(picked) == {"east", "west"}
    assert 2850 < picked["east"] < 3150
    assert {found.pick("pool", (), lambda: 0.0), found.pick("pool", (), lambda: 0.9999999)} == {"east", "west"}


def test_those_that_are_down_are_passed_over() -> None:
    found = routes()
    assert {found.pick("pool", {"east"}, lambda n=n: n / 10) for n in range(10)} == {"west"}
    assert found.pick("pool", {"east", "west"}, lambda: 0.5) == "spare"
    assert found.pick("pool", {"east", "west", "spare"}, lambda: 0.5) is None
    assert found.pick("no such", (), lambda: 0.5) == "default"
    assert found.closed_routes({"east", "west"}) == ()
    assert found.closed_routes({"east", "west", "spare", "own"}) == ("own", "pool")
    assert found.closed_choices({"east", "west"}) == ((), ("default", "east", "own", "pool", "spare", "west"))
    shut, _known = found.closed_choices({"east", "west", "spare"})
    assert shut == ("east", "pool", "spare", "west")


def test_the_default_route_always_exists() -> None:
    found = routes(**{"mailhub.relay.default.route": "pool"})
    assert found.names() == ("default", "own", "pool")
    assert found.members("default") == ("default",)
    assert found.pick("default", (), lambda: 0.5) == "default"
    assert set(found.members("pool")) == {"default", "east", "spare", "west"}


def test_presets_give_defaults_that_can_be_changed() -> None:
    relays = read_settings(
        {
            "mailhub.relay.exim.url": "smtp://x",
            "mailhub.relay.exim.preset": "exim",
            "mailhub.relay.big.url": "smtp://x",
            "mailhub.relay.big.preset": "exim",
            "mailhub.relay.big.messages_per_connection": "900",
            "mailhub.relay.mta.url": "smtp://x",
            "mailhub.relay.mta.preset": "direct",
        },
        {"MAILHUB_RELAY_MTA_TRANSACTIONAL_PER_SECOND": "5"},
    ).relays
    assert (relays["exim"].messages_per_connection, relays["exim"].lanes) == (10, False)
    assert relays["big"].messages_per_connection == 900
    assert (relays["mta"].lanes, relays["mta"].transactional_per_second) == (True, 5.0)
    assert not relays["default"].lanes


def test_limits_of_lanes_can_be_changed() -> None:
    environ = {"MAILHUB_LANE_YAHOO_MAX_CONNECTIONS": "2"}
    lanes = read_settings({"mailhub.lane.gmail.messages_per_second": "3.5"}, environ).lanes
    assert set(lanes) == set(LANES) == set(LANE_DEFAULTS)
    assert (lanes["gmail"].messages_per_second, lanes["gmail"].max_connections) == (3.5, 5)
    assert lanes["yahoo"].max_connections == 2
    assert lanes["other"].messages_per_second == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mailhub.lane.gmail.messages_per_second", "fast"),
        ("mailhub.lane.nobody.messages_per_second", "1"),
        ("mailhub.relay.default.preset", "sendmail"),
        ("mailhub.relay.default.weight", "-1"),
        ("mailhub.relay.default.domains", "not a domain!"),
        ("mailhub.relay.default.route", "Two words"),
        ("mailhub.relay.default.lanes", "perhaps"),
    ],
)
def test_wrong_values_stop_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name.rpartition(".")[0].replace(".", r"\.")):
        read_settings({name: value}, {})
