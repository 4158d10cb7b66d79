"""What the settings of an assistant demand of each other, and of their form."""

from __future__ import annotations

from control_plane.domain.assistant import AssistantSpec, CustomModel, FirstSentenceMode
from control_plane.domain.calling_times import check as check_times
from control_plane.domain.errors import BadInput
from control_plane.domain.tools import check_fields, check_tools
from control_plane.domain.urls import check_email, check_url

_ELEVENLABS_SPEED = (0.7, 1.2)


def check(spec: AssistantSpec, *, within: str = "") -> None:
    """Find out whether the assistant can be acted on as a whole.

    Args:
        within: what stands before the names of fields, such as `assistant.`.

    Raises:
        BadInput: a setting cannot be used, or two contradict each other; names the field.
    """
    _check_speech(spec, within)
    _check_transfer(spec, within)
    check_times(spec.call_retry_config, field=f"{within}call_retry_config")
    check_tools(spec.custom_tools, field=f"{within}custom_tools")
    check_fields(spec.structured_output_config, field=f"{within}structured_output_config")
    if spec.webhook_url is not None:
        check_url(spec.webhook_url, field=f"{within}webhook_url")
    if isinstance(spec.llm_model, CustomModel):
        check_url(spec.llm_model.api_url, field=f"{within}llm_model.api_url")
    if spec.email_notification_address is not None:
        check_email(spec.email_notification_address, field=f"{within}email_notification_address")


def _check_speech(spec: AssistantSpec, within: str) -> None:
    if spec.first_sentence_mode is FirstSentenceMode.STATIC and not spec.first_sentence:
        raise BadInput(
            "first_sentence_mode static speaks first_sentence as it is: add first_sentence, "
            "or use the mode generated or none",
            field=f"{within}first_sentence",
        )
    if spec.voice is not None and spec.voice.provider == "elevenlabs":
        lowest, highest = _ELEVENLABS_SPEED
        if not lowest <= spec.voice.speed <= highest:
            raise BadInput(
                f"voice.speed of elevenlabs lies between {lowest} and {highest}",
                field=f"{within}voice.speed",
            )


def _check_transfer(spec: AssistantSpec, within: str) -> None:
    if spec.human_transfer_mode is not None and spec.transfer_phone_number is None:
        raise BadInput(
            "human_transfer_mode says how a call reaches transfer_phone_number: add "
            "transfer_phone_number, or leave human_transfer_mode null",
            field=f"{within}human_transfer_mode",
        )
