"""What the settings of an assistant demand of each other, and of their form."""

from __future__ import annotations

from control_plane.domain.assistant import AssistantSpec, FirstSentenceMode, humans_of
from control_plane.domain.credentials import check_sent_to
from control_plane.domain.declared import settings_of
from control_plane.domain.errors import BadInput
from control_plane.domain.providers import (
    SERVICES,
    CustomModel,
    EmbeddedModel,
    LlmModel,
    Provider,
    RealtimeModel,
    Voice,
)

_NOT_GIVEN = (type(None), EmbeddedModel)


def check(spec: AssistantSpec, *, within: str = "") -> None:
    """Find out whether the assistant can be acted on as a whole.

    Args:
        within: what stands before the names of fields, such as `assistant.`.

    Raises:
        BadInput: a setting cannot be used, or two contradict each other; names the field.
    """
    _check_speech(spec, within)
    _check_transfer(spec, within)
    for name, setting in settings_of(type(spec)).items():
        checked = setting.asked.check
        if checked is not None and (value := getattr(spec, name)) is not None:
            checked(value, field=f"{within}{name}")
    _check_models(spec, within)


def _check_models(spec: AssistantSpec, within: str) -> None:
    named: list[tuple[str, LlmModel | None]] = [("llm_model", spec.llm_model)]
    named += [(f"llm_fallbacks[{n}]", model) for n, model in enumerate(spec.llm_fallbacks)]
    for name, model in named:
        if isinstance(model, CustomModel):
            where = f"{within}{name}.api_url"
            check_sent_to(model.api_url, field=where, remedy="give it as api_key")
    _check_realtime(spec.llm_model, within)
    if spec.llm_fallbacks and isinstance(spec.llm_model, RealtimeModel):
        raise BadInput(
            "llm_fallbacks step in between two replies, which a realtime model cannot hand over: "
            "leave llm_fallbacks empty, or give an llm_model of another type",
            field=f"{within}llm_fallbacks",
        )
    for main, others in (("llm_model", "llm_fallbacks"), ("voice", "voice_fallbacks")):
        if getattr(spec, others) and isinstance(getattr(spec, main), _NOT_GIVEN):
            raise BadInput(
                f"{others} step in for a {main} of your own, and the embedded one does not "
                f"fail: give {main}, or leave {others} empty",
                field=f"{within}{others}",
            )
    _check_language(spec, within)


def _check_realtime(model: LlmModel | None, within: str) -> None:
    if isinstance(model, RealtimeModel) and model.provider != "openai" and model.is_tuned:
        raise BadInput(
            "llm_model: turn_detection, speed, noise_reduction and max_output_tokens are settings "
            "of OpenAI's realtime models: leave them out, or use the provider openai",
            field=f"{within}llm_model",
        )


def _check_language(spec: AssistantSpec, within: str) -> None:
    if spec.language.base == "en":
        return
    hears_itself = isinstance(spec.llm_model, RealtimeModel)
    embedded = {
        "llm_model": isinstance(spec.llm_model, _NOT_GIVEN),
        "voice": spec.voice is None and not hears_itself,
        "stt": spec.stt.provider == "offline" and not hears_itself,
    }
    for name, is_embedded in embedded.items():
        if is_embedded:
            raise BadInput(
                f"the embedded {name} knows English only: give {name} a provider that speaks "
                f"{spec.language.value}, or use the language en-US",
                field=f"{within}{name}",
            )


def _check_speech(spec: AssistantSpec, within: str) -> None:
    if spec.first_sentence_mode is FirstSentenceMode.STATIC and not spec.first_sentence:
        raise BadInput(
            "first_sentence_mode static speaks first_sentence as it is: add first_sentence, "
            "or use the mode generated or none",
            field=f"{within}first_sentence",
        )
    voices: list[tuple[str, Voice | None]] = [("voice", spec.voice)]
    voices += [(f"voice_fallbacks[{n}]", voice) for n, voice in enumerate(spec.voice_fallbacks)]
    for name, voice in voices:
        if voice is None:
            continue
        lowest, highest = SERVICES[Provider(voice.provider)].speeds
        if not lowest <= voice.speed <= highest:
            raise BadInput(
                f"{name}.speed of {voice.provider} lies between {lowest} and {highest}",
                field=f"{within}{name}.speed",
            )


def _check_transfer(spec: AssistantSpec, within: str) -> None:
    if spec.human_transfer_mode is not None and not humans_of(spec):
        raise BadInput(
            "human_transfer_mode says how a call reaches transfer_phone_number: add "
            "transfer_phone_number or transfer_targets, or leave human_transfer_mode null",
            field=f"{within}human_transfer_mode",
        )
