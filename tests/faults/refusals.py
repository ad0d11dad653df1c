"""Drills 11 and 12: relays that refuse, for now or for good."""

from __future__ import annotations

from collections import Counter

from tests.faults import ledger
from tests.faults.crowd import crowd
from tests.faults.drills import drill
from tests.faults.kills import judged
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

LATER = ["450 4.2.0 later", "451 4.3.0 later", "452 4.3.1 later", "454 4.3.0 later", "421 4.3.2 closing"]
#: Three letters of four are refused at one of the four verbs: 60 attempts leave out one in ten million.
PATIENCE = "1s " * 60


@drill(people=1500, **{"mailhub.delivery.retry_schedule": PATIENCE.strip()})
def temporary_refusals(stand: Stand) -> Figures:
    """30 % of MAIL, of RCPT, of DATA and of letters are refused for now (421, 450, 451, 452, 454): all arrive."""
    stand.relay.rules(*({"verb": verb, "chance": 0.3, "reply": LATER} for verb in ("mail", "rcpt", "data", "body")))
    stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    made.start()
    silence = ledger.until_sent(stand, made)
    return judged(stand, made, silence, unknown_at_most=0, refused_letters=stand.relay.count("refused"))


#: Who is refused (the end of the number), at which verb, with what; what the letter is then, and whether the person
#: gets none any more.
FINAL = (
    ("1", "rcpt", "550 5.1.1 no such user here", "HARDBOUNCED", True),
    ("2", "rcpt", "552 5.2.2 mailbox full", "SOFTBOUNCED", False),
    ("3", "body", "552 5.3.4 message too big for system", "SOFTBOUNCED", False),
    ("44", "body", "554 5.7.1 message refused as spam", "BLOCKED", False),
)
_ENDS = """
    SELECT m.email, m.state, m.attempts, e.type, s.status <> 'active' OR x.id IS NOT NULL
    FROM message AS m
    JOIN subscriber AS s ON s.project_id = m.project_id AND s.id = m.subscriber_id
    LEFT JOIN message_event AS e ON e.project_id = m.project_id AND e.message_id = m.id AND e.type <> 'DEFERRED'
    LEFT JOIN suppression AS x ON x.project_id = m.project_id AND x.email_key = s.email_key
    WHERE m.project_id = %s AND m.campaign_id = %s
"""


@drill(people=2000)
def final_refusals(stand: Stand) -> Figures:
    """5xx by recipient, at RCPT and after the letter: each ends once, in its class; only the dead are suppressed."""
    stand.relay.rules(
        *({"verb": verb, "address": rf"^p\d*{end}@", "reply": [reply]} for end, verb, reply, *_more in FINAL)
    )
    stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    made.start()
    silence = ledger.until_sent(stand, made)
    figures = judged(stand, made, silence, unknown_at_most=0)
    wrong: Counter[str] = Counter()
    refused = 0
    for email, state, attempts, event, stopped in stand.query(_ENDS, [made.project_id, made.campaign]):
        name = email.partition("@")[0]
        wanted = next((one for one in FINAL if name.endswith(one[0])), None)
        refused += wanted is not None
        expected = ("failed", wanted[3], wanted[4]) if wanted else ("sent", "SENT", False)
        if (state, event, stopped) != expected or attempts != 1:
            wrong[f"{(wanted or ('', '', 'taken'))[2]}: {state} {event} stopped={stopped} attempts={attempts}"] += 1
    figures |= {"refused": refused, "wrong": dict(wrong)}
    clean = ("lost", "duplicates", "ghosts", "wrong_ids", "unaccounted", "queued", "deferred", "unknown", "skipped")
    figures["passed"] = not wrong and figures["failed"] == refused and not any(figures[name] for name in clean)
    return figures
