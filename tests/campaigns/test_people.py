"""The people behind a campaign's numbers: each filter, paging, search, CSV, and what the planner makes of the lists."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from mailhub.campaigns import people
from mailhub.campaigns.people import Filter
from mailhub.delivery.ids import new_message_id
from mailhub.events.marking import Mark, mark_in
from mailhub.events.service import Event, append_in
from mailhub.models import CampaignCount, CampaignState, Link, Message
from tests.campaigns.arrange import Cast

NAMES = ("anna", "boris", "clara", "dina", "egor")


@pytest.fixture
def sent(cast: Cast, build: Any, dbsession: Any) -> list[Link]:
    """Sent to five people. anna opened and clicked both links; boris's opens and click are a machine's; clara left and
    complained; dina opened, but first her scanner did; egor's letter failed."""
    started = datetime.now(UTC) - timedelta(hours=2)
    campaign = cast.campaign
    campaign.state, campaign.started_at, campaign.fanned_out_at = CampaignState.SENT, started, started
    build._add(CampaignCount(project_id=cast.project.id, campaign_id=campaign.id, audience=5, sent=4, failed=1))
    links = [
        build._add(Link(project_id=cast.project.id, campaign_id=campaign.id, position=n, url=f"https://shop.test/{n}",
                        label=f"=Link {n}"))
        for n in range(2)
    ]  # fmt: skip
    events = []
    for n, name in enumerate(NAMES):
        person = build.subscriber(cast.project, f"{name}@mail.test", lists=[cast.list])
        at = started + timedelta(seconds=n)
        failed = name == "egor"
        dbsession.add(
            Message(
                project_id=cast.project.id, created_at=at, id=new_message_id(at), kind="campaign", queue="bulk",
                state="failed" if failed else "sent", reason="userunknown" if failed else "", settled_at=at,
                smtp_code=550 if failed else 250, smtp_reply="=cmd()", campaign_id=campaign.id, email=person.email,
                subscriber_id=person.id, email_domain="mail.test",
            )
        )  # fmt: skip
        deeds = {"anna": "OOPQ", "boris": "oop", "clara": "OUC", "dina": "oO", "egor": ""}[name]
        for deed in deeds:
            type_ = {"O": "OPENED", "P": "REDIRECTED", "Q": "REDIRECTED", "U": "UNSUBSCRIBED", "C": "COMPLAINED"}
            link = {"P": links[0].id, "Q": links[1].id}.get(deed.upper())
            events.append(
                Event(type_[deed.upper()], cast.project.id, "campaign", at + timedelta(minutes=1), link_id=link,
                      campaign_id=campaign.id, subscriber_id=person.id, email_domain="mail.test",
                      user_agent="machine" if deed.islower() else "")
            )  # fmt: skip
    append_in(dbsession, events)
    made = dbsession.execute(
        text("SELECT project_id, position, id, at FROM message_event WHERE user_agent = 'machine' AND project_id = :p"),
        {"p": cast.project.id},
    )
    mark_in(dbsession, [Mark(*row, actor="scanner", cause="test") for row in made])
    dbsession.commit()
    return links


def names(answer: Any) -> list[str]:
    return [cell.get_text(strip=True).partition("@")[0] for cell in answer.html.select("td.who")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("did=opened", ["anna", "clara", "dina"]),
        ("did=opened_machine", ["boris"]),
        ("did=opened_any", ["anna", "boris", "clara", "dina"]),
        ("did=clicked", ["anna"]),
        ("did=clicked_machine", ["boris"]),
        ("did=clicked_any", ["anna", "boris"]),
        ("did=clicked&link=0", ["anna"]),
        ("did=clicked&link=1", ["anna"]),
        ("did=clicked_any&link=0", ["anna", "boris"]),
        ("did=clicked_machine&link=1", []),
        ("did=unsubscribed", ["clara"]),
        ("did=complained", ["clara"]),
        ("state=failed&code=550", ["egor"]),
        ("state=failed&code=551", []),
        ("state=failed&reason=userunknown", ["egor"]),
        ("state=sent", ["anna", "boris", "clara", "dina"]),
        ("did=opened&state=failed", []),
        ("q=AN", ["anna"]),
        ("q=d", ["dina"]),
        ("q=%25", []),
        ("q=nobody", []),
        ("q=clara@mail.test&did=complained", ["clara"]),
        ("q=anna&did=complained", []),
        ("q=anna&did=opened", ["anna"]),
        ("q=b&did=opened", []),
        ("q=b&did=clicked_any&link=0", ["boris"]),
        ("q=b&did=clicked_any&link=1", []),
        ("q=e&state=failed", ["egor"]),
        ("did=nonsense", [*NAMES[4:], *NAMES[:4]]),
        ("link=99999999999999999999999&did=clicked", ["anna"]),
    ],
)  # fmt: skip
def test_each_number_has_its_people(
    cast: Cast, client: Any, sent: list[Link], query: str, expected: list[str]
) -> None:
    for n, link in enumerate(sent):
        query = query.replace(f"link={n}", f"link={link.id}") if query.endswith(f"link={n}") else query
    client.sign_in(cast.bob)
    page = client.get(cast.path(f"/people?{query}"))
    assert names(page) == expected
    assert names(client.fragment(cast.path(f"/people?{query}"), "people-rows")) == expected
    if not expected:
        assert "Nothing matches" in page


