"""Build the config's dataclasses from a tree, and collect every problem on the way.

An invalid value is replaced by a placeholder, so that the rest of the file is checked in the same run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pointsman.config import elsewhere, removed, semantic_router
from pointsman.config.option import hints, required, without_none
from pointsman.config.source_map import SourceLocation, SourceMap
from pointsman.config.words import Keys, closest, listing, show
from pointsman.config.yaml_tree import Items, Node, Scalar, Table, describe
from pointsman.errors import Problem

MAX_INTEGER = 2**31 - 1
"""Maximum of every integer without a tighter limit."""

_NO_LIMITS: Mapping[str, Any] = {}
_WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}


def expected(kind: Any, limits: Mapping[str, Any] = _NO_LIMITS) -> str:
    """Return a description of valid values of a type."""
    if get_origin(kind) is Literal:
        return f"one of {listing(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "a list"
    if kind is str:
        return "text"
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _range(limits)
    return "a mapping"


def _range(limits: Mapping[str, Any]) -> str:
    low, high, above = (limits.get(name) for name in ("minimum", "maximum", "above"))
    if above is not None:
        return f" above {above:.15g}"
    if high is not None:
        return f" from {low:.15g} to {high:.15g}" if low is not None else f" of at most {high:.15g}"
    return "" if low is None else f" of {low:.15g} or more"


class Walker:
    """A walk over one tree; `problems` and `warnings` fill on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._given: dict[Keys, SourceLocation] = {}
        self._broken: set[Keys] = set()

    @property
    def source_map(self) -> SourceMap:
        return SourceMap(self._given, frozenset(self._broken))

    def build(self, kind: Any, table: Table, keys: Keys = ()) -> Any:
        """Return the dataclass built from a mapping."""
        entries = self._entries(kind, table)
        values: dict[str, Any] = {}
        for field in dataclasses.fields(kind):
            where, annotation = (*keys, field.name), hints(kind)[field.name]
            if field.name in entries:
                values[field.name] = self._optional(annotation, entries[field.name], where, field)
            elif required(field):
                self._missing(annotation, table, where)
                values[field.name] = _placeholder(annotation, None)
        return kind(**values)

    def _entries(self, kind: type, table: Table) -> dict[str, Node]:
        """Return the entries of known keys; a misspelled key counts as the key it resembles."""
        names = set(hints(kind))
        entries = {name: node for name, node in table.entries.items() if name in names}
        for name, node in table.entries.items():
            if name in names:
                continue
            fix = removed.KEYS.get(node.keys)
            if fix is not None:
                self.warnings.append(_at(node, "this key was removed and has no effect", fix))
                continue
            fix = semantic_router.ignored(kind, name)
            if fix is not None:
                self.warnings.append(_at(node, "a key of semantic-router that is ignored here", fix))
                continue
            fix = elsewhere.move(node)
            near = None if fix else closest(name, sorted(names - set(entries)))
            fix = fix or (f"did you mean {near}?" if near else f"remove it; the keys here are: {listing(hints(kind))}")
            self.problems.append(_at(node, "unknown key", fix))
            if near:
                entries[near] = node
        return entries

    def _missing(self, annotation: Any, table: Table, where: Keys) -> None:
        self._broken.add(where)
        keys = (*table.keys, where[-1])
        line = table.line if table.keys else None
        fix = f"add `{where[-1]}:` with {expected(without_none(annotation))}"
        self.problems.append(Problem(path=show(keys), line=line, message="the key is missing", fix=fix))

    def _optional(self, annotation: Any, node: Node, where: Keys, field: dataclasses.Field[Any]) -> Any:
        kind = without_none(annotation)
        if kind is not annotation and isinstance(node, Scalar) and node.value is None:
            self._given[where] = SourceLocation(node.keys, node.line)
            return None
        found = self._value(kind, node, where, field.metadata)
        return _placeholder(annotation, field) if found is None else found

    def _value(self, kind: Any, node: Node, where: Keys, limits: Mapping[str, Any]) -> Any:
        """Return the value of a node; None, after reporting it, if the node has no usable value."""
        self._given[where] = SourceLocation(node.keys, node.line)
        empty = isinstance(node, Scalar) and node.value is None
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._object(kind, Table(node.keys, node.line, {}) if empty else node, where)
        if get_origin(kind) is tuple:
            return self._list(get_args(kind)[0], Items(node.keys, node.line, ()) if empty else node, kind, where)
        if get_origin(kind) is Mapping:
            return self._mapping(get_args(kind)[1], Table(node.keys, node.line, {}) if empty else node, where, limits)
        return self._scalar(kind, node, where, limits)

    def _object(self, kind: type, node: Node, where: Keys) -> Any:
        if isinstance(node, Table):
            return self.build(kind, node, where)
        keys = listing(field.name for field in dataclasses.fields(kind) if required(field))
        self._wrong(node, where, "a mapping", f"write keys under it, at least: {keys}")
        return _empty(kind)

    def _list(self, kind: Any, node: Node, whole: Any, where: Keys) -> Any:
        if isinstance(node, Items):
            values = [self._value(kind, item, (*where, i), _NO_LIMITS) for i, item in enumerate(self._items(node))]
            return tuple(_placeholder(kind, None) if value is None else value for value in values)
        shown = f"[{node.text}]" if isinstance(node, Scalar) else "a `-` before each item"
        self._wrong(node, where, expected(whole), f"write it as a list: {shown}")
        return None

    def _items(self, node: Items) -> Iterator[Node]:
        """Yield the items of a list; what replaces a removed one is there once."""
        texts = {item.text for item in node.items if isinstance(item, Scalar)}
        for item in node.items:
            if not isinstance(item, Scalar) or (now := removed.VALUES.get((node.keys, item.text))) is None:
                yield item
                continue
            fix = "remove it" if now in texts else f"write {now}, which counts in its place"
            self.warnings.append(_at(item, "this choice was removed", fix))
            if now not in texts:
                texts.add(now)
                yield dataclasses.replace(item, value=now, text=now)

    def _mapping(self, kind: Any, node: Node, where: Keys, limits: Mapping[str, Any]) -> Any:
        if isinstance(node, Table):
            return {key: self._value(kind, child, (*where, key), limits) for key, child in node.entries.items()}
        below = "`NAME:` with keys" if dataclasses.is_dataclass(kind) else f"`NAME:` with {expected(kind, limits)}"
        self._wrong(node, where, "a mapping", f"write {below} under it")
        return None

    def _scalar(self, kind: Any, node: Node, where: Keys, limits: Mapping[str, Any]) -> Any:
        if isinstance(node, Scalar) and get_origin(kind) is Literal and node.text in get_args(kind):
            return node.text  # YAML reads `on` and `off` as true and false
        if isinstance(node, Scalar) and _fits(kind, node.value) and _in_limits(kind, node.value, limits):
            return float(node.value) if kind is float else node.value  # type: ignore[arg-type]
        if isinstance(node, Scalar) and isinstance(node.value, int) and node.value > MAX_INTEGER:
            limits = {"maximum": MAX_INTEGER, **{name: x for name, x in limits.items() if x is not None}}
        self._wrong(node, where, expected(kind, limits), _fix(kind, node, limits))
        return node.text if kind is str and isinstance(node, Scalar) and node.text else None

    def _wrong(self, node: Node, where: Keys, wanted: str, fix: str) -> None:
        self._broken.add(where)
        self.problems.append(_at(node, f"expected {wanted}, found {describe(node)}", fix))


