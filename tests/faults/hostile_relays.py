"""Drills 13 to 15: relays that fall silent, talk for ever, or want the letters in clear."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults import certificates, ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.kills import judged
from tests.faults.ledger import Figures
from tests.faults.stand import Stand
from tests.faults.workers import peak_rss_bytes

#: What the other relay's letters must keep of their speed.
KEPT = 0.8
#: The healthy speed is the relay's, not the machine's: it can then be compared on a machine that is busy.
BESIDE: dict[str, Any] = {
    "relays": ("default", "second"),
    "relay_options": {"delay": 0.02},
    "people": 60_000,
    "mailhub.delivery.timeouts": "2s",
}
Trouble = tuple[str, dict[str, Any]]


def beside(stand: Stand, troubles: list[Trouble]) -> Figures:
    """Two projects with a relay each; one of the relays misbehaves in all these ways, each for a window of time.

    The other's speed in each window is set against the mean of the calm windows before and after all of them.
    """
    stand.worker("bulk", 2)
    stand.worker("celery", 1)
    ill, well = crowd(stand, stand.people), crowd(stand, stand.people, relay="second")
    ill.start()
    well.start()
    for name, relay in stand.relays.items():
        stand.until(lambda relay=relay: relay.taken() >= 50, 120, f"letters through {name}")
    before = peak_rss_bytes(stand.pids())
    speeds = {"calm_before": _speed(stand, well)}
    for name, rule in troubles:
        stand.relay.rules(rule)
        speeds[name] = _speed(stand, well)
    stand.relay.rules()
    healed_at = time.time()
    resumed = stand.until(
        lambda: any(one.at > healed_at + 0.1 and one.how == "taken" for one in stand.relay.record()[-50:]),
        120, "letters through the healed relay",
    )  # fmt: skip
    speeds["calm_after"] = _speed(stand, well)
    calm = (speeds["calm_before"] + speeds["calm_after"]) / 2
    kept = {name: round(speeds[name] / calm, 2) for name, _rule in troubles}
    for one in (ill, well):
        one.do("cancel")
        stand.until(lambda one=one: _is_over(stand, one), 300, "the rest is skipped")
    doubtful = stand.relay.count("silent") + stand.relay.count("reset")
    figures = ledger.compare(stand, ill)
    figures |= {
        "calm_per_second": round(calm), "kept": kept, "resumed_seconds": round(resumed, 1), "in_doubt": doubtful,
        "peak_rss_growth_bytes": peak_rss_bytes(stand.pids()) - before,
    }  # fmt: skip
    faults = ("lost", "duplicates", "ghosts", "wrong_ids", "unaccounted", "failed")
    figures["passed"] = (
        min(kept.values()) >= KEPT
        and not any(figures[name] for name in faults)
        and not any(ledger.compare(stand, well)[name] for name in (*faults, "unknown"))
        and figures["unknown"] <= doubtful
        and figures["peak_rss_growth_bytes"] < 64_000_000
    )
    return figures


def _is_over(stand: Stand, made: Crowd) -> bool:
    found = ledger.counts(stand, made)
    return bool(found["queued"] == found["deferred"] == 0)


def _speed(stand: Stand, made: Crowd) -> float:
    time.sleep(min(1.0, stand.window_seconds / 2))  # what was under way when the ways changed
    since = time.time()
    time.sleep(stand.window_seconds)
    found = ledger.speed(stand.relays["second"].record(), made.domain, since, since + stand.window_seconds)
    assert ledger.counts(stand, made)["queued"] > 0, "too few people: the campaign ended before the drill"
    return found


@drill(**BESIDE)
def half_open(stand: Stand) -> Figures:
    """A relay accepts and then says nothing, at each verb; or sends RST after the letter. The other keeps its speed."""
    # RST first: it breaks the connections that are open, so that the next verbs are reached.
    verbs = ("connect", "ehlo", "mail", "rcpt", "data", "body")
    troubles: list[Trouble] = [(f"silent_at_{verb}", {"verb": verb, "act": "silence"}) for verb in verbs]
    return beside(stand, [("reset_after_letter", {"verb": "body", "act": "reset"}), *troubles])


@drill(**BESIDE)
def slow_loris(stand: Stand) -> Figures:
    """A byte a second, lines without end, a line of a megabyte, NULs: bounded in time and memory."""
    acts = [("slow", "body"), ("slow", "connect"), ("endless", "ehlo"), ("endless", "rcpt"), ("long", "mail"),
            ("long", "ehlo"), ("nuls", "rcpt"), ("nuls", "body")]  # fmt: skip
    return beside(stand, [(f"{act}_at_{verb}", {"verb": verb, "act": act}) for act, verb in acts])


def _with_certificates(stack: contextlib.ExitStack) -> dict[str, Any]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-tls-")))
    made = certificates.make(folder)
    return {
        "relay_options": {"tls": "stripped", "certificate": made["good"]},
        "environ": {"SSL_CERT_FILE": str(folder / "ca.pem"), "MAILHUB_DRILL_CERTIFICATES": str(folder)},
    }


@drill(around=_with_certificates, people=300)
def tls(stand: Stand) -> Figures:
    """STARTTLS stripped, injected, under a stranger's, another's, an expired certificate: nothing goes in clear."""
    folder = Path(stand.environ["MAILHUB_DRILL_CERTIFICATES"])
    stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    made.start()
    tried: dict[str, int] = {}
    for name, mode in (("stripped", "stripped"), ("injected", "injected"), ("stranger", "offered"),
                       ("elsewhere", "offered"), ("expired", "offered")):  # fmt: skip
        certificate = "good" if name in ("stripped", "injected") else name
        pair = [str(folder / f"{certificate}.pem"), str(folder / f"{certificate}.key")]
        accepted = stand.relay.order(tls=mode, certificate=pair)["accepted"]
        stand.until(lambda n=accepted: stand.relay.order()["accepted"] >= n + 2, 120, f"two connections: {name}")
        tried[name] = stand.relay.order()["accepted"] - accepted
        assert stand.relay.taken() == 0, f"a letter went out: {name}"
    clear_before = stand.relay.count("clear")
    stand.relay.order(tls="offered", certificate=[str(folder / "good.pem"), str(folder / "good.key")])
    silence = ledger.until_sent(stand, made)
    figures = judged(stand, made, silence, unknown_at_most=0, tried=tried, in_clear=stand.relay.count("clear"))
    figures["passed"] = figures["passed"] and clear_before == figures["in_clear"] == 0
    return figures
