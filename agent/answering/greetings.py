"""What people and machines say on answering, and which of them a greeting is nearest to in meaning.

The signs of `words` know phrases; these samples know what is meant, in any of the languages, by the
embeddings that the offline dialogue uses as well. It takes milliseconds, and nothing leaves the
machine. The samples stand in no test and in no clip of the bench.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from msgspec import Struct

from control_plane.domain.events import AttemptResult
from speech.offline.meaning import Embeddings, Meaning

MARGIN = 0.015
"""So much nearer to a machine's words than to any person's. Of 90 other sentences of people in
eight languages one comes to 0.011 and all others to less; of 75 machines' 60 come so far."""

PEOPLE: Sequence[str] = (
    "Hello, who is calling, please?",
    "Hi, this is Anna, how are you?",
    "Good morning, Fischer and Sons, Peter speaking, what can I do for you?",
    "Hello, this is the Parker household, Daniel on the phone.",
    "Good afternoon, city library, you are speaking with Helen.",
    "This is Doctor Lang's practice, do you have an appointment with us?",
    "Thanks for calling Oak Street Garage, Maria speaking, how may I help you?",
    "Hello, I can't talk right now, can you call me later?",
    "I'm busy at the moment, can I ring you back?",
    "Hi mom, I'm in class, I'll text you later.",
    "I am at work, is it urgent?",
    "I am on the road, make it short, please.",
    "Sorry, could you call back in ten minutes, I'm just paying at the till.",
    "Yes, I am here, the connection is bad, can you hear me?",
    "Could you speak up? I can't hear you.",
    "Okay, okay, I'm here, I had to run to the phone.",
    "Who are you and what do you want?",
    "Are you a recording or a real person?",
    "He is not at home, shall I tell him something?",
    "She just went out. Who shall I say called?",
    "I'm sorry, he's on the other line, would you like to wait or leave a message?",
    "The doctor isn't in today, can I help you with something?",
    "Hello, front office, tell me your name and I'll see if he's free.",
    "Hello, I think you want my brother, I can give you his number.",
    "Hello, we are closed already, but what did you want to know?",
    "Yes, I was waiting for your call about my order.",
    "Mm, yes, I did order something last week, what about it?",
    "Is this about the parcel? It has not come yet.",
    "Thanks for calling back, I left you a message this morning about the invoice.",
    "Oh hello, nice to hear from you, I wanted to ring you yesterday.",
    "Hey, I was just thinking about you, what's going on?",
    "Yes, speaking, what is it about?",
    "Sorry, I was asleep, what time is it?",
    "I don't need anything, please don't call again.",
    "I have told you people three times to take my number off your list.",
    "I already told your colleague that I don't want it.",
    "If you want to sell me something, I'm hanging up right now.",
    "Sorry, you have the wrong number, there is nobody of that name here.",
    "Just a moment, let me go outside.",
    "Wait, let me turn down the television.",
    "Hang on, I need to find a pen.",
)
VOICEMAILS: Sequence[str] = (
    "Hi, you have reached Sarah. I am not able to answer the phone at the moment. Please leave a "
    "message and I will call you back.",
    "This is the mobile of John Carter. Please leave your name and number.",
    "You are connected to the mailbox of 555 0142. Please speak after the tone.",
    "We can not answer your call right now. Our opening times are Monday to Friday from nine to "
    "five.",
    "I can not come to the phone. Send me a text or leave a message.",
    "Nobody is here to take your call. Please try again later.",
    "Our office is closed today. We will return your call on the next working day.",
    "I am on another call or not at my desk. I will ring you back as soon as I can.",
    "I am on leave until Monday. In urgent cases contact my colleague.",
    "We are closed on weekends and on holidays. You find us on our website.",
    "You are calling outside of our opening times. We are here from Monday to Friday.",
    "Please record your message. When you are finished, hang up.",
    "This is the answering machine of the Brown family.",
    "The person you called did not answer. You can leave a message now.",
    "Say what you want after the beep.",
    "I am probably busy or driving. Send me a text and I'll call you back.",
)
FULL: Sequence[str] = (
    "The mailbox is full and takes no more messages.",
    "This customer has not set up a mailbox yet.",
)
MENUS: Sequence[str] = (
    "Welcome to our customer service. For orders press one, for invoices press two.",
    "To go on in English, press one.",
    "Say in a few words why you call: for example, change my address.",
    "If you know the extension, dial it now.",
    "Please enter your customer number.",
    "If you call about an order, say order. For anything else, say other.",
    "This call is recorded for training. Please choose one of these options.",
    "You are talking to our digital assistant. How can I direct your call?",
)
SCREENINGS: Sequence[str] = (
    "Please say your name and why you are calling, and I will ask whether they are available.",
    "The person you are calling wants to know who is there.",
    "I am a call screening assistant. What is the reason for your call?",
)
NETWORK: Sequence[str] = (
    "The number you called does not exist.",
    "The subscriber can not be reached at the moment, please call later.",
    "This phone is switched off or out of range.",
    "The number that you called is forwarded to one that can not be reached.",
    "Your call can not be connected. Please check the number.",
)


class Likeness(Struct, frozen=True):
    """What a greeting is most like.

    Attributes:
        takes_message: a voicemail with room.
    """

    result: AttemptResult
    takes_message: bool = True


_MACHINES: Mapping[Sequence[str], Likeness] = {
    VOICEMAILS: Likeness(AttemptResult.VOICEMAIL),
    FULL: Likeness(AttemptResult.VOICEMAIL, takes_message=False),
    MENUS: Likeness(AttemptResult.IVR),
    SCREENINGS: Likeness(AttemptResult.IOS_SCREENING_FILTER),
    NETWORK: Likeness(AttemptResult.UNKNOWN),
}

SAMPLES: Sequence[str] = (*PEOPLE, *(each for said in _MACHINES for each in said))
EMBEDDED = Path(__file__).with_name("samples.npy")
"""Their embeddings in this order, float16; `python -m tools.samples` makes them."""


class GreetingComparison:
    """Compares greetings with the samples, where the machine has embeddings to do so.

    Args:
        thread: where that is done.
    """

    def __init__(self, meaning: Meaning, thread: Executor) -> None:
        self._meaning = meaning if isinstance(meaning, Embeddings) else None
        self._thread = thread

    def load(self) -> None:
        """Take the samples' embeddings as they were made, not 3 s of a core at each start."""
        if self._meaning is not None:
            self._meaning.keep(SAMPLES, np.load(EMBEDDED))

    async def get_likeness(self, greeting: str) -> Likeness | None:
        """Return `likeness`, while the call goes on."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.likeness, greeting)

    def likeness(self, greeting: str) -> Likeness | None:
        """Return which machine's words these are like; null: a person's, or nobody can tell.

        A telephone that asks who calls and a receptionist say the same, so that likeness alone
        takes nobody for one.
        """
        if self._meaning is None:
            return None
        person = max(self._meaning.scores(greeting, PEOPLE))
        nearest = {said: max(self._meaning.scores(greeting, said)) for said in _MACHINES}
        best = max(nearest, key=nearest.__getitem__)
        if best is SCREENINGS or nearest[best] - person < MARGIN:
            return None
        return _MACHINES[best]
