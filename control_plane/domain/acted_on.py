"""Where the code is that makes each field of an order change a call, and what has none yet.

None: the field is checked and kept, and the code arrives with a later release; answers then say
so in `not_yet_acted_on`. Of an assistant, `domain.assistant` declares it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from control_plane.domain.declared import settings_of

ORDER: Mapping[str, str | None] = {
    "phone_number": "control_plane.domain.phone.e164",
    "assistant_id": "control_plane.orders.placing.Placer",
    "assistant": "control_plane.assistants.schemas.merge",
    "call_retry_config": "control_plane.domain.gate.gate",
    "concurrency": "control_plane.domain.gate.gate",
    "force_now": "control_plane.domain.gate.gate",
    "scheduled_at": "control_plane.domain.gate.gate",
    "from_phone_number": "control_plane.orders.placing.Placer",
    "metadata": "control_plane.orders.views.CallViews",
    "prompt_variables": "agent.prompt.Texts",
}


def not_yet_acted_on(spec: Struct) -> list[str]:
    """Return the settings that differ from their default and change nothing yet, by name."""
    pending = ((n, s.default) for n, s in settings_of(type(spec)).items() if s.acted_on is None)
    return sorted(name for name, default in pending if getattr(spec, name) != default)
