"""Read the operator's files: JSON lines in, validated rows out, and every problem with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pointsman import files
from pointsman.config.words import choose, closest, fold
from pointsman.errors import EvaluationError
from pointsman.evaluation.scheme import LabelScheme, Scheme
from pointsman.formats import CHAT
from pointsman.improve.labels_file import OUT_OF_SCOPE
from pointsman.routing.ask import AskFinder
from pointsman.routing.parsed_request import parse_request

MAX_SHOWN_FAULTS = 20
MAX_NAMED_LINES = 5
"""Lines that are named for a fault of many."""
MAX_ROW_BYTES = 16 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """A request and its true class, None if it is out of scope; `line` counts from 1.

    `messages` are those of a chat; without them `text` is the only one.
    """

    line: int
    text: str
    truth: int | None
    messages: list[Any] | None = None

    @property
    def body(self) -> bytes:
        """Return the request as a chat."""
        return msgspec.json.encode({"messages": self.messages or [{"role": "user", "content": self.text}]})


def read_rows(path: Path, scheme: Scheme) -> list[EvaluationRow]:
    """Return the rows of a file of `{"text", "label"}` or `{"messages", "label"}`; raises EvaluationError.

    One text, or one chat, with two labels is a fault.
    """
    known = KnownLabels()

    def build(number: int, fields: dict[str, Any]) -> EvaluationRow:
        row, label = _row(number, fields, scheme), fields["label"]
        if row.messages is None:
            known.check(number, "text", text_key(row.text), label, row.truth)
        else:
            known.check(number, "chat", row.body, label, row.truth)
        return row

    return read_lines(path, build)


class KnownLabels:
    """The labels that a file has given to its texts and chats so far."""

    def __init__(self) -> None:
        self._first: dict[str | bytes, tuple[int, int | None, str]] = {}

    def check(self, number: int, kind: str, key: str | bytes, label: str, truth: int | None) -> None:
        """Raise ValueError if an earlier line gives the same text or chat, by its `key`, another label.

        `truth` is the class of `label`; two spellings of one label are no fault.
        """
        line, known, other = self._first.setdefault(key, (number, truth, label))
        if known != truth:
            raise ValueError(f'the label is "{label}", but "{other}" for the same {kind} in line {line}; keep one')


def read_lines(path: Path, build: Callable[[int, dict[str, Any]], T]) -> list[T]:
    """Return `build(line number, object)` for each line; its ValueErrors are reported like invalid JSON.

    A problem of several lines is reported once, with the first line. Raises EvaluationError with all problems.
    """
    built: list[T] = []
    faults: dict[str, list[int]] = {}
    for number, line in numbered(path):
        try:
            built.append(build(number, _object(line)))
        except ValueError as error:
            faults.setdefault(str(error), []).append(number)
    if faults:
        raise EvaluationError("\n".join(_problem_lines(path, faults)))
    if not built:
        raise EvaluationError(f"{path}: no rows in it; write one JSON object per line")
    return built


def _problem_lines(path: Path, faults: dict[str, list[int]]) -> Iterator[str]:
    for message, lines in list(faults.items())[:MAX_SHOWN_FAULTS]:
        yield f"{path}:{lines[0]}: {message}" + (f" (in {_listed(lines)})" if len(lines) > 1 else "")
    if len(faults) > MAX_SHOWN_FAULTS:
        yield f"{path}: {len(faults) - MAX_SHOWN_FAULTS:,} more problems"


def _listed(lines: list[int]) -> str:
    named = ", ".join(map(str, lines[:MAX_NAMED_LINES]))
    return f"{len(lines):,} lines: {named}" + (", …" if len(lines) > MAX_NAMED_LINES else "")


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines of a file, counted from 1; raises EvaluationError."""
    try:
        with files.opened(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ROW_BYTES + 1), b""), start=1):
                if len(line) > MAX_ROW_BYTES:
                    message = f"a line of more than {MAX_ROW_BYTES:,} bytes; write one JSON object per line"
                    raise EvaluationError(f"{path}:{number}: {message}")
                if content := line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").strip():
                    yield number, content
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}); check path and permissions") from error


def text_key(text: str) -> str:
    """Return the same key for texts that differ only in case and spaces: uncased tokenizers cannot tell them apart."""
    return " ".join(text.split()).casefold()


def text_of(fields: dict[str, Any], key: str) -> str:
    """Return the text under a key; raises ValueError if it is missing, not text, or blank."""
    if key not in fields:
        raise ValueError(f'no "{key}"; its keys are: {", ".join(fields) or "none"}')
    value = fields[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{key}" must be text that is not blank, found {msgspec.json.encode(value).decode()[:60]}')
    return value


def _object(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"not a JSON object ({error})") from error


def _row(number: int, fields: dict[str, Any], scheme: Scheme) -> EvaluationRow:
    messages = fields.get("messages")
    text, label = text_of(fields, "text") if messages is None else _last(messages), text_of(fields, "label")
    truth = scheme.truth(label)
    if truth is None and fold(label) != fold(OUT_OF_SCOPE):
        fix = choose(label, [*scheme.known(), OUT_OF_SCOPE])
        if isinstance(scheme, LabelScheme) and closest(label, scheme.known()) is None:
            fix += ", or pass the --config that has this category"
        raise ValueError(f'unknown label "{label}"; {fix}')
    return EvaluationRow(number, text, truth, messages)


def _last(messages: object) -> str:
    """Return the text of the user's last message that has text; raises ValueError if none has."""
    text = ""
    if isinstance(messages, list):
        text = parse_request(CHAT, msgspec.json.encode({"messages": messages}), AskFinder("last_user")).text
    if not text:
        raise ValueError('"messages" must be a list with a text of the role "user", as in a chat completion')
    return text
