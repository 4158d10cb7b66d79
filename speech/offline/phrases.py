"""Every sentence of the scripted dialogue, and how to recognise the ones that ask something."""

from __future__ import annotations

from collections.abc import Sequence

from speech.offline.intents import Intent
from speech.offline.prompt import Knowledge

_MORE = "anything else I can help you with?"
_CALL_BACK = "Shall I ask someone to call you back?"
_CONFIRM = "Is that right?"

STILL_THERE = "Are you still there? How can I help you?"
MORE = (f"All right. Is there {_MORE}", "What else can I do for you?")
GO_ON = ("Of course. What would you like to know?", "Go ahead, I am listening.")
UNKNOWN = (
    f"I am sorry, I do not know that. {_CALL_BACK}",
    f"That is something I cannot answer, I am afraid. {_CALL_BACK}",
    f"I do not have that information either. {_CALL_BACK}",
)
PASSED_ON = (
    f"I can only give information, but I will pass that on. {_CALL_BACK}",
    f"I have noted what you said, and will pass it on. {_CALL_BACK}",
)
CALL_BACK_AGREED = (
    f"Good. Someone will call you back. Is there {_MORE}",
    "I have noted that you would like a call back. What else can I do for you?",
)
NOTED = (f"Thank you, I have noted that. Is there {_MORE}", "Good, it is noted. What else?")
AGAIN = ("I am sorry. Please say it again, slowly.", "Sorry about that. Once more, please?")
YES_NOTED = (
    f"Thank you, I have noted your yes. Is there {_MORE}",
    "Very good. What else can I do for you?",
)
NO_NOTED = (
    f"All right, I have noted your no. Is there {_MORE}",
    "That is fine. What else can I do for you?",
)
NO_HUMAN = (
    f"I cannot put you through right now. {_CALL_BACK}",
    f"Nobody is free to take the call at the moment. {_CALL_BACK}",
)
OPTED_OUT = "I understand. We will not call you again. Goodbye."
CLOSINGS = ("Thank you for calling. Goodbye.", "Have a nice day. Goodbye.", "Goodbye.")
TOOL_DONE = (f"That is done. Is there {_MORE}", "Done. What else can I do for you?")
TOOL_FAILED = (
    f"I am sorry, that did not work. {_CALL_BACK}",
    f"It did not work this time either. {_CALL_BACK}",
)
NOT_PASSED_ON = f"I am sorry, I could not reach a colleague now. {_CALL_BACK}"
TO_MENUS = ("I would like to speak to somebody, please.", "Operator, please.")
SMALLTALK: dict[Intent, tuple[str, ...]] = {
    Intent.NOTHING_HEARD: (
        "I am sorry, I did not hear that. Could you say it again?",
        "Sorry, I still cannot hear you well. Please say that once more.",
    ),
    Intent.ROBOT: (
        "I am an automated assistant, not a person. How can I help you?",
        "Yes, you are speaking with a computer. What can I do for you?",
    ),
    Intent.THANKS: (f"You are welcome. Is there {_MORE}", "My pleasure. What else can I do?"),
    Intent.HELLO: ("Hello. How can I help you?", "Yes, I am here. What can I do for you?"),
    Intent.HOW_ARE_YOU: (
        "I am doing well, thank you. How can I help you?",
        "Very well, thanks. What can I do for you?",
    ),
    Intent.WAIT: ("Of course, take your time.", "No problem, I will wait."),
    Intent.CAPABILITIES: (
        "I can answer questions and take a message. What would you like to know?",
        "Just ask me, and I will tell you what I know.",
    ),
}


def greetings(known: Knowledge) -> tuple[str, ...]:
    """Return ways to open the call, as whom the instructions say."""
    return (f"Hello, {_self(known)}. How can I help you?", "Hello. How can I help you today?")


def identity(known: Knowledge) -> tuple[str, ...]:
    """Return ways to say who is speaking: always an automated assistant."""
    whose = f" of {known.house}" if known.house else ""
    named = f"My name is {known.name}. " if known.name else ""
    return (
        f"{named}I am the automated assistant{whose}. How can I help you?",
        f"I am a computer that answers the phone{' for ' + known.house if known.house else ''}.",
    )


def answers(answer: str) -> tuple[str, ...]:
    """Return ways to give `answer`, the second for someone who asks the same again."""
    return (answer, f"As I said: {answer}")


def readbacks(heard: str) -> tuple[str, ...]:
    """Return ways to ask whether `heard` is what was said."""
    return (f"I heard {heard}. {_CONFIRM}", f"So that is {heard}. {_CONFIRM}")


def repeated(spoken: Sequence[str]) -> str:
    """Return the last thing said, said again but not in the same words."""
    last = spoken[-1]
    lead = "I said: "
    return f"Once more: {last.removeprefix(lead)}" if last.startswith(lead) else lead + last


def otherwise(before: str) -> str:
    """Return something to say when all that fits has just been said."""
    other = "Let me put it differently: please ask me in other words."
    return other if before != other else "How else can I help you?"


def asks_for_more(text: str) -> bool:
    """Whether the agent last asked for more questions."""
    lowered = text.lower()
    return "anything else" in lowered or "what else" in lowered


def asks_to_confirm(text: str) -> bool:
    """Whether the agent last read something back."""
    return text.endswith(_CONFIRM)


def offers_call_back(text: str) -> bool:
    """Whether the agent last offered a call back."""
    return _CALL_BACK in text


def _self(known: Knowledge) -> str:
    if known.name and known.house:
        return f"this is {known.name} from {known.house}"
    if known.name or known.house:
        return f"this is {known.name or known.house}"
    return "thank you for calling" if not known.facts else "good to speak with you"
