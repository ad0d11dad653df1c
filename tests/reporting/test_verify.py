"""A recount agrees with the rollups; a planted wrong number is found and mended."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events.service import Event, append_in
from mailhub.reporting.verify import ROLLUPS, verify

NOW = datetime.now(UTC).replace(hour=12)
TYPES = ("SENT", "OPENED", "REDIRECTED", "SOFTBOUNCED", "UNSUBSCRIBED", "COMPLAINED")


@pytest.fixture
def busy(live: Any) -> Any:
    """A database with a campaign's worth of events, in batches and out of order."""
    project = live.build.project(time_zone="America/Sao_Paulo")
    campaigns = [live.build.campaign(project), live.build.campaign(project)]
    dice = random.Random(5)
    for _batch in range(20):
        append_in(live.session, [
            Event(
                dice.choice(TYPES), project.id, dice.choice(("campaign", "campaign", "transactional", "test")),
                NOW - timedelta(hours=dice.randrange(100)), campaign_id=dice.choice(campaigns).id,
                subscriber_id=dice.choice((None, 1, 2, 3, 4)), link_id=dice.choice((None, 1, 2)), email_domain="m.test",
            )
            for _n in range(30)
        ])  # fmt: skip
        live.session.commit()
    return live


def test_rollups_agree_with_a_recount(busy: Any) -> None:
    assert verify(busy.engine) == []


@pytest.mark.parametrize(
    ("statement", "rollup"),
    [
        ("UPDATE project_day SET sent = sent + 7", "project_days"),
        ("UPDATE campaign_stats SET unique_opened = unique_opened - 1", "campaigns"),
        ("UPDATE campaign_day SET opened = 0", "campaign_days"),
        ("DELETE FROM campaign_domain", "domains"),
        ("INSERT INTO campaign_link_stats SELECT project_id, id, 99, 5, 5 FROM campaign", "links"),
        ("UPDATE campaign_reaction SET redirected = redirected + 1", "reactions"),
        ("DELETE FROM campaign_link_reaction WHERE subscriber_id = 1", "link_reactions"),
    ],
)
def test_a_wrong_rollup_is_found_and_mended(busy: Any, statement: str, rollup: str) -> None:
    with busy.engine.begin() as connection:
        connection.execute(text(statement))
    found = verify(busy.engine)
    assert {difference.rollup for difference in found} == {rollup}
    assert ": " in str(found[0])
    assert "recounted" in str(found[0])
    assert verify(busy.engine, repair=True) == found
    assert verify(busy.engine) == []


def test_every_rollup_is_verified() -> None:
    assert len(ROLLUPS) == 7
