"""Who answered, judged by words, tones and timing; a person until several signs say otherwise.

Pure: whoever uses it says when things happen, in seconds since the answer.
"""

from __future__ import annotations

import math

from agent.answering.answer import Answer, Engine
from agent.answering.greetings import Likeness
from agent.answering.tones import Tone
from agent.answering.words import Sign, away_in, signs_in
from control_plane.domain.assistant import Language
from control_plane.domain.events import AttemptResult

LONG_S = 2.5
"""A person who picks up says less at a time; whoever says more is waited for."""
PAUSE_S = 0.9
"""A shorter pause is one inside a greeting."""
_STRONG_S, _FULL_S = 2.0, 1.2
"""A shorter utterance with a machine's words may be a person's: "Is this a voicemail?"."""
_REPEATS_S = 12.0
"""The network's words may come again and again; until then a voicemail's may follow them."""
_BEEP_AFTER_S = 4.0
"""So long after a greeting a beep belongs to it."""
_AWAY = 2
"""So many things that tell of nobody's being there are a machine's, where silence follows: a person
who says so once wants to be called later."""
SETTLE_S, SETTLE_WEAK_S = 1.0, 1.8
"""Silence after a long greeting, or one with a weak sign, after which it was a person's."""
REVISED_UNTIL_S = 30.0
"""A machine that began like a person may give itself away as long as that."""
_TURNS = 2
"""After so many turns in which nothing did, it is a person."""


