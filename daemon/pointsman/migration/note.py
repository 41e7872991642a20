"""Note what a migration does with each part of a file, and the position of that part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pointsman.config.words import show
from pointsman.config.yaml_tree import Node

Fate: TypeAlias = Literal["carried", "changed", "dropped", "missing"]


@dataclass(frozen=True, slots=True)
class Note:
    """A note on one part of the file; `missing` means that the operator must complete the result."""

    fate: Fate
    key: str
    line: int | None
    text: str

    def render(self, file: str) -> str:
        """Return `fate  file:line: key.path: text`, one line without control characters."""
        location = file if self.line is None else f"{file}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        line = f"{self.fate:<8} {location}: {key}{self.text}"
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


class Notes:
    """The notes of one migration."""

    def __init__(self) -> None:
        self.written: list[Note] = []

    def carried(self, node: Node, text: str) -> None:
        self._write("carried", node, text)

    def changed(self, node: Node, text: str) -> None:
        self._write("changed", node, text)

    def dropped(self, node: Node, text: str) -> None:
        self._write("dropped", node, text)

    def missing(self, node: Node, text: str) -> None:
        self._write("missing", node, text)

    def _write(self, fate: Fate, node: Node, text: str) -> None:
        self.written.append(Note(fate, show(node.keys), node.line if node.keys else None, text))
