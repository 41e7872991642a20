"""Labelled rows: what is refused, what is warned of, and what is told to the operator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman_export.common.errors import FitDataError
from pointsman_export.fit.data import TrainingRows, check_languages, read_rows


def label_counts(rows: TrainingRows) -> dict[str, int]:
    """Rows by label."""
    return {label: int((rows.truth == index).sum()) for index, label in enumerate(rows.labels)}


def rows(**counts: int) -> list[str]:
    """So many distinct lines of each label."""
    return [line(f"{label} {number}", label) for label, count in counts.items() for number in range(count)]


def line(text: object, label: object) -> str:
    return json.dumps({"text": text, "label": label})


def read(tmp_path: Path, lines: list[str]) -> TrainingRows:
    path = tmp_path / "my.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_rows(path)


def refused(tmp_path: Path, lines: list[str]) -> str:
    with pytest.raises(FitDataError) as caught:
        read(tmp_path, lines)
    return str(caught.value)


def test_good_rows_give_sorted_labels_and_no_warning(tmp_path: Path) -> None:
    """Labels are in order, texts as written, further keys and blank lines are passed over."""
    extra = json.dumps({"text": " Pay  the bill ", "label": " banking ", "source": "crm"})

    found = read(tmp_path, [*rows(travel=20, other=20, banking=19), "", extra])

    assert found.labels == ["banking", "other", "travel"]
    assert label_counts(found) == {"banking": 20, "other": 20, "travel": 20}
    assert found.texts[-1] == " Pay  the bill "
    assert found.warnings == []


def test_a_line_separator_inside_a_text_is_no_new_line(tmp_path: Path) -> None:
    """JSON may hold U+2028 as it is."""
    odd = json.dumps({"text": "one\u2028two", "label": "other"}, ensure_ascii=False)

    assert read(tmp_path, [*rows(travel=20, other=19), odd]).texts[-1] == "one\u2028two"


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows(travel=20, other=20)).encode())

    assert len(read_rows(path).texts) == 40


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"text": "a", "label"', "truncated"),
        ("hello", "malformed"),
        ('{"x": ' + "[" * 100_000, "recursion"),
        ('["a", "b"]', "Expected `object`"),
        ('{"label": "travel"}', "missing required field `text`"),
        ('{"text": "a trip"}', "missing required field `label`"),
        (line(5, "travel"), "Expected `str`, got `int` - at `$.text`"),
        (line("a trip", None), "Expected `str`, got `null` - at `$.label`"),
        (line(" \t", "travel"), "the text is empty"),
        (line("a trip", ""), "the label is empty"),
        ('{"text": "\\ud800", "label": "travel"}', "surrogate"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: str, said: str) -> None:
    """File, line, fault and form."""
    message = refused(tmp_path, [*rows(travel=20, other=20), bad])

    assert message.startswith(f"{tmp_path / 'my.jsonl'}:41: ")
    assert said.casefold() in message.casefold()
    assert "is empty" in said or message.endswith('; write {"text": "...", "label": "..."}')


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    """Ten of them, and how many more there are."""
    message = refused(tmp_path, ["{"] * 12)

    assert [entry.partition(": ")[0] for entry in message.splitlines()[:10]] == [
        f"{tmp_path / 'my.jsonl'}:{number}" for number in range(1, 11)
    ]
    assert message.endswith("\nand 2 more")
    assert len(refused(tmp_path, ["{"] * 10).splitlines()) == 10


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            [line("Pay my bill", "banking"), *rows(travel=20, banking=20), line("pay  my BILL", "travel")],
            ("my.jsonl:42: is labeled 'travel'", "labeled 'banking' in line 1; keep the right one"),
            id="one text with two labels, whatever its case and spaces",
        ),
        pytest.param(
            [*rows(travel=20, work=4, banking=1), line("work 1", "work")],
            (
                "label 'banking' has 1 row, at least 5 are needed and 20 are wanted",
                "label 'work' has 4 rows, at least 5",
            ),
            id="fewer than five rows of a label, which repeated ones do not help",
        ),
        pytest.param(rows(travel=30), ("has one label only ('travel')",), id="one label only"),
        pytest.param(["", " "], ("holds no row",), id="no row"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(tmp_path: Path, lines: list[str], said: tuple[str, ...]) -> None:
    message = refused(tmp_path, lines)

    assert [words for words in said if words not in message] == []


def test_two_spellings_of_a_label_are_an_error_that_names_the_lines(tmp_path: Path) -> None:
    """A config takes `home_devices` and `Home devices` for one label. Ten of the lines are named."""
    lines = [*rows(home_devices=20, other=20), *(line(f"a lamp {n}", "Home devices") for n in range(12))]

    message = refused(tmp_path, lines).splitlines()

    assert message[0].endswith(
        "my.jsonl:41: label 'Home devices' differs from 'home_devices' in line 1 only in case, spaces, _ or -; use one "
        "spelling"
    )
    assert (len(message), message[-1]) == (11, "and 2 more")


def test_a_text_that_comes_twice_counts_once_with_a_warning(tmp_path: Path) -> None:
    """Twice in the data it would be trained on and judged by."""
    found = read(tmp_path, [*rows(travel=20, other=20), line("Travel 3 ", "travel")])

    assert label_counts(found) == {"other": 20, "travel": 20}
    assert found.warnings == ["1 row (line 41) repeat an earlier one, apart from case and spaces; counted once"]


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, ", …")])
def test_ten_lines_of_repeated_texts_are_named(tmp_path: Path, count: int, more: str) -> None:
    found = read(tmp_path, [*rows(travel=20, other=20), *[line("travel 3", "travel")] * count])

    lines = ", ".join(str(41 + number) for number in range(10))
    said = f"{count} rows (line {lines}{more}) repeat an earlier one, apart from case and spaces; counted once"
    assert found.warnings == [said]


def test_fewer_than_twenty_rows_of_a_label_are_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, rows(travel=20, other=5))

    assert found.warnings == ["label 'other' has 5 rows; with fewer than 20 its figures say little: add more"]


def test_labels_with_few_rows_are_one_warning(tmp_path: Path) -> None:
    """The fewest first, and the first ten by name."""
    few = {f"label{number}": 17 - number for number in range(12)}
    found = read(tmp_path, rows(other=20, **few))

    named = ", ".join(f"'label{number}' ({17 - number} rows)" for number in range(11, 1, -1))
    assert found.warnings == [
        f"labels {named} and 2 more have fewer than 20 rows, so that their figures say little: add more"
    ]
    ten = {label: few[label] for label in list(few)[:10]}
    assert "'label0' (17 rows) have fewer" in read(tmp_path, rows(other=20, **ten)).warnings[0]


def test_labels_without_a_catch_all_are_a_warning(tmp_path: Path) -> None:
    """What belongs nowhere is forced into a label."""
    (warning,) = read(tmp_path, rows(travel=20, banking=20)).warnings

    assert "forced into one of them" in warning
    assert 'add a label such as "other"' in warning


@pytest.mark.parametrize(
    "label",
    [
        *("other", "others", "Out-of-scope", "out_of_scope", "None", "general", "misc", "miscellaneous", "unknown"),
        "fallback",
    ],
)
def test_a_catch_all_goes_by_several_names(tmp_path: Path, label: str) -> None:
    assert read(tmp_path, rows(**{"travel": 20, label: 20})).warnings == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FitDataError, match=r"absent.jsonl: cannot be read \(No such file"):
        read_rows(tmp_path / "absent.jsonl")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"text": "Café", "label": "travel"}'.encode("latin-1"))

    with pytest.raises(FitDataError, match="not UTF-8"):
        read_rows(path)


@pytest.mark.parametrize(("size", "said"), [((64 << 20) + 1, "larger than 67,108,864 bytes"), (64 << 20, ":1: ")])
def test_a_file_has_a_bound(tmp_path: Path, size: int, said: str) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(size)

    with pytest.raises(FitDataError, match=said):
        read_rows(path)


# --- the languages ---------------------------------------------------------------------------------------------

ENGLISH = ["Which of these tickets can I still change, and what does it cost?"]
SPANISH = ["¿Cuánto dinero tengo en mi cuenta de ahorros este mes?"]
GERMAN = ["Wie viel Geld habe ich diesen Monat noch auf meinem Konto?"]


def test_a_twentieth_of_the_rows_may_be_in_other_languages() -> None:
    check_languages(Path("rows"), ENGLISH * 19 + SPANISH, ["en"])
    with pytest.raises(FitDataError) as caught:
        check_languages(Path("rows"), ENGLISH * 37 + GERMAN + SPANISH * 2, ["en", "fr"])

    assert str(caught.value) == (
        "rows: 3 of 40 texts are in other languages (es 2, de 1) than the artifact declares (en, fr), so such prompts "
        "would not be classified; name yours with --languages"
    )


def test_an_artifact_that_declares_no_language_is_for_any() -> None:
    check_languages(Path("rows"), SPANISH * 10, [])
