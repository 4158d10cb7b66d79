"""Parts of an assistant that are kept by themselves: a voice, a model, a prompt."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from control_plane.domain.providers import LlmModel, Voice

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Prompt = Annotated[str, Meta(max_length=100_000)]


class PresetKind(StrEnum):
    """What a preset is."""

    VOICE = "voice"
    MODEL = "model"
    PROMPT = "prompt"


class VoicePreset(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="voice"
):
    """A voice by a name; null is the embedded one."""

    name: Name
    voice: Voice | None


class ModelPreset(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="model"
):
    """A model by a name."""

    name: Name
    model: LlmModel


class PromptPreset(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="prompt"
):
    """A prompt by a name, with its `{{variables}}`."""

    name: Name
    prompt: Prompt


AnyPreset = VoicePreset | ModelPreset | PromptPreset


def kind_of(preset: AnyPreset) -> PresetKind:
    """Return what a preset is."""
    return PresetKind(str(preset.__struct_config__.tag))
