"""The texts of the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointsman_export.common.errors import TextsError
from pointsman_export.export.texts import BUILT_IN, read_texts

if TYPE_CHECKING:
    from pathlib import Path


def test_built_in_texts_are_diverse() -> None:
    """More than a hundred, each once, from a greeting to more than a thousand characters."""
    lengths = sorted(map(len, BUILT_IN))

    assert len(set(BUILT_IN)) == len(BUILT_IN) > 100
    assert lengths[0] < 5
    assert lengths[-1] > 1000


def test_lines_are_plain_or_json(tmp_path: Path) -> None:
    """A line is a prompt; a JSON object gives its `text`; a brace that opens no JSON is code."""
    path = tmp_path / "texts"
    path.write_text('What is law?\n\n{"text": "Who are you?", "label": "other"}\n{ int x; }\n')

    assert read_texts(path) == ["What is law?", "Who are you?", "{ int x; }"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "holds no text"),
        (b'{"prompt": "a"}\n', ':1: a JSON object without a string "text"'),
        (b'{"text": 1}\n', ':1: a JSON object without a string "text"'),
        (b"\xff\xfe\n", "not UTF-8"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, message: str) -> None:
    """The error names the file, the line and the fix."""
    path = tmp_path / "texts"
    path.write_bytes(content)

    with pytest.raises(TextsError) as error:
        read_texts(path)

    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