class AnswerDetector:
    """Told what is heard of whoever answered; says who it is once that is clear."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._said: list[str] = []
        self._interim = ""
        self._began_s: float | None = None  # of the utterance, shorter pauses in it left out
        self._ended_s = -math.inf
        self._speaks = False
        self._longest_s = 0.0
        self._beep_s: float | None = None
        self._beep_follows = False
        self._tone: Tone | None = None  # of the network, or a fax
        self._turns = 0
        self._has_heard_us = False
        self._is_guess = False  # a person because of nothing but silence
        self._likeness: Likeness | None = None
        self.answer: Answer | None = None

    # -- what is heard ----------------------------------------------------------

    def speech_began(self, at_s: float) -> None:
        """They speak."""
        if self._began_s is None or at_s - self._ended_s > PAUSE_S:
            self._began_s = at_s
        self._speaks = True

    def speech_ended(self, at_s: float) -> None:
        """They pause."""
        if self._speaks:
            self._speaks, self._ended_s = False, at_s
            self._decide(at_s)

    def heard(self, words: str, at_s: float, *, is_final: bool) -> None:
        """Take words, as far as they are recognised."""
        if is_final:
            self._said.append(words)
            self._likeness = None  # of less than they have said
            self._is_guess = self._is_guess and not self._has_heard_us
        self._interim = "" if is_final else words
        self._decide(at_s)

    def tone(self, tone: Tone, at_s: float) -> None:
        """Take a tone that has just ended, or is told while it lasts."""
        if tone is Tone.BEEP:
            self._beep_s = at_s
            greeted = self._began_s is not None
            self._beep_follows = greeted and (self._speaks or at_s - self._ended_s <= _BEEP_AFTER_S)
        else:
            self._tone = tone
        self._decide(at_s)

    def heard_us(self) -> None:
        """They have heard a sentence of the agent's to its end: what they say is no greeting."""
        self._has_heard_us = True

    def turn(self, at_s: float, *, asks: bool = False) -> None:
        """Their turn seems to be over; with `asks`, it was a question."""
        self._decide(at_s)
        if self.answer is None and not self._signs() and (asks or not self._is_long(at_s)):
            self._conclude(
                AttemptResult.HUMAN,
                Engine.TIMING,
                f"spoke for {self._utterance_s(at_s):.1f} s",
                at_s,
                is_machine=False,
            )
        if self._is_human:
            self._turns += 1

    def silence(self, at_s: float) -> None:
        """Nothing came after their turn for as long as `settles_in` said."""
        if self.answer is None and not self._by_silence(at_s):
            long = f"spoke for {self._utterance_s(at_s):.1f} s, then waited"
            self._conclude(AttemptResult.HUMAN, Engine.TIMING, long, at_s, is_machine=False)
            self._is_guess = True

    @property
    def may_be_recording(self) -> bool:
        """Whether they greeted at length, were answered, and have said nothing since."""
        return self._is_guess and self._has_heard_us and self._is_human

    def unanswered(self, at_s: float) -> None:
        """What they were told has had no answer for so long that a person had given one."""
        if self.may_be_recording:
            evidence = f"spoke for {self._longest_s:.1f} s, then said nothing to us"
            self._conclude(AttemptResult.VOICEMAIL, Engine.TIMING, evidence, at_s)

    def compared(self, likeness: Likeness | None) -> None:
        """Take whose words theirs are like; it counts once they are silent, as a person is not."""
        self._likeness = likeness

    def advised(self, result: AttemptResult, at_s: float) -> None:
        """A model takes what they have said for this; it counts while nothing else is known."""
        if self.answer is not None or self._speaks or not self.is_unclear(at_s):
            return
        said = f"{result.value}, after {self._utterance_s(at_s):.1f} s of “{self.greeting[:120]}”"
        self._conclude(
            result, Engine.MODEL, said, at_s, is_machine=result is not AttemptResult.HUMAN
        )

    def picked_up(self, words: str, at_s: float) -> None:
        """A person spoke after all, with these words."""
        self._said.clear()
        self._turns = _TURNS
        self._conclude(AttemptResult.HUMAN, Engine.WORDS, f"then “{words}”", at_s, is_machine=False)

    # -- what follows -------------------------------------------------------------

    @property
    def is_screened(self) -> bool:
        """Whether a telephone answered that asks who calls before it rings."""
        return self.answer is not None and (
            self.answer.result is AttemptResult.IOS_SCREENING_FILTER
        )

    def is_person(self, at_s: float) -> bool:
        """Return whether it is a person, and nothing that comes can change that."""
        return self._is_human and self._is_final(at_s)

    def must_wait(self, at_s: float) -> bool:
        """Return whether the agent is to keep silent until more is known."""
        if self.answer is not None:
            return self.answer.is_machine
        if self._speaks:
            return self._is_long(at_s) or bool(self._signs())
        return self._began_s is not None and self.settles_in(at_s) > 0.0

    def settles_in(self, at_s: float) -> float:
        """Return after how much silence a person is taken to wait for us (s); 0: at once."""
        signs = self._signs()
        if signs:
            return max(0.0, self._ended_s + SETTLE_WEAK_S - at_s)
        if self._is_long(at_s):
            return max(0.0, self._ended_s + SETTLE_S - at_s)
        return 0.0

    @property
    def greeting(self) -> str:
        """What they have said, as far as it is written down."""
        return " ".join(self._said)

    def is_unclear(self, at_s: float) -> bool:
        """Return whether they said more than a person says on picking up, and may be one."""
        return self.answer is None and self._is_long(at_s)

    @property
    def speaks(self) -> bool:
        """Whether they speak now."""
        return self._speaks

    @property
    def quiet_since_s(self) -> float:
        """When they were last heard."""
        return self._ended_s

    @property
    def beep_s(self) -> float | None:
        """When a beep ended."""
        return self._beep_s

    # -- deciding -----------------------------------------------------------------

    def _decide(self, at_s: float) -> None:
        if self._is_final(at_s):
            return
        self._longest_s = max(self._longest_s, self._utterance_s(at_s))
        signs = self._signs()
        if self._by_tones(signs, at_s):
            return
        for sign, least_s, result in (
            (Sign.FULL, _FULL_S, AttemptResult.VOICEMAIL),
            (Sign.SCREENING, _FULL_S, AttemptResult.IOS_SCREENING_FILTER),
            (Sign.MENU, _STRONG_S, AttemptResult.IVR),
            (Sign.VOICEMAIL, _STRONG_S, AttemptResult.VOICEMAIL),
            (Sign.UNAVAILABLE, _REPEATS_S, AttemptResult.UNKNOWN),
        ):
            if sign not in signs or (self.is_screened and sign is Sign.SCREENING):
                continue
            if sign is Sign.SCREENING and Sign.MENU in signs:
                continue  # "in a few words, tell me what you're calling about"
            if sign is Sign.MENU and Sign.VOICEMAIL in signs and "message" in self._words:
                continue  # "leave a message, or press one for more options"
            if self._longest_s >= least_s or self._beep_follows:
                self._conclude(
                    result,
                    Engine.WORDS,
                    f"“{signs[sign]}”",
                    at_s,
                    takes_message=sign is not Sign.FULL,
                )
                return

    def _by_silence(self, at_s: float) -> bool:
        """Whether a machine has said all that it says: the network, or a voicemail with no beep.

        "The person you are calling is not available" may go on with "please leave a message".
        """
        signs = self._signs()
        if (words := signs.get(Sign.UNAVAILABLE)) is not None and self._longest_s >= _FULL_S:
            self._conclude(AttemptResult.UNKNOWN, Engine.WORDS, f"“{words}”", at_s)
            return True
        is_long = self._longest_s > LONG_S and not self._words.rstrip().endswith("?")
        if is_long and (like := self._likeness) is not None:
            evidence = f"what “{self.greeting[:120]}” means, then silence"
            self._conclude(
                like.result, Engine.MEANING, evidence, at_s, takes_message=like.takes_message
            )
            return True
        if is_long and away_in(self._words, self._language) >= _AWAY:
            evidence = f"“{signs.get(Sign.AWAY, '')}”, then silence"
            self._conclude(AttemptResult.VOICEMAIL, Engine.WORDS, evidence, at_s)
            return True
        return False

    def _is_final(self, at_s: float) -> bool:
        """A screening telephone may turn out to ring a voicemail, a person's greeting to be one."""
        if self.answer is None or self.is_screened:
            return False
        return self.answer.is_machine or self._turns >= _TURNS or at_s > REVISED_UNTIL_S

    def _by_tones(self, signs: dict[Sign, str], at_s: float) -> bool:
        if self._tone is not None:
            self._conclude(AttemptResult.UNKNOWN, Engine.TONES, self._tone.value, at_s)
            return True
        is_likely = self._longest_s > LONG_S or Sign.AWAY in signs
        if self._beep_follows and is_likely:
            evidence = f"a beep after {self._longest_s:.1f} s of speech"
            self._conclude(AttemptResult.VOICEMAIL, Engine.TONES, evidence, at_s)
            return True
        return False

    def _conclude(
        self,
        result: AttemptResult,
        engine: Engine,
        evidence: str,
        at_s: float,
        *,
        is_machine: bool = True,
        takes_message: bool = True,
    ) -> None:
        self.answer = Answer(
            result=result,
            engine=engine,
            evidence=evidence,
            at_s=round(at_s, 2),
            is_machine=is_machine,
            takes_message=takes_message,
        )
        if self.is_screened:  # what it said of itself says nothing of what it rings
            self._said.clear()
            self._interim, self._longest_s, self._beep_follows = "", 0.0, False

    @property
    def _is_human(self) -> bool:
        return self.answer is not None and not self.answer.is_machine

    @property
    def _words(self) -> str:
        return " ".join((*self._said, self._interim)).lower()

    def _signs(self) -> dict[Sign, str]:
        found = signs_in(self._words, self._language)
        found.pop(Sign.WAIT, None)  # people say so as well
        return found

    def _is_long(self, at_s: float) -> bool:
        """Whether what they say is more than a person says on picking up."""
        return not self._has_heard_us and self._utterance_s(at_s) > LONG_S

    def _utterance_s(self, at_s: float) -> float:
        if self._began_s is None:
            return 0.0
        return (at_s if self._speaks else self._ended_s) - self._began_s
