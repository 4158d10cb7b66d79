"""What machines say, in every language of an assistant, so that a sentence gives them away.

A sign is a phrase that a person on the telephone does not say. Words are compared without accents
and case. Recognisers mishear: so each class has many signs, and one of them is enough.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum

from control_plane.domain.assistant import Language


class Sign(StrEnum):
    """What a machine's words say that it is, the most telling first."""

    FULL = "full"  # a voicemail that takes no message
    SCREENING = "screening"  # asks who calls and why, and rings through
    VOICEMAIL = "voicemail"
    MENU = "menu"
    UNAVAILABLE = "unavailable"  # the network, in place of the person
    AWAY = "away"  # a voicemail, or a person who has no time: no sign by itself
    WAIT = "wait"  # a machine that rings through, or a queue


_DIGIT: Mapping[str, str] = {
    "en": r"(?:\d|zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash|any key)",
    "es": r"(?:el |la )?(?:tecla )?(?:\d|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
    r"|asterisco|almohadilla|numeral)",
    "pt": r"(?:o |a |na )?(?:tecla )?(?:\d|zero|um|dois|tres|quatro|cinco|seis|sete|oito|nove"
    r"|asterisco|cardinal)",
    "de": r"(?:die |bitte die )?(?:taste )?(?:\d|null|eins|zwei|drei|vier|funf|sechs|sieben|acht"
    r"|neun|stern|raute)",
    "fr": r"(?:sur )?(?:la )?(?:touche )?(?:le )?(?:\d|zero|un|deux|trois|quatre|cinq|six|sept|huit"
    r"|neuf|etoile|diese)",
    "it": r"(?:il |lo )?(?:tasto )?(?:\d|zero|uno|due|tre|quattro|cinque|sei|sette|otto|nove"
    r"|asterisco|cancelletto)",
    "pl": r"(?:klawisz )?(?:\d|zero|jeden|dwa|trzy|cztery|piec|szesc|siedem|osiem|dziewiec"
    r"|gwiazdke|krzyzyk)",
    "ro": r"(?:tasta )?(?:\d|zero|unu|doi|trei|patru|cinci|sase|sapte|opt|noua|steluta|diez)",
}

