"""Every number that needs no recogniser gives exactly its answers, over real UDP."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from sip.carrier.scenarios import PASSWORD, SCENARIOS, USERNAME, Kind, scenario_of
from tests.carrier.conftest import Running
from tests.carrier.uac import Uac, digest

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

NUMBER = {scenario.name: scenario.number for scenario in SCENARIOS}
REFUSING = [scenario for scenario in SCENARIOS if scenario.kind is Kind.REFUSES]


@pytest.mark.parametrize("scenario", REFUSING, ids=lambda scenario: scenario.name)
async def test_refusals(running: Running, scenario: object) -> None:
    refusing = scenario_of(scenario.number)  # type: ignore[attr-defined]
    assert refusing is not None
    async with Uac(running.address, refusing.number) as phone:
        phone.invite()
        answer = await phone.final()
        phone.ack()
        assert answer.status == refusing.status
        wanted = "" if refusing.retry_after_s is None else str(refusing.retry_after_s)
        assert answer.header("Retry-After") == wanted
        await asyncio.sleep(0.7)  # longer than T1: an acknowledged answer is not repeated
        assert phone.all.count(refusing.status) == 1
        finals = running.lines(phone.call_id, "final")
        assert [line["status"] for line in finals] == [refusing.status]
        assert running.lines(phone.call_id, "ack")


async def test_a_final_answer_is_repeated_until_it_is_acknowledged(running: Running) -> None:
    async with Uac(running.address, NUMBER["busy"]) as phone:
        phone.invite()
        await phone.final()
        await phone.final(1.5)
        phone.ack()
        await asyncio.sleep(1.2)
        assert phone.all.count(486) == 2


async def test_an_unlisted_number_does_not_exist(running: Running) -> None:
    async with Uac(running.address, "+12025550198") as phone:
        phone.invite()
        assert (await phone.final()).status == 404
        phone.ack()


async def test_no_answer_honours_cancel(running: Running) -> None:
    async with Uac(running.address, NUMBER["no-answer"]) as phone:
        phone.invite()
        await phone.status(180)
        phone.cancel()
        assert (await phone.final()).status == 487
        phone.ack()
        assert running.lines(phone.call_id, "cancel")


async def test_repeated_invites_are_one_call_and_are_marked(running: Running) -> None:
    async with Uac(running.address, NUMBER["no-answer"]) as phone:
        phone.invite()
        await phone.status(180)
        phone.again()
        await phone.status(180)
        phone.cancel()
        await phone.status(487)
        phone.ack()
        seen = running.lines(phone.call_id, "invite")
        assert [line["retransmission"] for line in seen] == [False, True]
        assert seen[0]["to"] == NUMBER["no-answer"]
        assert seen[0]["scenario"] == "no-answer"
        assert seen[0]["from"] == "+12025550199"
        assert seen[0]["user_agent"] == "raw-uac"
        assert seen[0]["branch"] == phone.branch


async def test_early_media_speaks_before_it_refuses(running: Running) -> None:
    async with Uac(running.address, NUMBER["early-media"]) as phone:
        phone.invite()
        progress = await phone.status(183)
        phone.sound.start(phone.rtp_of(progress))
        assert (await phone.final()).status == 480
        phone.ack()
        heard = phone.sound.pcm
        assert heard.size > 2 * 8_000
        assert np.abs(heard).max() > 3_000


async def test_silence_answers_and_says_nothing(running: Running) -> None:
    async with Uac(running.address, NUMBER["silence"]) as phone:
        phone.invite()
        await phone.answered()
        await asyncio.sleep(0.5)
        phone.hang_up()
        await asyncio.sleep(0.2)
        assert phone.sound.pcm.size >= 0.3 * 8_000
        assert np.abs(phone.sound.pcm).max() < 20
        assert running.lines(phone.call_id, "bye")


async def test_drops_answers_and_hangs_up_at_once(running: Running) -> None:
    async with Uac(running.address, NUMBER["drops"]) as phone:
        phone.invite()
        await phone.answered()
        async with asyncio.timeout(10):
            await phone.bye.wait()


async def test_bye_lost_goes_silent_and_deaf(running: Running) -> None:
    async with Uac(running.address, NUMBER["bye-lost"]) as phone:
        phone.invite()
        await phone.answered()
        await asyncio.sleep(2.4)
        sent = phone.sound.pcm.size
        assert sent > 8_000
        phone.hang_up()
        await asyncio.sleep(0.4)
        assert phone.sound.pcm.size == sent
        assert phone.byes == 0


async def test_credentials_are_asked_for_and_checked(running: Running) -> None:
    async with Uac(running.address, NUMBER["auth"]) as phone:
        phone.invite()
        refused = await phone.final()
        assert refused.status == 407
        phone.ack()
        challenge = refused.header("Proxy-Authenticate")
        wrong = digest(challenge, number=phone.number, username=USERNAME, password="wrong")
        phone.invite(authorization=wrong)
        again = await phone.final()
        assert again.status == 407
        phone.ack()
        challenge = again.header("Proxy-Authenticate")
        right = digest(challenge, number=phone.number, username=USERNAME, password=PASSWORD)
        phone.invite(authorization=right)
        await phone.answered()
        phone.hang_up()
