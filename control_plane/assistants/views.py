"""Assistants as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from control_plane.assistants import specs
from control_plane.assistants.schemas import AssistantView
from control_plane.db.models.assistant import Assistant
from control_plane.providers.needed import providers_of


def view(row: Assistant) -> AssistantView:
    """Return the assistant's current version."""
    return view_of_spec(
        row.spec,
        assistant_id=row.id,
        organization_id=row.organization_id,
        version=row.version,
        is_default=row.is_default,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def view_of_spec(
    stored: dict[str, Any],
    *,
    assistant_id: str | None,
    organization_id: str,
    version: int,
    is_default: bool,
    created_at: datetime,
    updated_at: datetime,
) -> AssistantView:
    """Return a stored spec as an assistant, keys masked."""
    spec = specs.shown(stored)
    return AssistantView(
        id=assistant_id,
        organization_id=organization_id,
        version=version,
        is_default=is_default,
        created_at=created_at,
        updated_at=updated_at,
        name=spec.name,
        prompt=spec.prompt,
        first_sentence=spec.first_sentence,
        first_sentence_mode=spec.first_sentence_mode,
        first_sentence_delay_ms=spec.first_sentence_delay_ms,
        end_of_call_sentence=spec.end_of_call_sentence,
        max_call_duration_secs=spec.max_call_duration_secs,
        max_duration_end_message=spec.max_duration_end_message,
        silence_timeout_secs=spec.silence_timeout_secs,
        faq_items=list(spec.faq_items),
        llm_model=spec.llm_model,
        voice=spec.voice,
        ears=spec.ears,
        recording_enabled=spec.recording_enabled,
        needs_keys=sorted(providers_of(spec)),
    )
