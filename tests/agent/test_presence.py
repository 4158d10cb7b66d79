"""When the person is there, and what their going means: a phone's, and that of a browser."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from livekit import rtc

from agent.ending import Ending, Verdict
from agent.presence import BrowserPresence, Presence, Seen, presence_of
from control_plane.domain.brief import Direction
from control_plane.domain.events import EndedBy, EndReason
from tests import factories

pytestmark = pytest.mark.unit

BYE = rtc.DisconnectReason.CLIENT_INITIATED
LOST = rtc.DisconnectReason.CONNECTION_TIMEOUT
SECOND_TAB = rtc.DisconnectReason.DUPLICATE_IDENTITY
HERE, HEARD = Seen(is_active=True, is_heard=False), Seen(is_active=True, is_heard=True)
RINGING = Seen(is_active=False, is_heard=False)
LIMIT_S = 5.0


def browser(ending: Ending, **limits: float) -> BrowserPresence:
    """Return the side of a browser that is waited for in vain for a long time."""
    long = {"answer_within_s": 60.0, "microphone_s": 60.0, "back_within_s": 60.0}
    return BrowserPresence(ending, **{**long, **limits})


async def over(ending: Ending) -> Verdict:
    async with asyncio.timeout(LIMIT_S):
        return await ending.wait()


async def test_a_phone_is_there_once_it_was_answered() -> None:
    ending = Ending()
    phone = Presence(ending, answer_within_s=60.0)
    waiting = asyncio.create_task(phone.wait_answered())
    phone.shows(RINGING)
    await asyncio.sleep(0)
    assert not waiting.done()
    phone.shows(HERE)
    async with asyncio.timeout(LIMIT_S):
        assert await waiting


@pytest.mark.parametrize(
    ("answered", "reason", "is_lost", "verdict"),
    [
        (False, BYE, False, Verdict(EndedBy.USER, EndReason.NOT_ANSWERED)),
        (True, BYE, False, Verdict(EndedBy.USER)),
        (True, rtc.DisconnectReason.ROOM_DELETED, False, Verdict(EndedBy.USER)),
        (True, LOST, False,
         Verdict(EndedBy.SYSTEM, EndReason.SIP_SERVICE_LOST, "CONNECTION_TIMEOUT")),
        (True, BYE, True, Verdict(EndedBy.SYSTEM, EndReason.SIP_SERVICE_LOST, "the gateway died")),
        (True, None, False, Verdict(EndedBy.SYSTEM, EndReason.SIP_SERVICE_LOST, "unknown")),
    ],
)  # fmt: skip
async def test_how_a_phones_call_ends(
    answered: bool,
    reason: rtc.DisconnectReason.ValueType | None,
    is_lost: bool,
    verdict: Verdict,
) -> None:
    ending = Ending()
    phone = Presence(ending, answer_within_s=60.0)
    if answered:
        phone.shows(HERE)
    phone.left(reason, is_lost=is_lost)
    assert await over(ending) == verdict


async def test_a_line_that_was_lost_is_no_hang_up() -> None:
    ending = Ending()
    phone = Presence(ending, answer_within_s=60.0)
    phone.shows(HERE)
    phone.left(BYE, is_lost=False, line_lost="no RTP came for 15 s")
    assert await over(ending) == Verdict(
        EndedBy.SYSTEM, EndReason.CONNECTION_LOST, "no RTP came for 15 s"
    )


async def test_a_phone_that_holds_the_call_is_waited_for() -> None:
    phone = Presence(Ending(), answer_within_s=60.0)
    phone.shows(HERE)
    assert not phone.is_away
    phone.shows(Seen(is_active=True, is_heard=True, is_on_hold=True))
    assert phone.is_away
    phone.shows(HERE)
    assert not phone.is_away


async def test_a_phone_is_not_waited_for_for_ever() -> None:
    ending = Ending()
    assert not await Presence(ending, answer_within_s=0.01).wait_answered()
    assert await over(ending) == Verdict(EndedBy.SYSTEM, EndReason.NOT_ANSWERED)


async def test_a_browser_is_there_once_its_microphone_is() -> None:
    person = browser(Ending())
    waiting = asyncio.create_task(person.wait_answered())
    person.shows(HERE)
    await asyncio.sleep(0)
    assert not waiting.done()
    person.shows(HEARD)
    async with asyncio.timeout(LIMIT_S):
        assert await waiting


async def test_an_agent_that_nobody_comes_to_leaves_the_session_open() -> None:
    ending = Ending()
    assert not await browser(ending, answer_within_s=0.01).wait_answered()
    assert await over(ending) == Verdict(EndedBy.SYSTEM, None, "nobody came", is_open=True)


async def test_who_comes_and_goes_before_they_were_heard_may_come_again() -> None:
    ending = Ending()
    person = browser(ending, answer_within_s=0.05)
    waiting = asyncio.create_task(person.wait_answered())
    person.shows(HERE)
    person.left(BYE, is_lost=False)
    async with asyncio.timeout(LIMIT_S):
        assert not await waiting
    assert (await over(ending)).is_open


async def test_who_has_no_microphone_is_told_of_in_the_row() -> None:
    ending = Ending()
    person = browser(ending, microphone_s=0.01)
    person.shows(HERE)
    assert not await person.wait_answered()
    verdict = await over(ending)
    assert (verdict.by, verdict.reason) == (EndedBy.USER, EndReason.NOT_ANSWERED)
    assert "microphone" in verdict.detail
    assert not verdict.is_open


async def test_saying_goodbye_ends_it_at_once() -> None:
    ending = Ending()
    person = browser(ending)
    person.shows(HEARD)
    person.left(BYE, is_lost=False)
    assert await over(ending) == Verdict(EndedBy.USER)


async def test_who_loses_the_connection_is_waited_for() -> None:
    ending = Ending()
    person = browser(ending, back_within_s=0.02)
    person.shows(HEARD)
    assert not person.is_away
    person.left(LOST, is_lost=False)
    assert person.is_away
    verdict = await over(ending)
    assert verdict == Verdict(EndedBy.SYSTEM, EndReason.CONNECTION_LOST, "CONNECTION_TIMEOUT")


@pytest.mark.parametrize("reason", [LOST, SECOND_TAB, None])
async def test_who_is_back_in_time_goes_on(
    reason: rtc.DisconnectReason.ValueType | None,
) -> None:
    ending = Ending()
    person = browser(ending, back_within_s=0.02)
    person.shows(HEARD)
    person.left(reason, is_lost=False)
    person.shows(HERE)
    assert not person.is_away
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ending.wait()


async def test_once_it_is_over_nobody_is_waited_for() -> None:
    ending = Ending()
    person = browser(ending, back_within_s=0.02)
    person.shows(HEARD)
    person.left(LOST, is_lost=False)
    person.close()
    assert not person.is_away


@pytest.mark.parametrize(
    ("direction", "kind"),
    [
        (Direction.BROWSER, BrowserPresence),
        (Direction.INBOUND, Presence),
        (Direction.OUTBOUND, Presence),
    ],
)
async def test_whose_side_it_is(direction: Direction, kind: type[Presence]) -> None:
    brief = msgspec.structs.replace(factories.call_brief(), direction=direction)
    assert type(presence_of(brief, Ending())) is kind
