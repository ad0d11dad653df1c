"""Campaigns sent end to end: fan-out, chunks, letters on the wire, the ledger."""

from __future__ import annotations

from tests.delivery.conftest import Office


def test_everybody_gets_one_letter_and_the_campaign_is_sent(office: Office) -> None:
    campaign = office.campaign(25)
    assert office.fan_out(campaign, chunk_size=10) == 25
    office.pump()
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(25)}
    assert office.parts(campaign) == {"audience": 25, "sent": 25}
    assert office.recount(campaign) == {"sent": 25}
    assert office.state(campaign) == "sent"
