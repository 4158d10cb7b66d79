"""What tells a clause that is whole from one that is not, by language (its two-letter code).

Only frequent words stand here; what is in no list is taken for a noun. A wrong word costs the
caller half a second at most, a missing one lets the agent speak into a pause.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


class Grammar(Struct, frozen=True):
    """The words of one language.

    Attributes:
        subjects: pronouns; the word after one is a verb.
        verbs: finite verbs, and forms that order somebody to do something.
        objects_due: verbs that are seldom the last word: somebody or something is named next.
        openers: words that begin a clause which waits for another one: "when", "if".
        leads: words that are followed by more: "maybe", "next", "another".
        asking: phrases whose question or story comes next: "tell me", "I think".
        questions: words that begin a question.
        whole: words that stand for a sentence, or end one: "yes", "hello", "please".
    """

    subjects: frozenset[str]
    verbs: frozenset[str]
    objects_due: frozenset[str]
    openers: frozenset[str]
    leads: frozenset[str]
    asking: frozenset[str]
    questions: frozenset[str]
    whole: frozenset[str]


_ENGLISH = Grammar(
    subjects=_words("i you he she it we they there who nobody somebody someone everybody everyone"),
    verbs=_words(
        "am is are was were be been do does did don't doesn't didn't have has had haven't hasn't "
        "hadn't can can't cannot could couldn't will won't would wouldn't shall should shouldn't "
        "may might must isn't aren't wasn't weren't i'm i've i'll i'd it's that's there's he's "
        "she's we're we've we'll we'd you're you've you'll they're they've they'll let's what's "
        "went came called said told got made took gave found thought knew saw heard felt kept left "
        "lost bought paid sent received ordered booked moved changed cancelled canceled started "
        "stopped broke happened arrived wanted needed tried asked worked lived used looked seemed "
        "turned missed forgot met wrote spoke brought sold stood sat put won began became fell "
        "wants needs goes comes says knows thinks looks works costs seems hurts starts opens "
        "closes leaves arrives lives keeps makes takes gives gets finds calls answers helps fits "
        "sounds feels means depends expires begins ends includes says "
        "send give tell show cancel make take let stop wait hold check try add remove transfer "
        "connect repeat forget remember"
    ),
    objects_due=_words(
        "book booked make made order ordered change changed buy bought schedule scheduled "
        "reschedule rescheduled give gave send sent check rent rented reserve reserved bring "
        "brought add added update updated confirm confirmed receive received take took find found "
        "lose lost want wanted need needed get got see saw use used put show showed replace "
        "replaced collect collected pick picked return returned pay paid mention mentioned "
        "include included remove removed discuss discussed report reported looking hoping planning "
        "trying wondering expecting considering thinking talk speak waiting"
    ),
    openers=_words(
        "when if because after before since although though unless while once until whenever "
        "whether"
    ),
    leads=_words(
        "also maybe actually especially only almost even basically probably usually currently "
        "mainly mostly perhaps next last another other some any several many few new different "
        "big small second third single double every each both main whole entire certain another "
        "about around nearly exactly roughly regarding concerning including"
    ),
    asking=_phrases(
        "tell me|let me|i think|i hope|i guess|i mean|i believe|i wonder|i suppose|i heard|i see|"
        "was wondering|am wondering|i'm wondering|you know|i know|do you know|was told|was calling|"
        "am calling|i'm calling|i called|i feel|i said|she said|he said|they said|let you know|"
        "to know|to ask|to say|wanted to check|the thing is|the problem is|the question is|"
        "i remember|i noticed|i understand|to explain|you check|you explain|could you|can you|"
        "would you|will you"
    ),
    questions=_words(
        "what when where who how why which whose do does did is are am was were can could would "
        "will have has may should shall isn't aren't don't doesn't can't couldn't what's where's "
        "who's how's when's"
    ),
    whole=_words(
        "yes no yeah yep nope please hello hi hey goodbye bye thanks thank sorry okay ok sure "
        "correct exactly right fine great perfect maybe never nothing none everything not"
    ),
)

GRAMMARS: Mapping[str, Grammar] = {
    "en": _ENGLISH,
    "es": Grammar(
        subjects=_words("yo tú él ella usted nosotros ellos ellas ustedes"),
        verbs=_words(
            "soy es son era fue estoy está están estaba tengo tiene tienen tenía hay había he ha "
            "han quiero quiere quisiera quería querría necesito necesita puedo puede pueden podría "
            "voy va van fui llamo llama llamaba llamé vivo vive trabajo creo pienso sé sabe dijo "
            "dijeron dije perdí compré pedí recibí reservé cambié olvidé pagué llegó llegué empezó "
            "duele funciona gusta gustaría debo debe hace hizo hice viene vino sale salió abre "
            "cierra cuesta ayúdeme dígame mande envíe cancele cambie espere"
        ),
        objects_due=_words(
            "reservar reservé pedir pedí cambiar cambié comprar compré enviar recibir recibí "
            "confirmar modificar encontrar perdí buscar traer añadir pagar"
        ),
        openers=_words("cuando si porque después antes aunque mientras como desde hasta"),
        leads=_words(
            "también quizás tal solo sólo casi especialmente normalmente próximo próxima otro otra "
            "algún alguna algunos varias varios muchos cada nuevo nueva primer segundo gran"
        ),
        asking=_phrases(
            "dígame|puede decirme|me puede|podría usted|creo que|quería saber|quisiera saber|"
            "me gustaría|llamaba|estoy llamando|me dijeron|quería preguntar|sabe usted"
        ),
        questions=_words("qué cuándo dónde quién cómo cuál cuánto cuánta cuántos puede podría hay"),
        whole=_words("sí no hola adiós gracias vale bueno perfecto favor claro exacto nada"),
    ),
    "pt": Grammar(
        subjects=_words("eu tu ele ela você nós eles elas vocês"),
        verbs=_words(
            "sou é são era foi estou está estão estava tenho tem têm tinha há havia quero quer "
            "queria gostaria gostava preciso precisa posso pode podem podia poderia vou vai vão "
            "fui ligo liguei chamo moro trabalho acho penso sei sabe disse disseram perdi comprei "
            "pedi recebi marquei mudei esqueci paguei chegou cheguei começou dói funciona devo "
            "deve faz fez fiz vem veio sai abre fecha custa diga mande envie cancele mude espere"
        ),
        objects_due=_words(
            "marcar marquei pedir pedi mudar mudei comprar comprei enviar receber recebi confirmar "
            "alterar encontrar perdi procurar trazer pagar reservar"
        ),
        openers=_words("quando se porque depois antes embora enquanto como desde até"),
        leads=_words(
            "também talvez só apenas quase especialmente normalmente próximo próxima outro outra "
            "algum alguma alguns vários várias muitos cada novo nova primeiro segundo grande"
        ),
        asking=_phrases(
            "diga me|pode dizer|pode me|acho que|queria saber|gostaria de|estou a ligar|"
            "estou ligando|disseram me|queria perguntar|sabe dizer"
        ),
        questions=_words("quê quando onde quem como qual quanto quanta quantos pode poderia há"),
        whole=_words("sim não olá adeus obrigado obrigada certo bom perfeito favor claro nada"),
    ),
    "de": Grammar(
        subjects=_words("ich du er sie es wir ihr man"),
        verbs=_words(
            "bin bist ist sind war waren habe hast hat haben hatte hätte kann können könnte "
            "möchte will wollte muss müssen soll sollte darf werde wird würde brauche braucht "
            "suche rufe ruft komme kommt geht ging gibt gab heiße wohne arbeite glaube denke weiß "
            "sagte bekam fand kaufte bestellte verlor vergaß ging kam tut macht machte kostet "
            "funktioniert öffnet schließt fährt bitte sagen schicken geben warten stornieren"
        ),
        objects_due=_words(
            "buchen bestellen bestellt kaufen gekauft brauche suche möchte verloren bekommen "
            "reservieren"
        ),
        openers=_words("wenn weil als nachdem bevor obwohl während sobald falls seit bis da ob"),
        leads=_words(
            "vielleicht eigentlich besonders nur fast sogar normalerweise nächste nächsten "
            "nächster andere anderen einige mehrere viele neue neuen neuer zweite große kleine "
            "ungefähr etwa leider"
        ),
        asking=_phrases(
            "sagen sie mir|können sie mir|könnten sie|können sie|ich glaube|ich denke|ich meine|"
            "ich wollte fragen|ich wollte wissen|ich rufe an|mir wurde gesagt|wissen sie|ich hoffe"
        ),
        questions=_words(
            "was wann wo wer wie warum welche welcher welches wieviel haben ist sind kann können "
            "könnten gibt darf"
        ),
        whole=_words("ja nein hallo tschüss danke bitte gut genau klar okay ok wiederhören nichts"),
    ),
    "fr": Grammar(
        subjects=_words("je tu il elle on nous vous ils elles j'ai j'étais j'aimerais c'est"),
        verbs=_words(
            "suis es est sommes êtes sont étais était ai as a avons avez ont avais avait veux veut "
            "voudrais voudrait peux peut pouvez pourrais pourriez dois doit faut vais va allez "
            "j'ai j'aimerais j'appelle j'habite c'est c'était appelle habite travaille "
            "crois pense sais savez dit perdu acheté commandé reçu réservé oublié payé arrive "
            "commence marche coûte ouvre ferme vient envoyez donnez dites attendez annulez"
        ),
        objects_due=_words(
            "réserver réservé commander commandé acheter acheté changer envoyer recevoir reçu "
            "confirmer modifier trouver perdu chercher apporter ajouter payer voudrais veux"
        ),
        openers=_words("quand si parce après avant quoique pendant comme depuis lorsque puisque"),
        leads=_words(
            "aussi peut-être seulement presque surtout normalement prochain prochaine autre "
            "quelques plusieurs chaque nouveau nouvelle premier deuxième grand petit environ"
        ),
        asking=_phrases(
            "dites moi|pouvez vous|pourriez vous|je crois|je pense|je voulais savoir|"
            "je voudrais savoir|j'appelle|on m'a dit|savez vous|je me demandais|est ce"
        ),
        questions=_words(
            "que quand où qui comment quel quelle combien pourquoi est-ce avez pouvez"
        ),
        whole=_words("oui non bonjour salut merci voilà bien parfait plaît exact rien revoir"),
    ),
    "it": Grammar(
        subjects=_words("io tu lui lei noi voi loro"),
        verbs=_words(
            "sono è siamo era ero sta sto stavo ho ha abbiamo hanno avevo voglio vuole vorrei "
            "volevo posso può possono potrebbe devo deve vado va chiamo chiamavo abito lavoro "
            "credo penso so sa detto perso comprato ordinato ricevuto prenotato dimenticato pagato "
            "arriva inizia funziona costa apre chiude viene fa male c'è ci mandi dica "
            "aspetti annulli serve piace"
        ),
        objects_due=_words(
            "prenotare prenotato ordinare ordinato cambiare comprare comprato inviare ricevere "
            "ricevuto confermare modificare trovare perso cercare portare aggiungere pagare vorrei"
        ),
        openers=_words("quando se perché dopo prima mentre come da finché poiché"),
        leads=_words(
            "anche forse solo quasi soprattutto normalmente prossimo prossima altro altra qualche "
            "alcuni diversi molti ogni nuovo nuova primo secondo grande circa"
        ),
        asking=_phrases(
            "mi dica|può dirmi|mi può|potrebbe dirmi|credo che|volevo sapere|vorrei sapere|"
            "sto chiamando|mi hanno detto|volevo chiedere|sa dirmi"
        ),
        questions=_words(
            "che cosa quando dove chi come quale quanto quanta quanti può potrebbe avete"
        ),
        whole=_words(
            "sì no ciao salve grazie bene perfetto favore certo esatto niente arrivederci"
        ),
    ),
    "pl": Grammar(
        subjects=_words("ja ty on ona my wy oni one"),
        verbs=_words(
            "jestem jest są był była było mam ma mają miałem miałam chcę chce chciałbym chciałabym "
            "mogę może mogą potrzebuję potrzebuje muszę musi będę będzie dzwonię dzwoniłem "
            "dzwoniłam mieszkam pracuję myślę wiem powiedział powiedziała zgubiłem zgubiłam "
            "kupiłem kupiłam zamówiłem zamówiłam dostałem dostałam zapomniałem zapomniałam boli "
            "działa kosztuje przyjdzie przyszedł otwiera zamyka proszę szukam idę nazywam zależy"
        ),
        objects_due=_words(
            "zarezerwować zamówić zmienić kupić wysłać potwierdzić odwołać znaleźć zgubiłem "
            "zgubiłam kupiłem kupiłam zamówiłem zamówiłam dostałem dostałam potrzebuję szukam"
        ),
        openers=_words("kiedy jeśli jeżeli gdy ponieważ bo po zanim chociaż podczas odkąd skoro"),
        leads=_words(
            "też także może tylko prawie szczególnie zwykle następny następna inny inna jakiś "
            "jakaś kilka wiele każdy nowy nowa pierwszy drugi duży około"
        ),
        asking=_phrases(
            "proszę powiedzieć|może pan|może pani|czy może|myślę że|chciałem zapytać|"
            "chciałam zapytać|chciałbym wiedzieć|dzwonię|powiedziano mi|czy wie"
        ),
        questions=_words("co kiedy gdzie kto jak jaki jaka ile dlaczego czy który"),
        whole=_words("tak nie halo cześć dziękuję dobrze proszę świetnie jasne dokładnie nic"),
    ),
    "ro": Grammar(
        subjects=_words("eu tu el ea noi voi ei ele dumneavoastră"),
        verbs=_words(
            "sunt este e era eram am ai are avem aveți au aveam vreau vrea aș voiam pot poate "
            "puteți trebuie merg merge sun sunat locuiesc lucrez cred știu spus pierdut cumpărat "
            "comandat primit rezervat uitat plătit ajunge începe funcționează costă deschide "
            "închide vine doare trimiteți spuneți așteptați anulați numesc caut doresc"
        ),
        objects_due=_words(
            "rezerva rezervat comanda comandat schimba cumpăra cumpărat trimite primi primit "
            "confirma modifica găsi pierdut caut aduce adăuga plăti"
        ),
        openers=_words("când dacă fiindcă după înainte deși cât cum până deoarece"),
        leads=_words(
            "poate numai doar aproape următorul următoarea alt altă câțiva "
            "câteva mulți fiecare nou nouă primul mare circa"
        ),
        asking=_phrases(
            "spuneți mi|puteți să|îmi puteți|cred că|voiam să știu|aș vrea să știu|mi s-a spus|"
            "voiam să întreb|știți"
        ),
        questions=_words("ce când unde cine cum care cât câtă câți puteți ați aveți"),
        whole=_words("da nu bună salut mulțumesc bine perfect rog sigur exact nimic revedere"),
    ),
}
