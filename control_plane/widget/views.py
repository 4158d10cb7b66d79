"""What a page is told of a session that it has started."""

from __future__ import annotations

from control_plane.browser.asking import Begun
from control_plane.browser.door import Door
from control_plane.sessions.settings import spec_of
from control_plane.widget.schemas import PageSession


def page_session(begun: Begun, door: Door) -> PageSession:
    """Return what the page joins a session with that was just stored."""
    session = begun.call.session
    return PageSession(
        session_id=session.id,
        token=door.token(session),
        livekit_url=door.url,
        recording=spec_of(session, begun.version.spec).recording_enabled,
    )
