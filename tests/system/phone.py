"""A telephone on an independent SIP stack (pjsua2), driven by a script, in a process of its own.

    python -m tests.system.phone --port 25061 --record heard.wav --script script.json [--call URI]
        [--codec G722 --rate 16000]

Without `--call` it answers the first INVITE. The script is a list of steps: {"listen": S} waits
until the far end spoke and was quiet for S seconds, {"hear": S} until it speaks, {"again": S}
until it was quiet and speaks once more, S seconds at the most for each, {"reply": S} the same and
then until it was quiet for S seconds, {"say": "file.wav"}, {"keys": "12#"}, {"wait_keys": N},
{"stay": S} stays on the line for S seconds or until the far end hangs up, {"hold": S} puts the
far end on hold for S seconds and takes it back, {"hangup": true}. What
happens is written to standard output as JSON lines with `t` in seconds since the epoch.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pjsua2 as pj

RATE = 8_000
POLL_MS = 10
LOUD = 0.02
"""Of 1: a received level above this is speech, not line noise."""
STEP_LIMIT_S = 30.0
REPLY_LIMIT_S = 5.0
GAP_S = 0.15


def tell(event: str, **facts: Any) -> None:
    """Write one line of what happens."""
    line = {"t": round(time.time(), 3), "event": event, **facts}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Leg(pj.Call):  # type: ignore[misc]
    """One call, its keys and its state."""

    def __init__(self, account: pj.Account, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.media: pj.AudioMedia | None = None
        self.gone = False
        self.keys = ""

    def onCallState(self, _prm: Any) -> None:
        info = self.getInfo()
        tell("state", state=info.stateText, code=info.lastStatusCode, reason=info.lastReason)
        self.gone = info.state == pj.PJSIP_INV_STATE_DISCONNECTED

    def onCallMediaState(self, _prm: Any) -> None:
        info = self.getInfo()  # kept: its media list is freed with it
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                self.media = self.getAudioMedia(index)

    def onDtmfDigit(self, prm: Any) -> None:
        self.keys += prm.digit
        tell("key", digit=prm.digit)


class Line(pj.Account):  # type: ignore[misc]
    """Takes the first call that comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.leg: Leg | None = None

    def onIncomingCall(self, prm: Any) -> None:
        leg = Leg(self, prm.callId)
        tell("incoming", uri=leg.getInfo().localUri, caller=leg.getInfo().remoteUri)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        leg.answer(answer)
        self.leg = leg


def _throw_nothing_away(media: pj.MediaConfig) -> None:
    """Have the jitter buffer keep what it holds too much of: PJMEDIA_JB_DISCARD_NONE.

    It throws away 10 ms every 0.35 s otherwise, in the middle of words, once this machine was late
    with the phone itself; what came over the wire was whole. SWIG has no enum for it, only a
    pointer to one.
    """
    algorithm = media.jbDiscardAlgo
    ctypes.c_int.from_address(int(algorithm)).value = 0
    media.jbDiscardAlgo = algorithm


