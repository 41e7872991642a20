"""Read the files of examples that categories name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config.category import MAX_ALL_EXAMPLES, Category, example_trouble
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem

MAX_FILE_BYTES = 1 << 20
MAX_PROBLEMS = 20
"""Of all files together; there may be one a line."""
_FORMS = {".txt": "a prompt on each line", ".jsonl": 'JSON lines {"text": "..."}'}


class _ExampleRow(msgspec.Struct):
    """A line of a `.jsonl` file; further keys are ignored, such as the labels of rows for `fit`."""

    text: str


class _BadFile(Exception):
    """A file cannot be used: what is wrong with it, and the fix."""


def with_files(
    categories: Sequence[Category], folder: Path, source_map: SourceMap, reads: Callable[[Path], object]
) -> tuple[tuple[Category, ...], list[Problem]]:
    """Return the categories with the examples of their files after their own, and the problems of these files.

    Relative paths are below `folder`; `reads` gets each file before it is read. Once there are too many examples or
    problems, no other file is read.
    """
    found, problems, count = list(categories), list[Problem](), 0
    for i, category in enumerate(categories):
        if category.examples_file is None or count > MAX_ALL_EXAMPLES:
            continue
        path, texts = folder / category.examples_file, []
        reads(path)
        for text in _texts(path):
            if isinstance(text, str):
                texts.append(text)
                continue
            problems.append(source_map.problem((i, "examples_file"), *text.args))
            if len(problems) == MAX_PROBLEMS:
                return tuple(found), problems
        count += len(texts)
        found[i] = replace(category, examples=(*category.examples, *texts), examples_file=str(path))
    return tuple(found), problems


def _texts(path: Path) -> Iterator[str | _BadFile]:
    """Yield the texts of a file, and what is wrong with it; empty lines are passed over."""
    try:
        lines = _lines(path)
    except _BadFile as error:
        yield error
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = line.strip() if path.suffix == ".txt" else msgspec.json.decode(line, type=_ExampleRow).text
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield _BadFile(f"{path}:{number}: {error}", f"write {_FORMS['.jsonl']}")
            continue
        trouble = example_trouble(text)
        yield text if trouble is None else _BadFile(f"{path}:{number}: {trouble[0]}", trouble[1])
    if not any(map(str.strip, lines)):
        yield _BadFile(f"{path} has no example", "write some, or remove the key")


def _lines(path: Path) -> list[str]:
    """Return the lines of a file; raises _BadFile."""
    if path.suffix not in _FORMS:
        forms = ", or ".join(f"{form} ({suffix})" for suffix, form in _FORMS.items())
        raise _BadFile(f"{path} ends neither in .txt nor in .jsonl", f"name a file with {forms}")
    try:
        content = files.read(path, MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise _BadFile(f"{path} cannot be read ({error.strerror})", "check path, permissions and size") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _BadFile(f"{path}:{line}: not UTF-8", "save the file as UTF-8") from error
    return content.split("\n")  # a text may contain U+2028, where splitlines cuts
