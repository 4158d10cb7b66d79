"""What the model is told."""

from __future__ import annotations

import pytest

from agent import prompt
from agent.transcript import delays_ms
from control_plane.domain.assistant import AssistantSpec, FaqItem

pytestmark = pytest.mark.unit

SPEC = AssistantSpec(
    name="Reception",
    prompt="You call {{name}} about {{ topic }}.",
    faq_items=(FaqItem(question="Where are you?", answer="In {{city}}."),),
)


def test_variables_are_filled_in_everywhere() -> None:
    text = prompt.instructions(SPEC, {"name": "Ada", "topic": "teeth", "city": "Paris"})
    assert "You call Ada about teeth." in text
    assert "Q: Where are you?\nA: In Paris." in text


def test_a_placeholder_without_a_value_is_never_spoken() -> None:
    assert prompt.render("Hello {{name}}!", {}) == "Hello !"
    assert "{{" not in prompt.instructions(SPEC, {})


def test_the_closing_sentence_decides_who_says_goodbye() -> None:
    with_sentence = AssistantSpec(name="x", prompt="p", end_of_call_sentence="Bye.")
    assert "spoken for you" in prompt.instructions(with_sentence, {})
    assert "say goodbye" in prompt.instructions(SPEC, {})


def test_the_opening_is_led_by_the_first_sentence() -> None:
    assert "Ask for Ada" in prompt.opening("Ask for Ada")
    assert "greet" in prompt.opening(None)


def test_delays_are_reported_in_milliseconds_by_our_names() -> None:
    metrics = {"llm_node_ttft": 0.0214, "e2e_latency": 0.3369, "tts_metadata": {"x": 1}}
    assert delays_ms(metrics) == {"llm_first_token": 21.4, "first_sound": 336.9}
