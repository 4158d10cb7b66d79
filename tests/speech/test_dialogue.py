"""The scripted dialogue: what it says, and what it will not."""

from __future__ import annotations

import pytest

from speech.offline.dialogue import END_CALL, Reply, Turn, reply
from speech.offline.meaning import Meaning, Words

pytestmark = pytest.mark.unit

CLINIC = """You are Ava, the receptionist of Bright Smile Dental. Be friendly and brief.
Never give medical advice. We are open from nine to five on weekdays.
The appointment is on Tuesday at ten. A filling costs two hundred dollars, {{first_name}}.
Our office is at 12 Main Street in Springfield.
Remind the patient that their insurance card is needed.

Q: How much does a cleaning cost?
A: A cleaning costs eighty dollars.
Q: Do you accept insurance?
A: Yes, we accept Delta and Aetna.
Q: How do I cancel my appointment?
A: Call us one day ahead and we will cancel it.
"""


@pytest.fixture(scope="module", params=["meaning", "words"])
def meaning(request: pytest.FixtureRequest) -> Meaning:
    return Meaning.load() if request.param == "meaning" else Words()


def talk(meaning: Meaning, *said: str, tools: tuple[str, ...] = (), prompt: str = CLINIC) -> Reply:
    """Return the reply to the last of what the caller says, in one conversation."""
    history = [Turn("agent", "Hello, this is Ava from Bright Smile Dental. How can I help you?")]
    answered = Reply()
    for words in said:
        history.append(Turn("caller", words))
        answered = reply(history, prompt, tools, meaning=meaning)
        history.append(Turn("agent", answered.text))
    return answered


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How much does a cleaning cost?", "A cleaning costs eighty dollars."),
        ("And what does a cleaning cost?", "A cleaning costs eighty dollars."),
        ("Do you accept insurance?", "Yes, we accept Delta and Aetna."),
        ("When are you open?", "We are open from nine to five on weekdays."),
        ("When is my appointment?", "The appointment is on Tuesday at ten."),
        ("How much is a filling?", "A filling costs two hundred dollars."),
        ("Where is your office?", "Our office is at 12 Main Street in Springfield."),
        ("How can I cancel my appointment?", "Call us one day ahead and we will cancel it."),
    ],
)
def test_answers_from_the_faq_and_the_facts(meaning: Meaning, question: str, answer: str) -> None:
    assert talk(meaning, question).text.replace(", .", ".") == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What are your opening hours?", "We are open from nine to five on weekdays."),
        ("What time do you close on Friday?", "We are open from nine to five on weekdays."),
        ("What is the price of a filling?", "A filling costs two hundred dollars."),
        ("How expensive is it to have my teeth cleaned?", "A cleaning costs eighty dollars."),
    ],
)
def test_paraphrases_are_answered_by_meaning(question: str, answer: str) -> None:
    assert talk(Meaning.load(), question).text.replace(", .", ".") == answer


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Can you tell me a joke?",
        "Do you sell cars?",
        "What's the wifi password?",
        "Do you do root canals?",
        "Will it rain tomorrow?",
    ],
)
def test_says_that_it_does_not_know(meaning: Meaning, question: str) -> None:
    answered = talk(meaning, question).text
    assert "do not know" in answered
    assert "call you back" in answered


def test_a_call_back_can_be_accepted_and_declined(meaning: Meaning) -> None:
    asked = "What is the capital of France?"
    assert "Someone will call you back" in talk(meaning, asked, "Yes, please.").text
    assert "anything else" in talk(meaning, asked, "No, thanks.").text


def test_reads_a_number_back_and_takes_yes_no_and_corrections(meaning: Meaning) -> None:
    said = "My customer number is four two seven nine one."
    assert "four two seven nine one" in talk(meaning, said).text.replace(",", "")
    assert "noted" in talk(meaning, said, "Yes, that's right.").text
    assert "again" in talk(meaning, said, "No.").text
    corrected = talk(meaning, said, "No, it is 42792.").text
    assert "four two seven nine two" in corrected.replace(",", "")


def test_reads_a_date_and_a_time_back(meaning: Meaning) -> None:
    answered = talk(meaning, "I would like to come next Monday at 3 pm.").text
    assert "next Monday at 3 pm" in answered
    assert answered.endswith("Is that right?")


def test_goodbye_calls_the_tool_and_lets_it_speak(meaning: Meaning) -> None:
    for farewell in ("Great, thank you. That is all. Goodbye.", "Bye-bye.", "That's all, thanks."):
        ended = talk(meaning, farewell, tools=("look_up", END_CALL))
        assert [call.name for call in ended.tool_calls] == [END_CALL]
        assert ended.text == ""


@pytest.mark.parametrize(
    "said",
    [
        "That is all. Wait. How much does a cleaning cost?",
        "Okay, goodbye. Oh, and what does a cleaning cost?",
        "That\u2019s all. Thank you. How much does a cleaning cost? I forgot.",
    ],
)
def test_who_asks_something_after_a_goodbye_is_answered(meaning: Meaning, said: str) -> None:
    answered = talk(meaning, said, tools=(END_CALL,))
    assert (answered.text, answered.tool_calls) == ("A cleaning costs eighty dollars.", ())


def test_who_wants_no_more_calls_is_understood_whatever_follows(meaning: Meaning) -> None:
    ended = talk(meaning, "Stop calling me. Goodbye. Do you hear?", tools=(END_CALL,))
    assert "not call you again" in ended.text
    assert [call.name for call in ended.tool_calls] == [END_CALL]


def test_goodbye_is_said_before_the_tool_where_the_instructions_want_it(meaning: Meaning) -> None:
    prompt = CLINIC + "\nWhen it is over, say goodbye and call the tool end_call."
    ended = talk(meaning, "Goodbye.", tools=(END_CALL,), prompt=prompt)
    assert "Goodbye" in ended.text
    assert [call.name for call in ended.tool_calls] == [END_CALL]


