"""Which texts are mostly code, markup, logs or commands, whatever the language of what is said beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from language.texts import foreign

from pointsman.classify.code import mostly_code
from pointsman.classify.language import DetectedLanguage, LanguageGate

FRENCH_PAGE = """Ma barre de menu ne reste pas en haut quand je fais défiler la page, pourquoi ?
<nav class="menu">
  <a href="/accueil">Accueil</a>
</nav>
.menu {
  position: sticky;
  z-index: 10;
}"""
CHINESE_R = """下面的代码为什么画不出回归线？
model <- lm(height ~ age, data = plants)
plot(plants$age, plants$height)
abline(model$coefficients, col = "red")"""
RUSSIAN_REDIS = """почему второй узел не видит первый
10.4.0.11:7001> CLUSTER NODES
9f3a61c0d2b7e845 10.4.0.11:7001@17001 myself,master - 0 0 1 connected 0-8191
5b21c7ee90d4a613 10.4.0.12:7001@17001 master,fail? - 1719 1718 2 connected"""
GERMAN_COMMAND = """Warum bleibt das alte Image stehen?
docker run --rm -it -p 8080:80 -v /srv/shop:/app:ro --env-file=.env registry:5000/shop"""
SPANISH_LOG = """no arranca el servicio desde ayer
java.nio.file.NoSuchFileException: /var/lib/acme/store.db
\tat org.acme.store.Store.open(Store.java:61)
\tat org.acme.store.Store.lambda$load$0(Store.java:40)
\tat org.acme.Main.main(Main.java:19)"""
JAPANESE_JSON = """この設定のどこが間違っていますか
{
  "name": "acme-api",
  "ports": ["8080:80"],
  "volumes": ["./data:/var/lib/api"],
}"""
POLISH_CODE = """Dlaczego to zwraca zero?
```go
func suma(xs []int) (s int) {
    for _, x := range xs {
        s := s + x
    }
    return
}
```"""
CODE = {
    "fr": FRENCH_PAGE,
    "zh": CHINESE_R,
    "ru": RUSSIAN_REDIS,
    "de": GERMAN_COMMAND,
    "es": SPANISH_LOG,
    "ja": JAPANESE_JSON,
    "pl": POLISH_CODE,
}

POEM = (
    "Der Mond steht still im Garten,\n    ein Igel geht vorbei,\n    die alten Bäume warten\n    auf Regen und den Mai."
)
PROSE = {
    "a question about a command": "Wie unterscheidet sich `git pull` von `git fetch`, und wann nehme ich was?",
    "a question with a line of code": "Mon professeur dit que cette ligne est dangereuse, sans dire pourquoi :\n"
    "eval(input())\nQue peut-il arriver, et comment lire un nombre autrement ?",
    "a question with an address": "¿Es de fiar esta tienda? https://www.example.com/es?id=42&r=abc Me pide la tarjeta",
    "numbers and units": "Ho 38,5 di febbre, 130/85 di pressione e 95 battiti al minuto: devo chiamare il medico?",
    "a list": "Para el viaje necesito:\n- pasaporte;\n- billetes;\n- dinero en efectivo;\n- una maleta pequeña;\n"
    "- crema para el sol.\n¿Qué me falta?",
    "bullets without a blank": "Einkauf:\n-Milch\n-Brot\n-Butter\n-Mehl\n-Salz\n-Pfeffer\nWas kann ich daraus kochen?",
    "a dialogue": "-Hola, ¿cómo estás?\n-Bien.\n-¿Vienes?\n-No puedo.\n-¿Por qué?\n-Trabajo.\n¿Qué le digo?",
    "an indented paragraph": "    Pienso que los hábitos sanos, p.ej. caminar, p.ej. nadar, p.ej. dormir, p.ej. leer, "
    "p.ej. comer fruta cada día, ayudan a vivir mejor y a sentirse bien con uno mismo",
    "a letter with gaps": "  Estimado {nombre},\n  le escribimos para informarle de que su pedido {numero} del día "
    "{fecha} ha salido\n  de nuestro almacén y llegará a {ciudad} antes de las {hora} de mañana por la tarde.",
    "headings and bold": "## Plan\n\n**Lundi :** visite du château\n**Mardi :** plage\n\n### Question\n\nEst-ce trop ?",
    "a table": "| Posten | Kosten |\n|---|---|\n| Miete | achthundert |\n| Strom | siebzig |\n\nWas kann ich sparen?",
    "a chat": "[12:04] Ana: ¿vienes a cenar?\n[12:06] Luis: no sé, estoy cansado\n¿Qué le contesto?",
    "indented verse": POEM,
    "verse in a fence": f"```\n{POEM}\n```\nWelche Stimmung hat dieses Gedicht?",
    "no spaces": "函数f(x)在区间上单调递增，而且它的导数处处存在，请证明它的反函数也是连续的，并说明理由。",
    "capitals": "URGENTE: NO PUEDO ENTRAR EN MI CASA Y EL CERRAJERO NO CONTESTA, QUE HAGO",
}


@pytest.fixture(scope="module")
def gate() -> LanguageGate:
    return LanguageGate(["en"])


@pytest.mark.parametrize("language", CODE)
def test_what_is_mostly_code_passes_whatever_is_said_beside_it(gate: LanguageGate, language: str) -> None:
    """Its language is told all the same: a rule may ask for it."""
    assert gate.judge(CODE[language]) == DetectedLanguage(language, True)


@pytest.mark.parametrize("kind", PROSE)
def test_prose_does_not_though_there_is_code_in_it(gate: LanguageGate, kind: str) -> None:
    assert not gate.judge(PROSE[kind]).supported


def test_no_prose_of_the_gates_own_sets_is_taken_for_code() -> None:
    """Asks in 26 languages, some with English terms, code or quotes, and the texts of the training."""
    training = Path(__file__).parents[2] / "training" / "texts" / "foreign.txt"
    own = [one.text for one in foreign()] + training.read_text("utf-8").splitlines()
    assert len(own) > 600
    assert [text for text in own if mostly_code(text)] == []


SIGNED = r"""
    x=1 { } <p p> C:\Temp `ls && || // /* */ max_ _max f(x) x[0] [] ["a 'a'; x); 5px; a.b a).b ns::X nginx:alpine "key":
    ./X /X $/X a/b/c -x --X $HOME $( ${ #!X #include #define #ifdef #ifndef #endif 10.0.0.7 9f3a61c0d2b7
"""
PLAIN = """
    mot mot; fin. (oui) l'eau 3,50 10:30 # - * 12.03.2024 A&B | 5kg z.B. и/или C++ *gras* «oui» 50% :) #amor @ana $5 wo:
    "oui" ... 1.2.3 était
"""


@pytest.mark.parametrize("piece", SIGNED.split())
def test_a_piece_of_code_has_signs_that_words_do_not_have(piece: str) -> None:
    assert mostly_code("x " + f"{piece} " * 5)


@pytest.mark.parametrize("piece", PLAIN.split())
def test_a_word_or_a_number_has_none(piece: str) -> None:
    assert not mostly_code(f"{piece} " * 5)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("rsync -a --delete --exclude=tmp ./src/ host:backup", True),
        ("uno dos tres a=1 b=2", True),
        ("uno dos tres cuatro a=1 b=2", False),
        ("  uno dos tres cuatro a=1 b=2", True),
        ("  uno dos tres cuatro cinco seis siete ocho nueve a=1 b=2", False),
        ("\tuno dos tres cuatro a=1 b=2", True),
        (" uno dos tres cuatro a=1 b=2", False),
        ("uno dos tres ORDERS 2024 a=1 b=2", True),
        ("a=1 b=2 字字字字字字", True),
        ("a=1 b=2 字字字字字字字字", False),
    ],
)
def test_a_line_is_code_by_two_of_five_pieces_or_by_its_indent_and_few_words(line: str, code: bool) -> None:
    """What is in capitals, and what has no letter, is none. Where words have no spaces, two letters are a word."""
    assert mostly_code(f"{line}\n" * 3) is code


@pytest.mark.parametrize(("pieces", "code"), [(4, False), (5, True)])
def test_less_than_five_pieces_of_code_are_too_little(pieces: int, code: bool) -> None:
    assert mostly_code("f(x) " * pieces) is code


@pytest.mark.parametrize(("characters", "code"), [(25, True), (26, False)])
def test_half_of_a_text_is_code(characters: int, code: bool) -> None:
    assert mostly_code(f"{'a_b=c ' * 5}\n{'z' * characters}") is code


def test_addresses_are_no_code() -> None:
    assert not mostly_code("https://example.org/a_b=c?d=e&f=g me@example.org " * 9)


def test_the_first_2000_characters_are_looked_at() -> None:
    """So that the time has a bound."""
    code = "a=b " * 250
    assert mostly_code(f"{code}\n{'z' * 750}{' ' * 249}{'z' * 9000}")
    assert not mostly_code(f"{code}\n{'z' * 751}{' ' * 248}{'z' * 9000}")
