"""Read nodes of the parsed tree, and create new ones at the position of the nodes they replace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pointsman.config.yaml_tree import Items, Node, Scalar, Table

_MAX_NUMBER = 1e15


def scalar(at: Node, value: str | int | float | bool) -> Scalar:
    return Scalar(at.keys, at.line, value, str(value))


def items(at: Node, nodes: Iterable[Node]) -> Items:
    return Items(at.keys, at.line, tuple(nodes))


def table(at: Node, entries: Mapping[str, Node | None]) -> Table:
    """Return a mapping without entries that are None."""
    return Table(at.keys, at.line, {key: node for key, node in entries.items() if node is not None})


def changed(at: Table, entries: Mapping[str, Node | None]) -> Table:
    """Return the mapping with entries replaced or added, or removed if None."""
    return table(at, {**at.entries, **entries})


def find(node: Node | None, *path: str) -> Node | None:
    """Return the node under a path of keys; None if the path ends early or the value is empty."""
    for key in path:
        node = node.entries.get(key) if isinstance(node, Table) else None
    return None if isinstance(node, Scalar) and node.value is None else node


def text(node: Node | None, *path: str) -> str | None:
    """Return the text of the scalar under a path; None for an empty one and for any other node."""
    found = find(node, *path)
    return found.text.strip() or None if isinstance(found, Scalar) else None


def number(node: Node | None, *path: str) -> float | None:
    """Return the number under a path; None for any other value or an absurdly large number."""
    found = find(node, *path)
    value = found.value if isinstance(found, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MAX_NUMBER else None


def children(node: Node | None, *path: str) -> tuple[Node, ...]:
    found = find(node, *path)
    return found.items if isinstance(found, Items) else ()


def tables(node: Node | None, *path: str) -> Iterator[Table]:
    """Yield the mappings of a list."""
    return (child for child in children(node, *path) if isinstance(child, Table))


def entries(node: Node | None, *path: str) -> Mapping[str, Node]:
    found = find(node, *path)
    return found.entries if isinstance(found, Table) else {}
