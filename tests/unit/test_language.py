"""Which texts the language gate stops: those that are certainly in a language that is not declared."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import pytest

from pointsman.classify import identifier
from pointsman.classify.identifier import FoldedTable
from pointsman.classify.language import DetectedLanguage, LanguageGate, _sentences
from pointsman.classify.manifest import LANGUAGES

PASSES_UNTOLD = DetectedLanguage(None, True)
ENGLISH = DetectedLanguage("en", True)


@pytest.fixture(scope="module")
def gate() -> LanguageGate:
    return LanguageGate(["en"])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie kündige ich meinen Mietvertrag?", "de"),
        ("was hilft gegen kopfschmerzen", "de"),
        ("quanto costa un divorzio", "it"),
        ("quanto costa", "it"),
        ("HOEVEEL KOST EEN SCHEIDING IN NEDERLAND", "nl"),
        ('¿Qué significa "segmentation fault" cuando ejecuto mi programa?', "es"),
        ("Как сделать rollback deployment в Kubernetes через kubectl?", "ru"),
        ("为什么我的 docker 容器启动不了", "zh"),
        ("頭痛に効く薬は何ですか", "ja"),
        ("ما هي عاصمة أستراليا؟", "ar"),
        ("तलाक में कितना खर्च होता है", "hi"),
        ("Pourquoi est-ce lent ?\n```js\nfor (const x of list) { await f(x) }\n```", "fr"),
    ],
)
def test_an_ask_in_another_language_is_told_by_its_language(gate: LanguageGate, text: str, language: str) -> None:
    assert gate.judge(text) == DetectedLanguage(language, False)


@pytest.mark.parametrize(
    "text",
    [
        "What causes high blood pressure?",
        "who is Giovanni Battista Piranesi",
        "best restaurants near Plaza Mayor in Madrid",
        "Does the doctrine of forum non conveniens apply?",
        "prognosis of angina pectoris after MI",
        "waht is teh differnce betwen tcp adn udp",
        "ngl that was mid fr fr",
        "ayo can u hook me up w a recipe",
        "Write a polite German email to my landlord about the heating",
    ],
)
def test_english_passes_whatever_is_in_it(gate: LanguageGate, text: str) -> None:
    assert gate.judge(text).supported


def by_words(gate: LanguageGate, monkeypatch: pytest.MonkeyPatch, text: str) -> DetectedLanguage | None:
    """What is told without the identifier."""
    with monkeypatch.context() as patch:
        patch.setattr(gate, "_identifier", None)
        try:
            return gate.judge(text)
        except AttributeError:
            return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I undo the last commit?", True),
        ("undo the commit now", False),
        ("the commit and the branch", True),
        ("the commit of the branch", False),
        ("the last commit which branch right way today", True),
        ("the last commit which branch right way today again", False),
        ("ik heb al drie weken pijn in mijn been, is dat normaal", False),
        ("was ist der unterschied zwischen where und having in sql", False),
        ("no entiendo el this en javascript", False),
        ("to me or to him", False),
        ("The sign 谷 is read how?", False),
        ("El texto dice mucho. How is it to be read and what does it say?", True),
    ],
)
def test_english_is_told_by_its_words_alone(
    gate: LanguageGate, monkeypatch: pytest.MonkeyPatch, text: str, expected: bool
) -> None:
    """Two different ones of no other language, and a quarter of frequent ones; the identifier would take longer."""
    assert by_words(gate, monkeypatch, text) == (ENGLISH if expected else None)


def test_the_identifier_is_asked_where_english_is_not_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a mistake would stop a declared language."""
    assert by_words(LanguageGate(["de"]), monkeypatch, "How do I undo the last commit?") is None


@pytest.mark.parametrize("text", ["javascript vs jquery", "linq error", "dial sarah"])
def test_a_language_that_is_only_likely_passes(gate: LanguageGate, text: str) -> None:
    """These look 4 to 14 times as much like another language as like English."""
    assert gate.judge(text) == PASSES_UNTOLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "hi",
        "GDPR?",
        "Danke!",
        "谢谢",
        "2 + 2",
        "😀🔥",
        "SGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IQ==",
        "deadbeef 00ff a1b2c3d4",
        '{"id": 7, "nombre": "Ana", "activo": true}',
        "E = mc²",
        "α = 0.05, β = 0.2, σ = 1.3",
        "x = lambda q: q if q < 2 else x(q - 1) + x(q - 2)",
        "java.lang.NullPointerException\n\tat com.acme.Foo.bar(Foo.java:42)",
        "\ud800\udfff",
    ],
)
def test_what_has_no_language_passes(gate: LanguageGate, text: str) -> None:
    assert gate.judge(text).supported


