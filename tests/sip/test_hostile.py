"""Datagrams of strangers, made up by Hypothesis and kept from earlier finds.

`tests/sip/corpus` holds one datagram per file; each once did harm or came close. `make test-long`
tries for as many examples as OFFHOOK_TEST_EXAMPLES says.
"""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sip.digest import parse_credentials
from sip.front import Forward, Front, Reply, Verdict
from sip.gateway.sdp import audio_place
from sip.limits import MAX_DATAGRAM, number
from sip.message import MalformedMessage, Request, parse
from sip.verdict import MAX_PENDING_BYTES
from tests.sip.torture import TORTURE
from tests.sip.wire import PHONE, Wire, invite

AGENT = ("198.51.100.1", 5070)
CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.sip"))
EXAMPLES = int(os.environ.get("OFFHOOK_TEST_EXAMPLES", "300"))
pytestmark = [pytest.mark.unit, pytest.mark.timeout(max(20, EXAMPLES // 50))]
fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 300,
    suppress_health_check=[HealthCheck.too_slow],
)

_PIECES = st.sampled_from(
    [
        b"\r\n", b"\r\n ", b":", b";", b",", b'"', b"\\", b"<", b">", b"\0", b"\xff", b" " * 900,
        b"9" * 5000, b"a" * 900, b"=", b"/", b"sip:", b"Via: ", b"v:", b"SIP/2.0/UDP a,", b"@",
    ]
)  # fmt: skip


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A datagram that is nearly right: a known one with pieces put in or taken out."""
    known = [data for data, _ in TORTURE.values()] + [path.read_bytes() for path in CORPUS]
    data = bytearray(draw(st.sampled_from(known)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 6))] = draw(_PIECES | st.binary(max_size=8))
    return bytes(data)


def _front(verdict: Verdict) -> tuple[Front, Wire]:
    front, wire = Front(("198.51.100.1", 5060), lambda _: verdict), Wire()
    front.connection_made(wire)
    return front, wire


async def _take(data: bytes, verdict: Verdict) -> list[bytes]:
    """What a front sends on one datagram."""
    front, wire = _front(verdict)
    front.datagram_received(data, PHONE)
    for _ in range(4):
        await asyncio.sleep(0)
    return [sent for sent, _ in wire.sent]


@fuzzed
@given(datagrams())
@example(invite(body="x" * MAX_DATAGRAM))
def test_a_front_takes_anything_and_sends_what_is_well_formed(data: bytes) -> None:
    for verdict in (Forward(AGENT), Reply(404, "Not Found")):
        for sent in asyncio.run(_take(data, verdict)):
            if len(sent) <= MAX_DATAGRAM:
                parse(sent, AGENT)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_an_earlier_find_does_no_harm(path: Path) -> None:
    """`ok-` in its name says that it is acted on, `no-` that it is dropped."""
    sent = asyncio.run(_take(path.read_bytes(), Forward(AGENT)))
    assert bool(sent) is path.name.startswith("ok-")


@fuzzed
@given(st.text(alphabet=st.sampled_from('aA=", \\;:</9\r\n\u0663é'), max_size=400))
def test_credentials_and_sdp_take_any_text(text: str) -> None:
    parse_credentials(f"Digest {text}")
    audio_place(f"v=0\r\n{text}\r\nm=audio {text}\r\nc={text}")


@given(st.text(alphabet="0123456789٣²-+ ", max_size=30), st.integers(0, 2**32))
@example("9" * 5000, 10)
@example("0" * 5000, 10)
@example("", 10)
def test_a_number_is_small_and_plain_or_none(text: str, most: int) -> None:
    found = number(text, most=most)
    if found is not None:
        assert 0 <= found <= most
        assert int(text) == found
    elif text.isascii() and text.isdigit() and len(text) <= 20:
        assert int(text) > most


def test_a_message_counts_its_parts() -> None:
    for extra in ("X: 1\r\n" * 95, "X: " + "1" * 4096 + "\r\n", "v: SIP/2.0/UDP a\r\n" * 70):
        with pytest.raises(MalformedMessage, match="too"):
            parse(invite(extra=extra), PHONE)


async def _flood(verdict: Verdict, count: int) -> tuple[int, Front]:
    """Bytes that stay of so many large requests, each of another call."""
    front, wire = _front(verdict)
    tracemalloc.start()
    try:
        for at in range(count):
            data = invite(call_id=f"{at}-" + "c" * 3000, extra="X-A: " + "x" * 3500 + "\r\n")
            front.datagram_received(data, PHONE)
            await asyncio.sleep(0)
            wire.sent.clear()
        for _ in range(4):
            await asyncio.sleep(0)
        wire.sent.clear()
        return tracemalloc.get_traced_memory()[0], front
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("verdict", [Reply(404, "Not Found"), Forward(AGENT)])
async def test_a_verdict_keeps_nothing_of_its_request(verdict: Verdict) -> None:
    held, front = await _flood(verdict, 300)
    assert held / 300 < 1_000  # of 7 kB, and of 20 times that as objects
    wire = Wire()
    front.connection_made(wire)
    data = invite(call_id="299-" + "c" * 3000, extra="X-A: " + "x" * 3500 + "\r\n")
    front.datagram_received(data, PHONE)
    assert len(wire.sent) == 1  # and the repeat still meets it, without another decision


async def test_requests_that_wait_for_a_decision_are_few_bytes() -> None:
    never = asyncio.Event()

    async def decide(_: Request) -> Verdict:
        await never.wait()
        return Reply(404, "Not Found")

    front, wire = Front(("198.51.100.1", 5060), decide), Wire()
    front.connection_made(wire)
    body = "x" * 7000
    size = len(invite(call_id="00000", body=body))
    for at in range(MAX_PENDING_BYTES // size + 2):
        front.datagram_received(invite(call_id=f"{at:05}", body=body), PHONE)
    assert [data[:11] for data, _ in wire.sent] == [b"SIP/2.0 503"] * 2
    never.set()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*waiting)
    wire.sent.clear()
    front.datagram_received(invite(call_id="later", body=body), PHONE)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    assert wire.sent[0][0].startswith(b"SIP/2.0 404")