@pytest.mark.parametrize(("keys", "said"), [("1", "one"), ("4 2 #", "four, two, pound")])
def test_pressed_keys_are_read_back(meaning: Meaning, keys: str, said: str) -> None:
    pressed = f"(The person pressed these telephone keys: {keys})"
    assert talk(meaning, pressed).text == f"I heard {said}. Is that right?"


def test_headings_are_no_facts(meaning: Meaning) -> None:
    asked = talk(
        meaning,
        "What are the most frequently asked questions?",
        prompt="# Frequently asked questions",
    )
    assert "do not know" in asked.text


def test_goodbye_without_the_tool_is_spoken(meaning: Meaning) -> None:
    assert talk(meaning, "Goodbye.").text.endswith("Goodbye.")


def test_no_after_anything_else_ends_the_call(meaning: Meaning) -> None:
    ended = talk(meaning, "Thank you.", "No, thank you.", tools=(END_CALL,))
    assert [call.name for call in ended.tool_calls] == [END_CALL]
    assert "would you like" in talk(meaning, "Thank you.", "Yes.", tools=(END_CALL,)).text


def test_an_opt_out_is_acknowledged_and_ends_the_call(meaning: Meaning) -> None:
    ended = talk(meaning, "Please do not call me again.", tools=(END_CALL,))
    assert "not call you again" in ended.text
    assert [call.name for call in ended.tool_calls] == [END_CALL]


def test_is_honest_about_what_it_is(meaning: Meaning) -> None:
    assert "automated assistant" in talk(meaning, "Are you a robot?").text
    assert "automated assistant" in talk(meaning, "Who are you?").text
    assert "Ava" in talk(meaning, "Who am I speaking with?").text


def test_never_says_the_same_twice_in_a_row(meaning: Meaning) -> None:
    questions = ("What is the wifi password?", "Why is that so blue?", "") * 3
    history: list[Turn] = []
    for words in questions:
        history.append(Turn("caller", words))
        said = reply(history, CLINIC, (), meaning=meaning).text
        assert said
        assert said not in [turn.text for turn in history[-2:] if turn.role == "agent"]
        history.append(Turn("agent", said))


def test_asking_the_same_again_gets_the_same_answer_in_other_words(meaning: Meaning) -> None:
    asked = "How much does a cleaning cost?"
    assert "A cleaning costs eighty dollars." in talk(meaning, asked, asked).text
    assert "A cleaning costs eighty dollars." in talk(meaning, asked, "Can you repeat that?").text


def test_nothing_heard_is_asked_again(meaning: Meaning) -> None:
    assert "did not hear" in talk(meaning, "...").text


def test_a_person_is_offered_a_transfer_or_a_call_back(meaning: Meaning) -> None:
    wish = "Can I talk to a real person please?"
    assert [call.name for call in talk(meaning, wish, tools=("transfer_call",)).tool_calls] == [
        "transfer_call"
    ]
    assert "call you back" in talk(meaning, wish).text


@pytest.mark.parametrize(
    ("aside", "said"),
    [
        (
            "Begin the conversation. First sentence instruction: Greet the caller.",
            "Hello, this is Ava from Bright Smile Dental. How can I help you?",
        ),
        (
            "Begin the conversation. First sentence instruction: Good morning, {{name}}, Ava here.",
            "Good morning, Ava here.",
        ),
        ('Begin the conversation. Say "Hi there." first.', "Hi there."),
        (
            "Begin the conversation.",
            "Hello, this is Ava from Bright Smile Dental. How can I help you?",
        ),
    ],
)
def test_the_first_sentence_is_led_by_its_instruction(
    meaning: Meaning, aside: str, said: str
) -> None:
    begun = reply([], CLINIC, (), meaning=meaning, aside=aside).text
    assert begun.replace(", ,", ",") == said


def test_says_goodbye_when_told_to(meaning: Meaning) -> None:
    history = [Turn("agent", "Hello."), Turn("caller", "Hm.")]
    told = reply(history, CLINIC, (), meaning=meaning, aside="Say goodbye to the user.")
    assert "Goodbye" in told.text


def test_greets_without_any_identity(meaning: Meaning) -> None:
    assert reply([], "", (), meaning=meaning).text.startswith("Hello")


@pytest.mark.parametrize(
    ("greeting", "label"),
    [
        ("Hello?", "human"),
        ("Hello, this is Lisa.", "human"),
        ("Miller residence, who is this?", "human"),
        ("You have reached Dana. Please leave a message after the tone.", "machine-vm"),
        ("I'm away from my desk. If you leave a message, I will get back to you.", "machine-vm"),
        ("Welcome to Example Bank. For sales, press one.", "machine-ivr"),
        ("Please state your name and why you're calling.", "machine-ivr"),
        ("If you record your name and reason for calling, I will see.", "machine-ivr"),
        ("The voice mailbox hasn't been set up yet. Goodbye.", "machine-unavailable"),
    ],
)
def test_tells_who_answered_when_asked_by_the_tool(
    meaning: Meaning, greeting: str, label: str
) -> None:
    tools = ("save_prediction", "postpone_termination")
    asked = reply([Turn("caller", greeting)], "Classify.", tools, meaning=meaning)
    assert [(call.name, call.arguments) for call in asked.tool_calls] == [
        ("save_prediction", {"label": label})
    ]


def test_placeholders_and_orders_are_never_spoken(meaning: Meaning) -> None:
    for words in ("Never give what?", "How much is a filling?", "Be friendly?", "Who is {{x}}?"):
        said = talk(meaning, words).text
        assert "{{" not in said
        assert "Never give" not in said
