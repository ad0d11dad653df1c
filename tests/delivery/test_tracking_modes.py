"""What is kept of opens and clicks: one campaign to people of three modes, over real SMTP, and what their hits leave.

Each person opens and clicks in what they were sent; then in older letters, which name people who do not want it now.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from sqlalchemy import select, text

from mailhub.delivery import service as delivery
from mailhub.mail.tokens import Kind
from mailhub.models import CampaignReaction, CampaignStats, Link, MessageEvent, MessageKind, Subscriber
from mailhub.reporting.queries import campaign_totals
from mailhub.reporting.verify import verify
from mailhub.tracking import spool
from mailhub.tracking.desk import HITS_A_DAY, Desk
from mailhub.tracking.hit import Visitor
from mailhub.tracking.ingest import Ingest
from tests.delivery.brakes import connect
from tests.delivery.conftest import Office

HTML = (
    '<p>Dear {{ name }}, <a href="https://example.com/shop?a=1&amp;b=2">look</a>'
    ' or <a href="https://example.com/for/{{ name }}?x=1&amp;y={{ email }}">your own</a>.'
    '{% if name %} <a href="https://example.com/inside">inside</a>{% endif %}</p>'
)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22B83"
WHERE = ["https://example.com/shop?a=1&b=2", None, "https://example.com/inside"]


@pytest.fixture
def sent(office: Office) -> Any:
    """The campaign, sent: p0 is told who opens, p1 is counted only, p2 not at all; p3's own list is stricter."""
    campaign = office.campaign(4)
    campaign.html = HTML
    office.session.execute(text("UPDATE campaign_version SET html = :html"), {"html": HTML})
    for place, url in enumerate(("https://example.com/shop?a=1&b=2",
                                 "https://example.com/for/{{ name }}?x=1&y={{ email }}",
                                 "https://example.com/inside")):  # fmt: skip
        if place:
            office.session.add(Link(project_id=campaign.project_id, campaign_id=campaign.id, position=place, url=url))
        else:
            office.session.execute(text("UPDATE link SET url = :url"), {"url": url})
    people = list(office.session.scalars(select(Subscriber).order_by(Subscriber.id)))
    people[1].tracking, people[2].tracking = "aggregate", "off"
    office.session.commit()
    office.fan_out(campaign)
    office.pump()
    office.sink.wait_for(4)

    class Sent:
        letters = {caught.recipient: caught.data for caught in office.sink.letters}

    Sent.campaign, Sent.people = campaign, people
    return Sent


def html_of(data: bytes) -> str:
    message = message_from_bytes(data, policy=policy.default)
    (_text, html) = message.iter_parts()
    return html.get_content()


def links_of(data: bytes) -> list[str]:
    """The three links of the author, as they stand in the letter."""
    found = [url.replace("&amp;", "&") for url in re.findall(r'href="([^"]+)"', html_of(data))]
    return [url for url in found if "/u/" not in url and "/p/" not in url]


def hits(office: Office, data: bytes, *, ip: str = "203.0.113.9", times: int = 1) -> None:
    """Somebody opens this letter and follows all of its links that lead to us."""
    client, base = office.live.client, office.registry.mailhub.tracking_url
    own = {"extra_environ": {"REMOTE_ADDR": ip}, "headers": {"User-Agent": PHONE}}
    pixels = re.findall(r'<img src="([^"]+)"', html_of(data))
    for url in [*pixels, *links_of(data)] * times:
        if url.startswith(base):
            client.get(url.removeprefix(base), **own, status="*")


def events(office: Office) -> list[MessageEvent]:
    office.session.rollback()
    office.session.expire_all()
    wanted = select(MessageEvent).where(MessageEvent.type.in_(("OPENED", "REDIRECTED")))
    return list(office.session.scalars(wanted.order_by(MessageEvent.id)))


def test_letters_of_the_three_modes_differ_as_is_said(office: Office, sent: Any) -> None:
    signer, base = office.registry.signer, office.registry.mailhub.tracking_url
    full, aggregate, off, other = (sent.letters[f"p{n}@mail.test"] for n in range(4))
    own = [
        "https://example.com/shop?a=1&b=2", "https://example.com/for/Person%20{n}?x=1&y=p{n}%40mail.test",
        "https://example.com/inside",
    ]  # fmt: skip
    for data, person in ((full, sent.people[0]), (other, sent.people[3])):
        claims = [signer.read(Kind.CLICK, url.rpartition("/")[2]) for url in links_of(data)]
        assert {one.subscriber for one in claims} == {person.id}
        assert html_of(data).count("<img") == 1
    counted = links_of(aggregate)
    assert counted[1] == own[1].format(n=1)
    for url in (counted[0], counted[2]):
        assert signer.read(Kind.CLICK, url.removeprefix(f"{base}/t/c/")).subscriber is None
    (pixel,) = re.findall(r'<img src="([^"]+)"', html_of(aggregate))
    assert signer.read(Kind.OPEN, pixel.removeprefix(f"{base}/t/o/")).subscriber is None
    assert links_of(off) == [own[0], own[1].format(n=2), own[2]]
    assert "<img" not in html_of(off)
    assert "/t/" not in html_of(off)
    # What is not for counting is everybody's own in all of them: the ways out.
    for n, data in enumerate((full, aggregate, off, other)):
        (leave,) = re.findall(rf"{base}/u/([\w-]+)", html_of(data))
        (choose,) = re.findall(r"/p/([\w-]+)", html_of(data))
        assert signer.read(Kind.UNSUBSCRIBE, leave).subscriber == sent.people[n].id
        assert signer.read(Kind.PREFERENCES, choose).subscriber == sent.people[n].id
    office.session.expire_all()
    totals = campaign_totals(office.session, sent.campaign.project_id, sent.campaign.id)
    assert (totals.counts.sent, totals.sent_aggregate, totals.sent_untracked, totals.sent_by_name) == (4, 1, 1, 2)


