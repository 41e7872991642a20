"""Rewrite `reasoning_families` with the two types that Pointsman supports."""

from __future__ import annotations

from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import changed, entries, scalar, table, text
from pointsman.migration.note import Notes

_EFFORT = "reasoning_effort"
_TYPES = ("chat_template_kwargs", _EFFORT)
_TOP_LEVEL = "top_level_reasoning_effort"


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root with families of a supported type."""
    given = root.entries.get("reasoning_families")
    if given is None:
        return root
    made = {name: _family(node, notes) for name, node in entries(given).items()}
    return changed(root, {"reasoning_families": table(given, made)})


def _family(node: Node, notes: Notes) -> Table | None:
    kind, parameter = text(node, "type"), text(node, "parameter")
    if not isinstance(node, Table) or kind not in (*_TYPES, _TOP_LEVEL) or parameter is None:
        notes.dropped(node, f"a family needs a parameter and one of the types {', '.join(_TYPES)}")
        return None
    if kind == _TOP_LEVEL:
        notes.changed(node, f"its type is {_EFFORT} here, a top-level key of the request")
        return changed(node, {"type": scalar(node, _EFFORT)})
    if kind == _EFFORT and parameter != _EFFORT:
        notes.changed(node, f'its parameter is {_EFFORT}, the key that vLLM reads, not "{parameter}"')
        return changed(node, {"parameter": scalar(node, _EFFORT)})
    return node
