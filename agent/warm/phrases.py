"""What a human is told and may say, in every language of a call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from agent.answering.words import plain
from control_plane.domain.assistant import Language


class Phrases(Struct, frozen=True):
    """Sentences of one language, and the words that answer them.

    Attributes:
        call: says who speaks, and what for.
        reason: why the person is passed on, where nothing better is known; with `{reason}`.
        question: whether they take the call.
        yes, no: patterns of what they say, in small letters and without accents. No numbers: "one
            moment" is no answer.
    """

    call: str
    reason: str
    question: str
    yes: str
    no: str


_BY_BASE: Mapping[str, Phrases] = {
    "en": Phrases(
        call="Hello, this is the automatic assistant. I have somebody on the line for you.",
        reason="They were passed on for this reason: {reason}.",
        question="Press one or say yes to take the call, press two or say no to decline it.",
        yes=r"yes|yeah|yep|yup|sure|okay|ok|connect|go ahead|(?:i.ll|i will|i can) take"
        r"|put (?:him|her|them|it|the call) through",
        no=r"no|nope|not|decline|cannot|can't|don't|later|busy",
    ),
    "es": Phrases(
        call="Hola, soy el asistente automático. Tengo a alguien en línea para usted.",
        reason="El motivo es: {reason}.",
        question="Pulse uno o diga sí para atender, pulse dos o diga no para rechazar la llamada.",
        yes=r"si|vale|claro|de acuerdo|por supuesto|adelante|acepto|pasemel[oa]|pasame",
        no=r"no|rechaz\w+|ahora no|ocupad[oa]|mas tarde",
    ),
    "pt": Phrases(
        call="Olá, fala o assistente automático. Tenho alguém em linha para si.",
        reason="O motivo é: {reason}.",
        question="Prima um ou diga sim para atender, prima dois ou diga não para recusar.",
        yes=r"sim|claro|ok|esta bem|pode passar|passe|aceito",
        no=r"nao|recus\w+|agora nao|ocupad[oa]|mais tarde",
    ),
    "de": Phrases(
        call="Guten Tag, hier ist der automatische Assistent. Ich habe jemanden für Sie in der "
        "Leitung.",
        reason="Der Grund ist: {reason}.",
        question="Drücken Sie eins oder sagen Sie ja, um das Gespräch anzunehmen, oder zwei "
        "oder nein, um es abzulehnen.",
        yes=r"ja|jawohl|gerne?|klar|okay|ok|in ordnung|annehmen|nehme ich|stellen sie durch"
        r"|durchstellen|verbinden",
        no=r"nein|nee|nicht|ablehnen|keine zeit|spater",
    ),
    "fr": Phrases(
        call="Bonjour, ici l'assistant automatique. J'ai quelqu'un en ligne pour vous.",
        reason="Le motif est : {reason}.",
        question="Tapez un ou dites oui pour prendre l'appel, tapez deux ou dites non pour le "
        "refuser.",
        yes=r"oui|d'accord|bien sur|ok|allez y|j'accepte|passez le moi|passez la moi",
        no=r"non|pas|refuse|occupee?|plus tard",
    ),
    "it": Phrases(
        call="Buongiorno, sono l'assistente automatico. Ho una persona in linea per lei.",
        reason="Il motivo è: {reason}.",
        question="Prema uno o dica sì per rispondere, prema due o dica no per rifiutare.",
        yes=r"si|certo|va bene|d'accordo|ok|accetto|me l[oa] passi",
        no=r"no|non|rifiuto|occupat[oa]|piu tardi",
    ),
    "pl": Phrases(
        call="Dzień dobry, tu automatyczny asystent. Mam dla pana lub pani rozmowę.",
        reason="Powód: {reason}.",
        question="Proszę nacisnąć jeden lub powiedzieć tak, aby odebrać rozmowę, albo dwa lub nie, "
        "aby odmówić.",
        yes=r"tak|dobrze|jasne|oczywiscie|ok|prosze laczyc|odbieram",
        no=r"nie|odmawiam|zajet[ya]|pozniej",
    ),
    "ro": Phrases(
        call="Bună ziua, sunt asistentul automat. Am pe cineva pe fir pentru dumneavoastră.",
        reason="Motivul este: {reason}.",
        question="Apăsați unu sau spuneți da ca să preluați apelul, apăsați doi sau spuneți nu ca "
        "să îl refuzați.",
        yes=r"da|sigur|bine|desigur|ok|accept|faceti legatura",
        no=r"nu|refuz|ocupata?|mai tarziu",
    ),
}
_MOST_WORDS = 12
"""Who says more does not answer the question."""


def phrases(language: Language) -> Phrases:
    """Return those of `language`."""
    return _BY_BASE[language.base]


def is_taken(said: str, language: Language) -> bool | None:
    """Return whether these words take the call; null: they say neither yes nor no, or both."""
    words = plain(said)
    if len(words.split()) > _MOST_WORDS:
        return None
    known = phrases(language)
    yes, no = (re.search(rf"\b(?:{each})\b", words) is not None for each in (known.yes, known.no))
    return yes if yes != no else None
