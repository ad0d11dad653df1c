"""A campaign's lanes for its page: how far, how fast, what holds them up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mailhub.delivery.lanes import ALL, Down, Limit, down_of, lanes_of, limit_of
from mailhub.delivery.service import relays_for
from mailhub.mail.lane import LANES
from mailhub.models import (
    Campaign,
    CampaignChunk,
    CampaignLane,
    ChunkLease,
    RateBucket,
    RelayHealth,
    RelayLane,
    WorkerHeartbeat,
)
from mailhub.setting_values import relay as parse_relay
from tests.build import Builder
from tests.delivery.conftest import Office

NOW = datetime.now(UTC)


def a_campaign(build: Builder) -> Campaign:
    return build.campaign(build.project(), state="sending", started_at=NOW, fanned_out_at=NOW)


def lane(build: Builder, campaign: Campaign, name: str, sizes: list[int], claimed: int, **leases: int) -> None:
    """A lane with chunks of these sizes, `claimed` of them; seq3=7: the chunk 3 is in work at its place 7."""
    own: dict[str, Any] = {
        "project_id": campaign.project_id, "campaign_id": campaign.id, "lane": LANES.index(name),
    }  # fmt: skip
    session = build.session
    session.add(CampaignLane(**own, next_seq=claimed, last_seq=len(sizes) - 1))
    session.add_all(CampaignChunk(**own, seq=seq, n=n, ids=[]) for seq, n in enumerate(sizes))
    for seq in range(claimed):
        at = leases.get(f"seq{seq}")
        state = "done" if at is None else "running"
        session.add(
            ChunkLease(**own, seq=seq, state=state, pos=sizes[seq] if at is None else at, owner="w",
                       lease_until=NOW + timedelta(hours=1), claimed_at=NOW - timedelta(seconds=10))
        )  # fmt: skip
    session.commit()


def test_a_lane_is_as_far_as_its_chunks(build: Builder) -> None:
    campaign = a_campaign(build)
    lane(build, campaign, "gmail", [100, 100, 100, 30], 3, seq1=40, seq2=0)
    lane(build, campaign, "other", [100, 5], 2)
    lane(build, campaign, "yandex", [7], 0)
    lane(build, a_campaign(build), "gmail", [100], 1, seq0=9)
    gmail, yandex, other = lanes_of(build.session, campaign, ["default"])
    assert (gmail.lane, gmail.total, gmail.done) == ("gmail", 330, 140)
    assert gmail.rate is not None
    assert 0 < gmail.rate <= 4.0
    assert (yandex.lane, yandex.total, yandex.done, yandex.rate) == ("yandex", 7, 0, None)
    assert (other.lane, other.total, other.done, other.rate) == ("other", 105, 105, None)


def test_a_single_lane_is_everybody(build: Builder) -> None:
    campaign = a_campaign(build)
    assert lanes_of(build.session, campaign, ["default"]) == []
    lane(build, campaign, "gmail", [10], 1)
    assert [one.lane for one in lanes_of(build.session, campaign, ["default"])] == [ALL]


def test_a_real_fan_out_is_one_whole(office: Office) -> None:
    campaign = office.campaign(25, started_at=NOW)
    office.fan_out(campaign, chunk_size=10)
    before = lanes_of(office.session, campaign, ["default"])
    assert sum(one.total for one in before) == 25
    assert sum(one.done for one in before) == 0
    office.pump()
    office.session.rollback()
    assert sum(one.done for one in lanes_of(office.session, campaign, ["default"])) == 25


def test_what_the_provider_slowed_down_and_why(build: Builder) -> None:
    campaign = a_campaign(build)
    for name in ("gmail", "mailru", "yandex", "other"):
        lane(build, campaign, name, [10], 0)
    later = datetime.now(UTC) + timedelta(hours=2)
    build.session.add_all(
        [
            RelayLane(relay="default", lane="gmail", base_rate=50.0, rate=12.5, reason="ratelimit", last_code=421,
                      last_reply="4.7.28 slow down", slowed_at=NOW),
            RelayLane(relay="default", lane="mailru", suspended_until=later, reason="badreputation", slowed_at=NOW),
            RelayLane(relay="default", lane="yandex", base_rate=5.0, suspended_until=NOW - timedelta(hours=1)),
            RelayLane(relay="elsewhere", lane="other", rate=1.0),
        ]
    )  # fmt: skip
    build.session.commit()
    gmail, mailru, yandex, other = lanes_of(build.session, campaign, ["default"])
    assert (gmail.limit_per_second, gmail.slowed, gmail.reason) == (12.5, True, "ratelimit")
    assert (gmail.last_code, gmail.last_reply) == (421, "4.7.28 slow down")
    assert (mailru.suspended_until, mailru.limit_per_second, mailru.slowed) == (later, None, False)
    assert (yandex.limit_per_second, yandex.slowed, yandex.suspended_until) == (5.0, False, None)
    assert (other.limit_per_second, other.slowed) == (None, False)


def test_limits_of_several_relays_add_up(build: Builder) -> None:
    campaign = a_campaign(build)
    lane(build, campaign, "gmail", [10], 0)
    lane(build, campaign, "other", [10], 0)
    build.session.add(RelayLane(relay="a", lane="gmail", base_rate=3.0))
    build.session.commit()
    assert lanes_of(build.session, campaign, ["a", "b"])[0].limit_per_second is None, "b has room for all"
    build.session.add(RelayLane(relay="b", lane="gmail", rate=0.5, slowed_at=NOW))
    build.session.commit()
    assert lanes_of(build.session, campaign, ["a", "b"])[0].limit_per_second == 3.5


def test_the_narrowest_limit_is_named(build: Builder) -> None:
    campaign = a_campaign(build)
    assert limit_of(build.session, campaign, ["default"]) is None

    def bucket(key: str, rate: float) -> None:
        build.session.add(RateBucket(key=key, rate=rate, burst=1.0, tokens=1.0))
        build.session.commit()

    bucket("relay:default", 100.0)
    bucket("campaign:0:0", 0.1)
    assert limit_of(build.session, campaign, ["default"]) == Limit("relay", 100.0)
    assert limit_of(build.session, campaign, ["default", "second"]) is None
    bucket(f"project:{campaign.project_id}", 30.0)
    bucket("kind:default:bulk", 60.0)
    assert limit_of(build.session, campaign, ["default"]) == Limit("project", 30.0)
    bucket(f"campaign:{campaign.project_id}:{campaign.id}", 2.5)
    assert limit_of(build.session, campaign, ["default"]) == Limit("campaign", 2.5)


def test_nothing_goes_out_only_where_every_relay_is_down(build: Builder) -> None:
    probe = NOW + timedelta(seconds=30)
    build.session.add(RelayHealth(relay="a", state="down", reason="connection refused", since=NOW, probe_at=probe))
    build.session.add(RelayHealth(relay="c", state="up", reason="was down"))
    build.session.commit()
    assert down_of(build.session, ["a"]) == Down("connection refused", NOW, probe)
    assert down_of(build.session, ["a", "b"]) is None
    assert down_of(build.session, ["c"]) is None


def test_what_a_waiting_worker_says_about_a_relay(build: Builder) -> None:
    build.session.add(WorkerHeartbeat(name="w", host="h", pid=1, queue="bulk", doing="relay de_fault: 421 busy: later"))
    build.session.commit()
    assert down_of(build.session, ["de_fault"]) == Down("421 busy: later")
    assert down_of(build.session, ["deXfault"]) is None


def test_relays_for_a_project_and_its_sender(office: Office) -> None:
    project = office.build.project(relay="fast")
    relays = {
        name: parse_relay(name, "smtp://127.0.0.1:25", {}) for name in ("default", "fast", "other")
    }
    office.settings(relays=relays)
    assert relays_for(office.registry.mailhub, project, "news@p.test") == ("fast",)
    project.relay = "gone"
    assert relays_for(office.registry.mailhub, project) == ("default",)
