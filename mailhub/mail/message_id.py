"""The Message-ID of a letter: the same for the same letter, different for every recipient, guessable by nobody.

Gmail throttles letters that repeat a Message-ID (4.7.28), and a letter sent again after an unknown outcome must carry
the one it had, so that the recipient's server can drop the copy. RFC 5322 §3.6.4.
"""

import hmac


def make_message_id(key: bytes, domain: str, *unique: object) -> str:
    """`<hash@domain>` for the ids that name the letter, such as (project, campaign, subscriber) or a message's uuid."""
    named = "\x00".join(map(str, unique))
    digest = hmac.digest(key, b"mailhub\x00message-id\x00" + named.encode(), "sha256")[:15]
    return f"<{digest.hex()}@{domain}>"
