"""The person's side of a call, as far as the agent can do something to it but speak."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import stt

from agent.audio.output import AudioOutput
from agent.humans import Humans
from agent.warm.consultation import Private
from agent.warm.private_line import PrivateLine
from control_plane.domain.human_leg import HumanResult, HumanView
from control_plane.domain.refer_uri import refer_uri
from sip.api import SipApi
from sip.ports import TransferFailure
from sip.settings import LiveKitSettings

KEYS = "0123456789*#abcd"
"""By their codes (RFC 4733, events 0 to 15)."""


class FarEnd(Protocol):
    """One person's side of the call in `room`."""

    @property
    def room(self) -> rtc.Room: ...
    @property
    def is_telephone(self) -> bool:
        """Whether it has a keypad, or is one's: a browser has none."""
        ...

    async def press(self, key: str) -> None:
        """Send one of `KEYS` to it, as a telephone would.

        Raises:
            livekit.rtc.participant.PublishDTMFError: the room is gone.
        """
        ...

    async def transfer(self, to_number: str, *, ringing_s: int) -> TransferFailure | None:
        """Pass the person on; return null once somebody has answered them, or why nobody did."""
        ...

    async def bring_in(
        self, to_number: str, *, reason: str, because: str, is_asked_first: bool = False
    ) -> HumanView:
        """Have a human called into the room; return what came of it, once that is known.

        Args:
            reason: why the person is passed on; `because`: why that is not done by REFER.
            is_asked_first: the call is theirs once `note` says so, and not with their answer.
        """
        ...

    async def note(self, human_id: str, result: HumanResult) -> HumanView:
        """Have it kept what a human said who was asked first; return them as they are then."""
        ...

    def aside(
        self, output: AudioOutput, recogniser: stt.STT[Any] | None
    ) -> AbstractAsyncContextManager[Private]:
        """Return a line to who is brought in meanwhile, which the person does not hear.

        Args:
            output: what the person hears of the agent; `recogniser`: gives the human's words.
        """
        ...


class RoomFarEnd:
    """A participant of a LiveKit room, by identity; `livekit` has the rights of the agent.

    Args:
        refer_to: the template of the URI that a REFER asks for.
    """

    def __init__(
        self,
        room: rtc.Room,
        identity: str,
        livekit: LiveKitSettings,
        humans: Humans,
        *,
        refer_to: str,
    ) -> None:
        self.room = room
        self._identity = identity
        self._livekit = livekit
        self._humans = humans
        self._refer_to = refer_to

    @property
    def is_telephone(self) -> bool:
        person = self.room.remote_participants.get(self._identity)
        return person is not None and person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP

    async def press(self, key: str) -> None:
        await self.room.local_participant.publish_dtmf(code=KEYS.index(key), digit=key)

    async def transfer(self, to_number: str, *, ringing_s: int) -> TransferFailure | None:
        async with SipApi(self._livekit) as sip:
            return await sip.transferrer.transfer(
                room_name=self.room.name,
                participant_identity=self._identity,
                to_uri=refer_uri(self._refer_to, to_number),
                ringing_s=ringing_s,
            )

    async def bring_in(
        self, to_number: str, *, reason: str, because: str, is_asked_first: bool = False
    ) -> HumanView:
        return await self._humans.bring_in(
            to_number, reason=reason, because=because, is_asked_first=is_asked_first
        )

    async def note(self, human_id: str, result: HumanResult) -> HumanView:
        return await self._humans.note(human_id, result)

    def aside(
        self, output: AudioOutput, recogniser: stt.STT[Any] | None
    ) -> AbstractAsyncContextManager[Private]:
        return PrivateLine(
            self.room, self._identity, self._livekit, output=output, recogniser=recogniser
        )