_SIGNS: Mapping[str, Mapping[Sign, str]] = {
    "en": {
        Sign.FULL: r"(?:mail ?box|voice ?mail|in ?box)(?: box)?(?: (?:of|for|belonging to)"
        r"(?: \w+){1,5})? (?:is|are) (?:currently |now )?full"
        r"|(?:has not|hasn't|have not|haven't) (?:been )?set up|is not set up"
        r"|(?:cannot|can't|not able to) (?:accept|take|record) (?:any |new |any new )?messages?",
        Sign.SCREENING: r"(?:record|state|say|tell me|give) your name"
        r"|name and (?:the )?reason|reason for (?:your call|calling)|why (?:you are|you're) calling"
        r"|what (?:you are|you're|are you) calling about|if this person is available"
        r"|purpose of (?:your|the) call|(?:say|tell me) who (?:you are|is calling)"
        r"|call (?:assist|screen)|screening (?:service|this call|your call)",
        Sign.VOICEMAIL: r"voice ?mail|(?<!to )leave (?:a|your|me a|us a|the) (?:\w+ ){0,3}message"
        r"|(?<!to )leave (?:your|a) name|(?:after|at) the (?:tone|beep|signal)|answering machine"
        r"|record your message|mail ?box|automated voice messag"
        r"|leave it (?:at|after) the \w+|you know what to do"
        r"|(?:not|won't) be checking (?:my )?(?:messages|voice ?mail)",
        Sign.AWAY: r"(?:can't|cannot|can not|unable to) (?:come to|get to|answer|take)"
        r" (?:the|your|my|our) (?:phone|call)|not available|away from (?:my|the) (?:phone|desk)"
        r"|(?:get|call) (?:right )?(?:back to you|you back) as soon|return your call"
        r"|please try (?:again|your call again) later|you have reached|you've reached"
        r"|(?:office|offices|store|we) (?:is|are) (?:currently |now |presently )?closed"
        r"|our (?:\w+ )?hours are|next business day|(?:i'm|i am|we're|we are) out of the office"
        r"|(?:we're|we are) not (?:at )?home",
        Sign.MENU: rf"press {_DIGIT['en']}\b|(?:following|our) (?:menu|options)"
        r"|main menu|listen (?:carefully|closely)|for (?:\w+ ){1,4}(?:press|say|dial)\b"
        r"|to repeat (?:this|these)|in a few words|say things like|to continue in"
        r"|(?:our|'s|companies) automated (?:system|attendant)|enter your (?:\w+ ){0,4}number"
        r"|(?:pound|hash|star) (?:sign|key)|if you know (?:your party's|the) extension"
        r"|para espanol",
        Sign.UNAVAILABLE: r"(?:number|person|party|customer|subscriber) (?:that )?you"
        r"(?: have|'ve| are)? (?:dialed|dialled|called|calling|trying)"
        r"|(?:is |been )?(?:not in service|disconnected|no longer in service)"
        r"|circuits are (?:\w+ )?busy"
        r"|(?:call|number) (?:cannot|can not|can't) be (?:completed|connected|reached)"
        r"|check the number and (?:dial|try)",
        Sign.WAIT: r"(?:stay|remain|hold) on the line|please (?:hold|wait)"
        r"|(?:hold|wait)(?: on)? while"
        r"|your call is (?:very )?important|(?:connecting|transferring|putting) (?:you|your call)"
        r"|next available|all (?:of )?our (?:agents|representatives|operators)"
        r"|estimated wait|try(?:ing)? to (?:connect|reach)",
    },
    "es": {
        Sign.FULL: r"buzon (?:de voz )?(?:esta |se encuentra )?(?:lleno|llena|saturado)"
        r"|no (?:puede|admite) (?:recibir|aceptar|mas) mensajes",
        Sign.SCREENING: r"(?:diga|grabe|indique|di|graba) su nombre|motivo de (?:su|la|tu) llamada"
        r"|por que (?:llama|llamas)|si esta persona esta disponible",
        Sign.VOICEMAIL: r"buzon|(?:deje|deja|dejar|dejenos|dejeme) (?:\w+ )?(?:su |un |tu )?mensaje"
        r"|(?:despues|tras|al oir|luego)(?: de)?(?: oir)? (?:la |el )?(?:senal|tono|bip)"
        r"|contestador|correo de voz",
        Sign.AWAY: r"no (?:puedo|podemos) (?:atender|contestar|coger)"
        r"|(?:le|te) (?:llamare|llamaremos)|no (?:se encuentra )?disponible en este momento",
        Sign.MENU: rf"(?:pulse|presione|marque|oprima|pulsa|marca) {_DIGIT['es']}\b"
        r"|(?:siguientes|nuestras) opciones|menu principal"
        r"|para (?:\w+ ){1,5}(?:pulse|presione|marque|oprima|diga)",
        Sign.UNAVAILABLE: r"(?:numero|telefono|abonado|cliente) (?:al )?que (?:usted )?"
        r"(?:ha |esta )?(?:marcado|llamado|llama|marco|llamando)|(?:apagado|fuera de cobertura)"
        r"|no (?:existe|esta en servicio)",
        Sign.WAIT: r"(?:permanezca|mantengase|espere|no cuelgue)"
        r"|(?:un|en unos) (?:momento|instantes?) (?:por favor )?(?:le|sera)"
        r"|su llamada es (?:muy )?importante|transferimos|le (?:paso|comunico)",
    },
    "pt": {
        Sign.FULL: r"(?:caixa|correio)(?: de correio| de voz)? (?:esta )?chei[oa]"
        r"|nao (?:pode|aceita) (?:receber |mais )?mensagens",
        Sign.SCREENING: r"(?:diga|grave|indique) o seu nome|motivo da (?:sua )?chamada"
        r"|se esta pessoa esta disponivel",
        Sign.VOICEMAIL: r"(?:caixa de correio|correio de voz|caixa postal|voice ?mail)"
        r"|(?:deixe|deixar) (?:a sua|uma|o seu|um|sua) (?:mensagem|recado)|(?:apos|depois d)o? ?o? "
        r"(?:sinal|tom|bip)|atendedor",
        Sign.AWAY: r"nao (?:posso|podemos) atender|ligarei|ligaremos|nao se encontra disponivel",
        Sign.MENU: rf"(?:prima|marque|pressione|digite|carregue) {_DIGIT['pt']}\b"
        r"|seguintes opcoes|menu principal"
        r"|para (?:\w+ ){1,5}(?:prima|marque|pressione|digite|carregue)",
        Sign.UNAVAILABLE: r"(?:numero|telefone|cliente|assinante) (?:para o qual|que|para onde) "
        r"(?:ligou|marcou|esta a ligar|discou)|(?:desligado|sem cobertura|fora da area)"
        r"|nao esta (?:atribuido|disponivel)",
        Sign.WAIT: r"(?:aguarde|nao desligue|permaneca)|a sua chamada e (?:muito )?importante"
        r"|vamos transferir|transferir a sua",
    },
    "de": {
        Sign.FULL: r"(?:mailbox|anrufbeantworter|sprachbox) ist (?:leider )?voll"
        r"|(?:keine|nicht) (?:weiteren )?nachrichten (?:mehr )?(?:auf|entgegen)",
        Sign.SCREENING: r"(?:nennen|sagen|sprechen) sie (?:bitte )?(?:ihren|deinen) namen"
        r"|(?:grund|anlass) (?:ihres|fur ihren|des) anruf|warum sie anrufen"
        r"|ob (?:diese person|\w+ )(?: )?(?:verfugbar|erreichbar) ist",
        Sign.VOICEMAIL: r"mailbox|anrufbeantworter|sprachbox|voice ?mail"
        r"|(?:hinterlassen|hinterlass|hinterlasst) (?:\w+ ){0,4}(?:nachricht|namen)"
        r"|nachricht (?:\w+ ){0,4}(?:signalton|piep|ton)|nach dem (?:signalton|piep|ton|pfeifton)",
        Sign.AWAY: r"(?:derzeit|momentan|gerade|leider|zurzeit) (?:\w+ ){0,2}(?:nicht|niemand) "
        r"(?:\w+ ){0,2}(?:erreichbar|entgegennehmen|persoenlich|da)|rufe (?:\w+ ){0,3}zuruck",
        Sign.MENU: rf"(?:drucken|wahlen|drucke|druecken|waehlen) sie {_DIGIT['de']}\b"
        r"|hauptmenu|folgenden (?:optionen|auswahl|moglichkeiten)"
        r"|(?:fur|bei) (?:\w+ ){1,5}(?:drucken|wahlen|sagen) sie",
        Sign.UNAVAILABLE: r"(?:nummer|rufnummer|teilnehmer|anschluss|gesprachspartner)"
        r"(?: \w+){0,3} (?:nicht vergeben|nicht erreichbar|nicht verfugbar|nicht bekannt)"
        r"|(?:gewahlte|angerufene|gewunschte)[nr]? (?:ruf)?(?:nummer|teilnehmer|gesprachspartner)"
        r"|kein anschluss unter dieser nummer",
        Sign.WAIT: r"bleiben sie (?:bitte )?(?:dran|am apparat|in der leitung)|bitte warten"
        r"|(?:werden|verbinde sie|sie werden) (?:\w+ ){0,3}verbunden"
        r"|nachste freie|einen (?:augenblick|moment) (?:bitte )?(?:ich|sie|wir)"
        r"|legen sie nicht auf",
    },
    "fr": {
        Sign.FULL: r"(?:messagerie|boite vocale|repondeur) (?:est |de \w+ est )?"
        r"(?:pleine|plein|saturee?)"
        r"|ne peut (?:plus )?(?:recevoir|accepter)",
        Sign.SCREENING: r"(?:dites|enregistrez|indiquez|donnez) votre nom"
        r"|(?:motif|raison|objet) de votre appel|si cette personne est disponible",
        Sign.VOICEMAIL: r"messagerie|repondeur|boite vocale"
        r"|(?:laisse[rz]?|laissez moi|laissez nous) (?:\w+ ){0,3}(?:message|nom|coordonnees)"
        r"|apres le (?:bip|signal|top)",
        Sign.AWAY: r"(?:ne (?:peux|suis|sommes|pouvons) pas (?:\w+ )?"
        r"(?:repondre|disponible|joignable))|(?:rappellerai|rappellerons)",
        Sign.MENU: rf"(?:tapez|appuyez|composez|faites) {_DIGIT['fr']}\b|menu principal"
        r"|(?:options|choix) suivant|pour (?:\w+ ){1,6}(?:tapez|appuyez|dites|composez)",
        Sign.UNAVAILABLE: r"(?:numero|correspondant|abonne|personne) (?:que vous (?:avez|demandez|"
        r"appelez|tentez)|demande|compose)|n'est pas (?:attribue|en service|joignable)"
        r"|n'est plus (?:attribue|en service)",
        Sign.WAIT: r"(?:ne quittez pas|restez en ligne|veuillez patienter|merci de patienter)"
        r"|votre appel est (?:tres )?important|mise? en relation|transfer",
    },
    "it": {
        Sign.FULL: r"(?:segreteria|casella)(?: telefonica| vocale)? (?:e )?piena"
        r"|non (?:puo|e possibile) (?:ricevere|registrare|lasciare)",
        Sign.SCREENING: r"(?:dica|registri|pronunci|indichi) il suo nome"
        r"|motivo della (?:sua )?(?:chiamata|telefonata)|se questa persona e disponibile",
        Sign.VOICEMAIL: r"segreteria|casella vocale|voice ?mail"
        r"|(?:lasci|lascia|lasciate|lasciare) (?:\w+ ){0,3}(?:messaggio|nome)"
        r"|dopo il (?:segnale|bip|tono)",
        Sign.AWAY: r"non (?:posso|possiamo) rispondere|richiamero|richiameremo",
        Sign.MENU: rf"(?:prema|premere|premi|digiti|digitare) {_DIGIT['it']}\b"
        r"|menu principale|seguenti opzioni"
        r"|per (?:\w+ ){1,5}(?:prema|premere|premi|digiti|digitare)",
        Sign.UNAVAILABLE: r"(?:numero|cliente|utente|telefono)(?: da lei)? (?:selezionato|chiamato|"
        r"composto|desiderato)|non e (?:al momento )?(?:raggiungibile|attivo|disponibile)"
        r"|(?:inesistente|spento)",
        Sign.WAIT: r"(?:resti|rimanga|restate|attenda) in linea|attendere (?:prego)?|si prega di "
        r"attendere|la sua chiamata e (?:molto )?importante|(?:trasferi|metto in contatto)",
    },
    "pl": {
        Sign.FULL: r"(?:skrzynka|poczta)(?: \w+)? jest (?:pelna|przepelniona)"
        r"|nie moze (?:przyjac|odebrac) (?:\w+ )?wiadomosci",
        Sign.SCREENING: r"(?:podaj|powiedz|nagraj|prosze podac) (?:swoje |panstwa )?imie"
        r"|(?:powod|cel) (?:rozmowy|polaczenia|telefonu)|czy ta osoba jest dostepna",
        Sign.VOICEMAIL: r"poczt[ay] glosow|skrzynk|automatyczna sekretarka"
        r"|(?:zostaw|zostawic|prosze zostawic|pozostaw|nagraj|nagrac) (?:\w+ ){0,3}"
        r"(?:wiadomosc|informacj)|po (?:sygnale|uslyszeniu sygnalu|tonie)",
        Sign.AWAY: r"nie (?:moge|mozemy) (?:\w+ )?(?:odebrac|rozmawiac)|oddzwoni",
        Sign.MENU: rf"(?:wcisnij|nacisnij|wybierz|prosze wybrac|prosze nacisnac) {_DIGIT['pl']}\b"
        r"|menu glowne|nastepujacych opcji",
        Sign.UNAVAILABLE: r"(?:wybrany|wybranego) (?:numer|abonent)|abonent (?:\w+ ){0,3}"
        r"(?:niedostepny|nieosiagalny|nie odpowiada)|nie ma takiego numeru"
        r"|numer (?:\w+ )?nie istnieje"
        r"|(?:poza zasiegiem|czasowo niedostepn)",
        Sign.WAIT: r"(?:prosze czekac|prosze pozostac na linii|prosze sie nie rozlaczac)"
        r"|nie rozlaczaj|(?:lacze|laczymy|przelaczam)|rozmowa jest dla nas wazna",
    },
    "ro": {
        Sign.FULL: r"(?:casuta|mesageria|mesagerie)(?: vocala)? este plina"
        r"|nu (?:poate|mai poate) primi (?:\w+ )?mesaje",
        Sign.SCREENING: r"(?:spuneti|inregistrati|precizati) numele|motivul apelului"
        r"|daca aceasta persoana este disponibila",
        Sign.VOICEMAIL: r"casut[ae] vocal|mesageri|robotul telefonic|voice ?mail"
        r"|(?:lasati|lasa|lasati-mi|puteti lasa) (?:\w+ ){0,3}mesaj"
        r"|dupa (?:semnalul|semnal|bip|ton)",
        Sign.AWAY: r"nu (?:pot|putem) raspunde|(?:va|te) (?:voi suna|vom suna|sun)",
        Sign.MENU: rf"(?:apasati|tastati|formati) {_DIGIT['ro']}\b|meniul principal"
        r"|urmatoarele optiuni|pentru (?:\w+ ){1,5}(?:apasati|tastati)",
        Sign.UNAVAILABLE: r"(?:numarul|abonatul|persoana) (?:\w+ ){0,2}(?:format|apelat|pe care)"
        r"|nu (?:este|poate fi) (?:alocat|contactat|disponibil)|nu raspunde la apel",
        Sign.WAIT: r"(?:ramaneti|va rugam sa (?:asteptati|ramaneti))|asteptati|nu inchideti"
        r"|apelul dumneavoastra este important|va (?:transfer|fac legatura)",
    },
}
_COMPILED = {
    base: tuple((sign, re.compile(rf"\b(?:{pattern})")) for sign, pattern in signs.items())
    for base, signs in _SIGNS.items()
}


def away_in(said: str, language: Language) -> int:
    """Return how many different things in `said` tell that nobody is there."""
    words = plain(said)
    patterns = (_COMPILED[base] for base in dict.fromkeys((language.base, "en")))
    away = (dict(each)[Sign.AWAY] for each in patterns)
    return len({match.group() for pattern in away for match in pattern.finditer(words)})


def signs_in(said: str, language: Language) -> dict[Sign, str]:
    """Return what the words of a machine say that it is, with the phrases that say it.

    English is spoken by machines everywhere: its signs count in each language.
    """
    words = plain(said)
    found: dict[Sign, str] = {}
    for base in dict.fromkeys((language.base, "en")):
        for sign, pattern in _COMPILED[base]:
            if sign not in found and (match := pattern.search(words)) is not None:
                found[sign] = match.group()
    return found


def plain(said: str) -> str:
    """Return words in small letters, without accents and marks between them."""
    letters = unicodedata.normalize("NFKD", said.replace("\u2019", "'").replace("ł", "l")).lower()
    kept = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^\w' ]+", " ", kept).split())
