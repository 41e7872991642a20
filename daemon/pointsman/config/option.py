"""Declare the options, and read their declarations: the keys of each mapping, and their position in the file."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

EMPTY: Mapping[str, Any] = {}


def option(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    file: bool = False,
    restart: bool = False,
) -> Any:
    """Return a field with its line for the reference; without a default the key is required.

    A `file` is relative to that of the config. A changed key of `server` with `restart` waits for the next start.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "above": above, "file": file, "restart": restart}
    if isinstance(default, Mapping) or (dataclasses.is_dataclass(default) and not isinstance(default, type)):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@cache
def hints(kind: Any) -> dict[str, Any]:
    """Return the evaluated annotations of a dataclass."""
    return get_type_hints(kind)


def required(field: dataclasses.Field[Any]) -> bool:
    """Return whether the key is required."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def without_none(kind: Any) -> Any:
    """Return `T` for `T | None`, and any other type unchanged."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return kind


def mappings(kind: type, path: str = "") -> Iterator[tuple[type, str]]:
    """Yield each mapping of the file with its key path, in the order of the file: `a.NAME`, `b[]`."""
    yield kind, path
    for field in dataclasses.fields(kind):
        inner = without_none(hints(kind)[field.name])
        name = f"{path}.{field.name}" if path else field.name
        if get_origin(inner) is tuple:
            inner, name = get_args(inner)[0], f"{name}[]"
        elif get_origin(inner) is Mapping:
            inner, name = get_args(inner)[1], f"{name}.NAME"
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield from mappings(inner, name)
