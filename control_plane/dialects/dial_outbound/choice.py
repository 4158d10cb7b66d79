"""Who speaks on one call: the use case, with the voice, model and prompt that were named."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import repository as assistants
from control_plane.assistants import versions
from control_plane.db.models.assistant import Assistant
from control_plane.dialects.dial_outbound.ids import Kind, naming
from control_plane.dialects.dial_outbound.schemas import Dial
from control_plane.dialects.placing import Speaker
from control_plane.domain.errors import BadInput
from control_plane.domain.ids import parse_id
from control_plane.domain.preset import ModelPreset, PromptPreset, VoicePreset
from control_plane.domain.providers import (
    DEDICATED,
    CustomModel,
    DedicatedModel,
    LlmModel,
    OpenRouterModel,
    RealtimeModel,
    Voice,
    VoiceProvider,
)
from control_plane.presets import repository as presets

P = TypeVar("P", VoicePreset, ModelPreset, PromptPreset)


async def choose(db: AsyncSession, organization_id: str, given: Dial) -> Speaker:
    """Return who speaks.

    Raises:
        NotFound: something that is named is not there.
        BadInput: what is named does not go together; names the field.
    """
    use_case = await _use_case(db, organization_id, given)
    version = await versions.get(db, use_case.version_id or "")
    changes: dict[str, Any] = {}
    parts: list[Struct] = []
    if given.agent_id is not None:
        voice = await _preset(db, organization_id, Kind.AGENT, given.agent_id, VoicePreset)
        changes["voice"] = voice.voice
    elif given.voice_id is not None:
        changes["voice"] = _voice(given.voice_id, version.spec.voice)
    if given.model_id is not None:
        model = await _preset(db, organization_id, Kind.MODEL, given.model_id, ModelPreset)
        parts.append(model)
        changes["llm_model"] = model.model
    elif given.model is not None:
        changes["llm_model"] = _model(given.model, version.spec.llm_model)
    if given.prompt_id is not None:
        prompt = await _preset(db, organization_id, Kind.PROMPT, given.prompt_id, PromptPreset)
        changes["prompt"] = prompt.prompt
    if given.language is not None:
        changes["language"] = given.language
    if given.max_duration_mins is not None:
        changes["max_call_duration_secs"] = given.max_duration_mins * 60
    return Speaker.of(use_case, version, changes, besides=parts)


async def _use_case(db: AsyncSession, organization_id: str, given: Dial) -> Assistant:
    field = "use_case_id" if given.use_case_id is not None else "assistant_id"
    named = given.use_case_id or given.assistant_id
    if named is None:
        return await assistants.get_default(db, organization_id)
    if field == "assistant_id" and len(named) == 36:  # as the native API writes it
        key = parse_id(named, what="use case", field=field)
        return await assistants.get_assistant(db, organization_id, key, field=field)
    with naming(Kind.USE_CASE, named, field=field) as key:
        return await assistants.get_assistant(db, organization_id, key)


async def _preset(
    db: AsyncSession, organization_id: str, kind: Kind, given: str, wanted: type[P]
) -> P:
    field = f"{kind.words}_id"
    with naming(kind, given, field=field) as key:
        row = await presets.get_preset(db, organization_id, key)
    found = presets.load(row)
    if not isinstance(found, wanted):
        raise BadInput(f"{field}: the preset is a {row.kind}", field=field)
    return found


def _voice(given: str, usual: Voice | None) -> Voice:
    """Return the voice of an id: `PROVIDER:ID`, or an id of the provider of the use case's voice.

    Raises:
        BadInput: nobody knows whose it is.
    """
    provider, colon, voice_id = given.partition(":")
    if colon and voice_id and provider in get_args(VoiceProvider):
        return Voice(voice_id, provider)  # type: ignore[arg-type]  # it is one of them
    if usual is None:
        raise BadInput(
            "voice_id: write it as cartesia:ID or elevenlabs:ID, since the use case has no voice "
            "whose provider it could be of; better, name an agent_id",
            field="voice_id",
        )
    return Voice(given, usual.provider)


def _model(given: str, usual: LlmModel | None) -> LlmModel:
    """Return the model of a name: one we know, else another of the use case's own service.

    Raises:
        BadInput: nobody knows who serves it.
    """
    if given in DEDICATED:
        return DedicatedModel(given)  # type: ignore[arg-type]  # it is one of them
    match usual:
        case RealtimeModel():
            return msgspec.structs.replace(usual, realtime_model_id=given)
        case CustomModel():
            return msgspec.structs.replace(usual, model_name=given)
        case OpenRouterModel():
            return OpenRouterModel(given, "")
    if "/" in given:  # as OpenRouter writes them
        return OpenRouterModel(given, "")
    raise BadInput(
        f"model: it is one of {', '.join(DEDICATED)}, or one of OpenRouter's such as "
        "mistralai/mistral-small; better, name a model_id",
        field="model",
    )
