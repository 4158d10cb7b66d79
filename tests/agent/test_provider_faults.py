"""A provider that fails in the middle of a call: real plugins, the agent's own line, no SIP.

All rows are held side by side and judged one by one. They allow one core to whatever else the
machine does: what is measured are silences of three seconds, and waits that are the agent's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from livekit.agents.utils import http_context
from scipy.signal import resample_poly

from agent.line_in import HEARD_RATE
from agent.session import Engines, load_vad
from control_plane.domain.assistant import AssistantSpec
from process.addresses import Allowed
from speech.offline.voice import SAMPLE_RATE, Speaker
from speech.prewarm import load_offline
from tests.agent.provider_judging import Ear, Held, wrongs
from tests.agent.provider_rows import (
    GOOGLE,
    ON_THE_WIRE,
    QUESTION,
    ROWS,
    Row,
    assistant_of,
    prepare,
)
from tests.agent.telephone import RATE, Conversation, Samples, conversing
from tests.factories import call_brief
from tests.providers.servers import ProviderServers, serving
from tests.system.far_end import without_silence

LANES = 7
CALL_LIMIT_S = 60.0
HERE = sorted(set(ROWS) - {row for pair in ON_THE_WIRE for row in pair})

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
    # Google's plugin's own, about itself; and LiveKit's sessions, closed by an error, leave a task.
    pytest.mark.filterwarnings(
        "ignore:Setting `LiveConnectConfig:DeprecationWarning",
        "ignore:Exception ignored in. <coroutine object AudioRecognition"
        ":pytest.PytestUnraisableExceptionWarning",
    ),
]


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    loaded = load_offline()
    yield Engines(offline=loaded, vad=load_vad(), allowed=Allowed.parse("127.0.0.0/8"))
    loaded.close()


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker.load()


@pytest.fixture(scope="module")
def ear(speaker: Speaker) -> Ear:
    return Ear(speaker)


def spoken(speaker: Speaker, text: str) -> Samples:
    """Return `text` at the rate at which an agent hears."""
    pcm = np.frombuffer(b"".join(speaker.stream(text)), np.int16)
    whole = resample_poly(pcm.astype(np.float64), HEARD_RATE, SAMPLE_RATE)
    return without_silence(whole.clip(-32_768, 32_767).astype(np.int16))


class Lane:
    """Provider servers of its own, and one call at a time by them."""

    def __init__(self, servers: ProviderServers, engines: Engines, question: Samples) -> None:
        self._servers = servers
        self._engines = engines
        self._question = question

    async def hold_each(self, names: list[str]) -> dict[str, Held | Exception]:
        """Return how each row's call went; one that could not be held takes no other along."""
        outcomes: dict[str, Held | Exception] = {}
        for name in names:
            try:
                async with asyncio.timeout(CALL_LIMIT_S):
                    outcomes[name] = await self._hold(name, ROWS[name])
            except Exception as exc:  # noqa: BLE001 - the row's own test raises it
                outcomes[name] = exc
        return outcomes

    async def _hold(self, name: str, row: Row) -> Held:
        prepare(self._servers)
        for capability, behaviour in row.before.items():
            self._servers.controls.behave(capability, behaviour)
        spec = msgspec.convert(assistant_of(row, name, self._servers), AssistantSpec)
        brief = msgspec.structs.replace(
            call_brief(), assistant=spec, providers=self._servers.access()
        )
        async with conversing(brief, self._engines) as call:
            over = asyncio.create_task(call.over())
            talk = asyncio.create_task(self._talk(row, call, over))
            verdict = await over
            over_at = call.telephone.now
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
        return Held(
            heard=call.telephone.heard(),
            rate=RATE,
            asked=call.telephone.asked,
            over_at=over_at,
            ended=(verdict.by.value, verdict.reason.value if verdict.reason else None),
            detail=verdict.detail or "",
            said=call.books.said,
        )

    async def _talk(self, row: Row, call: Conversation, over: asyncio.Task[Any]) -> None:
        """Ask, let the providers fail once the greeting was heard, and hang up in the end."""
        telephone = call.telephone
        await telephone.listen(0.6)
        for capability, (behaviour, times) in row.faults.items():
            self._servers.controls.behave(capability, behaviour, times=times)
        await telephone.say(self._question)
        for _ in range(row.questions - 1):
            await telephone.listen(2.9)
            await telephone.say(self._question)
        if row.patience_s is not None:
            await asyncio.wait({over}, timeout=row.patience_s)
        elif row.detail:
            await over
        else:
            await telephone.listen(2.9)
        call.hang_up()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(
    engines: Engines, speaker: Speaker
) -> AsyncIterator[dict[str, Held | Exception]]:
    """Hold every row's call, in lanes; what speaks TLS is in the lane that this process trusts."""
    question = spoken(speaker, QUESTION)
    by_google = [name for name in HERE if ROWS[name].assistant["llm_model"] == GOOGLE]
    others = [name for name in HERE if name not in by_google]
    shares = [by_google + others[: (len(others) - len(by_google)) // LANES]]
    left = others[len(shares[0]) - len(by_google) :]
    shares += [left[lane :: LANES - 1] for lane in range(LANES - 1)]
    with pytest.MonkeyPatch.context() as patch:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(http_context.open())
            lanes = []
            for _ in range(LANES):
                servers = await stack.enter_async_context(serving())
                lanes.append(Lane(servers, engines, question))
                if len(lanes) == 1:
                    patch.setenv("SSL_CERT_FILE", str(servers.ca_file))
            held = await asyncio.gather(
                *(lane.hold_each(share) for lane, share in zip(lanes, shares, strict=True))
            )
            yield {name: outcome for each in held for name, outcome in each.items()}


@pytest.mark.parametrize("name", HERE)
async def test_a_provider_that_fails(
    outcomes: dict[str, Held | Exception], ear: Ear, name: str
) -> None:
    """The caller is never left in silence, and is told or answered as the row says."""
    held = outcomes[name]
    if isinstance(held, Exception):
        raise held
    assert wrongs(ROWS[name], held, ear) == []


async def test_every_row_is_held_somewhere() -> None:
    wire = [row for pair in ON_THE_WIRE for row in pair]
    assert sorted([*HERE, *wire]) == sorted(ROWS)
