"""Who answered, judged from what is heard and when: seconds since the answer, made up here."""

from __future__ import annotations

import pytest

from agent.answering.answer import Engine
from agent.answering.detector import SETTLE_S, AnswerDetector
from agent.answering.greetings import Likeness
from agent.answering.tones import Tone
from control_plane.domain.assistant import Language
from control_plane.domain.events import AttemptResult

pytestmark = pytest.mark.unit

HUMAN, VOICEMAIL, IVR = AttemptResult.HUMAN, AttemptResult.VOICEMAIL, AttemptResult.IVR
SCREENING, UNKNOWN = AttemptResult.IOS_SCREENING_FILTER, AttemptResult.UNKNOWN
GREETING = "You have reached Dana Miller. Please leave a message after the tone."


class Line:
    """A call's first half minute."""

    def __init__(self, language: Language = Language.EN_US) -> None:
        self.detector = AnswerDetector(language)
        self.at = 0.5

    def says(self, words: str, seconds: float) -> Line:
        """They speak for so long; the words are written down 0.2 s later."""
        self.detector.speech_began(self.at)
        self.at += seconds
        self.detector.speech_ended(self.at)
        if words:
            self.detector.heard(words, self.at + 0.2, is_final=True)
        return self

    def pauses(self, seconds: float) -> Line:
        self.at += seconds
        return self

    def turn(self) -> Line:
        """Their turn seems over."""
        self.at += 0.4
        self.detector.turn(self.at)
        return self

    def beeps(self) -> Line:
        self.at += 0.4
        self.detector.tone(Tone.BEEP, self.at)
        return self

    @property
    def result(self) -> AttemptResult | None:
        answer = self.detector.answer
        return answer.result if answer is not None else None


@pytest.mark.parametrize(
    ("words", "seconds"), [("Hello?", 0.4), ("", 0.5), ("Yes, this is Dana speaking.", 1.6)]
)
def test_who_says_little_is_answered_at_once(words: str, seconds: float) -> None:
    line = Line().says(words, seconds).turn()
    assert line.result is HUMAN
    assert not line.detector.must_wait(line.at)


def test_nobody_is_judged_before_they_speak() -> None:
    line = Line()
    assert line.result is None
    assert not line.detector.must_wait(10.0)


def test_a_long_greeting_is_waited_for_while_it_lasts_and_a_second_more() -> None:
    line = Line()
    line.detector.speech_began(0.5)
    assert not line.detector.must_wait(2.0)
    assert line.detector.must_wait(3.1)
    line.detector.heard("thank you for calling acme how can i help", 4.0, is_final=True)
    line.detector.speech_ended(4.5)
    line.detector.turn(4.9)
    assert line.result is None
    assert line.detector.settles_in(4.9) == pytest.approx(0.6)
    line.detector.silence(5.5)
    assert line.result is HUMAN


def test_a_long_greeting_that_says_nothing_to_our_sentence_was_a_recordings() -> None:
    line = Line().says("You know how this works, so do your worst.", 4.0).turn()
    line.detector.silence(line.at + 1.0)
    assert line.result is HUMAN
    line.detector.unanswered(10.0)
    assert line.result is HUMAN  # it has heard nothing of us yet
    line.detector.heard_us()
    line.detector.unanswered(20.0)
    assert line.result is VOICEMAIL
    assert line.detector.answer is not None
    assert line.detector.answer.engine is Engine.TIMING


def test_who_has_answered_us_once_is_no_recording() -> None:
    line = Line().says("Acme Plumbing, this is Joe, how can I help you today?", 4.0).turn()
    line.detector.silence(line.at + 1.0)
    line.detector.heard_us()
    line.pauses(5.0).says("What was that?", 0.8).turn()
    line.detector.unanswered(40.0)
    assert line.result is HUMAN


def test_who_said_little_and_then_nothing_is_no_recording() -> None:
    line = Line().says("Hello?", 0.4).turn()
    line.detector.heard_us()
    line.detector.unanswered(20.0)
    assert line.result is HUMAN


