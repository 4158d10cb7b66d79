"""What the gateway keeps of the messages of its calls."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sip.gateway.trace import SipTrace
from tests.sip.wire import invite

pytestmark = pytest.mark.unit


async def _traced(trace: SipTrace, text: str) -> None:
    """Hand the trace a message as baresip's log does."""
    trace.emit(logging.LogRecord("x", logging.DEBUG, "", 0, "RX\n" + text, None, None))
    await asyncio.sleep(0)


async def test_a_stranger_cannot_fill_the_memory_with_long_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sip.gateway.trace._MAX_BYTES", 20_000)
    trace = SipTrace(asyncio.get_running_loop())
    for at in range(20):
        await _traced(trace, invite(call_id=f"c{at}", extra=f"X: {'x' * 4000}\r\n").decode())
    assert [await trace.find(f"c{at}", lambda _: True) is not None for at in (15, 16, 19)] == [
        False, True, True,
    ]  # fmt: skip
    for _ in range(20):  # of one call no more than the newest eight count
        await _traced(trace, invite(call_id="one").decode())
    trace.delete("one")
    assert await trace.find("c19", lambda _: True) is not None


async def test_a_message_with_huge_numbers_is_left_out() -> None:
    trace = SipTrace(asyncio.get_running_loop())
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    await _traced(trace, invite().decode().replace("CSeq: 1 ", f"CSeq: {'1' * 5000} "))
    assert failed == []
