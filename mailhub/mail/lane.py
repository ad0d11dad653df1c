"""Which big provider takes mail for a domain: the lane in which delivery throttles it and statistics group it."""

_LANES: dict[str, tuple[str, ...]] = {
    "gmail": ("gmail.com", "googlemail.com"),
    "yahoo": (
        "yahoo.com", "ymail.com", "rocketmail.com", "myyahoo.com", "aol.com", "aim.com", "verizon.net", "netscape.net",
        "yahoo.co.uk", "yahoo.co.in", "yahoo.in", "yahoo.fr", "yahoo.de", "yahoo.it", "yahoo.es", "yahoo.ca",
        "yahoo.com.br", "yahoo.com.ar", "yahoo.com.mx", "yahoo.com.au", "yahoo.co.id", "yahoo.com.sg", "yahoo.com.ph",
        "yahoo.com.hk", "yahoo.com.tw", "yahoo.com.vn", "yahoo.gr", "yahoo.ie", "yahoo.pl", "yahoo.ro", "yahoo.se",
    ),
    "microsoft": (
        "outlook.com", "hotmail.com", "live.com", "msn.com", "passport.com", "windowslive.com", "hotmail.co.uk",
        "hotmail.fr", "hotmail.de", "hotmail.it", "hotmail.es", "hotmail.com.br", "hotmail.be", "hotmail.nl",
        "hotmail.se", "hotmail.no", "hotmail.dk", "hotmail.ch", "hotmail.ca", "hotmail.gr", "hotmail.com.ar",
        "live.co.uk", "live.fr", "live.de", "live.it", "live.nl", "live.be", "live.ca", "live.se", "live.no", "live.dk",
        "live.com.au", "live.com.mx", "live.ru", "live.cn", "outlook.fr", "outlook.de", "outlook.it", "outlook.es",
        "outlook.pt", "outlook.com.br", "outlook.jp", "outlook.at", "outlook.be", "outlook.dk", "outlook.ie",
    ),
    "apple": ("icloud.com", "me.com", "mac.com", "privaterelay.appleid.com"),
    "mailru": ("mail.ru", "bk.ru", "list.ru", "inbox.ru", "internet.ru", "mail.ua", "vk.com", "xmail.ru"),
    "yandex": (
        "yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "yandex.uz", "yandex.com.tr",
        "yandex.fr", "narod.ru",
    ),
}  # fmt: skip

#: The numbers are in the database (`campaign_lane.lane`): append before nothing, rename nothing.
LANES = ("gmail", "yahoo", "microsoft", "apple", "mailru", "yandex", "other")
assert set(LANES) == {*_LANES, "other"}

_LANE_OF_DOMAIN = {domain: lane for lane, domains in _LANES.items() for domain in domains}


def provider_lane(domain: str) -> str:
    """One of LANES for an ASCII domain in lower case; domains hosted at a provider under their own name are `other`."""
    return _LANE_OF_DOMAIN.get(domain, "other")


def lanes_of_domains() -> dict[str, int]:
    """The index in LANES of every domain that has a lane of its own; all others are in the last one."""
    return {domain: LANES.index(lane) for domain, lane in _LANE_OF_DOMAIN.items()}
