"""What the first sentence answers by itself."""

from __future__ import annotations

import pytest
from livekit.agents.llm import ChatContext

from agent.opening import Opening, as_said_before
from control_plane.domain.assistant import Language

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (Language.EN_US, "Hello?"),
        (Language.EN_US, "Who is calling me?"),
        (Language.EN_GB, "Miller."),
        (Language.EN_GB, "Peter Miller speaking"),
        (Language.DE_DE, "Ja, wer ist da?"),
        (Language.ES_ES, "¿Quién es?"),
        (Language.PT_PT, "Estou, quem fala?"),
        (Language.FR_FR, "Allô, qui est à l'appareil ?"),
        (Language.IT_IT, "Pronto, chi parla?"),
        (Language.PL_PL, "Halo, kto mówi?"),
        (Language.RO_RO, "Alo, cine este?"),
    ],
)
def test_a_greeting_is_answered_by_the_first_sentence(language: Language, said: str) -> None:
    assert Opening("Say hello.", language).is_answered_by_it(said)


@pytest.mark.parametrize("said", ["Are you open?", "When can I come?", "I want a table for two."])
def test_a_question_is_not(said: str) -> None:
    assert not Opening("Say hello.", Language.EN_US).is_answered_by_it(said)


def test_the_model_answers_after_the_sentence() -> None:
    context = ChatContext()
    context.add_message(role="system", content="Be kind.")
    context.add_message(role="user", content="Are you open?")
    told = as_said_before(context, "This is the clinic.")
    assert [(item.role, item.text_content) for item in told.messages()] == [
        ("system", "Be kind."),
        ("assistant", "This is the clinic."),
        ("user", "Are you open?"),
    ]
    assert len(context.items) == 2
