"""What machines say, in each language of an assistant; and what people say on picking up."""

from __future__ import annotations

import pytest

from agent.answering.words import Sign, signs_in
from control_plane.domain.assistant import Language

pytestmark = pytest.mark.unit

EN, ES, PT, DE = Language.EN_US, Language.ES_ES, Language.PT_PT, Language.DE_DE
FR, IT, PL, RO = Language.FR_FR, Language.IT_IT, Language.PL_PL, Language.RO_RO

MACHINES = [
    (EN, Sign.VOICEMAIL, "Hi, you've reached Tom. Please leave a message after the beep."),
    (EN, Sign.VOICEMAIL, "Your call has been forwarded to an automated voice messaging system."),
    (EN, Sign.VOICEMAIL, "At the tone, please record your message."),
    (EN, Sign.FULL, "The mailbox is full and cannot accept any messages at this time."),
    (EN, Sign.MENU, "Thank you for calling. For billing, press two. To repeat this, press star."),
    (EN, Sign.MENU, "Please listen carefully as our menu has changed."),
    (
        EN,
        Sign.SCREENING,
        "Hi, if you record your name and reason for calling, I'll see if this person is available.",
    ),
    (EN, Sign.SCREENING, "Can I ask what you're calling about?"),
    (EN, Sign.UNAVAILABLE, "The number you have dialed is not in service."),
    (EN, Sign.UNAVAILABLE, "Your call cannot be completed as dialed."),
    (EN, Sign.AWAY, "I can't come to the phone right now."),
    (ES, Sign.VOICEMAIL, "Este es el contestador de Ana. Deje su mensaje después de la señal."),
    (ES, Sign.MENU, "Para ventas, pulse uno. Para soporte, pulse dos."),
    (ES, Sign.UNAVAILABLE, "El teléfono al que llama está apagado o fuera de cobertura."),
    (PT, Sign.VOICEMAIL, "Deixe a sua mensagem após o sinal."),
    (PT, Sign.MENU, "Para apoio ao cliente, prima dois."),
    (DE, Sign.VOICEMAIL, "Bitte hinterlassen Sie nach dem Signalton eine Nachricht."),
    (DE, Sign.MENU, "Für den Vertrieb drücken Sie bitte die Eins."),
    (DE, Sign.UNAVAILABLE, "Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar."),
    (
        FR,
        Sign.VOICEMAIL,
        "Vous êtes bien sur le répondeur de Luc, laissez un message après le bip.",
    ),
    (FR, Sign.MENU, "Pour le service client, tapez 2."),
    (FR, Sign.UNAVAILABLE, "Le numéro que vous avez composé n'est pas attribué."),
    (IT, Sign.VOICEMAIL, "Lasciate un messaggio dopo il segnale acustico."),
    (IT, Sign.MENU, "Per l'assistenza, prema due."),
    (IT, Sign.UNAVAILABLE, "Il cliente da lei chiamato non è al momento raggiungibile."),
    (PL, Sign.VOICEMAIL, "Proszę zostawić wiadomość po sygnale."),
    (PL, Sign.MENU, "Aby połączyć się z konsultantem, naciśnij jeden."),
    (PL, Sign.UNAVAILABLE, "Abonent jest czasowo niedostępny."),
    (RO, Sign.VOICEMAIL, "Vă rugăm să lăsați un mesaj după semnalul sonor."),
    (RO, Sign.MENU, "Pentru vânzări, apăsați unu."),
    (RO, Sign.UNAVAILABLE, "Abonatul apelat nu poate fi contactat."),
    (DE, Sign.VOICEMAIL, "Please leave a message after the tone."),  # English is everywhere
]

PEOPLE = [
    (EN, "Hello?"),
    (EN, "Hello, Dana Miller speaking, how can I help you?"),
    (EN, "Thank you for calling Bright Smile, this is Dana, how may I direct your call?"),
    (EN, "He is not in right now. Would you like to leave a message?"),
    (EN, "Yes, this is she. Who is calling, please?"),
    (EN, "Could you call me back later? I am driving."),
    (EN, "Who gave you this number?"),
    (ES, "¿Diga? ¿Quién es?"),
    (ES, "Sí, soy yo, dígame."),
    (PT, "Estou sim, quem fala?"),
    (DE, "Müller, guten Tag."),
    (DE, "Ja, hallo? Wer ist denn da?"),
    (FR, "Allô oui, qui est à l'appareil ?"),
    (IT, "Pronto, chi parla?"),
    (PL, "Halo, słucham, kto mówi?"),
    (RO, "Alo, cine este?"),
]


@pytest.mark.parametrize(("language", "sign", "said"), MACHINES)
def test_a_machine_gives_itself_away(language: Language, sign: Sign, said: str) -> None:
    assert sign in signs_in(said, language)
    assert sign in signs_in(said.upper().replace(",", ""), language)


@pytest.mark.parametrize(("language", "said"), PEOPLE)
def test_what_people_say_is_no_sign(language: Language, said: str) -> None:
    assert signs_in(said, language) == {}
