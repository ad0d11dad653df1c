"""The tables behind smtp_reply.py: reasons and their classes, words of servers, enhanced and basic codes.

Sources: RFC 5321 §4.2, RFC 3463, 5248, 7372, 7505; Google "SMTP errors and codes", Yahoo Sender Hub "SMTP error codes",
Microsoft "Non-delivery report errors" and "Outlook.com Postmaster", Mail.ru and Yandex rules for senders.
"""

import re
from typing import Literal

Klass = Literal["NONE", "HARD", "PROBABLE", "SOFT", "BLOCK", "UNKNOWN"]

# Reason → class, as in the design's taxonomy; PROBABLE needs a second hit before the address is suppressed.
REASONS: dict[str, Klass] = {
    "userunknown": "HARD", "hostunknown": "HARD", "nullmx": "HARD", "hasmoved": "HARD", "inactive": "HARD",
    "unsupported_eai": "HARD",
    "filtered": "PROBABLE", "suspend": "PROBABLE", "notaccept": "PROBABLE", "onhold": "PROBABLE",
    "mailboxfull": "SOFT", "expired": "SOFT", "networkerror": "SOFT", "systemerror": "SOFT", "greylist": "SOFT",
    "toobig": "SOFT", "toomanyrecipients": "SOFT", "routing": "SOFT",
    "blocked": "BLOCK", "badreputation": "BLOCK", "requireptr": "BLOCK", "authfailure": "BLOCK",
    "policyviolation": "BLOCK", "rejected": "BLOCK", "spamdetected": "BLOCK", "virus": "BLOCK", "ratelimit": "BLOCK",
    "securityerror": "BLOCK", "failedstarttls": "BLOCK", "relayauth": "BLOCK", "relaydenied": "BLOCK",
    "unknown": "UNKNOWN",
}  # fmt: skip


