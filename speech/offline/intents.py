"""What a caller means besides asking something: rules first, then the nearest example."""

from __future__ import annotations

import re
from enum import StrEnum

from speech.offline.answers import is_question
from speech.offline.meaning import Meaning
from speech.offline.prompt import SENTENCE_END


class Intent(StrEnum):
    """What the caller wants of the conversation itself."""

    NOTHING_HEARD = "nothing_heard"
    OPT_OUT = "opt_out"
    GOODBYE = "goodbye"
    THANKS = "thanks"
    YES = "yes"
    NO = "no"
    WHO = "who"
    ROBOT = "robot"
    REPEAT = "repeat"
    HUMAN = "human"
    HELLO = "hello"
    HOW_ARE_YOU = "how_are_you"
    WAIT = "wait"
    CAPABILITIES = "capabilities"


_LEAD = r"(?:oh|well|um|uh|ok(?:ay)?|great|perfect|wonderful|good|alright|all right|and|so)"


def _anywhere(*forms: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(forms)})", re.IGNORECASE)


def _alone(heads: str, tails: str) -> re.Pattern[str]:
    """The whole utterance is one of `heads`, with nothing but `tails` after it."""
    return re.compile(
        rf"^(?:{_LEAD}\W+)*(?:{heads})\b(?:\W+(?:{tails}))*\W*$", re.IGNORECASE | re.VERBOSE
    )


_GOODBYE = _anywhere(
    r"good ?bye\b|bye\b|nothing else\b|see you\b|hang up\b|end the call\b",
    r"i(?:'m| am) done\b",
    r"that(?:'s| is| will be|'ll be) (?:all|everything|it)\b(?! (?:there|you))",
    r"have a (?:nice|good|great) (?:day|one|evening)\b",
)
_RULES: tuple[tuple[Intent, re.Pattern[str]], ...] = (
    (
        Intent.OPT_OUT,
        _anywhere(
            r"(?:do not|don't|never|stop) (?:ever )?call(?:ing)?\b(?! back)",
            r"(?:remove me|remove my number|take me off|unsubscribe|do[- ]not[- ]call list)",
        ),
    ),
    (Intent.GOODBYE, _GOODBYE),
    (
        Intent.HUMAN,
        _anywhere(
            r"(?:speak|talk|transfer|connect|put me)\b.*\b(?:human|person|someone|somebody)\b",
            r"(?:speak|talk|transfer|connect|put me)\b.*\b(?:operator|agent|manager)\b",
            r"operator\W*$",
        ),
    ),
    (
        Intent.ROBOT,
        _anywhere(
            r"are you (?:an? )?(?:\w+ )?(?:robot|machine|bot|human|real|ai|computer|person)\b",
            r"(?:are you|is this) (?:an? )?(?:automated|recording|computer|robot|machine)\b",
        ),
    ),
    (
        Intent.WHO,
        _anywhere(
            r"who (?:are you|am i (?:speaking|talking)|is (?:this|that|calling))\b",
            r"what(?:'s| is) your name\b",
        ),
    ),
    (
        Intent.REPEAT,
        _anywhere(
            r"(?:say|repeat) (?:that|it)\b|come again\b|pardon\b|what did you say\b",
            r"(?:didn't|did not) (?:hear|catch|understand)\b|one more time\b|repeat please\b",
        ),
    ),
    (Intent.REPEAT, re.compile(r"^(?:what|sorry|excuse me)\W*$", re.IGNORECASE)),
    (Intent.HOW_ARE_YOU, _anywhere(r"how are you\b|how's it going\b|how do you do\b")),
    (
        Intent.WAIT,
        _anywhere(r"hold on\b|hang on\b|one moment\b|(?:just|wait) an? (?:moment|second|minute)\b"),
    ),
    (Intent.CAPABILITIES, _anywhere(r"what can you (?:do|help)\b|how can you help\b")),
    (Intent.THANKS, _alone(r"thanks|thank[ ]you", r"so|very|much|a[ ]lot|for[ ]your[ ]help")),
    (
        Intent.YES,
        _alone(
            r"""yes|yeah|yep|yup|sure|correct|right|exactly|of[ ]course|absolutely|please[ ]do|okay
            |ok|that(?:'s|[ ]is)[ ](?:right|correct|fine)|i[ ]do|fine|great|perfect|that[ ]works""",
            r"""please|sir|ma'am|it[ ]is|that(?:'s|[ ]is)[ ](?:right|correct|fine)|i[ ]do|sure
            |thanks|thank[ ]you|you|correct|right|yes""",
        ),
    ),
    (
        Intent.NO,
        _alone(
            r"""no|nope|nah|not[ ]really|wrong|incorrect|i[ ]don't[ ]think[ ]so|not[ ](?:now|today)
            |that(?:'s|[ ]is)[ ](?:wrong|not[ ](?:right|correct))""",
            r"""thanks|thank[ ]you|you|sorry|it(?:'s|[ ]is)[ ]not|i[ ]don't|i'm[ ](?:good|fine)|no
            |that(?:'s|[ ]is)[ ](?:wrong|not[ ](?:right|correct)|fine)|not[ ]really""",
        ),
    ),
    (Intent.HELLO, _alone(r"hi|hello|hey|good[ ](?:morning|afternoon|evening)", r"there|hello")),
)

_EXAMPLES: tuple[tuple[Intent, str], ...] = (
    (Intent.GOODBYE, "That's all I needed, thank you, goodbye."),
    (Intent.GOODBYE, "I have to go now."),
    (Intent.WHO, "Who is this? Who am I speaking with?"),
    (Intent.ROBOT, "Are you a robot or a real person?"),
    (Intent.HUMAN, "I want to speak to a human being."),
    (Intent.OPT_OUT, "Please stop calling me and take me off your list."),
    (Intent.REPEAT, "Could you say that again please?"),
    (Intent.HOW_ARE_YOU, "How are you doing today?"),
)


def asked_after_goodbye(text: str) -> str | None:
    """Return what the caller says after a goodbye, if it asks something: they are not done yet."""
    sentences = SENTENCE_END.split(_plain(text))
    last = max((at for at, each in enumerate(sentences) if _GOODBYE.search(each)), default=-1)
    after = sentences[last + 1 :]
    return " ".join(after) if last >= 0 and any(map(is_question, after)) else None


def intent_of(text: str, meaning: Meaning) -> Intent | None:
    """Return what the caller wants of the conversation, or null: it is about something else."""
    if not any(char.isalnum() for char in text):
        return Intent.NOTHING_HEARD
    plain = _plain(text)
    for intent, form in _RULES:
        if form.search(plain):
            return intent
    return None if len(plain.split()) < 3 else _by_example(plain, meaning)


def _by_example(text: str, meaning: Meaning) -> Intent | None:
    scores = meaning.scores(text, [example for _, example in _EXAMPLES])
    best = max(range(len(scores)), key=scores.__getitem__)
    # Higher than for facts: hanging up by mistake costs more than not knowing.
    bar = meaning.sure + (1 - meaning.sure) * 0.4
    return _EXAMPLES[best][0] if scores[best] >= bar else None


def _plain(text: str) -> str:
    return text.replace("\u2019", "'").strip()