def test_hits_of_people_and_machines_stand_beside_each_other(cast: Cast, client: Any, sent: list[Link]) -> None:
    page = client.sign_in(cast.bob).get(cast.path("/people?q=dina"))
    assert "1 with machines 2" in " ".join(page.html.select_one("#people-rows tbody").get_text(" ").split())
    linked = client.get(cast.path(f"/people?did=clicked&link={sent[1].id}"))
    assert "Link: =Link 1" in linked


def test_people_stay_when_their_letters_are_gone(cast: Cast, client: Any, dbsession: Any, sent: list[Link]) -> None:
    dbsession.query(Message).filter_by(project_id=cast.project.id).delete()
    dbsession.commit()
    client.sign_in(cast.bob)
    page = client.get(cast.path("/people?did=opened"))
    assert names(page) == ["anna", "clara", "dina"]
    assert "kept no more" in page
    assert names(client.get(cast.path("/people?q=anna"))) == ["anna"]
    assert names(client.get(cast.path("/people?q=egor"))) == [], "he did nothing, and his letter is gone"


@pytest.mark.parametrize("wanted", [Filter(), Filter(deed="opened_any"), Filter(search="", state="sent"),
                                    Filter(search="a"), Filter(deed="complained")])  # fmt: skip
def test_pages_follow_one_another(cast: Cast, dbsession: Any, sent: list[Link], wanted: Filter) -> None:
    whole = people.recipients(dbsession, cast.campaign, wanted, after=None, limit=10)
    stepwise: list[people.Person] = []
    while step := people.recipients(
        dbsession, cast.campaign, wanted, after=people.key_of(wanted, stepwise[-1]) if stepwise else None, limit=1
    ):
        stepwise += step
    assert [one.email for one in stepwise] == [one.email for one in whole]
    assert [one.email for one in people.everybody(dbsession, cast.campaign, wanted)] == [one.email for one in whole]
    assert whole


def read(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


def test_the_same_people_as_a_csv(cast: Cast, client: Any, sent: list[Link]) -> None:
    client.sign_in(cast.bob)
    page = client.get(cast.path("/people?did=opened_any"))
    answer = client.get(page.html.select_one("#people-csv")["href"])
    rows = read(answer)
    assert answer.content_type == "text/csv"
    assert [row[0] for row in rows] == ["Address", *(f"{name}@mail.test" for name in NAMES[:4])]
    head, anna, boris = rows[:3]
    assert anna[head.index("Opens by people")] == "2"
    assert (boris[head.index("Opens by people")], boris[head.index("Opens, machines included")]) == ("0", "2")
    assert anna[head.index("What the server said")] == "'=cmd()"
    assert len(read(client.get(cast.path("/people.csv?q=egor")))) == 2
    assert len(read(client.get(cast.path("/people.csv")))) == 6


def test_addresses_are_for_who_may_see_people(cast: Cast, client: Any, build: Any, sent: list[Link]) -> None:
    client.get(cast.path("/people.csv"), status=303)
    client.sign_in(cast.analyst)
    page = client.get(cast.path("/people?did=opened&q=anna"))
    assert names(page) == ["", "", ""], "an analyst can't search, and sees domains only"
    assert "anna" not in page.html.select_one("#people-rows").get_text()
    assert page.html.select_one("#people-csv") is None
    client.get(cast.path("/people.csv"), status=403)
    client.new().sign_in(cast.charlie).get(cast.path("/people.csv"), status=404)
    draft = build.campaign(cast.project)
    client.new().sign_in(cast.alice).get(cast.path("/people.csv", draft), status=404)


def test_another_campaigns_people_are_not_listed(cast: Cast, client: Any, build: Any, sent: list[Link]) -> None:
    other = build.campaign(cast.project, state="sent", started_at=datetime.now(UTC))
    client.sign_in(cast.bob)
    for query in ("did=opened", "q=anna", f"did=clicked&link={sent[0].id}", "did=complained"):
        assert names(client.get(cast.path(f"/people?{query}", other))) == []


_MANY_PEOPLE = """
    INSERT INTO subscriber (project_id, email, email_key, email_domain)
    SELECT :project, 'p' || n || '@many.test', 'p' || n || '@many.test', 'many.test' FROM generate_series(1, 3000) AS n
"""


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(deed="opened"), "pk_campaign_reaction"),
        (Filter(deed="unsubscribed"), "ix_campaign_reaction_left"),
        (Filter(deed="clicked"), "ix_campaign_reaction_clicked"),
        (Filter(deed="clicked", link=1), "pk_campaign_link_reaction"),
        (Filter(search="ann"), "email_key >= 'ann'"),
        (Filter(state="failed"), "campaign_id_state_id_idx"),
    ],
)  # fmt: skip
def test_lists_are_walks_of_an_index(cast: Cast, dbsession: Any, sent: list[Link], wanted: Filter, index: str) -> None:
    seen = []

    class Spy:
        def execute(self, statement: Any) -> list[Any]:
            seen.append(statement)
            return []

    if wanted.search:
        # Of a few people an older planner reads all, by whichever index.
        dbsession.execute(text(_MANY_PEOPLE), {"project": cast.project.id})
        dbsession.execute(text("ANALYZE subscriber"))
    people.recipients(Spy(), cast.campaign, wanted, after=None, limit=51)  # type: ignore[arg-type]
    sql = str(seen[0].compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan"):
        dbsession.execute(text(f"SET LOCAL {setting} = off"))
    plan = "\n".join(dbsession.execute(text("EXPLAIN " + sql.replace(":", "\\:"))).scalars())
    # With another collation than C it is the index of prefixes, whose operators are written ~>=~.
    assert index in plan.replace("~", ""), plan
    assert "Seq Scan" not in plan, plan
