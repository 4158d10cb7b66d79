"""Where the code is that makes each setting of an assistant or an order change a call.

None: the setting is checked and kept, and the code arrives with a later release; answers then say
so in `not_yet_acted_on`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from control_plane.domain.assistant import AssistantSpec

ASSISTANT: Mapping[str, str | None] = {
    "name": "control_plane.assistants.views.view_of_spec",
    "prompt": "agent.prompt.Texts",
    "prompt_flow": "control_plane.assistants.views.view_of_spec",
    "language": "speech.tables.make_stt",
    "turn_taking": "agent.turn_taking.turn_handling",
    "first_sentence": "agent.first_sentence.prepare",
    "first_sentence_mode": "agent.first_sentence.prepare",
    "first_sentence_delay_ms": "agent.call.Call",
    "end_of_call_sentence": "agent.call.Call",
    "max_call_duration_secs": "agent.limits.hold_max_duration",
    "max_duration_end_message": "agent.limits.hold_max_duration",
    "silence_timeout_secs": "agent.limits.SilenceWatch",
    "faq_items": "agent.prompt.Texts",
    "llm_model": "speech.tables.make_llm",
    "voice": "speech.tables.make_tts",
    "ears": "speech.tables.make_stt",
    "llm_fallbacks": "speech.tables.make_llm",
    "voice_fallbacks": "speech.tables.make_tts",
    "ears_fallbacks": "speech.tables.make_stt",
    "recording_enabled": "agent.recording.StereoRecorder",
    "recording_full_mix": "agent.recording.StereoRecorder",
    "recording_retention_days": "control_plane.recordings.retention.expires_at",
    "background_sound": "agent.sounds.Sounds",
    "background_sound_volume": "agent.sounds.Sounds",
    "thinking_sound": "agent.sounds.Sounds",
    "thinking_sound_probability": "agent.sounds.Sounds",
    "thinking_sound_volume": "agent.sounds.Sounds",
    "call_retry_config": "control_plane.domain.gate.gate",
    "from_phone_number": "control_plane.orders.placing.Placer",
    "webhook_url": "control_plane.webhooks.outbox.relay",
    "voicemail_message": None,
    "voicemail_sms_prompt": None,
    "ivr_navigation_enabled": None,
    "transfer_phone_number": None,
    "human_transfer_mode": None,
    "warm_transfer_summary_instructions": None,
    "custom_tools": None,
    "calendly": None,
    "sms_enabled": None,
    "sms_template": None,
    "after_call_sms_prompt": None,
    "email_notification_address": None,
    "email_notification_outcomes": None,
    "structured_output_config": None,
    "structured_output_prompt": None,
}

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

PAGE = "docs/reference/assistant-fields.md"

_HEAD = """# Which field is acted on where

Every field is checked when it is given and kept with the order. One that says *not yet* is kept
while the code behind it does not exist: an answer whose assistant sets it to something else than
its default lists it in `not_yet_acted_on`. Bounds and defaults: [assistant fields](assistant.md).
"""
_NOWHERE = "*not yet*"


def not_yet_acted_on(spec: AssistantSpec) -> list[str]:
    """Return the settings that differ from their default and change nothing yet, by name."""
    return sorted(name for name, default in _PENDING if getattr(spec, name) != default)


def page() -> str:
    """Return the reference page made from the tables."""
    return "\n".join([_HEAD, *_table("assistant", ASSISTANT), *_table("order", ORDER)])


def _table(title: str, table: Mapping[str, str | None]) -> Iterator[str]:
    yield f"## Of an {title}\n"
    yield "| field | acted on in |"
    yield "|---|---|"
    for name in sorted(table):
        symbol = table[name]
        yield f"| `{name}` | {_NOWHERE if symbol is None else f'`{symbol}`'} |"
    yield ""


def _defaults() -> dict[str, object]:
    return msgspec.structs.asdict(AssistantSpec(name="", prompt=""))


_PENDING = tuple(
    (name, default) for name, default in _defaults().items() if ASSISTANT[name] is None
)