def _at(node: Node, message: str, fix: str) -> Problem:
    return Problem(path=show(node.keys), line=node.line, message=message, fix=fix)


def _fits(kind: Any, value: object) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)


def _in_limits(kind: Any, value: Any, limits: Mapping[str, Any]) -> bool:
    if kind not in (int, float):
        return True
    low, high, above = (limits.get(name) for name in ("minimum", "maximum", "above"))
    if high is None and kind is int:
        high = MAX_INTEGER
    return not (
        (isinstance(value, float) and not math.isfinite(value))
        or (low is not None and value < low)
        or (above is not None and value <= above)
        or value > (high if high is not None else 1e300)
    )


def _fix(kind: Any, node: Node, limits: Mapping[str, Any]) -> str:
    """Return the advice for the value."""
    if not isinstance(node, Scalar):
        return f"write {expected(kind, limits)}"
    if node.value is None:
        return f"write {expected(kind, limits)} after the colon"
    if kind is str:
        return f'put it in quotes: "{node.text}"'
    if get_origin(kind) is Literal:
        near = closest(node.text, get_args(kind))
        return f"did you mean {near}?" if near else "choose one of them"
    if kind is bool and node.text.lower() in _WORDS:
        return f"write {_WORDS[node.text.lower()]}, without quotes"
    number = _number(node.text)
    if number is not None and _in_limits(kind, number, limits):
        if kind is float and isinstance(node.value, str):
            return f"write {number:.15g}, a number without quotes"
        if kind is int and number.is_integer():
            return f"write {number:.0f}, a number without quotes and decimals"
    return f"write {expected(kind, limits)}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _placeholder(annotation: Any, field: dataclasses.Field[Any] | None) -> Any:
    if field is not None and field.default is not dataclasses.MISSING:
        return field.default
    if field is not None and field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    kind = without_none(annotation)
    if kind is not annotation:
        return None
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is tuple:
        return ()
    return {} if get_origin(kind) is Mapping else kind()


def _empty(kind: type) -> Any:
    """Return the dataclass filled with placeholders."""
    fields = dataclasses.fields(kind)
    return kind(**{field.name: _placeholder(hints(kind)[field.name], None) for field in fields if required(field)})
