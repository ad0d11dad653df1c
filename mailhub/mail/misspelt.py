"""Domains written wrongly: `gmial.com` is most probably `gmail.com`, and `.con` is no domain at all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from mailhub.mail.lane import provider_lane

#: Whom a misspelt domain can have meant. Short names are left to the table below: too many real domains are near them.
_PROVIDERS = (
    "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "protonmail.com",
    "yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "rambler.ru", "inbox.ru", "internet.ru",
    "t-online.de", "freenet.de", "hotmail.co.uk", "hotmail.fr", "yahoo.co.uk", "yahoo.fr", "yahoo.de",
    "comcast.net", "verizon.net", "bellsouth.net", "sbcglobal.net", "btinternet.com", "wanadoo.fr",
    "autorambler.ru", "myrambler.ru",
)  # fmt: skip
_UNTOUCHED = 4
_BY_BEGIN: dict[str, list[str]] = {}
_BY_END: dict[str, list[str]] = {}
for _provider in _PROVIDERS:
    _BY_BEGIN.setdefault(_provider[:_UNTOUCHED], []).append(_provider)
    _BY_END.setdefault(_provider[_UNTOUCHED + 1 :], []).append(_provider)
_END_LENGTHS = sorted({len(_end) for _end in _BY_END})
#: Further real domains that are one letter from a provider.
_NEAR = """
ymail.com email.com mail.com fmail.com hmail.com tmail.com gmail.de yahoo.co.in yahoo.co.id yahoo.com.br
hotmail.de hotmail.it hotmail.es hotmail.be hotmail.ch hotmail.no hotmail.se hotmail.dk hotmail.nl outlook.de
outlook.fr outlook.it outlook.es yahoo.it yahoo.es yahoo.ca yahoo.gr yahoo.ie yahoo.pl yahoo.ro yahoo.se yahoo.co.nz
yahoo.co.za yahoo.co.jp yahoo.co.kr yahoo.co.th inbox.lv inbox.com inbox.eu inbox.lt proton.me protonmail.ch
rambler.ua yandex.kg yandex.lv yandex.lt yandex.ee yandex.tj yandex.tm yandex.md yandex.az yandex.co.il yandex.net
freenet.com internet.com internet.de yahoo.at yahoo.be yahoo.bg yahoo.cz yahoo.dk yahoo.fi yahoo.hr yahoo.hu
yahoo.nl yahoo.no yahoo.pt yahoo.cl yahoo.cn
"""
_REAL = frozenset(_NEAR.split())
#: Wrong beyond one letter, or too near to something real for a rule.
_TABLE = {
    "gmail.com": "gmail.ru gmail.rum gmail.com.ru gmaill.con gamil.con gmial.con gmail.come gmail.kom gmail.coml "
                 "gmail.comm.com gmeil.com gimail.com gmailcom.com g-mail.com googlmail.com gmail.fr "
                 "gmail.es gmail.net gmail.org gmail.by gmail.kz gmail.ua",
    "yahoo.com": "yaho.con yhoo.con yahoo.ru",
    "hotmail.com": "hotmai.con hotmial.con hotmail.ru hotmeil.com homail.com hitmail.com",
    "outlook.com": "outlook.ru outluk.com",
    "icloud.com": "icloud.ru iclod.con icould.con",
    "mail.ru": "maill.ru mial.ru meil.ru mali.ru maul.ru mail.ur mail.ry mail.tu mail.ri "
               "mail.rum mail.rru mail.ruu mail.r.ru mail.com.ru mail.ru.com mail.ru.ru mailru.ru mail.eu.ru "
               "amil.ru maii.ru maip.ru maol.ru majl.ru mauil.ru mmail.ru mail.rn mail.rj mai.ur maul.ry",
    "bk.ru": "bk.ry bk.tu bk.rum bkk.ru bk.ri bk.rru",
    "list.ru": "lisr.ru lits.ru liat.ru list.ry list.tu list.rum listt.ru",
    "ya.ru": "ya.ry ya.tu ya.rum ya.rru ya.ri",
    "yandex.ru": "yandex.rum yandeks.ru jandex.ru yndeks.ru yande.ry yadex.ry ynadex.ry yandex.com.ru yandex.ru.com "
                 "yandex.ru.ru yandexru.ru iandex.ru",
    "rambler.ru": "rambler.rum rembler.ru ramler.ry",
    "live.com": "live.con liv.com livee.com",
    "aol.com": "aol.con aoll.com aol.cm aol.co",
    "msn.com": "msn.con msnn.com msn.cm",
}  # fmt: skip
_MISSPELT = {wrong: right for right, all_wrong in _TABLE.items() for wrong in all_wrong.split()}
#: Endings that are no top-level domains (IANA root zone), and what was meant.
_ENDINGS = {
    wrong: right
    for right, all_wrong in {
        "com": "con cmo ocm vom xom comm cim coom cpm ckm clm dom cvom coml comn cjm kom",
        "ru": "ry rru ruu ri ty ur tu rh rj ryu tru riu ruy ruj rut rum",
        "net": "nte ner met ney nrt nett",
        "org": "ogr orgg rog prg irg",
        "de": "dee",
        "by": "byy",
        "kz": "kzz",
    }.items()
    for wrong in all_wrong.split()
}


@lru_cache(maxsize=50_000)
def meant_domain(domain: str) -> str:
    """The domain that was most probably meant by this one (ASCII, lower case), or "" where nothing seems wrong."""
    if provider_lane(domain) != "other" or domain in _PROVIDERS:
        return ""
    if found := _MISSPELT.get(domain):
        return found
    if domain not in _REAL:
        for provider in _candidates(domain):
            if one_edit(domain, provider):
                return provider
    name, _dot, ending = domain.rpartition(".")
    right = _ENDINGS.get(ending)
    if not right or not name:
        return ""
    mended = f"{name}.{right}"
    return meant_domain(mended) or mended


def _candidates(domain: str) -> Iterator[str]:
    """Providers that may be one edit away: an edit leaves the first four letters alone, or all behind the fifth."""
    yield from _BY_BEGIN.get(domain[:_UNTOUCHED], ())
    for length in _END_LENGTHS:
        yield from _BY_END.get(domain[-length:], ())


def one_edit(first: str, second: str) -> bool:
    """Whether one letter more, less, other, or two neighbours exchanged makes one text of the other."""
    if first == second or abs(len(first) - len(second)) > 1:
        return False
    shorter, longer = sorted((first, second), key=len)
    at = next((n for n, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    if len(longer) > len(shorter):
        return shorter[at:] == longer[at + 1 :]
    if shorter[at + 1 :] == longer[at + 1 :]:
        return True
    exchanged = longer[at + 1 : at + 2] + longer[at : at + 1]
    return shorter[at : at + 2] == exchanged and shorter[at + 2 :] == longer[at + 2 :]
