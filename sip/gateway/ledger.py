"""Calls that are under way, kept in a file so that the next start knows of those that were lost.

A gateway that is killed says no goodbye: LiveKit shows its participants for another 20 s and more.
The next start tells each room at once, and the attribute `sip.lost` tells it from a hang-up.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from livekit import api

from process.logs import get_logger
from sip.gateway.rooms import Server

log = get_logger("sip.gateway.ledger")
LOST = "sip.lost"
_API_LIMIT_S = 3.0
_TRIES = 10
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One call: the participant it appears as."""

    room: str
    identity: str


class Ledger:
    """Live calls by id, written at every start and end of a call.

    The file survives the process, not the machine: after a power cut no participant is left either,
    so nothing waits for the disk.
    """

    def __init__(self, path: Path):
        self._path = path
        self._entries: dict[str, Entry] = {}
        self.lost = self._load()
        self._entries |= self.lost

    def started(self, call_id: str, entry: Entry) -> None:
        """A call begins; a lost one in its place is replaced by it in the room, too."""
        for lost_id in [i for i, left in self.lost.items() if left == entry]:
            self.settled(lost_id)
        self._entries[call_id] = entry
        self._save()

    def ended(self, call_id: str) -> None:
        """A call has ended and its participant has left."""
        if self._entries.pop(call_id, None) is not None:
            self._save()

    def settled(self, call_id: str) -> None:
        """A lost call's room knows of it."""
        self.lost.pop(call_id, None)
        self.ended(call_id)

    def _save(self) -> None:
        try:
            self._write()
        except OSError as error:
            # The calls themselves need no disk.
            log.error("live calls cannot be noted", path=str(self._path), error=error)

    def _write(self) -> None:
        document = {i: [entry.room, entry.identity] for i, entry in self._entries.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
        draft.replace(self._path)

    def _load(self) -> dict[str, Entry]:
        try:
            document = json.loads(self._path.read_text())
            return {str(i): Entry(str(room), str(who)) for i, (room, who) in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            # No reason to refuse new calls: what was lost leaves its room by LiveKit's own timeout.
            log.warning("the file of live calls is unreadable", path=str(self._path), error=error)
            return {}


async def report_lost(ledger: Ledger, server: Server) -> None:
    """Tell the rooms of lost calls and take their participants out, again if LiveKit is away."""
    if not ledger.lost:
        return
    timeout = aiohttp.ClientTimeout(total=_API_LIMIT_S)
    lk = api.LiveKitAPI(server.url, server.key, server.secret, timeout=timeout)
    try:
        for _ in range(_TRIES):
            await asyncio.gather(*(_report(lk, ledger, i) for i in list(ledger.lost)))
            if not ledger.lost:
                return
            await asyncio.sleep(_PAUSE_S)
    finally:
        await lk.aclose()
    log.warning("lost calls could not be reported", calls=len(ledger.lost))


async def _report(lk: api.LiveKitAPI, ledger: Ledger, call_id: str) -> None:
    entry = ledger.lost[call_id]
    change = api.UpdateParticipantRequest(room=entry.room, identity=entry.identity)
    change.attributes.update({"sip.callStatus": "hangup", LOST: "true"})
    removal = api.RoomParticipantIdentity(room=entry.room, identity=entry.identity)
    try:
        await lk.room.update_participant(change)
        if call_id not in ledger.lost:
            return  # a new call has taken the participant's place meanwhile
        await lk.room.remove_participant(removal)
    except api.TwirpError as error:
        if error.code != "not_found":
            log.warning("a lost call was not reported", call=call_id, error=error)
            return
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("LiveKit does not answer about a lost call", call=call_id, error=error)
        return
    log.info("a lost call was reported", call=call_id, room=entry.room)
    ledger.settled(call_id)
