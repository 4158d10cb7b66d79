"""What others are told of a campaign."""

from __future__ import annotations

import pytest

from control_plane.domain.delivery import CAMPAIGN_EVENTS
from tests.campaigns.conftest import NUMBERS, Desk

pytestmark = [pytest.mark.db, pytest.mark.engines]


async def test_every_event_of_a_campaign_that_can_be_asked_for_is_sent(desk: Desk) -> None:
    stopped = await desk.launched(NUMBERS[:1])
    for step, status in (("pause", 200), ("resume", 200), ("cancel", 202)):
        await desk.ask("POST", f"/campaign/{stopped}/{step}", status=status)
    over = await desk.launched(NUMBERS[1:2])
    [order] = await desk.orders(over)
    await desk.ask("POST", f"/call/{order.id}/cancel", status=202)
    await desk.feeder.check()
    events = (await desk.ask("GET", "/webhook/events?types=campaign.*"))["events"]
    assert {event["type"] for event in events} == set(CAMPAIGN_EVENTS)
