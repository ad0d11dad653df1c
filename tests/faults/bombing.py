"""List bombing (walls.md, T9): somebody fills sign-up forms in with other people's addresses, as fast as they can."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist, median
from typing import Any

from mailhub.models import Project, SignUpForm
from mailhub.preferences.links import ask_url
from mailhub.signup import intake, proof, service
from mailhub.signup.design import Design
from mailhub.signup.opened import lists_of, page_url
from mailhub.tasks import task_request
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

PROJECTS = 4
#: From so many forms on the drill has its full shape: 25 lists a project, and the times are compared.
FULL = 1_000
#: Times of answers, of known and unknown addresses in turn (walls.md, T17).
PAIRS = 200
MAX_GAP_MS, MIN_P = 5.0, 0.01
#: As many as the site has (production.ini).
THREADS = 8
SPELLINGS = ("victim@gmail.com", "vic.tim@gmail.com", "v.i.c.t.i.m@googlemail.com", "Victim+{n}@gmail.com")
DOMAIN = "small.example"


@drill(people=10_000)
def list_bombing(stand: Stand) -> Figures:
    """Thousands of forms from many networks: for one address, for many at one domain, and by one project's form."""
    stand.worker("transactional", 2)
    stand.query("TRUNCATE sign_up_cap")
    victims, is_full = stand.people, stand.people >= FULL
    attack = Attack(stand, lists=25 if is_full else 4)
    began = time.monotonic()
    one = attack.send((SPELLINGS[n % 4].format(n=n), None, n) for n in range(victims))
    domain_began = time.monotonic()
    many = attack.send((f"p{n}@{DOMAIN}", None, 1_000_000 + n) for n in range(max(14, victims // 20)))
    attack.settle()
    minutes = math.ceil((time.monotonic() - domain_began) / 60) + 1
    flooded = attack.open_forms[0]
    # What it takes to come in at all from here on: work, until the form is paused.
    attack.use_up(flooded, left=5)
    flood = attack.send((f"f{n}@gmail.com", flooded, n) for n in range(40 if is_full else 9))
    attack.settle()
    gaps = attack.gaps() if is_full else {}
    attack.settle()
    told = attack.letters("owner@")
    figures = {
        "forms_sent": sum(one.values()) + sum(many.values()) + sum(flood.values()),
        "forms_accepted": one[200] + many[200] + flood[200],
        "refused_by_network": one[429] + many[429] + flood[429],
        "asked_for_work": one[422] + many[422] + flood[422],
        "forms_per_second": round(sum(one.values()) / (domain_began - began), 1),
        "letters_to_the_victim": attack.letters("@gmail.com", "@googlemail.com", start="v"),
        "letters_to_the_domain": attack.letters("@" + DOMAIN),
        "domain_at_most": 10 * minutes,
        "forms_paused": len(attack.paused()),
        "owners_told": told,
        "statuses": dict(sorted((one + many + flood).items())),
        "failed_requests": sum(n for counts in (one, many, flood) for status, n in counts.items() if status >= 500),
        "waiting": attack.waiting(),
        **{f"timing_gap_ms_{name}": gap for name, (gap, _p) in gaps.items()},
        **{f"timing_p_{name}": p for name, (_gap, p) in gaps.items()},
    }
    figures["passed"] = (
        figures["letters_to_the_victim"] <= 3
        and 0 < figures["letters_to_the_domain"] <= figures["domain_at_most"]
        and flooded.id in attack.paused()
        and told >= 1
        and told == figures["forms_paused"]
        and not figures["failed_requests"]
        and not figures["waiting"]
        and all(abs(gap) < MAX_GAP_MS or p > MIN_P for gap, p in gaps.values())
    )
    return figures


class Attack:
    """Many projects with forms, and somebody with many networks."""

    def __init__(self, stand: Stand, *, lists: int) -> None:
        self._stand = stand
        self._live = stand.live
        self._tools = task_request(stand.live.registry)
        self.open_forms: list[Any] = []
        session, build = self._live.session, self._live.build
        for number in range(PROJECTS):
            owner = build.user(f"owner@own{time.time_ns()}-{number}.test")
            project = build.project(owner)
            build.sender(project, is_default=True)
            for _n in range(lists):
                self.open_forms.append(
                    service.create(
                        session, project_id=project.id, name="Form", design=Design(),
                        list_ids=[build.list(project, opt_in="double").id],
                    )
                )  # fmt: skip
            session.commit()
        self._paths = [page_url(self._tools, form).removeprefix("http://localhost") for form in self.open_forms]
        self._keys = [f"{form.project_id}:{form.id}" for form in self.open_forms]
        self._flooded, self._lists = self.open_forms[0], lists

    def send(self, wanted: Iterator[tuple[str, Any, int]]) -> Counter[int]:
        """Send forms from as many networks as five a minute each ask for; gives how many were answered how."""
        self._live.session.rollback()
        with ThreadPoolExecutor(THREADS) as pool:
            return Counter(pool.map(lambda one: self._send(*one), list(wanted)))

    def _send(self, email: str, form: Any, number: int) -> int:
        # The flooded project's other forms are left alone, so that it is seen which one is paused.
        place = 0 if form is not None else self._lists + number % (len(self.open_forms) - self._lists)
        network = number // 4 if form is None else 2_000_000 + number
        stamp = proof.make(self._live.registry, self._keys[place], now=time.time() - 5, bits=8)
        given = {"email": email, "stamp": stamp}
        if number % 3 == 0 or form is not None:
            given["work"] = proof.find(stamp, 8)
        browser = self._live.client.new()
        answer = browser.post(
            self._paths[place], given, expect_errors=True,
            extra_environ={"REMOTE_ADDR": f"10.{network >> 16 & 255}.{network >> 8 & 255}.{network & 255}"},
        )  # fmt: skip
        return int(answer.status_int)

    def gaps(self) -> dict[str, tuple[float, float]]:
        """Of a form, and of the page that sends a person the link to theirs: how much longer the median answer takes
        for known addresses than for unknown ones, in ms, and how likely such times are if they are alike.
        """
        form = self.open_forms[-1]
        project = self._live.session.get_one(Project, form.project_id)
        lists = lists_of(self._live.session, form)
        for n in range(PAIRS):
            self._live.build.subscriber(project, f"known{n}@gmail.com", lists=lists)
        self._live.session.commit()
        ask = ask_url("", self._live.registry.signer, project.id)
        found = {}
        for name, path, values in (("form", self._paths[-1], self._fresh), ("preferences", ask, dict)):
            times: dict[str, list[float]] = {"known": [], "other": []}
            for n in range(PAIRS):
                if n % 25 == 0:
                    self._stand.query("TRUNCATE sign_up_cap")
                for who in ("known", "other") if n % 2 else ("other", "known"):
                    given = {"email": f"{who}{n}@gmail.com", **values()}
                    began = time.perf_counter()
                    answer = self._live.client.new().post(
                        path, given, extra_environ={"REMOTE_ADDR": f"10.77.{n}.{len(who) + len(times[who]) % 2}"}
                    )
                    times[who].append(time.perf_counter() - began)
                    assert answer.status_int == 200
            gap = median(times["known"]) - median(times["other"])
            found[name] = (round(gap * 1000, 2), round(likely_alike(times["known"], times["other"]), 3))
        return found

    def _fresh(self) -> dict[str, str]:
        return {"stamp": proof.make(self._live.registry, self._keys[-1], now=time.time() - 5)}

    def use_up(self, form: Any, *, left: int) -> None:
        """As if the project had had its forms without work, and all but some with it, within this hour."""
        for cap, keep in ((intake.free_cap(form.project_id), 0), (intake.worked_cap(form.project_id), left)):
            self._stand.query(
                "INSERT INTO sign_up_cap (key, times, until) VALUES (%s, array_fill(clock_timestamp(), ARRAY[%s]), "
                "clock_timestamp() + interval '1 hour')",
                [cap.key, cap.most - keep],
            )

    def settle(self) -> None:
        """Wait until everything is taken in, and every letter has gone."""
        self._stand.until(lambda: not self.waiting(), 600, "forms are taken in", pause=0.2)
        left = "SELECT count(*) FROM message WHERE state IN ('queued', 'deferred')"
        self._stand.until(lambda: not self._stand.query(left)[0][0], 300, "letters go out", pause=0.2)

    def waiting(self) -> int:
        return int(self._stand.query("SELECT count(*) FROM sign_up_submission WHERE state = 'waiting'")[0][0])

    def paused(self) -> list[int]:
        self._live.session.rollback()
        found = self._live.session.query(SignUpForm.id).filter(SignUpForm.pause_reason == "flood")
        return [row.id for row in found]

    def letters(self, *ends: str, start: str = "") -> int:
        """Letters that the relay has taken, by a part of the address."""
        found = [one.recipient.lower() for one in self._stand.relay.delivered()]
        return sum(any(end in one for end in ends) and one.startswith(start) for one in found)


def likely_alike(some: list[float], others: list[float]) -> float:
    """The two-sided p of Mann and Whitney's U, by its normal approximation (equal times are too rare to matter)."""
    ranks = {time_: rank for rank, time_ in enumerate(sorted(some + others), start=1)}
    n, m = len(some), len(others)
    u = sum(ranks[one] for one in some) - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return 2 * NormalDist().cdf(-abs(z))