@pytest.mark.parametrize(
    "text",
    [
        "```python\n# das hier ist ein deutscher kommentar, den niemand fragt\n```",
        "```\ndas ist ein langer deutscher text in einem zaun ohne ende",
        "`das ist ein langer deutscher text`",
        "https://example.org/de/wie-kuendige-ich-meinen-mietvertrag",
        '"das ist ein langer deutscher text"',
        "„das ist ein langer deutscher text“",
        "«ceci est un long texte en français»",
    ],
)
def test_code_addresses_and_quotations_are_not_looked_at(gate: LanguageGate, text: str) -> None:
    assert gate.judge(text) == PASSES_UNTOLD


MATERIAL = (
    "El presidente anunció ayer nuevas medidas económicas para reducir la inflación en el país durante el próximo año. "
    "Los mercados reaccionaron con calma."
)


@pytest.mark.parametrize("text", [f"Summarize this article for me: {MATERIAL}", f"{MATERIAL}\n\nWhat is this about?"])
def test_the_sentence_that_asks_counts(gate: LanguageGate, text: str) -> None:
    """The first or the last one, if it is in a declared language."""
    assert gate.judge(MATERIAL) == DetectedLanguage("es", False)
    assert gate.judge(text) == ENGLISH


@pytest.mark.parametrize(
    ("declared", "text", "passes"),
    [
        (["de", "en"], "Wie kündige ich meinen Mietvertrag?", True),
        (["de", "en"], "Comment résilier mon contrat de location ?", False),
        (["de"], "What causes high blood pressure?", False),
        (sorted(LANGUAGES), "Comment résilier mon contrat de location ?", True),
        (["nb"], "Sønnen min har hatt feber siden i går, må jeg ringe legen?", True),
    ],
)
def test_what_is_declared_passes(declared: list[str], text: str, passes: bool) -> None:
    assert LanguageGate(declared).judge(text).supported is passes


def test_a_second_gate_loads_nothing_anew(gate: LanguageGate) -> None:
    """So that a reload takes neither the half second nor the 20 MiB again."""
    assert LanguageGate(["de"])._identifier is gate._identifier


def test_the_next_start_reads_what_one_stored_and_judges_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read, as it is damaged or cut off, is stored anew."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(identifier, "load_identifier", identifier.load_identifier.__wrapped__)
    unpacked = identifier.load_identifier()
    [stored] = (tmp_path / "state").iterdir()
    whole = stored.read_bytes()
    for content in (whole, b"", whole[:-9], whole.replace(whole[9_000_000:9_000_032], b"\x55" * 32)):
        stored.write_bytes(content)
        with monkeypatch.context() as patch:
            if content == whole:
                patch.setattr(identifier, "_unpacked", None)
            again = identifier.load_identifier()
        assert again.rank("Guten Morgen, wie geht es dir?") == unpacked.rank("Guten Morgen, wie geht es dir?")
        assert stored.read_bytes() == whole


def test_the_file_of_another_version_goes_and_where_nothing_can_be_stored_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    """What a killed process has left goes after an hour, as another process may still write it."""
    for name in ("languages-0.npz", ".languages-1.npz.left", ".languages-1.npz.new"):
        (tmp_path / name).write_bytes(b"former")
    os.utime(tmp_path / ".languages-1.npz.left", (0, 0))
    identifier.load_identifier.__wrapped__()
    assert len([*tmp_path.glob("languages-*")]) == 1
    assert [one.name for one in tmp_path.glob(".*")] == [".languages-1.npz.new"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    assert identifier.load_identifier.__wrapped__().rank("Guten Morgen")[0][0] == "de"


def test_a_folded_table_reads_the_same_at_each_place() -> None:
    """Also where it ends within a block, and where none is there twice."""
    for numbers in ([7, 9] * 100 + [3] * 40 + [7, 9] * 100, [*range(100_000, 100_071)], [5]):
        table = array("I", numbers)
        assert [FoldedTable.of(table)[at] for at in range(len(table))] == numbers


def test_only_the_head_and_the_tail_are_looked_at(gate: LanguageGate) -> None:
    """So that the time has a bound: 400 and 200 characters."""
    spanish = DetectedLanguage("es", False)
    for before, after, verdict in ((200, 100, PASSES_UNTOLD), (150, 100, spanish), (200, 50, spanish)):
        assert gate.judge("1 " * before + MATERIAL * 1000 + " 2" * after) == verdict


@pytest.mark.parametrize("end", ["\n", "。", "？", "！"])
def test_a_sentence_ends_at_a_line_and_at_full_stops_of_other_scripts(end: str) -> None:
    assert [len(words) for words in _sentences(f"one two{end}three four five")] == [2, 3]
