"""The table of numbers, the witness, and what the simulator makes of SDP and SIP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import phonenumbers
import pytest

from sip.carrier.dialog import response
from sip.carrier.persona import PERSONAS
from sip.carrier.rtp import NoCommonCodec, answer_sdp, encode, offered_audio
from sip.carrier.scenarios import SCENARIOS, SPOKEN, Kind, listing, scenario_of
from sip.carrier.scripts import SCRIPTS
from sip.carrier.settings import CarrierSettings
from sip.carrier.witness import Witness
from sip.message import Request, parse
from tests.carrier.uac import mulaw_to_pcm

pytestmark = pytest.mark.unit

INVITE = (
    b"INVITE sip:+12025550102@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5090;branch=z9hG4bKfront\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bKphone;rport=7000\r\n"
    b"From: <sip:+12025550199@127.0.0.1>;tag=a\r\nTo: <sip:+12025550102@127.0.0.1>\r\n"
    b"Call-ID: c1\r\nCSeq: 7 INVITE\r\nContact: <sip:t@127.0.0.1:7000>\r\n\r\n"
)


def test_every_number_is_valid_and_unique() -> None:
    numbers = [scenario.number for scenario in SCENARIOS]
    assert len(set(numbers)) == len({scenario.name for scenario in SCENARIOS}) == len(numbers)
    for number in numbers:
        parsed = phonenumbers.parse(number)
        assert phonenumbers.is_valid_number(parsed)
        assert number.startswith("+120255501")


def test_every_kind_has_a_number_and_every_spoken_kind_a_script() -> None:
    assert {scenario.kind for scenario in SCENARIOS} == set(Kind)
    assert set(SCRIPTS) == SPOKEN
    assert {scenario.persona for scenario in SCENARIOS if scenario.persona} == set(PERSONAS)


@pytest.mark.parametrize(
    "dialled", ["+12025550102", "12025550102", "0012025550102", "2025550102", "+1 202 555 0102"]
)
def test_numbers_are_found_in_any_form(dialled: str) -> None:
    scenario = scenario_of(dialled)
    assert scenario is not None
    assert (scenario.name, scenario.status) == ("busy", 486)


@pytest.mark.parametrize("dialled", ["", "anonymous", "+12025550199", "+442079460000"])
def test_other_numbers_have_no_scenario(dialled: str) -> None:
    assert scenario_of(dialled) is None


def test_the_listing_names_them_all() -> None:
    assert [line.split()[0] for line in listing().splitlines()] == [
        scenario.number for scenario in SCENARIOS
    ]


def test_phones_and_user_agent_share_no_rtp_port() -> None:
    settings = CarrierSettings()
    phones, plain = settings.phone_rtp, settings.uas_rtp
    assert (phones.start, plain.stop) == (21_000, 21_400)
    assert phones.stop == plain.start
    assert plain.start % 2 == 0


def test_a_response_keeps_the_whole_via_stack() -> None:
    request = parse(INVITE, ("127.0.0.1", 5090))
    assert isinstance(request, Request)
    answer = response(request, 486, "Busy Here", tag="t1")
    assert [via.branch for via in answer.vias] == ["z9hG4bKfront", "z9hG4bKphone"]
    assert answer.address("to").params == {"tag": "t1"}
    assert answer.cseq == (7, "INVITE")


def test_an_offer_is_read_and_answered() -> None:
    offer = b"v=0\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96 8 101\r\n"
    assert offered_audio(offer) == (("127.0.0.1", 4000), 8)
    assert offered_audio(answer_sdp("127.0.0.1", 5000, 0)) == (("127.0.0.1", 5000), 0)
    for bad in (b"", b"v=0\r\n", b"c=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 96\r\n"):
        with pytest.raises(NoCommonCodec):
            offered_audio(bad)


def test_mulaw_survives_a_round_trip() -> None:
    pcm = np.arange(-32_000, 32_000, 7, np.int16)
    back = mulaw_to_pcm(encode(pcm, 0)).astype(np.int32)
    assert np.all(np.abs(back - pcm) <= np.maximum(16, np.abs(pcm.astype(np.int32)) / 16))


def test_alaw_of_silence_and_sign() -> None:
    assert encode(np.zeros(2, np.int16), 8) == b"\xd5\xd5"
    loud = encode(np.array([30_000, -30_000], np.int16), 8)
    assert loud[0] ^ loud[1] == 0x80


def test_the_witness_marks_retransmissions_and_flushes(tmp_path: Path) -> None:
    path = tmp_path / "log" / "invites.jsonl"
    witness = Witness(path)
    for _ in range(2):
        witness.saw(INVITE, ("127.0.0.1", 7000), lambda user: f"scenario of {user}")
    witness.saw(b"garbage", ("127.0.0.1", 7000), lambda _: None)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["retransmission"] for line in lines] == [False, True]
    assert lines[0]["scenario"] == "scenario of +12025550102"
    assert (lines[0]["from"], lines[0]["cseq"]) == ("+12025550199", 7)
    witness.close()
