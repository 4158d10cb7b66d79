"""What a process writes to its log: whose call it is, what is no error, and nobody's words."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from control_plane.domain.attempt import room_name
from control_plane.domain.ids import new_id
from process import logs

pytestmark = pytest.mark.unit

CLOSED = (
    "livekit::rtc_engine::rtc_session:704:livekit::rtc_engine::rtc_session - "
    "publisher data channel '_reliable' closed unexpectedly"
)
NEGOTIATED_LATE = (
    "livekit::rtc_engine::rtc_session:2526:livekit::rtc_engine::rtc_session - failed to negotiate "
    "the publisher: Rtc(RtcError { error_type: InvalidState, message: "
    '"Failed to set local offer sdp: Called in wrong state: closed" })'
)
SKIPPED = "skipping reply to user input, current speech generation cannot be interrupted"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for name in ("livekit", "livekit.agents", "apscheduler.scheduler"):
        logger = logging.getLogger(name)
        for each in logger.filters[:]:
            logger.removeFilter(each)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_what_libraries_call_an_error_and_is_none_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("agent")
    sdk = logging.getLogger("livekit")
    sdk.error(CLOSED)
    sdk.error(NEGOTIATED_LATE)
    sdk.warning("Attempted to drop unknown FFI handle: 27")
    sdk.info("connecting to ws://127.0.0.1")
    jobs = logging.getLogger("apscheduler.scheduler")
    jobs.warning('Execution of job "x" skipped: maximum number of running instances reached (1)')
    assert lines(capsys) == []
    sdk.error("the connection failed")
    sdk.error("failed to negotiate the publisher: timed out")
    logging.getLogger("livekit.agents").info("received job request")
    logging.getLogger("livekit.agents").warning(SKIPPED, extra={"lk.pii.user_input": "Goodbye."})
    logging.getLogger("livekit.agents").warning("another warning")
    shown = lines(capsys)
    assert [(each["level"], each["msg"]) for each in shown] == [
        ("error", "the connection failed"),
        ("error", "failed to negotiate the publisher: timed out"),
        ("info", "received job request"),
        ("info", SKIPPED),
        ("warning", "another warning"),
    ]
    assert shown[3]["lk.pii.user_input"] == logs.REDACTED


def test_everything_is_shown_to_who_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("agent", level="DEBUG", show_pii=True)
    logging.getLogger("livekit").error(CLOSED)
    logging.getLogger("livekit.agents").warning(SKIPPED, extra={"lk.pii.user_input": "Goodbye."})
    closed, skipped = lines(capsys)
    assert (closed["level"], closed["msg"]) == ("debug", CLOSED)
    assert skipped["lk.pii.user_input"] == "Goodbye."


def test_a_line_that_names_the_room_of_a_call_has_its_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("gateway")
    attempt = new_id()
    room = room_name(attempt)
    logs.get_logger("sip.gateway").bind(room=room).info("call ends")
    logging.getLogger("livekit.agents").info("received job request", extra={"room": room})
    logging.getLogger("livekit").error('Disconnected from room "%s"', room)
    logging.getLogger("livekit.agents").info("no call", extra={"room": "inbound-1"})
    assert [each.get("attempt_id") for each in lines(capsys)] == [attempt, attempt, attempt, None]


async def test_every_line_of_a_calls_task_has_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("agent")

    async def call(attempt: str) -> None:
        logs.of_call(room=f"inbound-{attempt}")
        logs.get_logger("agent").info("before the brief")
        logs.of_call(attempt_id=attempt)
        logs.get_logger("agent").info("ours")
        await asyncio.create_task(library(attempt))

    async def library(attempt: str) -> None:
        logging.getLogger("livekit.agents").warning("theirs of %s", attempt)

    await asyncio.gather(call("one"), call("two"))
    logs.get_logger("agent").info("nobody's")
    shown = lines(capsys)
    for attempt in ("one", "two"):
        own = [each for each in shown if each.get("room") == f"inbound-{attempt}"]
        assert [each["msg"] for each in own] == ["before the brief", "ours", f"theirs of {attempt}"]
        assert [each.get("attempt_id") for each in own] == [None, attempt, attempt]
    assert "attempt_id" not in shown[-1]


def test_a_number_within_another_text_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway")
    log = logs.get_logger("sip.gateway")
    log.info("call ends", room="inbound_+12025550199_x7", pii_peer="sip:1@x", since="+00:00", n=1)
    logging.getLogger("livekit").warning("left inbound_%s_x7", "+12025550199")
    call, left = lines(capsys)
    assert (call["room"], call["pii_peer"]) == (f"inbound_{logs.REDACTED}_x7", logs.REDACTED)
    assert (call["since"], call["n"]) == ("+00:00", 1)
    assert left["msg"] == f"left inbound_{logs.REDACTED}_x7"
