"""An assistant's settings as they hold in one session."""

from __future__ import annotations

from control_plane.db.models.session import Session
from control_plane.domain import browser
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import Direction


def spec_of(session: Session, spec: AssistantSpec) -> AssistantSpec:
    """Return `spec`, of the session's assistant, with what the session says otherwise."""
    if session.direction is not Direction.BROWSER:
        return spec
    return browser.in_browser(
        spec, max_duration_secs=session.max_duration_secs, is_recorded=session.is_recorded
    )
