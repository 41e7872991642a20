"""Compare two configs by key path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

MAX_TEXT_CHARACTERS = 200
MAX_ITEMS = 20


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """A changed value: `path` as in `categories[law].system_prompt`; None if only one side has the key.

    Long texts and lists are truncated; examples are counted, as they are prompts, which the log never has.
    """

    path: str
    old: Any = msgspec.field(name="from")
    new: Any = msgspec.field(name="to")


def changes(old: Any, new: Any, path: str = "") -> Iterator[ConfigChange]:
    """Yield the changes between two configs, or parts of them, in the order of the keys."""
    if old == new:
        return
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for field in dataclasses.fields(old):
            below = f"{path}.{field.name}" if path else field.name
            yield from changes(getattr(old, field.name), getattr(new, field.name), below)
        return
    before, after = _by_name(old), _by_name(new)
    if before is None or after is None:
        key = path.rpartition(".")[2]
        yield ConfigChange(path=path, old=_shown(old, key), new=_shown(new, key))
        return
    for name in dict.fromkeys((*before, *after)):
        yield from changes(before.get(name), after.get(name), f"{path}[{name}]")
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield ConfigChange(path=path, old=list(before), new=list(after))  # the order breaks ties


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """Return the items of a mapping, or of a list of named things, by name; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and value and all(hasattr(item, "name") for item in value):
        return {item.name: item for item in value}
    return {} if value == () else None


def _shown(value: Any, key: str = "") -> Any:
    if key == "examples":
        return f"({len(value)} examples)"
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS else f"{value[:MAX_TEXT_CHARACTERS]}…"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _shown(getattr(value, field.name), field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [*map(_shown, value[:MAX_ITEMS]), *(["…"] if len(value) > MAX_ITEMS else [])]
    return value
