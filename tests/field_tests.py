"""Which test shows what each field of an assistant does: on a call, where it is one that is heard.

`docs/reference/field-tests.md` is made from it: Path(PAGE).write_text(page()).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PAGE = "docs/reference/field-tests.md"

_SETTINGS, _SOUNDS = "tests/system/test_settings.py", "tests/system/test_sounds.py"
_PROVIDERS, _FAULTS = "tests/system/test_providers.py", "tests/system/test_provider_faults.py"
_CONVERSATION, _ORDERS = "tests/system/test_conversation.py", "tests/system/test_order_book.py"
_TIME_UP = "test_the_longest_duration_ends_with_its_message_whatever_the_person_says"
_BACKGROUND = "test_the_background_is_heard_before_between_and_after_the_words_at_its_level"
_THINKING = "test_the_thinking_sound_is_heard_while_the_agent_thinks_and_at_no_other_time"
_PREPARED = "test_a_generated_first_sentence_is_ready_before_the_answer"
_FIRST = "test_the_first_sentence_waits_for_its_delay_and_none_waits_for_the_person"
_RECORDED = "test_three_exchanges_are_understood_both_ways_and_recorded"
_FAILING = "test_calls_at_the_same_time"
_ANY = "test_a_conversation"

ROWS: Mapping[str, str] = {_FAULTS: "tests/agent/provider_rows.py"}
"""Where a module's rows stand, when not in itself."""

TESTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "background_sound": ((_SOUNDS, _BACKGROUND),),
    "background_sound_volume": ((_SOUNDS, _BACKGROUND),),
    "call_retry_config": (
        (_ORDERS, "test_a_retry_waits_for_its_delay_and_says_so"),
        (_ORDERS, "test_a_closed_window_means_no_invite"),
    ),
    "ears": ((_PROVIDERS, _ANY),),
    "ears_fallbacks": ((_FAULTS, _FAILING),),
    "end_of_call_sentence": ((_PROVIDERS, _ANY), (_CONVERSATION, _RECORDED)),
    "faq_items": ((_SETTINGS, _PREPARED),),
    "first_sentence": ((_CONVERSATION, _RECORDED), (_SETTINGS, _PREPARED)),
    "first_sentence_delay_ms": ((_SETTINGS, _FIRST),),
    "first_sentence_mode": ((_SETTINGS, _FIRST), (_SETTINGS, _PREPARED)),
    "from_phone_number": ((_SETTINGS, _FIRST),),
    "language": ((_SETTINGS, "test_the_language_reaches_ears_model_and_voice"),),
    "llm_fallbacks": ((_FAULTS, _FAILING),),
    "llm_model": ((_PROVIDERS, _ANY),),
    "max_call_duration_secs": ((_SETTINGS, _TIME_UP),),
    "max_duration_end_message": ((_SETTINGS, _TIME_UP),),
    "name": (
        ("tests/contract/seeds/test_revox.py", "test_the_answer_has_the_shape_of_the_example"),
    ),
    "prompt": ((_CONVERSATION, "test_the_ear_notices_a_wrong_sentence"),),
    "prompt_flow": (
        (
            "tests/contract/seeds/test_revox.py",
            "test_an_assistants_field_is_taken_kept_and_returned",
        ),
    ),
    "recording_enabled": (
        (_SETTINGS, "test_what_was_broken_off_is_in_the_transcript_as_far_as_it_was_heard"),
    ),
    "recording_full_mix": (
        (_SOUNDS, "test_the_full_mix_holds_the_caller_and_the_agent_with_its_sounds"),
    ),
    "recording_retention_days": (
        ("tests/recordings/test_retention.py", "test_what_is_due_goes_and_the_rest_stays"),
    ),
    "silence_timeout_secs": ((_SETTINGS, "test_silence_is_asked_twice_and_then_left"),),
    "thinking_sound": ((_SOUNDS, _THINKING),),
    "thinking_sound_probability": (
        (_SOUNDS, "test_a_probability_of_nought_leaves_the_thinking_silent"),
    ),
    "thinking_sound_volume": ((_SOUNDS, _THINKING),),
    "turn_taking": ((_SETTINGS, "test_a_patient_agent_waits_longer_than_a_fast_one"),),
    "voice": (
        (_PROVIDERS, _ANY),
        ("tests/providers/test_voices.py", "test_speed_and_volume_are_heard"),
    ),
    "voice_fallbacks": ((_FAULTS, _FAILING),),
    "webhook_url": (
        ("tests/webhooks/test_delivery.py", "test_the_assistants_own_url_gets_the_whole_call_once"),
    ),
}

_HEAD = """# Which test shows what each field does

Every field of an assistant that is [acted on](assistant-fields.md) has a test that fails when it is
not. Those in `tests/system` hold a real call over SIP and judge by what the telephone heard; the
others judge what reached the API or a receiver of webhooks.
"""


def page() -> str:
    """Return the reference page."""
    return "\n".join([_HEAD, *_rows(), ""])


def _rows() -> Iterator[str]:
    yield "| field | shown by |"
    yield "|---|---|"
    for name in sorted(TESTS):
        shown = "<br>".join(f"`{file}` `{test}`" for file, test in TESTS[name])
        yield f"| `{name}` | {shown} |"
