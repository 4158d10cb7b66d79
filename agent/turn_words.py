"""Words that hold a turn open, and words that take none, by language (its two-letter code).

Only words that cannot well end a sentence stand here: a wrong one costs the caller a second.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


HOLDERS: Mapping[str, frozenset[str]] = {
    # articles, possessives, prepositions that need a noun, conjunctions, auxiliaries
    "en": _words(
        "a an the my your our their its every each and or but because if when although unless "
        "until since whether than of to for from with without at by into onto about between during "
        "against toward towards is are was were am be been would could shall should may might must "
        "has have had i'm i'd i'll i've it's that's there's we're we'd you're he's she's they're "
        "i we he she they who whose which like very just mister mr mrs ms doctor name's"
    ),
    "es": _words(
        "el la los las un una unos unas mi mis tu tus su sus este esta estos estas ese esa y o e u "
        "pero porque si cuando aunque que como de del al a en con sin por para sobre entre desde "
        "hasta es son era soy estoy está están muy más no me te se le lo nos quiero quisiera "
        "necesito puedo tengo voy he ha"
    ),
    "pt": _words(
        "o a os as um uma uns umas meu minha meus minhas seu sua este esta esse essa e ou mas "
        "porque se quando embora que como de do da dos das ao à em no na nos nas com sem por pelo "
        "pela para sobre entre desde até é são era sou estou está muito mais não me te lhe quero "
        "queria preciso posso tenho vou"
    ),
    "de": _words(
        "der die das den dem des ein eine einen einem einer eines mein meine meinen meinem meiner "
        "dein ihr ihre ihren sein seine dieser diese dieses und oder aber weil dass ob wenn als "
        "obwohl denn von vom zu zum zur für mit ohne bei aus nach über unter zwischen gegen um in "
        "im ins am beim durch wegen ist sind war bin wird würde kann könnte möchte will habe hat "
        "ich er wir sehr nicht noch auch"
    ),
    "fr": _words(
        "le la les un une des du de d' l' mon ma mes ton ta tes son sa ses notre votre nos vos "
        "leur ce cet cette ces et ou mais parce que qui quand si comme à au aux en dans avec sans "
        "pour par sur sous entre chez vers depuis est sont était suis es très plus ne je tu il "
        "elle nous vous on j'ai je voudrais veux peux dois faut"
    ),
    "it": _words(
        "il lo la i gli le un uno una mio mia miei mie tuo tua suo sua nostro questo questa e o ma "
        "perché se quando che come di del della dello dei degli delle a al alla allo ai agli alle "
        "da dal dalla in nel nella con senza per su sul sulla tra fra è sono era molto più non mi "
        "ti si vorrei voglio devo posso ho ha"
    ),
    "pl": _words(
        "i oraz albo lub ale bo ponieważ że żeby aby jeśli jeżeli kiedy gdy chociaż w we z ze na "
        "do od dla o po przy przez bez pod nad między mój moja moje twój swój ten ta to jest są "
        "był była będzie jestem bardzo nie chcę chciałbym chciałabym mogę muszę mam"
    ),
    "ro": _words(
        "un o niște meu mea mei mele tău ta său sa acest această acești și sau dar pentru că dacă "
        "când deși de la în din cu fără pe prin despre între până spre al ai ale este sunt era "
        "foarte mai nu mă te se vreau aș trebuie pot am"
    ),
}

WHOLE_ENDINGS: Mapping[str, frozenset[str]] = {
    # short answers that end in such a word all the same
    "en": frozenset(
        [
            "it is",
            "that is",
            "i am",
            "i have",
            "i would",
            "they are",
            "we are",
            "he is",
            "she is",
            "it was",
            "you are",
        ]
    ),
    "es": _phrases("lo es|sí soy|no lo|así es"),
    "pt": _phrases("é sim|sou sim|não é"),
    "de": _phrases("das ist|bin ich|ich auch|noch nicht|das nicht"),
    "fr": _phrases("je suis|c'est ça|pas plus"),
    "it": _phrases("lo è|sì sono|non è"),
    "pl": _phrases("tak jest|to to|nie to"),
    "ro": _phrases("da este|așa este|nu mai"),
}

TRANSITIVE = _words(
    "book make order change buy schedule give send check reschedule rent reserve bring add update "
    "confirm"
)
"""English verbs that ask for an object after "to"."""

FILLERS: Mapping[str, frozenset[str]] = {
    "en": _words("um uh er erm hmm well let's"),
    "es": _words("eh em este pues bueno mmm"),
    "pt": _words("hum ah então pois mmm"),
    "de": _words("äh ähm hm tja also mmm"),
    "fr": _words("euh ben bah alors hum"),
    "it": _words("ehm eh allora beh mmm"),
    "pl": _words("yyy eee no więc hmm"),
    "ro": _words("ăă îî păi deci hmm"),
}

BACKCHANNELS: Mapping[str, frozenset[str]] = {
    # no word for "yes": that may be an answer given early
    "en": _words("mm mhm hm hmm mm-hm mm-hmm uh-huh uh huh hmm-hmm aha okay ok right"),
    "es": _words("mm mhm ajá aha vale okay ok"),
    "pt": _words("mm mhm aham hum certo okay ok"),
    "de": _words("mm mhm hm aha okay ok genau"),
    "fr": _words("mm mhm hum d'accord ok okay ah"),
    "it": _words("mm mhm aha ok okay certo"),
    "pl": _words("mm mhm aha okej ok jasne"),
    "ro": _words("mm mhm aha ok okay bine"),
}

THANKS: Mapping[str, frozenset[str]] = {
    "en": _words("thank thanks cheers"),
    "es": _words("gracias"),
    "pt": _words("obrigado obrigada"),
    "de": _words("danke dankeschön dank"),
    "fr": _words("merci"),
    "it": _words("grazie"),
    "pl": _words("dziękuję dzięki"),
    "ro": _words("mulțumesc mersi"),
}

COURTESIES: Mapping[str, frozenset[str]] = {
    # what surrounds thanks, and approval: more is often said after it
    "en": _words(
        "you so very much a lot for your help again great perfect good wonderful excellent lovely "
        "fine okay ok alright all right nice cool brilliant super that's that"
    ),
    "es": _words("muchas muy bien perfecto vale genial estupendo excelente bueno por su tu ayuda"),
    "pt": _words("muito bem perfeito ótimo óptimo excelente certo está bom pela sua ajuda"),
    "de": _words(
        "vielen schön sehr gut prima super perfekt toll okay ok alles klar für ihre hilfe"
    ),
    "fr": _words("beaucoup bien très parfait super d'accord excellent génial pour votre aide"),
    "it": _words("mille molte bene va molto perfetto ottimo d'accordo per il suo aiuto"),
    "pl": _words("bardzo dobrze świetnie super doskonale za pomoc okej ok"),
    "ro": _words("mult foarte bine perfect excelent super grozav pentru ajutor"),
}
