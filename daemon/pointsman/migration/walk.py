"""Build a `Config` from valid parts, and note the others instead of refusing them."""

from __future__ import annotations

from typing import Any

from pointsman.config.decode import Walker
from pointsman.config.option import hints
from pointsman.config.words import Keys
from pointsman.config.yaml_tree import Node, Table, describe
from pointsman.migration.note import Notes


class LenientWalker(Walker):
    """A walk that does not guess misspelled keys: each unknown key is noted as dropped."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    def _entries(self, kind: type, table: Table) -> dict[str, Node]:
        names = set(hints(kind))
        for name, node in table.entries.items():
            if name not in names:
                self._notes.dropped(node, "Pointsman has no such key")
        return {name: node for name, node in table.entries.items() if name in names}

    def _missing(self, annotation: Any, table: Table, where: Keys) -> None:
        """Record a missing key; the check of the result reports it."""
        self._broken.add(where)

    def _wrong(self, node: Node, where: Keys, wanted: str, fix: str) -> None:
        self._broken.add(where)
        self._notes.dropped(node, f"expected {wanted}, found {describe(node)}")
