"""LiveKit's own tokens: an agent's proves whose job it is, a person's lets them into one room."""

from __future__ import annotations

from datetime import datetime, timedelta

import jwt
import msgspec
from msgspec import Struct

from control_plane.domain.errors import NotAllowed, NotAuthenticated

_ALGORITHM = "HS256"
_AGENT, _PERSON = "agent", "standard"
_LEEWAY = timedelta(minutes=1)
"""LiveKit may run on another machine, with another clock."""


class Join(Struct, frozen=True):
    """One agent's job: the room that it may join, and as whom; no other job has the identity."""

    room: str
    identity: str


class _Grants(Struct, rename="camel"):
    room_join: bool = False
    room: str = ""


class _Claims(Struct):
    sub: str = ""
    kind: str = ""
    video: _Grants = msgspec.field(default_factory=_Grants)


class JoinTokens:
    """Makes and checks tokens by the key that we share with livekit-server."""

    def __init__(self, api_key: str, api_secret: str):
        self._api_key = api_key
        self._api_secret = api_secret

    def issue(
        self, room: str, identity: str, *, opens_at: datetime, until: datetime, room_stays_s: int
    ) -> str:
        """Return a token with which one person may join one room, from `opens_at` until `until`.

        They may speak by their microphone, hear the others and send data, which is what they type:
        LiveKit knows no narrower right, and an agent takes nothing else (`agent/typed.py`). They
        change nothing of themselves.

        Args:
            room_stays_s: how long the room stays when they have left; for who comes before it is
                made, and so makes it.
        """
        grants = {
            "roomJoin": True,
            "room": room,
            "canSubscribe": True,
            "canPublish": True,
            "canPublishSources": ["microphone"],
            "canPublishData": True,
            "canUpdateOwnMetadata": False,
        }
        claims = {
            "iss": self._api_key,
            "sub": identity,
            "nbf": opens_at,
            "exp": until,
            "kind": _PERSON,
            "video": grants,
            "roomConfig": {"departureTimeout": room_stays_s},
        }
        return jwt.encode(claims, self._api_secret, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Join:
        """Return which agent may join which room.

        How long the token has left says nothing of the call: the worker may sign it again.

        Raises:
            NotAuthenticated: it is forged, or it has expired.
            NotAllowed: it lets nobody into a room, or a participant who is no agent.
        """
        try:
            payload = jwt.decode(
                token,
                self._api_secret,
                algorithms=[_ALGORITHM],
                issuer=self._api_key,
                leeway=_LEEWAY,
                options={"require": ["exp", "sub"]},
            )
            claims = msgspec.convert(payload, _Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as exc:
            raise NotAuthenticated(
                "the token is not that of a job of our LiveKit, or it has expired: LIVEKIT_API_KEY "
                "and LIVEKIT_API_SECRET must be the same for the control plane and the worker"
            ) from exc
        grants = claims.video
        if claims.kind != _AGENT or not (grants.room_join and grants.room and claims.sub):
            raise NotAllowed("this endpoint takes the token with which an agent joins one room")
        return Join(grants.room, claims.sub)
