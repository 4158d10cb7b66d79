"""What lets the person of a browser session into its room: a LiveKit token, and where to."""

from __future__ import annotations

from control_plane.db.models.session import Session
from control_plane.domain import browser
from control_plane.keys.join_tokens import JoinTokens


class Door:
    """Makes the tokens of browser sessions.

    Args:
        url: livekit-server's address as browsers reach it.
    """

    def __init__(self, tokens: JoinTokens, url: str):
        self._tokens = tokens
        self.url = url

    def token(self, session: Session) -> str:
        """Return the token with which one person joins, from the opening on, for a while."""
        opens_at = session.scheduled_at or session.created_at
        until = session.token_until or opens_at + browser.TOKEN_LIFE
        return self._tokens.issue(
            session.room_name,
            browser.participant_identity(session.id),
            opens_at=opens_at,
            until=until - browser.LEEWAY,
            room_stays_s=browser.ROOM_STAYS_S,
        )
