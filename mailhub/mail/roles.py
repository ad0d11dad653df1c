"""Names before the @ that belong to an office and not to a person: many read them, and nobody has subscribed."""

from __future__ import annotations

import re

#: RFC 2142, and what companies of the English and the Russian speaking world have; without dots, dashes, digits.
_NAMES = """
abuse accounting accounts admin administration administrator admissions advert advertising all alerts apply
billing board booking bookings bot bounce bounces business careers ceo cfo clients company compliance contact
contactus contacts customercare customerservice customers customersupport daemon data dev developers devnull
director dns donotreply dpo editor editorial editors education email employment enquiries enquiry events everyone
export facilities feedback finance frontdesk ftp general gdpr hello help helpdesk hiring home hostmaster hotel
hr info information inquiries inquiry investor investors invoice invoices ispsupport it jobs kontakt legal list
listrequest logistics mail mailbox mailerdaemon main management manager marketing media membership news newsletter
noc nobody noreply notifications null office operations order orders parts partner partners payments payroll
phish phishing police post postbox postmaster pr press privacy procurement purchasing reception recruit recruiting
recruitment registrar registration remove reply reservation reservations returns root sales school secretary
security service services shipping shop site spam staff store student students subscribe supplier suppliers
support survey sysadmin sysop team tech technical techsupport tender tenders test trade training undisclosed
unsubscribe usenet uucp warehouse web webadmin webmail webmaster welcome whois work www
buh buhg buhgalter buhgalteria bron dir dogovor dostavka dispatcher glavbuh glbuh kadry kanc kancelaria kontakty
magazin manager opt oper opros otdel otdelkadrov personal pochta podderzhka prazdnik priem priemnaya priyomnaya
prodaji prodazhi prodaja rabota redakciya redakcia reklama rezume sait sbyt sekretar servis shkola sklad smeta snab
snabzhenie spravka tehpod tender uprava vakansii yurist zakaz zakazy zakupka zakupki zavod
"""
ROLES = frozenset(_NAMES.split())
#: Of these a name of a place or a part of the firm may stand behind: `info.spb@`, `sales-moscow@`.
_STRONG = frozenset({"info", "sales", "support", "office", "noreply", "zakaz", "admin", "hr", "priemnaya", "reception"})
_SEPARATORS = re.compile(r"[._\-]+")
_DIGITS_BEHIND = re.compile(r"\d{1,3}$", re.ASCII)


def is_role(local: str) -> bool:
    """Whether the part before the @ (lower case) is an office's."""
    if "+" in local:
        local = local.partition("+")[0]
    if local[-1:].isdigit():
        local = _DIGITS_BEHIND.sub("", local)
    if local in ROLES:
        return True
    if local.isalnum():
        return False
    parts = _SEPARATORS.split(local)
    return len(parts) > 1 and ("".join(parts) in ROLES or parts[0] in _STRONG)