class Phone:
    """The stack, one line, one call and its script."""

    def __init__(self, port: int, rate: int = RATE, codec: str = "PCM") -> None:
        self._rate = rate
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = False
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 1
        config.medConfig.noVad = True
        config.medConfig.clockRate = rate
        config.medConfig.sndClockRate = rate
        config.medConfig.ecTailLen = 0
        _throw_nothing_away(config.medConfig)
        self.endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = port
        transport.boundAddress = "127.0.0.1"
        transport.publicAddress = "127.0.0.1"
        self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for each in self.endpoint.codecEnum2():
            if not each.codecId.startswith(codec):
                self.endpoint.codecSetPriority(each.codecId, 0)  # neither offered nor taken
        account = pj.AccountConfig()
        account.idUri = f"sip:+12025550177@127.0.0.1:{port}"
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        account.mediaConfig.transportConfig.port = port + 1
        self.line = Line()
        self.line.create(account)
        self._keep: list[Any] = []
        self._players: dict[str, pj.AudioMediaPlayer] = {}
        self._speaking_since: float | None = None
        self._quiet_since: float | None = None

    def connect(self, uri: str | None, limit_s: float) -> Leg:
        """Place a call to `uri`, or take one; returns once media flows."""
        if uri is not None:
            self.line.leg = Leg(self.line)
            self.line.leg.makeCall(uri, pj.CallOpParam(True))
        self.pump(lambda: self.line.leg is not None and self._settled(self.line.leg), limit_s)
        leg = self.line.leg
        if leg is None or leg.media is None:
            tell("failed", why="no call" if leg is None else "no media")
            sys.exit(3)
        tell("connected")
        return leg

    @staticmethod
    def _settled(leg: Leg) -> bool:
        return leg.gone or leg.media is not None

    def record(self, leg: Leg, path: str) -> None:
        """Write what is heard to a WAV file."""
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(path)
        assert leg.media is not None
        leg.media.startTransmit(recorder)
        self._keep.append(recorder)
        self._recording = Path(path)

    def run(self, leg: Leg, step: dict[str, Any]) -> None:
        """Follow one step of the script."""
        ((verb, value),) = step.items()
        hearing = {"listen": self._listen, "again": self._again, "reply": self._reply}
        if verb in hearing:
            hearing[verb](leg, float(value))
        elif verb == "say":
            self._say(leg, str(value))
        elif verb == "hear":
            self.pump(lambda: leg.gone or self._speaking_since is not None, float(value))
        elif verb == "keys":
            leg.dialDtmf(str(value))
            tell("pressed", keys=value)
        elif verb == "wait_keys":
            self.pump(lambda: leg.gone or len(leg.keys) >= int(value), STEP_LIMIT_S)
        elif verb == "stay":
            self.pump(lambda: leg.gone, float(value))
        elif verb == "hold":
            self._hold(leg, float(value))
        elif verb == "hangup":
            leg.hangup(pj.CallOpParam(True))
            tell("hung up")
            self.pump(lambda: leg.gone, 5.0)
        else:
            raise ValueError(verb)

    def pump(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Let the stack work until `done`; returns whether it came within the limit."""
        end = time.monotonic() + limit_s
        while not done():
            if time.monotonic() > end:
                return False
            self.endpoint.libHandleEvents(POLL_MS)
            self._hear()
        return True

    def _is_closed(self) -> bool:
        header = self._recording.read_bytes()[:44]
        return header[8:12] == b"WAVE" and any(header[40:44])

    def close(self) -> None:
        """Flush the recording and end the process."""
        self._keep.clear()
        self._players.clear()
        # The conference bridge closes the file in its own time; there is no event for it, but its
        # header says last how much is in it.
        self.pump(self._is_closed, 15.0)
        sys.stdout.flush()
        # The stack's own teardown asserts when Python has freed a call before it.
        os._exit(0)

    def _hear(self) -> None:
        leg = self.line.leg
        if leg is None or leg.media is None or leg.gone:
            return
        now = time.time()
        # In this binding the level received from the far end is the one called Tx.
        if leg.media.getTxLevel() / 255 > LOUD:
            if self._speaking_since is None:
                self._speaking_since = now
                tell("speech", what="begins")
            self._quiet_since = None
        elif self._speaking_since is not None and self._quiet_since is None:
            self._quiet_since = now

    def _hold(self, leg: Leg, hold_s: float) -> None:
        leg.setHold(pj.CallOpParam(True))
        leg.media = None
        tell("held")
        self.pump(lambda: leg.gone, hold_s)
        if leg.gone:
            return
        back = pj.CallOpParam(True)
        back.opt.flag = pj.PJSUA_CALL_UNHOLD
        leg.reinvite(back)
        self.pump(lambda: self._settled(leg), STEP_LIMIT_S)
        for recorder in self._keep:  # the stream is a new one, and without a listener has no level
            if leg.media is not None:
                leg.media.startTransmit(recorder)
        self._speaking_since = self._quiet_since = None
        tell("back")

    def _listen(self, leg: Leg, silence_s: float) -> None:
        def finished() -> bool:
            quiet = self._quiet_since
            return leg.gone or (quiet is not None and time.time() - quiet >= silence_s)

        if self.pump(finished, STEP_LIMIT_S):
            tell("speech", what="ended", began=self._speaking_since, ended=self._quiet_since)
        else:
            tell("speech", what="missing")
        self._speaking_since = self._quiet_since = None

    def _again(self, leg: Leg, limit_s: float) -> bool:
        def over() -> bool:
            """Whether it is silent, and not only for the gap between two words."""
            quiet = self._quiet_since
            gap = quiet is not None and time.time() - quiet < GAP_S
            return leg.gone or self._speaking_since is None or (quiet is not None and not gap)

        self.pump(over, limit_s)
        self._speaking_since = self._quiet_since = None
        return self.pump(lambda: leg.gone or self._speaking_since is not None, limit_s)

    def _reply(self, leg: Leg, silence_s: float) -> None:
        if self._again(leg, REPLY_LIMIT_S):
            self._listen(leg, silence_s)
        else:
            tell("speech", what="missing")

    def _player(self, path: str) -> pj.AudioMediaPlayer:
        """Return the file's player, at its start; pjsua has 32 of them and no more."""
        player = self._players.get(path)
        if player is not None:
            player.setPos(0)
            return player
        self._players[path] = player = pj.AudioMediaPlayer()
        player.createPlayer(path, pj.PJMEDIA_FILE_NO_LOOP)
        return player

    def _say(self, leg: Leg, path: str) -> None:
        player = self._player(path)
        assert leg.media is not None
        began = time.time()
        tell("saying", file=path)
        player.startTransmit(leg.media)
        length_s = Path(path).stat().st_size / 2 / self._rate
        self.pump(lambda: leg.gone, length_s)
        if not leg.gone:
            player.stopTransmit(leg.media)
        tell("said", file=path, began=began, ended=time.time())


def main() -> None:
    """Run the phone of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--call")
    parser.add_argument("--codec", default="PCM")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--limit", type=float, default=60.0)
    options = parser.parse_args()
    phone = Phone(options.port, options.rate, options.codec)
    tell("up")
    leg = phone.connect(options.call, options.limit)
    phone.record(leg, options.record)
    for step in json.loads(Path(options.script).read_text()):
        if not leg.gone:
            phone.run(leg, step)
    if not leg.gone:
        leg.hangup(pj.CallOpParam(True))
        phone.pump(lambda: leg.gone, 5.0)
    tell("over", keys=leg.keys)
    phone.close()


if __name__ == "__main__":
    main()
