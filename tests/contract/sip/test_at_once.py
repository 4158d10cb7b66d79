"""A phone that answers and hangs up at once has answered (golden record, section 3)."""

from __future__ import annotations

import asyncio

import pytest
from livekit import api

from tests.contract.sip.peer import Phone
from tests.contract.sip.test_outbound import dial
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system


async def test_a_phone_that_hangs_up_at_once_has_answered(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    for number in range(5):  # the hang-up arrives sooner or later than our own server's answers
        who = f"phone-{number}"
        request = dial(room_name, trunk, participant_identity=who)
        calling = asyncio.create_task(sip.create_sip_participant(request))
        talk = phone.answer(await phone.request("INVITE"))
        await phone.request("ACK")
        talk.send("BYE")
        assert (await calling).participant_identity == who
        await phone.next("200 BYE")
        assert (await watcher.gone(who)).reason == 1
        # Whoever leaves at once may be told to have left before its last change of status is.
        statuses = watcher.statuses(who)
        assert statuses[statuses.index("active") :] in (["active", "hangup"], ["active"])