def test_who_answers_us_or_asks_is_not_waited_for() -> None:
    told = Line()
    told.detector.heard_us()
    told.pauses(4.0).says("I would like to book a table for two tomorrow evening, please.", 3.6)
    assert not told.detector.must_wait(told.at)
    assert told.turn().result is HUMAN
    asks = Line().says("Good morning, Bright Smile, this is Dana, how can I help you?", 3.4)
    asks.detector.turn(asks.at + 0.4, asks=True)
    assert asks.result is HUMAN
    voicemail = Line()
    voicemail.detector.heard_us()
    assert voicemail.says(GREETING, 4.2).result is VOICEMAIL


def test_the_pauses_in_a_greeting_do_not_end_it() -> None:
    line = Line()
    for _ in range(4):
        line.says("we are a family business", 1.2).pauses(0.6)
    assert line.detector.settles_in(line.at) > 0.0


@pytest.mark.parametrize(
    ("words", "seconds", "result"),
    [
        (GREETING, 4.2, VOICEMAIL),
        ("The mailbox is full.", 1.4, VOICEMAIL),
        ("Welcome to Example Bank. For sales, press one. For support, press two.", 5.0, IVR),
        ("Record your name and reason for calling.", 3.0, SCREENING),
        ("The number you have dialed is not in service.", 12.0, UNKNOWN),
        ("Sorry, this user's inbox is full.", 2.0, VOICEMAIL),
        ("In a few words, tell me what you're calling about.", 3.0, IVR),
        ("Say who you are and the purpose of your call.", 3.0, SCREENING),
        ("Hey, it's Jenny. You know what to do.", 2.1, VOICEMAIL),
        ("Leave a message after the tone, or press one for more options.", 4.0, VOICEMAIL),
    ],
)
def test_a_machine_is_known_by_its_words(words: str, seconds: float, result: AttemptResult) -> None:
    line = Line().says(words, seconds)
    answer = line.detector.answer
    assert answer is not None
    assert (answer.result, answer.engine, answer.is_machine) == (result, Engine.WORDS, True)
    assert line.detector.must_wait(line.at)


def test_words_count_while_they_are_still_being_said() -> None:
    line = Line()
    line.detector.speech_began(0.5)
    line.detector.heard("you have reached the voicemail of", 3.0, is_final=False)
    assert line.result is VOICEMAIL


def test_a_full_mailbox_takes_no_message() -> None:
    answer = Line().says("This mailbox is full. Goodbye.", 2.5).detector.answer
    assert answer is not None
    assert not answer.takes_message


def test_one_weak_sign_makes_nobody_a_machine() -> None:
    asks = Line().says("Is this a voicemail?", 1.2).turn()
    assert asks.result is None
    asks.detector.silence(asks.at + asks.detector.settles_in(asks.at))
    assert asks.result is HUMAN
    busy = Line().says("Sorry, I can't take your call, I am driving.", 2.6).turn()
    assert busy.result is None
    busy.detector.silence(busy.at + busy.detector.settles_in(busy.at))
    assert busy.result is HUMAN


def test_what_a_greeting_is_like_counts_once_silence_follows() -> None:
    line = Line().says("Nobody of us is in the workshop today, look at our page.", 3.2).turn()
    line.detector.compared(Likeness(VOICEMAIL))
    assert line.result is None
    line.detector.silence(line.at + 1.0)
    assert line.result is VOICEMAIL
    assert line.detector.answer is not None
    assert line.detector.answer.engine is Engine.MEANING


def test_what_a_part_of_a_greeting_was_like_does_not_count() -> None:
    line = Line().says("Nobody of us is in the workshop today.", 3.2).turn()
    line.detector.compared(Likeness(VOICEMAIL))
    line.says("But I am, I came back for the telephone.", 2.0)
    assert settled(line) is HUMAN


def test_two_weak_signs_are_a_strong_one() -> None:
    assert Line().says("I can't take your call.", 1.5).beeps().result is VOICEMAIL
    assert Line().says("hmm hmm", 6.0).beeps().result is VOICEMAIL


