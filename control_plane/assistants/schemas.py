"""What clients say and see of an assistant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from control_plane.assistants.derived import answer_with, request_for
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.assistant_rules import check
from control_plane.domain.declared import settings_of
from control_plane.domain.providers import LlmModel, Provider


@request_for(AssistantSpec)
class AssistantCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new assistant."""

    name: str
    prompt: str
    is_default: bool = False


@request_for(AssistantSpec)
class InlineAssistant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An assistant that lives in one order only."""

    name: str = "Assistant"
    prompt: str


@request_for(AssistantSpec)
class AssistantPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to an assistant; what is absent stays."""

    is_default: bool | UnsetType = UNSET


@answer_with(AssistantSpec)
class AssistantView(Struct, frozen=True, kw_only=True):
    """An assistant as clients see it, secrets masked.

    `needs_keys` names the providers without whose key it cannot speak, `not_yet_supported` the
    settings that are kept while the code behind them does not exist yet.
    """  # the settings named here are those that a call or a session repeats

    id: str | None
    organization_id: str
    version: int
    is_default: bool
    created_at: datetime
    updated_at: datetime
    pending_faq_count: int
    needs_keys: list[Provider]
    not_yet_supported: list[str]
    first_sentence_delay_ms: int
    llm_model: LlmModel | None
    max_call_duration_secs: int
    recording_enabled: bool


class AssistantNow(AssistantView, frozen=True, kw_only=True):
    """An assistant as it would answer now.

    `llm_model_in_force` is `llm_model`; where that is null, gpt-4.1 while there is a key for
    `openai`, else the embedded one.
    """

    llm_model_in_force: LlmModel


class AssistantEnvelope(Struct, frozen=True):
    """One assistant."""

    assistant: AssistantNow


class AssistantList(Struct, frozen=True):
    """Every assistant of the organization, newest first."""

    assistants: list[AssistantNow]


def merge(
    given: AssistantCreate | InlineAssistant | AssistantPatch, onto: AssistantSpec | None = None
) -> AssistantSpec:
    """Return `onto` with what is given applied, checked as a whole.

    Raises:
        BadInput: a setting cannot be used, or two contradict each other; names the field.
    """
    within = "assistant." if isinstance(given, InlineAssistant) else ""
    values: dict[str, Any] = {} if onto is None else msgspec.structs.asdict(onto)
    for name, setting in settings_of(AssistantSpec).items():
        value = getattr(given, name)
        if value is None or (value == "" and setting.asked.empty_is_none):
            values.pop(name, None)
        elif value is not UNSET:
            values[name] = setting.kept(value, f"{within}{name}")
    spec = AssistantSpec(**values)
    check(spec, within=within)
    return spec
