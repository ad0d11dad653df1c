"""Domains whose mailboxes are thrown away after minutes: the best known ones, and whatever an operator adds.

Such domains come by the hundred a day and go; this list is kept short on purpose, with names that have been there for
years. Installations that need more give a file (`mailhub.quality.disposable_file`).
"""

from __future__ import annotations

from collections.abc import Iterable

_KEPT = """
0-mail.com 0815.ru 10mail.org 10minutemail.co.za 10minutemail.com 10minutemail.net 10minutesmail.com 1secmail.com
1secmail.net 1secmail.org 20minutemail.com 20minutemail.it 33mail.com 3d-painting.com anonbox.net anonymbox.com
antichef.com antispam24.de armyspy.com binkmail.com bobmail.info boun.cr bugmenot.com burnermail.io byom.de
chacuo.net clrmail.com crazymailing.com cuvox.de dayrep.com deadaddress.com despam.it despammed.com
dingbone.com discard.email discardmail.com discardmail.de dispostable.com disposableaddress.com
disposableinbox.com disposemail.com dodgit.com dropmail.me dumpmail.de e4ward.com easytrashmail.com einrot.com
email-fake.com emailfake.com emailondeck.com emailsensei.com emailtemporanea.net emailtemporario.com.br
emailwarden.com emltmp.com explodemail.com fakeinbox.com fakemail.net
fakemailgenerator.com fastmazda.com filzmail.com fleckens.hu freemail.ms fudgerub.com generator.email
getairmail.com getmails.eu getnada.com getonemail.com ghosttexter.de gishpuppy.com great-host.in grr.la
guerrillamail.biz guerrillamail.com guerrillamail.de guerrillamail.info guerrillamail.net guerrillamail.org
guerrillamailblock.com gustr.com harakirimail.com hidemail.de hmamail.com hulapla.de ieatspam.eu imgof.com
inboxalias.com inboxbear.com inboxkitten.com incognitomail.com incognitomail.org instantemailaddress.com
jetable.com jetable.fr.nf jetable.net jetable.org jourrapide.com kasmail.com klassmaster.com koszmail.pl
kurzepost.de letthemeatspam.com lhsdv.com linshiyouxiang.net lroid.com luxusmail.org mail-temp.com
mail-temporaire.fr mail7.io mailcatch.com maildrop.cc maildu.de maileater.com mailexpire.com mailforspam.com
mailfreeonline.com mailimate.com mailin8r.com mailinater.com mailinator.com mailinator.net mailinator.org
mailinator2.com mailmetrash.com mailmoat.com mailnesia.com mailnull.com mailpoof.com mailsac.com mailscrap.com
mailtemp.info mailtothis.com mailtrash.net mailzilla.com meltmail.com mintemail.com mobi.web.id moakt.cc moakt.com
moakt.co moakt.ws mohmal.com mt2015.com mvrht.com mytemp.email mytempemail.com mytrashmail.com nada.email
nepwk.com neverbox.com no-spam.ws nobulk.com noclickemail.com nomail.xl.cx nospam.ze.tc nospamfor.us
nowmymail.com objectmail.com one-time.email oneoffemail.com onewaymail.com online.ms owlpic.com pookmail.com
proxymail.eu punkass.com putthisinyourspamdatabase.com qoika.com quickinbox.com rcpt.at receiveee.com
rhyta.com rmqkr.net safetymail.info sendspamhere.com sharklasers.com shieldemail.com shitmail.me
skeefmail.com slopsbox.com smellfear.com sneakemail.com sofort-mail.de sogetthis.com spam.la spam4.me
spamavert.com spambob.com spambog.com spambog.de spambog.ru spambox.us spamcero.com spamex.com spamfree24.com
spamfree24.de spamfree24.org spamgourmet.com spamherelots.com spamhole.com spamify.com spaml.com spammotel.com
spamspot.com spamthis.co.uk spamtrail.com speed.1s.fr superrito.com suremail.info teleworm.us temp-mail.de
temp-mail.io temp-mail.org temp-mail.ru tempail.com tempe-mail.com tempemail.co.za tempemail.com tempemail.net
tempinbox.co.uk tempinbox.com tempmail.de tempmail.dev tempmail.eu tempmail.io tempmail.it tempmail.net
tempmail.plus tempmail2.com tempmailaddress.com tempmailer.com tempmailo.com tempomail.fr temporarioemail.com.br
temporaryemail.net temporaryforwarding.com temporaryinbox.com thankyou2010.com thisisnotmyrealemail.com
throwaway.email throwawayemailaddress.com throwawaymail.com tilien.com tmail.ws tmpmail.net tmpmail.org
tradermail.info trash-mail.at trash-mail.com trash-mail.de trash2009.com trashemail.de trashinbox.com trashmail.at
trashmail.com trashmail.de trashmail.me trashmail.net trashmail.org trashmail.ws trashmailer.com trashymail.com
trbvm.com tyldd.com veryrealemail.com wegwerfadresse.de wegwerfemail.de wegwerfmail.de wegwerfmail.net
wegwerfmail.org wh4f.org willselfdestruct.com wuzup.net yopmail.com yopmail.fr yopmail.net you-spam.com
zehnminutenmail.de zippymail.info zoemail.net zoemail.org
crypto-mail.ru dropmail.click emailna.co fexbox.org fexpost.com givmail.com mailto.plus rover.info
tempr.email vpslists.com vremennaya-pochta.ru 10mail.tk any.pink
"""
DISPOSABLE = frozenset(_KEPT.split())


def is_disposable(domain: str, known: frozenset[str] = DISPOSABLE) -> bool:
    """Whether a domain (ASCII, lower case) or one above it is among `known`."""
    while domain not in known:
        domain = domain.partition(".")[2]
        if not domain:
            return False
    return True


def with_more(lines: Iterable[str]) -> frozenset[str]:
    """Our list and an operator's: one domain a line, behind `#` a remark, and `!` before one that is not disposable."""
    more, fewer = set[str](), set[str]()
    for line in lines:
        domain = line.partition("#")[0].strip().lower().removeprefix("@").removeprefix("*.")
        if domain.startswith("!"):
            fewer.add(domain[1:].strip())
        elif domain:
            more.add(domain)
    return (DISPOSABLE | more) - fewer