def settled(line: Line) -> AttemptResult | None:
    """Return who it is once silence has followed their turn."""
    line.turn()
    line.pauses(line.detector.settles_in(line.at))
    line.detector.silence(line.at)
    return line.result


def test_the_network_is_heard_out_for_a_voicemail_that_may_follow() -> None:
    away = "The person you are trying to reach is not available."
    assert settled(Line().says(away, 2.8)) is UNKNOWN
    line = Line().says(away, 2.8)
    assert line.result is None
    assert line.pauses(0.7).says("Please leave a message.", 1.4).result is VOICEMAIL


def test_who_is_away_in_two_ways_is_no_person_once_they_are_silent() -> None:
    closed = "Our office is currently closed. Our hours are eight to five, Monday through Friday."
    assert settled(Line().says(closed, 5.0)) is VOICEMAIL
    busy = "I can't take your call right now, I am driving. Try me tonight."
    assert settled(Line().says(busy, 4.0)) is HUMAN
    front = "You've reached Baker and Stone, our hours are nine to five. How can I help you?"
    assert settled(Line().says(front, 4.0)) is HUMAN


def test_a_beep_says_nothing_alone() -> None:
    line = Line().beeps()
    assert line.result is None
    assert line.says("Hello?", 0.5).beeps().turn().result is HUMAN
    late = Line().says("we sell cars and other things", 3.5).pauses(6.0).beeps()
    assert late.result is None


def test_the_network_is_known_by_its_tones() -> None:
    line = Line()
    line.detector.tone(Tone.SPECIAL_INFORMATION, 1.4)
    answer = line.detector.answer
    assert answer is not None
    assert (answer.result, answer.engine, answer.is_machine) == (UNKNOWN, Engine.TONES, True)


def test_a_machine_that_begins_like_a_person_is_found_out() -> None:
    line = Line().says("Hi, this is Bob.", 1.2).turn()
    assert line.result is HUMAN
    assert line.pauses(0.8).says(GREETING, 4.0).result is VOICEMAIL


def test_after_two_turns_it_stays_a_person() -> None:
    line = Line().says("Hello?", 0.5).turn().pauses(2.0).says("Who is this?", 0.8).turn()
    line.pauses(1.0).says("You may leave a message after the tone, she said.", 3.0)
    assert line.result is HUMAN
    late = Line().says("Hello?", 0.5).turn().pauses(31.0)
    assert late.says("Please leave a message after the tone.", 3.0).result is HUMAN


def test_a_screening_telephone_may_ring_a_voicemail() -> None:
    line = Line().says("Say your name and reason for calling.", 2.4)
    assert line.result is SCREENING
    line.pauses(3.0).says("Thank you. Please stay on the line.", 2.0)
    assert line.result is SCREENING
    assert line.pauses(5.0).says(GREETING, 4.0).result is VOICEMAIL


def test_a_person_may_pick_up_after_all() -> None:
    line = Line().says(GREETING, 4.2).beeps()
    line.detector.picked_up("Hello, I am here", line.at)
    assert line.result is HUMAN
    assert not line.detector.must_wait(line.at)


@pytest.mark.parametrize(
    "words",
    [
        "Sorry I missed your call earlier, what was it about?",
        "Is this one of those automated systems, or a person?",
        "Could you say your phone number again for me, please?",
        "Let us leave it at that, I really have to go now.",
        "What are your opening hours on the weekend, please?",
        "Can you just send me a text with all of that instead?",
        "I did not hear you very well, could you say that again?",
        "You can say that again, it has been a terrible week.",
    ],
)
def test_what_people_say_to_us_makes_nobody_a_machine(words: str) -> None:
    line = Line().says("Hello?", 0.5).turn()
    assert line.says(words, 3.0).turn().result is HUMAN
    first = Line().says(words, 3.0)
    first.detector.turn(first.at + 0.4, asks=words.endswith("?"))
    assert first.result in (HUMAN, None)
    assert first.detector.settles_in(first.at) <= SETTLE_S