def _rules(*pairs: tuple[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in pairs)


# The order decides: what blames the sender comes before what names a mailbox, because "user … blocked your mail"
# must never suppress a recipient, and a full mailbox before an unknown one ("mailbox unavailable: over quota").
TEXT_RULES = _rules(
    ("userunknown", r"recipientnotfound|\bs2017062302\b"),
    ("nullmx", r"null.?mx"),
    ("relayauth", r"authentication (?:required|failed|credentials|unsuccessful)|\b5\.7\.8\b|must authenticate|"
                  r"auth first|"
                  r"username and password not accepted|please authenticate|login denied"),
    ("failedstarttls", r"must issue a starttls|starttls (?:is )?required|tls (?:is )?required|\b[45]\.7\.29\b|"
                       r"not (?:sent|transmitted) (?:over|using) (?:a )?(?:tls|secure)|requires? (?:an )?encrypted"),
    ("requireptr", r"\b4\.7\.23\b|\b[45]\.7\.25\b|reverse dns|\bptr\b|\brdns\b|no reverse|"
               r"cannot find your (?:reverse )?hostname|"
                   r"fix reverse|hostname .{0,40}(?:does not|doesn'?t) (?:match|resolve)|helo command rejected"),
    ("authfailure", r"\b5\.7\.23\b|\b[45]\.7\.(?:20|21|22|24|26|27|30|31|32|40|515|509)\b|\bdmarc\b|\bdkim\b|\bspf\b|"
                    r"unauthenticated|"
                    r"(?:not|isn'?t) authenticated|authentication (?:checks?|results?|information)|"
                    r"sender policy framework|does not (?:pass|meet the required) authentication"),
    ("virus", r"\bvirus|malware|infected|trojan|\bclamav\b"),
    ("ratelimit", r"\[?ts(?:s|0)0[1-4]\b|\b4\.7\.28\b|\b4\.7\.650\b|rate.?limit|too many (?:connections|messages|"
                  r"mails|emails|"
                  r"concurrent|sessions|errors)|throttl|(?:receiving|sending) mail at a rate|unusual rate|"
                  r"exceeded .{0,40}(?:rate|limit of (?:messages|connections))|slow down|sending too (?:fast|many)|"
                  r"\b(?:s3150|s77[5-7])\b|"
                  r"message (?:rate|count) limit|limit .{0,25}per (?:hour|minute|day)|connection limit|"
                  r"too much mail|deferred due to (?:unexpected volume|user complaints)|rate .{0,30}(?:exceed|limit)"),
    ("badreputation", r"reputation|poor sender|low sender score|sender ?score|\b(?:s3140|s3114|ob00[123])\b|"
                      r"\btss?09\b|\[?tss09|"
                      r"very low|history of (?:spam|abuse)|bad (?:ip|domain) |untrusted (?:ip|sender)"),
    ("relaydenied", r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not permitted|not allowed|prohibited)|"
                    r"unable to relay|"
                    r"we do not relay|not permitted to relay|relay not"),
    ("blocked", r"spamhaus|spamcop|barracuda|\b(?:dns)?[rd]?bl\b|\bdnsbl\b|\brbls?\b|black.?list|block.?list|"
                r"deny.?list|"
                r"(?:is|was|been|are|address|host|ip|network)\b.{0,40}\b(?:blocked|banned|listed)|access denied|"
                r"banned sending ip|client host .{0,80}(?:blocked|rejected)|5\.7\.(?:606|511|512|513)\b|"
                r"blocked using|not allowed to connect|connection (?:refused|rejected|denied)|part of their network|"
                r"temporarily (?:block|defer)|blocked by|messages? .{0,60}(?:blocked|temporarily deferred)|"
                r"\btss?0[4-8]\b|sorry, (?:your|you).{0,60}(?:denied|block)"),
    ("spamdetected", r"\bspam\b|\bspammy\b|unsolicited|junk mail|\buce\b|bulk mail|content (?:rejected|filter|denied)|"
                     r"blocked (?:for|due to).{0,20}content|message content|suspicious|phish|looks like|cloudmark|"
                     r"\bscore\b|"
                     r"message (?:was |has been )?(?:identified|classified|detected|refused as)|malicious|(?:bad|"
                     r"prohibited) url"),
    ("greylist", r"gr[ea]y.?list|try again (?:in|after) \d+ ?(?:s|m|second|minute)|\bplease retry later\b|"
                 r"first.?time sender|"
                 r"temporarily greylisted|delayed for|come back later"),
    ("rejected", r"\b5\.1\.[78]\b|(?:sender|from|return|mail from|envelope).{0,50}(?:reject|denied|refus|invalid|"
                 r"not allowed|"
                 r"not exist|unknown|verif|blocked|not accepted)|verify sender|domain of sender|"
                 r"not accept(?:ing)? mail from|"
                 r"(?:refus|reject|block)\w* (?:all )?(?:mail|messages?) from (?:you|your|this|the sender)|"
                 r"not (?:a )?member|"
                 r"recipient .{0,60}blocked (?:you|the sender|sender)|only .{0,30}allowed senders|"
                 r"not authori[sz]ed to send"),
    ("mailboxfull", r"quota|mail ?box (?:is |was )?(?:full|exceed)|over.?quota|insufficient (?:disk|storage|"
                    r"system storage)|"
                    r"storage (?:is )?(?:full|exceed|limit|allocation)|out of (?:storage|space)|\b[45]\.2\.2\b|"
                    r"too full|"
                    r"(?:account|inbox|maildir|user) (?:is |has )?(?:full|over|exceeded)|no space left|box full|"
                    r"disk full"),
    ("toobig", r"(?:message|mail|size|letter).{0,40}(?:too (?:big|large)|exceed\w* .{0,40}(?:size|limit|maximum))|"
               r"\b5\.3\.4\b|\b5\.2\.3\b|size limit|maximum (?:message )?size|too large"),
    ("toomanyrecipients", r"too many recipients|\b[45]\.5\.3\b"),
    ("hasmoved", r"has moved|no longer (?:with|works?|employed|at)|\b5\.1\.6\b|moved (?:to|permanently)|\bhas left\b|"
                 r"please (?:try|use) <"),
    ("unsupported_eai", r"\b5\.6\.7\b|smtputf8|internationali[sz]ed|non.?ascii (?:address|local)|\beai\b"),
    ("nullmx", r"null.?mx|\b[45]\.1\.10\b|\b556\b|domain (?:does not|doesn'?t) accept (?:any )?(?:e-?mail|mail)|"
               r"accepts? no mail|\b5\.7\.27 null|does not accept mail"),
    ("inactive", r"\b5\.2\.1\b.{0,120}(?:disabled|inactive|deactivat|suspend)|(?:account|mailbox|user|recipient|"
                 r"address|e-?mail)"
                 r".{0,60}(?:is |has been |was )?(?:disabled|inactive|deactivated|closed|terminated|discontinued|"
                 r"expired|"
                 r"not active|no longer (?:active|available|in use|valid|exists?))|(?:disabled|inactive|deactivated|"
                 r"closed)"
                 r" (?:account|mailbox|user|recipient)|dormant|account locked"),
    ("suspend", r"suspended|(?:temporarily|administratively) (?:locked|disabled)|on hold|account .{0,20}blocked"),
    ("hostunknown", r"(?:host|domain|server)\b.{0,40}(?:not found|unknown|does(?: not|n'?t) exist|not exist|invalid|"
                    r"no mx)|"
                    r"(?:no such|unknown|bad|invalid) (?:host|domain)|\b5\.1\.2\b|\b5\.4\.4\b|"
                    r"name or service not known|"
                    r"nxdomain|unrout(?:e)?able (?:address|domain|mail domain)|unable to route|no mx|"
                    r"domain not (?:valid|local)|"
                    r"unresolvable"),
    ("userunknown", r"(?:user|mailbox|recipient|address|account|e-?mail|alias|inbox|person|login|name|rcpt)\b.{0,80}"
                    r"(?:unknown|not found|does ?n[o']t exist|doesn'?t exist|not exist|no such|invalid|"
                    r"could not be found|"
                    r"doesn'?t have|not valid|not (?:a )?valid|unrecogni[sz]ed|not known|not recogni[sz]ed|not here|"
                    r"no longer (?:here|on)|isn'?t|not listed|cannot be found|can'?t be found|is not (?:a )?local|"
                    r"undeliverable)|"
                    r"(?:no such|unknown|invalid|non-?exist(?:e|a)nt|bad|wrong|nonexisting|no) (?:local |virtual |"
                    r"destination )?"
                    r"(?:user|mailbox|recipient|address|account|e-?mail|person|inbox|alias)|does not exist|no mailbox|"
                    r"not our customer|there is no|unknown in (?:virtual|local|relay)|user ?unknown|"
                    r"\b5\.1\.(?:1|3)\b|\b5\.0\.0 .{0,20}not found|not a known user|no longer exists|нет такого|"
                    r"не существует|"
                    r"не найден"),
    ("notaccept", r"not accepting (?:mail|messages)|(?:mailbox|recipient|user|account).{0,40}(?:unavailable|restricted|"
                  r"not available|cannot (?:receive|accept)|disallowed)|\b5\.2\.[01]\b|does not accept|"
                  r"recipient (?:address )?(?:rejected|refused)|delivery not (?:allowed|authori[sz]ed)"),
    ("expired", r"expired|timed? ?out|time limit|too long in (?:the )?queue|\b[45]\.4\.7\b|retry time"),
    ("networkerror", r"network|connection (?:lost|reset|closed|dropped|broken|timed)|broken pipe|unreachable|"
                     r"no route|\b4\.4\.[12]\b|dns (?:error|failure|lookup)|resolution failed"),
    ("policyviolation", r"polic|prohibited|not permitted|complain|guidelines|\b5\.7\.1\b|administrative prohibition|"
                        r"refused by|local (?:rule|filter)|security (?:rule|reason)|transaction failed"),
    ("systemerror", r"system|internal|software|local error|temporar(?:y|ily)|try (?:again )?later|service (?:un|"
                r"not )available|"
                    r"resources|overload|busy|\bload\b|shutting down|maintenance|configuration|lookup failure|timeout|"
                    r"unable to (?:verify|process|complete)|callout"),
)  # fmt: skip