def test_hits_leave_exactly_what_each_mode_allows(office: Office, sent: Any) -> None:
    for n in range(3):
        hits(office, sent.letters[f"p{n}@mail.test"], ip=f"203.0.113.{n + 1}")
    named, counted = sent.people[0], sent.people[1]
    found = events(office)
    assert [(one.type, one.subscriber_id, one.email) for one in found] == [
        *[("OPENED", named.id, named.email)], *[("REDIRECTED", named.id, named.email)] * 3,
        ("OPENED", None, ""), *[("REDIRECTED", None, "")] * 2,
    ]  # fmt: skip
    for one in found[4:]:
        assert (one.ip, one.message_id, one.email_domain) == (None, None, "")
        assert one.user_agent == "class/mobile/Apple Mail"
        assert (one.device, one.client) == ("mobile", "Apple Mail") == (found[0].device, found[0].client)
        assert one.campaign_id == sent.campaign.id
    stats = office.session.get(CampaignStats, (sent.campaign.project_id, sent.campaign.id))
    assert (stats.opened, stats.redirected, stats.unique_opened, stats.unique_redirected) == (2, 5, 1, 1)
    reactions = office.session.scalars(select(CampaignReaction.subscriber_id)).all()
    assert reactions == [named.id]
    rows = office.session.execute(text("SELECT to_jsonb(l)::text FROM campaign_link_reaction AS l")).scalars().all()
    assert len(rows) == 3
    assert not [row for row in rows if f'"subscriber_id": {counted.id}' in row]
    assert verify(office.live.engine) == []


def test_no_line_of_a_spool_names_who_is_only_counted(office: Office, sent: Any) -> None:
    """Also the file on the disk, and the memory that bounds how often one address may hit."""
    desk = Desk(office.registry)
    pixel = re.findall(r'/t/o/([^"]+)"', html_of(sent.letters["p1@mail.test"]))[0]
    click = links_of(sent.letters["p1@mail.test"])[0].rpartition("/")[2]
    desk._back._thread = object()  # type: ignore[assignment] # a desk that is open, with nobody who stores
    desk.opened(pixel, Visitor("203.0.113.77", PHONE))
    assert desk.clicked(click, Visitor("203.0.113.77", PHONE)) == WHERE[0]
    for n in range(2 * HITS_A_DAY):
        desk.opened(pixel, Visitor(f"203.0.113.{n % 2}", PHONE))
    desk.spool.close()
    lines = b"".join(path.read_bytes() for path in spool.files(desk.spool.folder))
    assert lines.count(b"\n") == 2 + 2 * HITS_A_DAY
    for secret in (b"203.0.113", b"iPhone", b"p1@mail.test", b"Person 1"):
        assert secret not in lines
    assert {line.split(b",")[4] for line in lines.splitlines()} == {b"null"}
    with connect(office.live) as connection:
        connection.autocommit = True
        ingest = Ingest(desk.spool.folder)
        while ingest.store_all(connection):
            pass
    assert {(one.subscriber_id, one.ip) for one in events(office)} == {(None, None)}
    assert verify(office.live.engine) == []
    desk.links.close()


@pytest.mark.parametrize(("where", "mode"), [
    ("person", "off"), ("person", "aggregate"), ("list", "off"), ("list", "aggregate"), ("project", "off"),
    ("project", "aggregate"),
])  # fmt: skip
def test_older_letters_follow_the_mode_of_today(office: Office, sent: Any, where: str, mode: str) -> None:
    campaign, person = sent.campaign, sent.people[0]
    change = {
        "person": "UPDATE subscriber SET tracking = :mode WHERE id = :person",
        "list": "UPDATE mailing_list SET tracking = :mode",
        "project": "UPDATE project SET tracking = :mode",
    }
    binds = {"mode": mode, "person": person.id} if where == "person" else {"mode": mode}
    office.session.execute(text(change[where]), binds)
    office.session.commit()
    hits(office, sent.letters["p0@mail.test"])
    found = events(office)
    assert len(found) == (0 if mode == "off" else 4)
    assert {(one.subscriber_id, one.email, one.ip) for one in found} <= {(None, "", None)}
    assert office.session.scalars(select(CampaignReaction)).all() == []
    # The redirect itself works as ever.
    url = links_of(sent.letters["p0@mail.test"])[0].removeprefix(office.registry.mailhub.tracking_url)
    assert office.live.client.get(url, status=302).headers["Location"] == WHERE[0]
    assert campaign.id


