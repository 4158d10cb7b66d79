"""What answers a telephone, as labelled sound: people, voicemails, menus, screening, the network.

Made of sentences that stand in no test of the detector, said by the one embedded voice in eight
guises (pitch, size of the head and pace changed), through G.711 at 8 kHz, with pauses, beeps and
tones of the telephone plan, in a quiet room and in three noises. It is no recorded telephone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from control_plane.domain.events import AttemptResult
from process.resampling import Resampler
from sip.carrier.rtp import encode
from sip.gateway.g711 import PCMU, decode
from speech.offline.voice import SAMPLE_RATE, Speaker

RATE, LINE_RATE = 16_000, 8_000
Samples = npt.NDArray[np.int16]

HUMAN, VOICEMAIL = AttemptResult.HUMAN, AttemptResult.VOICEMAIL
MENU, SCREENING = AttemptResult.IVR, AttemptResult.IOS_SCREENING_FILTER
UNKNOWN = AttemptResult.UNKNOWN

GUISES = ((0.84, 1.0), (0.9, 1.12), (0.94, 0.9), (1.0, 1.0), (1.0, 1.2), (1.06, 0.95), (1.12, 1.1),
          (1.2, 1.0))  # fmt: skip
"""Factors of pitch, with all that goes with it, and of pace."""
NOISES_DB = (None, None, 24.0, 18.0, 12.0)
"""So far below the voice; null: a quiet room."""

PEOPLE = (
    "Hello?", "Hello.", "Hi.", "Yeah?", "Yes, hello?", "Hey, what's up?", "Good morning.",
    "Speaking.", "Hi, this is Karen.", "Tom here.", "Hello, who's this?", "Yep?",
    "Good afternoon, Miller residence.", "This is Doctor Harper.", "Hello, hello?",
    "Hi there, how are you?", "Yeah, go ahead.", "Hello, can you hear me?", "Sorry, who is this?",
    "Hang on a second. | Okay, go ahead.", "Hello? | Hello?", "Hi, I was just about to call you.",
    "Hello, is this the pharmacy?", "Yes, this is she.", "Oh hi, I've been expecting your call.",
    "Who am I speaking with?", "Good evening, this is Robert.", "Hello, I can't really talk now.",
    "I'm driving, can you make it quick?", "Not interested, thanks.", "Hey babe, I'm almost home.",
    "Hello? Sorry, I was in the other room. | Who's calling?",
    "Acme Plumbing, this is Joe, how can I help you?",
    "Thank you for calling Riverside Dental, this is Susan speaking, how may I help you?",
    "Good morning, Lakeside Motors service desk, Brian speaking, what can I do for you today?",
    "Front desk, this is Angela. | How can I help?",
    "Hi, you've caught me at a bad time, could you call me back in an hour?",
    "Hello, yes, I got your message yesterday and I meant to call you back about that.",
    "Hi, this is Maria, I'm just in the car with the kids so it may be a bit noisy, go ahead.",
    "Is this about the delivery? | Because nobody was here yesterday.",
    "Sorry I missed your call earlier, what was it about?",
    "Is this one of those automated systems, or a person?",
    "Hi, could you say your number again for me, please?",
    "I didn't hear you very well, could you say that again?",
)  # fmt: skip
VOICEMAILS = (
    "Hi, you've reached Dave. I can't take your call right now, so leave me a message.",
    "Hey, it's Jenny. You know what to do.",
    "You have reached the voicemail of Patricia Gomez. Please leave your name and number after the "
    "tone and I will get back to you.",
    "Your call has been forwarded to an automated voice messaging system. | Five five five, zero "
    "one two three, is not available. | At the tone, please record your message. | When you have "
    "finished recording, you may hang up, or press one for more options.",
    "The person you are trying to reach is not available. | Please leave a message after the beep.",
    "Hello, this is the Wilson family. We're not home at the moment. Leave us a message and have a "
    "great day.",
    "Hi, this is Mark with Summit Insurance. I'm either on the other line or away from my desk. "
    "Please leave a detailed message and I'll return your call as soon as possible.",
    "Sorry I missed you. Drop me a text instead, or leave a message.",
    "Please leave your message for, | two zero two, five five five, zero one four seven.",
    "Thank you for calling Green Valley Clinic. Our office is currently closed. Our hours are "
    "eight to five, Monday through Friday. Please leave a message and we will call you on the next "
    "business day.",
    "This is Steve. Leave it at the beep.",
    "Welcome to the mailbox of | Laura Chen. | To leave a message, wait for the tone.",
    "I'm on vacation until the fifteenth and won't be checking messages. If it's urgent, call my "
    "assistant. Otherwise, leave a message.",
    "Google Voice. The subscriber you have called is not available. Please leave a message after "
    "the tone.",
    "You've reached Anna's phone. I probably didn't hear it ringing. Say something nice.",
)
FULL = (
    "The mailbox belonging to Peter Novak is full and cannot accept any messages at this time. "
    "Goodbye.",
    "The person you have called has a voice mailbox that has not been set up yet. Goodbye.",
    "Sorry, this user's inbox is full. Please try again later.",
)
MENUS = (
    "Thank you for calling First National Bank. For account balances, press one. For lost or "
    "stolen cards, press two. For all other questions, stay on the line.",
    "Welcome to City Hospital. If this is a medical emergency, hang up and dial nine one one. To "
    "make an appointment, press one. For the pharmacy, press two.",
    "Para español, oprima el nueve. | For English, press one.",
    "You have reached the law offices of Baker and Stone. If you know your party's extension, you "
    "may dial it at any time. For reception, press zero.",
    "Please listen carefully, as our menu options have changed. For sales, press one.",
    "Thanks for calling Pizza Palace. In a few words, tell me what you're calling about. You can "
    "say things like, place an order, or, store hours.",
    "Your call may be recorded for quality assurance. | To continue in English, say English or "
    "press one.",
    "Welcome to the utility company's automated system. Enter your account number followed by the "
    "pound sign.",
)
SCREENINGS = (
    "Hi, if you record your name and reason for calling, I'll see if this person is available.",
    "Hi, I'm Call Assist by Google, recording this call. Can I ask what you're calling about?",
    "The person you're calling is using a screening service from Google and will get a copy of "
    "this conversation. Go ahead and say your name and why you're calling.",
    "Please state your name after the tone, and your call will be connected.",
    "This number is protected. To be put through, say who you are and the purpose of your call.",
)
NETWORK = (
    "We're sorry. You have reached a number that has been disconnected or is no longer in service.",
    "The number you have dialed is not in service. Please check the number and dial again.",
    "Your call cannot be completed as dialed. Please hang up and try your call again.",
    "All circuits are busy now. Will you please try your call again later.",
)

# Written before anything was changed after the sentences above, and never used for a change.
UNSEEN_PEOPLE = (
    "Hello, Janet speaking.", "What is it?", "Hi, sorry, I nearly missed you.", "Reception.",
    "Hello, how can I help?", "Yes?", "Good day.", "Hi, who am I talking to?", "It's Mike.",
    "Hello, hold on, let me turn the radio down.", "Hello, I'm in a meeting, is it important?",
    "Golden Gate Travel, good morning, you're speaking with Oliver.",
    "Hi, I was told somebody would ring me about my appointment today, is that you?",
    "Hello? | Yes, I'm here, sorry, the line is terrible.",
    "Hello, if this is about the survey, please take me off your list.",
    "Hi, my husband isn't in at the moment, can I take a message?",
)  # fmt: skip
UNSEEN_VOICEMAILS = (
    "Hey, this is Chris. I'm probably asleep or at the gym. Leave a message and I'll hit you back.",
    "You have reached the confidential voicemail of Doctor Ellen Brooks. If this is an emergency, "
    "please dial nine one one.",
    "Hello, you are through to the answering service of Baxter and Sons. Kindly leave your details "
    "and someone will ring you back.",
    "The subscriber you have dialed is unable to answer. | To leave a voice message, please begin "
    "speaking after the signal.",
    "Hi, it's me. Well, not really me. Talk after the beep.",
    "Thanks for calling the Hendersons. Nobody can pick up at the moment, so tell us who you are "
    "and what you want, and we'll get back to you.",
    "You've reached extension four four two. | No one is available to take your call. | Record "
    "your message at the tone.",
    "I'm out of the office this week with limited access to email. Please leave your name, number "
    "and a brief message.",
)
UNSEEN_FULL = (
    "The voice mailbox of the customer you are calling is full. Goodbye.",
    "Memory is full. Please call again later.",
)
UNSEEN_MENUS = (
    "Thank you for calling Delta Telecom. Please say or enter your ten digit phone number.",
    "Welcome to Harbor Clinic. For billing, press three. To speak with a nurse, press four.",
    "Hi, I'm the virtual assistant of Metro Energy. To report an outage, say outage. To pay your "
    "bill, say pay.",
    "You may enter your party's extension now, or press the star key for the directory.",
)
UNSEEN_SCREENINGS = (
    "Hi. Before I put you through, please tell me your name and what this is regarding.",
    "The person you are calling would like to know who's calling. Say your name after the beep.",
)
UNSEEN_NETWORK = (
    "The wireless customer you are calling is not available. Please try again later.",
    "Sorry, this number cannot receive calls. Message four, switch nineteen.",
)


class Clip(Struct, frozen=True):
    """What one telephone plays from the answer on: mono at `RATE`, silence after it.

    Attributes:
        is_: what it is.
        kind: of which sort.
        speech_s: how long it speaks; `speech_ends_s`: the end of its last word.
    """

    is_: AttemptResult
    kind: str
    said: str
    noise_db: float | None
    samples: Samples
    speech_s: float
    speech_ends_s: float


class Script(Struct, frozen=True):
    """What is said by whom."""

    people: tuple[str, ...]
    voicemails: tuple[str, ...]
    full: tuple[str, ...]
    menus: tuple[str, ...]
    screenings: tuple[str, ...]
    network: tuple[str, ...]


SEEN = Script(PEOPLE, VOICEMAILS, FULL, MENUS, SCREENINGS, NETWORK)
UNSEEN = Script(
    UNSEEN_PEOPLE,
    UNSEEN_VOICEMAILS,
    UNSEEN_FULL,
    UNSEEN_MENUS,
    UNSEEN_SCREENINGS,
    UNSEEN_NETWORK,
)


class Studio:
    """Makes clips of a script, the same ones from the same seed."""

    def __init__(self, speaker: Speaker, script: Script, seed: int) -> None:
        self._script = script
        self._speaker = speaker
        self._chance = random.Random(seed)
        self._noise = np.random.default_rng(seed)

    def people(self, count: int) -> Iterator[Clip]:
        """Yield people who pick up."""
        people = self._script.people
        for at in range(count):
            yield self._clip(HUMAN, "a person", people[at % len(people)])

    def machines(self, rounds: int) -> Iterator[Clip]:
        """Yield every machine so often, each time in another guise and noise."""
        script = self._script
        for _ in range(rounds):
            for said in script.voicemails:
                yield self._clip(VOICEMAIL, "voicemail", said, self._beep())
                yield self._clip(VOICEMAIL, "voicemail without a beep", said)
            for said in script.full:
                yield self._clip(VOICEMAIL, "full mailbox", said)
            for said in script.menus:
                yield self._clip(MENU, "menu", said)
            for said in script.screenings:
                yield self._clip(SCREENING, "screening", said)
            for said in script.network:
                yield self._clip(UNKNOWN, "the network", said, before=self._information_tone())
            yield self._silent(UNKNOWN, "silence", np.zeros(0))
            yield self._silent(UNKNOWN, "music", self._music())

    def _clip(
        self,
        is_: AttemptResult,
        kind: str,
        said: str,
        after: npt.NDArray[np.float64] | None = None,
        *,
        before: npt.NDArray[np.float64] | None = None,
    ) -> Clip:
        pitch, pace = self._chance.choice(GUISES)
        pieces = [np.zeros(0) if before is None else before]
        for at, sentence in enumerate(said.split("|")):
            pause_s = self._chance.uniform(0.35, 0.9) if at else 0.1
            pieces += [_quiet(pause_s), self._say(sentence.strip(), pitch, pace)]
        speech_s = sum(len(piece) for piece in pieces) / RATE
        if after is not None:
            pieces += [_quiet(self._chance.uniform(0.2, 1.4)), after]
        return self._over_the_line(is_, kind, said, np.concatenate(pieces), speech_s)

    def _silent(self, is_: AttemptResult, kind: str, sound: npt.NDArray[np.float64]) -> Clip:
        return self._over_the_line(is_, kind, "", sound, len(sound) / RATE)

    def _over_the_line(
        self,
        is_: AttemptResult,
        kind: str,
        said: str,
        sound: npt.NDArray[np.float64],
        speech_s: float,
    ) -> Clip:
        lead_s = self._chance.uniform(0.2, 0.7 if is_ is HUMAN else 1.6)
        whole = np.concatenate([_quiet(lead_s), sound, _quiet(6.0)])
        noise_db = self._chance.choice(NOISES_DB)
        if noise_db is not None:
            whole = whole + self._noise.normal(0.0, 2_600 * 10 ** (-noise_db / 20), len(whole))
        clipped = np.clip(whole, -32_768, 32_767).astype(np.int16)
        narrow = np.frombuffer(Resampler(RATE, LINE_RATE).of(clipped.tobytes()), np.int16)
        coded = decode(PCMU, encode(narrow, PCMU)) or b""
        back = np.frombuffer(Resampler(LINE_RATE, RATE).of(coded), np.int16)
        return Clip(is_, kind, said, noise_db, back, speech_s, lead_s + speech_s)

    def _say(self, sentence: str, pitch: float, pace: float) -> npt.NDArray[np.float64]:
        pcm = b"".join(self._speaker.stream(sentence))
        voice = np.frombuffer(pcm, np.int16).astype(np.float64)
        rate = SAMPLE_RATE * pitch  # played faster it is higher, and shorter
        at = np.arange(int(len(voice) * RATE / rate)) * rate / RATE
        spoken = np.interp(at, np.arange(len(voice)), voice)
        return _paced(spoken, pace / pitch if pitch < 1.0 else pace)

    def _beep(self) -> npt.NDArray[np.float64]:
        hertz = self._chance.choice((440.0, 620.0, 800.0, 1_000.0, 1_400.0))
        return _tone(hertz, self._chance.uniform(0.25, 1.0))

    def _information_tone(self) -> npt.NDArray[np.float64]:
        if self._chance.random() < 0.5:
            return np.zeros(0)
        three = [_tone(hertz, 0.33) for hertz in (950.0, 1_400.0, 1_800.0)]
        return np.concatenate([*three, _quiet(0.5)])

    def _music(self) -> npt.NDArray[np.float64]:
        chords = ((262.0, 330.0, 392.0), (220.0, 262.0, 330.0), (175.0, 220.0, 262.0))
        bars = [sum((_tone(hertz, 0.5) for hertz in chords[at % 3]), _quiet(0.5)) / 2
                for at in range(24)]  # fmt: skip
        return np.concatenate(bars)


def _quiet(seconds: float) -> npt.NDArray[np.float64]:
    return np.zeros(round(seconds * RATE))


def _tone(hertz: float, seconds: float) -> npt.NDArray[np.float64]:
    return 6_000.0 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def _paced(sound: npt.NDArray[np.float64], pace: float) -> npt.NDArray[np.float64]:
    """Return the same voice, so much faster: pieces of 30 ms laid over each other."""
    size, hop = round(0.03 * RATE), round(0.015 * RATE)
    if len(sound) < 2 * size or abs(pace - 1.0) < 0.01:
        return sound
    window = np.hanning(size)
    count = int((len(sound) - size) / (hop * pace))
    out = np.zeros(count * hop + size)
    weight = np.zeros_like(out)
    taken = 0
    for at in range(count):
        aim = round(at * hop * pace)
        if at:
            aim = _alike(sound, taken + hop, aim, size)
        out[at * hop : at * hop + size] += sound[aim : aim + size] * window
        weight[at * hop : at * hop + size] += window
        taken = aim
    return out / np.maximum(weight, 1e-3)


def _alike(sound: npt.NDArray[np.float64], natural: int, aim: int, size: int) -> int:
    """Return where near `aim` the sound goes on most like after `natural`."""
    reach = size // 4
    like = sound[natural : natural + size]
    low, high = max(0, aim - reach), min(len(sound) - size, aim + reach)
    if len(like) < size or high <= low:
        return min(aim, len(sound) - size)
    scores = np.correlate(sound[low : high + size - 1], like, "valid")
    return low + int(np.argmax(scores))