# Enhanced codes by subject.detail (RFC 3463, registry of RFC 5248), for replies whose words say nothing.
BY_ENHANCED: dict[str, str] = {
    "1.0": "notaccept", "1.1": "userunknown", "1.2": "hostunknown", "1.3": "userunknown", "1.4": "userunknown",
    "1.6": "hasmoved", "1.7": "rejected", "1.8": "rejected", "1.9": "systemerror", "1.10": "nullmx",
    "2.0": "notaccept", "2.1": "inactive", "2.2": "mailboxfull", "2.3": "toobig", "2.4": "notaccept",
    "3.0": "systemerror", "3.1": "systemerror", "3.2": "systemerror", "3.3": "systemerror", "3.4": "toobig",
    "3.5": "systemerror", "4.0": "networkerror", "4.1": "networkerror", "4.2": "networkerror", "4.3": "routing",
    "4.4": "hostunknown", "4.5": "systemerror", "4.6": "routing", "4.7": "expired", "5.0": "systemerror",
    "5.1": "systemerror", "5.2": "systemerror", "5.3": "toomanyrecipients", "5.4": "systemerror", "5.6": "relayauth",
    "6.0": "spamdetected", "6.7": "unsupported_eai", "7.0": "policyviolation", "7.1": "policyviolation",
    "7.2": "notaccept", "7.3": "securityerror", "7.4": "securityerror", "7.5": "securityerror", "7.7": "securityerror",
    "7.8": "relayauth", "7.9": "relayauth", "7.10": "securityerror", "7.11": "securityerror", "7.13": "inactive",
    "7.14": "securityerror", "7.15": "policyviolation", "7.16": "policyviolation", "7.17": "hasmoved",
    "7.18": "hasmoved", "7.20": "authfailure", "7.21": "authfailure", "7.22": "authfailure", "7.23": "authfailure",
    "7.24": "authfailure", "7.25": "requireptr", "7.26": "authfailure", "7.27": "nullmx", "7.28": "ratelimit",
}  # fmt: skip

BY_CODE: dict[int, str] = {
    421: "systemerror", 422: "mailboxfull", 431: "systemerror", 432: "systemerror", 441: "networkerror",
    442: "networkerror", 446: "networkerror", 447: "expired", 449: "routing", 450: "systemerror", 451: "systemerror",
    452: "mailboxfull", 454: "systemerror", 455: "systemerror", 471: "policyviolation", 510: "userunknown",
    511: "userunknown", 512: "hostunknown", 513: "userunknown", 521: "nullmx", 523: "toobig", 530: "relayauth",
    534: "relayauth", 535: "relayauth", 538: "relayauth", 550: "notaccept", 551: "hasmoved", 552: "mailboxfull",
    553: "rejected", 554: "policyviolation", 556: "nullmx",
}  # fmt: skip
