"""A file of labeled prompts: what is read, and how its faults are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.errors import EvaluationError
from pointsman.evaluation.dataset import EvaluationRow, read_rows
from pointsman.evaluation.scheme import CategoryScheme, LabelScheme
from support.config_files import LABELS
from support.toy_config import config

SCHEME = LabelScheme(LABELS, None)


def rows(folder: Path, content: str | bytes, scheme: LabelScheme | CategoryScheme = SCHEME) -> list[EvaluationRow]:
    path = folder / "rows.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path, scheme)


def faults(folder: Path, content: str | bytes, scheme: LabelScheme | CategoryScheme = SCHEME) -> list[str]:
    """The faults without the file's folder."""
    with pytest.raises(EvaluationError) as caught:
        rows(folder, content, scheme)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_row_is_a_text_and_its_class_and_keeps_its_line(tmp_path: Path) -> None:
    """Other keys, blank lines, a byte order mark and Windows' line ends do not matter."""
    content = '\ufeff{"text": "a", "label": "Law", "source": "x"}\r\n\n{"label": "OTHER", "text": "b\\n"}'

    assert rows(tmp_path, content) == [
        EvaluationRow(1, "a", LABELS.index("law")),
        EvaluationRow(3, "b\n", LABELS.index("other")),
    ]


def test_a_row_may_have_the_messages_of_a_chat(tmp_path: Path) -> None:
    """Its text is that of the user's last message."""
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}]
    (row,) = rows(tmp_path, json.dumps({"messages": messages, "label": "law"}))
    assert (row.text, json.loads(row.body)) == ("b", {"messages": messages})
    assert json.loads(EvaluationRow(1, "c", None).body) == {"messages": [{"role": "user", "content": "c"}]}


@pytest.mark.parametrize("label", ["out_of_scope", "Out of scope"])
def test_out_of_scope_is_no_class(tmp_path: Path, label: str) -> None:
    (row,) = rows(tmp_path, f'{{"text": "hi", "label": "{label}"}}')
    assert row.truth is None


def test_a_class_that_is_named_out_of_scope_is_a_class(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, '{"text": "hi", "label": "out_of_scope"}', LabelScheme(("law", "out_of_scope"), None))
    assert row.truth == 1


FAULTS = [
    ('{"text": "a", "label": "helth"}', 'unknown label "helth"; did you mean health?'),
    ('{"text": "a", "label": "zzz"}', 'unknown label "zzz"; choose one of: biology, business'),
    ('{"txt": "a", "label": "law"}', 'no "text"; its keys are: txt, label'),
    ('{"text": "a"}', 'no "label"; its keys are: text'),
    ("{}", 'no "text"; its keys are: none'),
    ('{"text": " ", "label": "law"}', '"text" must be text that is not blank, found " "'),
    ('{"text": "a", "label": 3}', '"label" must be text that is not blank, found 3'),
    ('{"messages": "a", "label": "law"}', '"messages" must be a list with a text of the role "user"'),
    ('{"messages": [{"role": "system", "content": "a"}], "label": "law"}', '"messages" must be a list with a text'),
    ("text: a", "not a JSON object (JSON is malformed"),
    ('["a", "law"]', "not a JSON object (Expected `object`, got `array`)"),
    (b'{"text": "\xff", "label": "law"}', "not a JSON object ("),
    ("[" * 100_000, "not a JSON object"),
    ('{"text": ' + "[" * 100_000, "JSON that is nested too deeply"),
]


@pytest.mark.parametrize(("line", "expected"), FAULTS)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, line: str | bytes, expected: str) -> None:
    good = b'{"text": "a", "label": "law"}\n\n'
    content = line if isinstance(line, bytes) else line.encode()

    (messages,) = faults(tmp_path, good + content)

    assert messages.startswith(f"rows.jsonl:3: {expected}")


def test_a_label_that_may_be_a_categorys_points_to_the_config(tmp_path: Path) -> None:
    row = '{"text": "a", "label": "technical"}'

    assert "--config" in faults(tmp_path, row)[0]
    assert rows(tmp_path, row, CategoryScheme(config(), LABELS))


def test_the_closest_label_may_be_a_category(tmp_path: Path) -> None:
    (messages,) = faults(tmp_path, '{"text": "a", "label": "techncal"}', CategoryScheme(config(), LABELS))
    assert messages.endswith("did you mean technical?")


def test_a_fault_of_several_lines_is_told_once(tmp_path: Path) -> None:
    """With the first five of its lines, and another fault beside it."""
    content = '{"text": "a", "label": "helth"}\n' * 3 + '{"text": "a"}\n' + '{"text": "", "label": "law"}\n' * 6

    assert faults(tmp_path, content) == [
        'rows.jsonl:1: unknown label "helth"; did you mean health? (in 3 lines: 1, 2, 3)',
        'rows.jsonl:4: no "label"; its keys are: text',
        'rows.jsonl:5: "text" must be text that is not blank, found "" (in 6 lines: 5, 6, 7, 8, 9, …)',
    ]


def chat(*texts: str, label: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text} for text in texts], "label": label})


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ('{"text": "Sue me", "label": "law"}', '{"text": " sue  ME", "label": "health"}', "text"),
        ('{"text": "Sue me", "label": "law"}', '{"text": "Sue me", "label": "out_of_scope"}', "text"),
        (chat("a", "b", label="law"), chat("a", "b", label="health"), "chat"),
    ],
)
def test_the_same_text_or_chat_with_two_labels_is_a_fault(tmp_path: Path, first: str, second: str, kind: str) -> None:
    """Which of them is right is not known; both lines are named. Case and spaces make no other text."""
    label = json.loads(second)["label"]

    assert faults(tmp_path, f"\n{first}\n{second}") == [
        f'rows.jsonl:3: the label is "{label}", but "law" for the same {kind} in line 2; keep one'
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"text": "Sue me", "label": "law"}', '{"text": "sue me", "label": "LAW"}'),
        (chat("a", "b", label="law"), chat("c", "b", label="health")),
        (chat("b", label="law"), '{"text": "b c", "label": "health"}'),
    ],
)
def test_what_is_repeated_with_its_label_or_differs_is_no_fault(tmp_path: Path, first: str, second: str) -> None:
    """The same last message may mean something else after other ones."""
    assert len(rows(tmp_path, f"{first}\n{second}")) == 2


def test_only_so_many_faults_are_told(tmp_path: Path) -> None:
    content = "".join(f'{{"text": "a", "label": "unknown {i}"}}\n' for i in range(25))

    messages = faults(tmp_path, content)

    assert (len(messages), messages[-1]) == (21, "rows.jsonl: 5 more problems")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_a_fault(tmp_path: Path, content: str) -> None:
    assert faults(tmp_path, content) == ["rows.jsonl: no rows in it; write one JSON object per line"]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"none\.jsonl: cannot be read"):
        read_rows(tmp_path / "none.jsonl", SCHEME)
