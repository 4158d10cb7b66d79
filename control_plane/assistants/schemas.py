"""What clients say and see of an assistant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.domain.assistant import (
    AssistantSpec,
    CustomModel,
    DedicatedModel,
    Ears,
    FaqItem,
    FirstSentenceMode,
    OpenRouterModel,
    Provider,
    Voice,
)
from control_plane.domain.errors import BadInput

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Prompt = Annotated[str, Meta(min_length=1, max_length=100_000)]
Sentence = Annotated[str, Meta(max_length=5_000)]
_ELEVENLABS_SPEED = (0.7, 1.2)


class AssistantFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of an assistant; null stands for the default, absent leaves it as it is."""

    name: Name | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    first_sentence: Sentence | None | UnsetType = UNSET
    first_sentence_mode: FirstSentenceMode | None | UnsetType = UNSET
    first_sentence_delay_ms: Annotated[int, Meta(ge=0, le=60_000)] | None | UnsetType = UNSET
    end_of_call_sentence: Sentence | None | UnsetType = UNSET
    max_call_duration_secs: Annotated[int, Meta(ge=10, le=86_400)] | None | UnsetType = UNSET
    max_duration_end_message: Annotated[str, Meta(max_length=150)] | None | UnsetType = UNSET
    silence_timeout_secs: Annotated[int, Meta(ge=5, le=600)] | None | UnsetType = UNSET
    faq_items: Annotated[list[FaqItem], Meta(max_length=500)] | None | UnsetType = UNSET
    llm_model: DedicatedModel | OpenRouterModel | CustomModel | None | UnsetType = UNSET
    voice: Voice | None | UnsetType = UNSET
    ears: Ears | None | UnsetType = UNSET
    recording_enabled: bool | None | UnsetType = UNSET


class AssistantCreate(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new assistant."""

    name: Name
    prompt: Prompt
    is_default: bool = False


class InlineAssistant(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An assistant that lives in one order only."""

    name: Name = "Assistant"
    prompt: Prompt


class AssistantPatch(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to an assistant; what is absent stays."""

    is_default: bool | UnsetType = UNSET


class AssistantView(Struct, frozen=True, kw_only=True):
    """An assistant as clients see it, secrets masked.

    `needs_keys` names the providers without whose key it cannot speak.
    """

    id: str | None
    organization_id: str
    name: str
    version: int
    is_default: bool
    created_at: datetime
    updated_at: datetime
    prompt: str
    first_sentence: str | None
    first_sentence_mode: FirstSentenceMode
    first_sentence_delay_ms: int
    end_of_call_sentence: str | None
    max_call_duration_secs: int
    max_duration_end_message: str | None
    silence_timeout_secs: int
    faq_items: list[FaqItem]
    llm_model: DedicatedModel | OpenRouterModel | CustomModel | None
    voice: Voice | None
    ears: Ears
    recording_enabled: bool
    needs_keys: list[Provider]


class AssistantEnvelope(Struct, frozen=True):
    """One assistant."""

    assistant: AssistantView


class AssistantList(Struct, frozen=True):
    """Every assistant of the organization, newest first."""

    assistants: list[AssistantView]


def merge(fields: AssistantFields, onto: AssistantSpec | None = None) -> AssistantSpec:
    """Return `onto` with `fields` applied, checked as a whole.

    Raises:
        BadInput: two settings contradict each other; names the field to change.
    """
    values: dict[str, Any] = {} if onto is None else _fields_of(onto)
    for field in msgspec.structs.fields(AssistantSpec):
        given = getattr(fields, field.name, UNSET)
        if given is None:
            values.pop(field.name, None)
        elif given is not UNSET:
            values[field.name] = tuple(given) if field.name == "faq_items" else given
    spec = AssistantSpec(**values)
    _check(spec)
    return spec


def _fields_of(spec: AssistantSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


def _check(spec: AssistantSpec) -> None:
    if spec.first_sentence_mode is FirstSentenceMode.STATIC and not spec.first_sentence:
        raise BadInput(
            "first_sentence_mode static speaks first_sentence as it is: add first_sentence, "
            "or use the mode generated or none",
            field="first_sentence",
        )
    if spec.voice is not None and spec.voice.provider == "elevenlabs":
        lowest, highest = _ELEVENLABS_SPEED
        if not lowest <= spec.voice.speed <= highest:
            raise BadInput(
                f"voice.speed of elevenlabs lies between {lowest} and {highest}",
                field="voice.speed",
            )
