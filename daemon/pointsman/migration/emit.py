"""Write a `Config` as YAML, without empty values and defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from pointsman.config.model import Config
from pointsman.config.option import required

_ALWAYS = ("classifier", "category_model", "model_id", "threshold", "use_reasoning", "default_model")
"""Keys that are written even with the default value, since operators look for them."""


class _Dumper(yaml.SafeDumper):
    """A YAML writer that indents lists under their key, and writes multi-line text as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def emit(config: Config) -> str:
    """Return the YAML text of a config."""
    return yaml.dump(
        _plain(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fields(value: Any) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(value):
        one = getattr(value, field.name)
        if one != "" and (required(field) or field.name in _ALWAYS or one != _default(field)):
            found[field.name] = _plain(one)
    return {name: one for name, one in found.items() if one != {}}


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()
