"""Find the right position of a key that is unknown at its own; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pointsman.config.model import Config
from pointsman.config.option import hints, mappings, without_none
from pointsman.config.words import Keys, show
from pointsman.config.yaml_tree import Items, Node, Scalar

MAX_PLACES = 3
_TOP = "the top level"
# Placeholders for any name, and for any number, in a path of `mappings`.
_NAME, _NUMBER = "NAME", "[]"


class _KeyLocation(NamedTuple):
    """A mapping that has the key, and the type of the key's value."""

    path: tuple[str, ...]
    kind: Any


def move(node: Node) -> str | None:
    """Return the advice for an unknown key: up to three positions, the nearest first; None if no mapping knows it.

    If its value is a mapping, the position knows keys of it, and no other position more of them.
    """
    here = node.keys[:-1]
    found = _fits(node)
    most = max([fits for fits, _ in found], default=0)
    nearest = sorted([path for fits, path in found if fits == most], key=lambda path: _distance(path, here))
    shown = [_shown(path, here) for path in nearest[:MAX_PLACES]]
    if not shown:
        return None
    targets = " or ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
    return f"move it to {targets}" if shown[0] == _TOP else f"move it under {targets}"


def is_ours(node: Node) -> bool:
    """Return whether a key with such a value has a position."""
    return any(fits for fits, _ in _fits(node))


def _fits(node: Node) -> list[tuple[int, tuple[str, ...]]]:
    """Return the paths of the positions that know a key, and how well its value fits there."""
    locations = _locations_by_key().get(str(node.keys[-1]), ())
    return [(fits, location.path) for location in locations if (fits := _fit(location.kind, node)) is not None]


@cache
def _locations_by_key() -> Mapping[str, tuple[_KeyLocation, ...]]:
    """Return the positions of each key."""
    found: dict[str, tuple[_KeyLocation, ...]] = {}
    for mapping, path in mappings(Config):
        parts = tuple(path.replace(_NUMBER, f".{_NUMBER}").split(".")) if path else ()
        for name, kind in hints(mapping).items():
            found[name] = (*found.get(name, ()), _KeyLocation(parts, without_none(kind)))
    return found


def _fit(kind: Any, node: Node) -> int | None:
    """Return the number of a node's values that fit a type; None if the node is something else."""
    if isinstance(node, Scalar):
        return _fit_scalar(kind, node)
    if isinstance(node, Items):
        return _all([_fit(get_args(kind)[0], item) for item in node.items]) if get_origin(kind) is tuple else None
    if get_origin(kind) is Mapping:
        return _all([_fit(get_args(kind)[1], child) for child in node.entries.values()])
    if not (dataclasses.is_dataclass(kind) and isinstance(kind, type)):
        return None
    known = len(hints(kind).keys() & node.entries.keys())
    return known if known or not node.entries else None


def _fit_scalar(kind: Any, node: Scalar) -> int | None:
    if node.value is None:
        return 0
    if get_origin(kind) is Literal:
        return int(node.text in get_args(kind))
    return int(isinstance(node.value, kind)) if kind in (str, int, float, bool) else None


def _all(fits: list[int | None]) -> int | None:
    return None if None in fits else sum([one for one in fits if one is not None])


def _common(path: tuple[str, ...], here: Keys) -> int:
    """Return the number of keys that two paths from the root share."""
    for depth, (part, key) in enumerate(zip(path, here, strict=False)):
        if part != key and part != (_NUMBER if isinstance(key, int) else _NAME):
            return depth
    return min(len(path), len(here))


def _distance(path: tuple[str, ...], here: Keys) -> int:
    return len(path) + len(here) - 2 * _common(path, here)


def _shown(path: tuple[str, ...], here: Keys) -> str:
    """Return a path as in the reference, with the names and numbers of the unknown key's own path."""
    common = _common(path, here)
    keys = [show(here[:common]), *path[common:]]
    return f"`{'.'.join(filter(None, keys)).replace(f'.{_NUMBER}', _NUMBER)}`" if path else _TOP
