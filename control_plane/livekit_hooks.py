"""LiveKit's webhooks, taken as hints: they wake who looks at the rooms, and change nothing."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from livekit import api

from control_plane.db.engine import wake
from control_plane.domain.browser import ROOM_PREFIX
from control_plane.domain.errors import BadInput, NotAuthenticated
from control_plane.http.auth import bearer
from control_plane.http.dependencies import GivenDatabase
from process.logs import get_logger

GivenHooks = NamedDependency[api.WebhookReceiver]
_TELLING = frozenset({"participant_left", "room_finished", "participant_connection_aborted"})
log = get_logger(__name__)


class LiveKitHookController(Controller):
    """Where livekit-server posts what it saw."""

    path = "/livekit/webhook"
    tags = ("livekit",)

    @post(
        include_in_schema=False,
        operation_id="receiveLiveKitEvent",
        summary="Take a LiveKit webhook",
        status_code=200,
    )
    async def receive(
        self,
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        livekit_hooks: GivenHooks,
    ) -> None:
        """Wake the schedulers when somebody left a room, or came into one by a browser.

        It is verified by LiveKit's signature.
        """
        header = request.headers.get("authorization", "")
        token = bearer(header) if header.lower().startswith("bearer ") else header
        body = await request.body()
        try:
            event = livekit_hooks.receive(body.decode(), token)
        except UnicodeDecodeError as exc:
            raise BadInput("the body is not text") from exc
        except Exception as exc:  # livekit-api raises plain Exception for a wrong hash
            raise NotAuthenticated("the webhook's signature is not LiveKit's") from exc
        came_by_browser = event.event == "participant_joined" and event.room.name.startswith(
            ROOM_PREFIX
        )
        if event.event in _TELLING or came_by_browser:
            log.debug("a hint from LiveKit", hint=event.event, room=event.room.name)
            async with database.transaction() as db:
                wake(db)