def test_an_erased_persons_hit_says_nothing_of_them(office: Office, sent: Any) -> None:
    office.session.execute(text("DELETE FROM subscriber WHERE id = :id"), {"id": sent.people[0].id})
    office.session.commit()
    hits(office, sent.letters["p0@mail.test"])
    found = events(office)
    assert len(found) == 4
    assert {(one.subscriber_id, one.email, one.ip, one.user_agent) for one in found} == {
        (None, "", None, "class/mobile/Apple Mail")
    }


def test_the_web_version_is_as_the_letter(office: Office, sent: Any) -> None:
    base, signer = office.registry.mailhub.tracking_url, office.registry.signer
    for n, wrapped in ((0, 3), (1, 2), (2, 0)):
        token = signer.sign(
            Kind.WEB_VERSION, project=sent.campaign.project_id, campaign=sent.campaign.id,
            subscriber=sent.people[n].id,
        )  # fmt: skip
        page = office.live.client.get(f"/v/{token}").text
        tokens = re.findall(rf"{base}/t/c/([\w-]+)", page)
        assert len(tokens) == wrapped
        assert {signer.read(Kind.CLICK, one).subscriber for one in tokens} <= {None if n else sent.people[0].id}


def test_a_letter_that_is_tried_again_counts_in_the_ledger_by_its_mode(office: Office) -> None:
    refusals = {"p1": ["451 4.7.1 later", "250 ok"]}
    office.sink.script = lambda stage, address, _n: (
        refusals["p1"].pop(0) if stage == "rcpt" and address.startswith("p1@") else None
    )
    campaign = office.campaign(2)
    office.session.execute(text("UPDATE subscriber SET tracking = 'off' WHERE email = 'p1@mail.test'"))
    office.session.commit()
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 2, "sent": 1, "deferred": 1}
    assert office.count(campaign).sent_untracked == 0
    office.session.execute(text("UPDATE message SET due_at = now() WHERE state = 'deferred'"))
    office.session.commit()
    office.pump()
    assert office.parts(campaign) == {"audience": 2, "sent": 2}
    assert (office.count(campaign).sent_untracked, office.count(campaign).sent_aggregate) == (1, 0)


@pytest.mark.parametrize(("project_mode", "own_mode", "mode"), [
    ("full", "full", "full"), ("full", "aggregate", "aggregate"), ("aggregate", "full", "aggregate"),
    ("full", "off", "off"), ("off", "full", "off"), ("full", None, "full"),
])  # fmt: skip
def test_a_single_letter_has_the_stricter_mode(
    office: Office, project_mode: str, own_mode: str | None, mode: str
) -> None:
    project = office.build.project(tracking=project_mode)
    if own_mode is not None:
        office.build.subscriber(project, "Anna@mail.test", tracking=own_mode)
    message = delivery.accept(
        office.session, project=project, kind=MessageKind.TRANSACTIONAL,
        letter=delivery.SingleLetter(
            from_email=f"shop@{project.domain}", to_email="anna@mail.test", subject="Your order",
            html='<p><a href="https://example.com/order/4711">Order</a></p>',
        ),
    )  # fmt: skip
    office.session.commit()
    message_id = message.id
    office.run("mailhub.delivery.send_due", "transactional")
    (letter,) = office.sink.letters
    html = html_of(letter.data)
    assert ("/t/o/" in html, "/t/c/" in html) == ((mode != "off",) * 2)
    base = office.registry.mailhub.tracking_url
    for url in re.findall(rf'"({base}/t/[^"]+)"', html):
        office.live.client.get(
            url.removeprefix(base), extra_environ={"REMOTE_ADDR": "203.0.113.5"}, headers={"User-Agent": PHONE}
        )
    found = events(office)
    assert len(found) == (0 if mode == "off" else 2)
    told = {(one.message_id, one.email, one.url, one.link_id is None, one.ip and str(one.ip)) for one in found}
    if mode == "aggregate":
        assert told == {(None, "", "", True, None)}
        assert {one.kind for one in found} == {"transactional"}
    elif mode == "full":
        assert {(id_, email) for id_, email, *_rest in told} == {(message_id, "anna@mail.test")}
    day = office.session.execute(text("SELECT opened, redirected FROM project_day")).all()
    assert day in ([(len(found) // 2, len(found) // 2)], []) if found else True
    assert verify(office.live.engine) == []


def test_gpc_hides_the_readers_address_of_an_open(office: Office, sent: Any) -> None:
    token = re.findall(r'/t/o/([^"]+)"', html_of(sent.letters["p0@mail.test"]))[0]
    office.live.client.get(f"/t/o/{token}", headers={"Sec-GPC": "1"}, extra_environ={"REMOTE_ADDR": "203.0.113.5"})
    (opened,) = events(office)
    assert (opened.subscriber_id, opened.ip) == (sent.people[0].id, None)
    assert datetime.now(UTC) - opened.at < timedelta(minutes=5)
