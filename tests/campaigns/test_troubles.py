"""What went wrong, on the campaign's page and over the API: letters in doubt, failures by kind, sending again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from mailhub.campaigns import troubles
from mailhub.campaigns.progress import progress_of
from mailhub.delivery.ids import new_message_id
from mailhub.models import AuditEntry, Campaign, CampaignCount, CampaignState, Message
from tests.campaigns.arrange import Cast

REPLIES = {
    "unknown": [("", None, "")],
    "failed": [("userunknown", 550, "5.1.1 <img src=x> no such user"), ("mailboxfull", 452, "4.2.2 over quota"),
               ("mailboxfull", 452, "4.2.2 full up")],
    "deferred": [("greylist", 451, "4.7.1 come back")],
}  # fmt: skip


@pytest.fixture
def troubled(cast: Cast, build, dbsession) -> dict[str, list[Message]]:
    """The campaign as sent, with the letters of REPLIES by state; each to a person of its list."""
    now = datetime.now(UTC)
    made: dict[str, list[Message]] = {}
    for state, replies in REPLIES.items():
        for n, (reason, code, reply) in enumerate(replies):
            person = build.subscriber(cast.project, f"{state}{n}@mail.test", lists=[cast.list])
            at = now + timedelta(milliseconds=n)
            row = Message(
                project_id=cast.project.id, created_at=now, id=new_message_id(at), kind="campaign", queue="bulk",
                state=state, reason=reason, smtp_code=code, smtp_reply=reply, campaign_id=cast.campaign.id,
                subscriber_id=person.id, email=person.email, email_domain="mail.test", attempts=2,
                due_at=now + timedelta(hours=1) if state == "deferred" else None,
                settled_at=None if state == "deferred" else now,
            )  # fmt: skip
            dbsession.add(row)
            made.setdefault(state, []).append(row)
    cast.campaign.state, cast.campaign.version = CampaignState.SENT, None
    cast.campaign.started_at = cast.campaign.fanned_out_at = now - timedelta(hours=1)
    dbsession.add(CampaignCount(project_id=cast.project.id, campaign_id=cast.campaign.id, audience=10, sent=5,
                                failed=3, unknown=1, deferred=1))  # fmt: skip
    dbsession.commit()
    return made


def parts(dbsession, cast: Cast) -> dict[str, int]:
    dbsession.expire_all()
    return dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id)).parts()


def test_failures_are_grouped_by_the_servers_answer(cast: Cast, client, troubled):
    client.sign_in(cast.bob)
    page = client.fragment(cast.path(), "campaign-troubles")
    assert "<html" not in page
    assert "1 letter is in doubt" in page
    rows = [" ".join(row.get_text(" ").split()) for row in page.html.select("#troubles tbody tr")]
    assert rows == [
        "the mailbox is full 4.2.2 full up Failed 452 2",
        "the server asks to come back later 4.7.1 come back Deferred 451 1",
        "no such mailbox for good 5.1.1 <img src=x> no such user Failed 550 1",
    ]
    assert "<img src=x>" not in page
    people = client.get(page.html.select_one("#kind-1")["href"])
    assert [mark.text for mark in people.html.select("td.who a")] == ["failed1@mail.test", "failed2@mail.test"]
    assert "2 attempts" in people
    assert "Next attempt" in client.get(cast.path("/people?state=deferred"))


def test_an_analyst_sees_kinds_without_replies_and_buttons(cast: Cast, client, troubled):
    client.sign_in(cast.analyst)
    page = client.get(cast.path())
    assert "the mailbox is full" in page
    assert "over quota" not in page
    assert "do-resend" not in page
    assert "do-retry" not in page
    people = client.get(cast.path("/people?state=unknown"))
    assert "@mail.test" in people
    assert "again-" not in people


def test_the_part_asks_for_letters_only_when_the_ledger_has_moved(cast: Cast, client, dbsession, troubled,
                                                                  count_statements):  # fmt: skip
    cast.campaign.state = CampaignState.SENDING
    dbsession.commit()
    client.sign_in(cast.bob)
    asked = {"HX-Request": "true", "HX-Target": "section#campaign-troubles"}
    first = client.get(cast.path(), headers=asked)
    assert "data-live" in first
    with count_statements() as seen:
        client.get(cast.path(), headers=asked | {"HX-PTag": first.headers["HX-PTag"]}, status=304)
    assert not [one for one in seen if "FROM message" in one]
    assert len(seen) <= 8, seen
    dbsession.get(CampaignCount, (cast.project.id, cast.campaign.id)).deferred = 0
    dbsession.commit()
    with count_statements() as seen:
        client.get(cast.path(), headers=asked | {"HX-PTag": first.headers["HX-PTag"]}, status=200)
    assert len([one for one in seen if "FROM message" in one]) == 1
    cast.campaign.state = CampaignState.SENT
    dbsession.commit()
    assert "data-live" not in client.get(cast.path(), headers=asked)


def test_of_very_many_failures_the_latest_are_counted(cast: Cast, dbsession, troubled, monkeypatch):
    monkeypatch.setattr(troubles, "MOST_LETTERS", 2)
    found = troubles.troubles_of(
        dbsession, cast.campaign, progress_of(dbsession, cast.campaign, now=datetime.now(UTC))
    )
    assert not found.complete
    assert sum(kind.n for kind in found.kinds if kind.state == "failed") == 2


def test_letters_in_doubt_are_sent_again_by_a_button(cast: Cast, client, dbsession, publisher, troubled):
    client.sign_in(cast.bob)
    page = client.get(cast.path())
    form = page.html.select_one("#do-resend").find_parent("form")
    assert "gets it twice" in form["data-confirm-detail"]
    assert cast.campaign.name in form["data-confirm"]
    answer = client.post_form(cast.path("/resend"), {}, status=303)
    assert answer.location.endswith(cast.path())
    assert parts(dbsession, cast)["unknown"] == 0
    assert dbsession.get(Campaign, (cast.project.id, cast.campaign.id)).state == CampaignState.SENDING
    assert publisher.names() == ["mailhub.delivery.pump"]
    entry = dbsession.scalars(select(AuditEntry).where(AuditEntry.action == "campaign.resent")).one()
    assert entry.detail == {"letters": 1}
    assert "sent again: 1" in client.get(cast.path())
    client.post_form(cast.path("/resend"), {}, status=303)
    assert "no such letter any more" in client.get(cast.path())
    assert publisher.names() == ["mailhub.delivery.pump"]


def test_one_persons_letter_is_sent_again_from_the_people_page(cast: Cast, client, dbsession, troubled):
    client.sign_in(cast.bob)
    people = client.get(cast.path("/people?state=failed"))
    assert len(people.html.select("[id^=again-]")) == 2, "not for a mailbox that does not exist"
    wanted = troubled["failed"][1].id
    form = people.html.select_one(f"#again-{wanted}").find_parent("form")
    fields = {one["name"]: one["value"] for one in form.select("input") if one["name"] != "csrf_token"}
    answer = client.post_form(form["action"], fields, status=303)
    assert answer.location.endswith("/people?state=failed")
    assert parts(dbsession, cast)["failed"] == 2
    assert dbsession.scalar(select(Message.state).where(Message.id == wanted)) == "queued"
    assert "Queued" in client.get(cast.path("/people"))


def test_retry_says_who_is_left_out(cast: Cast, client, dbsession, troubled):
    client.sign_in(cast.alice)
    client.post_form(cast.path("/retry"), {}, status=303)
    page = client.get(cast.path())
    assert "sent again: 2" in page
    assert "Left out: 1 whose address takes no mail for good, 0 who have left" in page
    assert parts(dbsession, cast)["failed"] == 1


@pytest.mark.parametrize("fields", [{"message_id": "x"}, {"back": "https://example.com/"}, {"state": "sent"}])
def test_bad_input_changes_nothing(cast: Cast, client, dbsession, publisher, troubled, fields):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/resend"), fields, status=303)
    assert parts(dbsession, cast)["unknown"] == 1
    assert publisher.sent == []


@pytest.mark.parametrize("action", ["resend", "retry"])
def test_sending_again_is_for_who_may_start(cast: Cast, client, dbsession, troubled, action):
    assert "/sign-in" in client.post_form(cast.path(f"/{action}"), {}, status=303).location
    client.sign_in(cast.analyst)
    client.post_form(cast.path(f"/{action}"), {}, status=403)
    client.new().sign_in(cast.charlie).post_form(cast.path(f"/{action}"), {}, status=404)
    assert (parts(dbsession, cast)["unknown"], parts(dbsession, cast)["failed"]) == (1, 3)


@pytest.mark.parametrize("action", ["resend", "retry"])
def test_the_archive_and_other_states_forbid_it(cast: Cast, client, dbsession, troubled, action):
    client.sign_in(cast.bob)
    api = client.api(dbsession, cast.project.id)
    for state, archived_at in (("cancelled", None), ("draft", None), ("sent", cast.now)):
        cast.campaign.state, cast.campaign.archived_at = state, archived_at
        dbsession.commit()
        assert "not in the archive" in api.post_json(cast.api_path(f"/{action}"), {}, status=409).json["detail"]
        client.post_form(cast.path(f"/{action}"), {}, status=303)
    assert "do-retry" not in client.get(cast.path())
    assert (parts(dbsession, cast)["unknown"], parts(dbsession, cast)["failed"]) == (1, 3)


def test_the_api_sends_again_and_says_how_many(cast: Cast, client, dbsession, publisher, troubled):
    api = client.api(dbsession, cast.project.id)
    one = str(troubled["failed"][2].id)
    assert api.post_json(cast.api_path("/retry"), {"message_ids": [one, str(uuid4())]}, status=202).json == {
        "n": 1, "left_out": {"hard": 0, "stopped": 0},
    }  # fmt: skip
    assert api.post_json(cast.api_path("/retry"), {}, status=202).json == {
        "n": 1, "left_out": {"hard": 1, "stopped": 0},
    }  # fmt: skip
    assert api.post_json(cast.api_path("/resend"), {}, status=202).json["n"] == 1
    assert publisher.names() == ["mailhub.delivery.pump"] * 3
    shown = api.get(cast.api_path()).json
    assert (shown["state"], shown["counts"]["queued"], shown["counts"]["failed"]) == ("sending", 3, 1)
    for wrong in ({"message_ids": []}, {"message_ids": ["x"]}, {"ids": []}):
        api.post_json(cast.api_path("/retry"), wrong, status=422)
    client.api(dbsession, cast.project.id, "campaigns:write").post_json(cast.api_path("/resend"), {}, status=403)
    document = api.get("/api/v1/openapi.json").json
    assert "202" in document["paths"]["/api/v1/campaigns/{campaign_id}/resend"]["post"]["responses"]


def test_the_apis_recipients_are_filtered_by_the_servers_answer(cast: Cast, client, dbsession, troubled):
    api = client.api(dbsession, cast.project.id)
    rows = api.get(cast.api_path("/recipients?state=failed&reason=mailboxfull&code=452")).json["results"]
    assert [(row["email"], row["smtp_code"], row["attempts"]) for row in rows] == [
        ("failed1@mail.test", 452, 2), ("failed2@mail.test", 452, 2),
    ]  # fmt: skip
    (waiting,) = api.get(cast.api_path("/recipients?state=deferred")).json["results"]
    assert waiting["due_at"].endswith("Z")
    api.get(cast.api_path("/recipients?reason=nonsense"), status=422)
    api.get(cast.api_path("/recipients?code=77"), status=422)
