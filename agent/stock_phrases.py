"""What the agent says of its own, whatever the assistant is: in every language of a call."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from control_plane.domain.assistant import Language


class StockPhrases(Struct, frozen=True):
    """Sentences of one language.

    Attributes:
        fillers: while a reply takes long, one after the other.
        apology: when it cannot be had any more; the call ends after it.
        unheard: the person spoke, and no words could be made out.
        asks: when nobody speaks, one after the other, then `silent`.
        closing: when the agent hangs up without a word of the assistant's own.
        passing_on: when it passes the call on without one.
    """

    fillers: tuple[str, str]
    apology: str
    unheard: str
    asks: tuple[str, str]
    silent: str
    closing: str
    passing_on: str


_ENGLISH = StockPhrases(
    fillers=("One moment, please.", "I am still looking. Please stay on the line."),
    apology="I am sorry, I have a technical problem and must end this call. Goodbye.",
    unheard="Sorry, I did not catch that. Could you say it again?",
    asks=("Are you still there?", "I cannot hear you. Are you still on the line?"),
    silent="I will hang up now. Goodbye.",
    closing="Thank you. Goodbye.",
    passing_on="One moment, I am passing you on to a colleague.",
)
_BY_BASE: Mapping[str, StockPhrases] = {
    "en": _ENGLISH,
    "es": StockPhrases(
        fillers=("Un momento, por favor.", "Sigo buscando. No cuelgue, por favor."),
        apology="Lo siento, tengo un problema técnico y debo terminar la llamada. Adiós.",
        unheard="Perdone, no le he entendido. ¿Puede repetirlo?",
        asks=("¿Sigue ahí?", "No le oigo. ¿Sigue en la línea?"),
        silent="Voy a colgar. Adiós.",
        closing="Gracias. Adiós.",
        passing_on="Un momento, le paso con un compañero.",
    ),
    "pt": StockPhrases(
        fillers=("Um momento, por favor.", "Ainda estou a procurar. Não desligue, por favor."),
        apology="Lamento, tenho um problema técnico e preciso de terminar a chamada. Adeus.",
        unheard="Desculpe, não percebi. Pode repetir?",
        asks=("Ainda está aí?", "Não o consigo ouvir. Ainda está em linha?"),
        silent="Vou desligar. Adeus.",
        closing="Obrigado. Adeus.",
        passing_on="Um momento, vou passar a chamada a um colega.",
    ),
    "de": StockPhrases(
        fillers=("Einen Moment, bitte.", "Ich suche noch. Bitte bleiben Sie dran."),
        apology="Es tut mir leid, ich habe ein technisches Problem und muss das Gespräch beenden. "
        "Auf Wiederhören.",
        unheard="Entschuldigung, das habe ich nicht verstanden. Können Sie es wiederholen?",
        asks=("Sind Sie noch da?", "Ich höre Sie nicht. Sind Sie noch in der Leitung?"),
        silent="Ich lege jetzt auf. Auf Wiederhören.",
        closing="Vielen Dank. Auf Wiederhören.",
        passing_on="Einen Moment, ich verbinde Sie mit einem Kollegen.",
    ),
    "fr": StockPhrases(
        fillers=("Un instant, s'il vous plaît.", "Je cherche encore. Ne quittez pas."),
        apology="Je suis désolé, j'ai un problème technique et je dois mettre fin à l'appel. "
        "Au revoir.",
        unheard="Pardon, je n'ai pas compris. Pouvez-vous répéter ?",
        asks=("Êtes-vous toujours là ?", "Je ne vous entends pas. Êtes-vous toujours en ligne ?"),
        silent="Je vais raccrocher. Au revoir.",
        closing="Merci. Au revoir.",
        passing_on="Un instant, je vous passe un collègue.",
    ),
    "it": StockPhrases(
        fillers=("Un momento, per favore.", "Sto ancora cercando. Resti in linea, per favore."),
        apology="Mi dispiace, ho un problema tecnico e devo terminare la chiamata. Arrivederci.",
        unheard="Scusi, non ho capito. Può ripetere?",
        asks=("È ancora lì?", "Non la sento. È ancora in linea?"),
        silent="Adesso riaggancio. Arrivederci.",
        closing="Grazie. Arrivederci.",
        passing_on="Un momento, le passo un collega.",
    ),
    "pl": StockPhrases(
        fillers=("Chwileczkę, proszę.", "Jeszcze szukam. Proszę się nie rozłączać."),
        apology="Przepraszam, mam problem techniczny i muszę zakończyć rozmowę. Do widzenia.",
        unheard="Przepraszam, nie zrozumiałem. Czy może pan lub pani powtórzyć?",
        asks=("Czy jest tam ktoś?", "Nie słyszę nikogo. Czy ktoś jest na linii?"),
        silent="Rozłączam się. Do widzenia.",
        closing="Dziękuję. Do widzenia.",
        passing_on="Chwileczkę, łączę z konsultantem.",
    ),
    "ro": StockPhrases(
        fillers=("Un moment, vă rog.", "Încă mai caut. Vă rog să rămâneți pe fir."),
        apology="Îmi pare rău, am o problemă tehnică și trebuie să închei apelul. La revedere.",
        unheard="Scuzați, nu am înțeles. Puteți repeta?",
        asks=("Mai sunteți acolo?", "Nu vă aud. Mai sunteți pe fir?"),
        silent="Închid acum. La revedere.",
        closing="Vă mulțumesc. La revedere.",
        passing_on="Un moment, vă fac legătura cu un coleg.",
    ),
}


def stock_phrases(language: Language) -> StockPhrases:
    """Return the sentences of `language`."""
    return _BY_BASE[language.base]
