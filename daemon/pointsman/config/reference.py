"""Generate `docs/configuration.md` and `config/schema.json` from the config's dataclasses.

`python -m pointsman.config.reference [--check] [REPOSITORY]` writes both; with `--check` it writes nothing and exits
with 1 if one is stale.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pointsman.config.decode import MAX_INTEGER, expected
from pointsman.config.labels import COMMON
from pointsman.config.model import BUILTIN_FAMILIES, Category, Config, Options
from pointsman.config.option import hints, mappings, required, without_none
from pointsman.config.semantic_router import IGNORED

SCHEMA = "config/schema.json"
REFERENCE = "docs/configuration.md"

_INTRO = """\
# Configuration

Generated from `daemon/pointsman/config/` by `python -m pointsman.config.reference`; do not edit.

One YAML file. Outside `pointsman:` the keys are vLLM Semantic Router's, so a file written for it can be used as
it is. `pointsman check FILE` reports every problem of a file, with line and fix, and shows which model would answer
what. `config/schema.json` is a JSON schema of the same, for editors.
`pointsman init` writes a first file for a running vLLM.

Without a file argument, commands read `/etc/pointsman/config.yaml` if it exists, else `config/config.yaml`.

- A key that is neither listed here nor known to semantic-router is an error, which names the place of a key that is
  known elsewhere. What earlier releases had and this one has not is a warning, which says what to do.
- A quoted number is text, and a name like `no`, `on` or `123` needs quotes.
- Relative paths are relative to the file's folder.
- Whole numbers are at most 2147483647.
"""

_LABELS = """\
## Categories and labels

The classifier gives each label a probability; that of a category is the sum of its labels'. A category covers

1. the labels in its `mmlu_categories` (or `labels`), and only those; else
2. the label of its own name, ignoring case, `_` and `-`; else
3. the labels that the table below lists for its name and no other category covers; `check` warns.

The category named by `fallback_category`, else the one named `general`, also covers each label that no
other category covers, unless it lists its labels itself. A label that no category covers goes to `default_model`.
A label that two categories cover, or that the classifier does not have, is an error.

A category that has `examples` covers no label. It is [described](behaviour.md#described-categories) by its texts, and
so is one that covers none and has a `description`, or an adapter that has one.

| name of the category | labels |
| --- | --- |
"""

_DECISIONS = """\
## `decisions`

Later files of semantic-router have the models in `decisions`, beside `categories` with only `name`, `description`
and `mmlu_categories`. A decision whose `rules` are one condition of type `domain` is read as that category:
`modelRefs` are its `model_scores` (`weight` is `score`), and the plugin `system_prompt` gives `system_prompt`,
`system_prompt_enabled` and `system_prompt_mode`. Other known plugins are ignored with a warning; `priority` has
no effect, since a prompt has one category. Rules of several conditions or other types are an error, and so is
the form with `providers`, `routing` and `global` (v0.3).

## Ignored keys

Keys of semantic-router for features that Pointsman does not have. Each gives a warning.

| in | keys |
| --- | --- |
"""


def schema() -> str:
    """Return the JSON schema (draft 2020-12) as text."""
    definitions: dict[str, Any] = {}
    root = _object(Config, definitions)
    root["properties"]["decisions"] = {
        "type": "array",
        "items": {"type": "object"},
        "description": "semantic-router's later form of categories; only rules on one domain are supported.",
    }
    # With `decisions`, the models are there, and categories need none.
    definitions[Category.__name__]["required"].remove("model_scores")
    needs_models = {"properties": {"categories": {"items": {"required": ["model_scores"]}}}}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pointsman configuration",
        **root,
        "if": {"required": ["decisions"]},
        "else": needs_models,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(head, indent=2, ensure_ascii=False) + "\n"


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    ignored = IGNORED.get(kind, {})
    fields = dataclasses.fields(kind)
    found: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _property(kind, field, definitions) for field in fields},
        "required": [field.name for field in fields if required(field)],
        "additionalProperties": False,
    }
    for key, fix in ignored.items():
        note = {"deprecated": True, "description": f"A key of semantic-router, ignored: {fix}."}
        if key.endswith("*"):
            found.setdefault("patternProperties", {})[f"^{key.removesuffix('*')}"] = note
        else:
            found["properties"][key] = note
    return found


def _property(kind: type, field: dataclasses.Field[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    annotation = hints(kind)[field.name]
    inner = without_none(annotation)
    found = _schema_of(inner, field.metadata, definitions)
    if inner is not annotation or _is_container(inner):
        found = _or_null(found)
    found["description"] = field.metadata["doc"]
    default = _default(field)
    if default is not None:
        found["default"] = default
    return found


def _schema_of(kind: Any, limits: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema_of(get_args(kind)[0], {}, definitions)}
    if get_origin(kind) is Mapping:
        inner = get_args(kind)[1]
        item = _schema_of(inner, limits, definitions)
        return {"type": "object", "additionalProperties": _or_null(item) if _is_container(inner) else item}
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    bounds = {"minimum": "minimum", "maximum": "maximum", "above": "exclusiveMinimum"}
    found = {ours: limits[name] for name, ours in bounds.items() if limits.get(name) is not None}
    if kind is int:
        found.setdefault("maximum", MAX_INTEGER)
    return {"type": names[kind], **found}


def _is_container(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or get_origin(kind) in (tuple, Mapping)


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with an empty value allowed."""
    if "enum" in found:
        return {"enum": [*found["enum"], None]}
    if "type" in found:
        return {**found, "type": [found["type"], "null"]}
    return {"anyOf": [found, {"type": "null"}]}


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return the default as JSON, or None if there is none to show."""
    if field.default is dataclasses.MISSING:
        return None
    return list(field.default) if isinstance(field.default, tuple) else field.default


def reference() -> str:
    """Return `docs/configuration.md` as text."""
    sections = [_INTRO, *_sections(Config, "")]
    families = "\n".join(
        f"| `{name}` | `{family.type}` | `{family.parameter}` |" for name, family in BUILTIN_FAMILIES.items()
    )
    head = "## Built-in reasoning families\n\n| name | type | parameter |\n| --- | --- | --- |\n"
    sections.append(head + families + "\n")
    by_labels: dict[tuple[str, ...], list[str]] = {}
    for name, labels in COMMON.items():
        by_labels.setdefault(labels, []).append(name)
    rows = [f"| {', '.join(names)} | {', '.join(labels)} |" for labels, names in by_labels.items()]
    sections.append(_LABELS + "\n".join(rows) + "\n")
    paths = dict(mappings(Config))
    ignored = [
        f"| {f'`{paths[kind]}`' if paths[kind] else 'top level'} | {', '.join(f'`{key}`' for key in keys)} |"
        for kind, keys in IGNORED.items()
    ]
    sections.append(_DECISIONS + "\n".join(ignored) + "\n")
    return "\n".join(sections)


def _sections(root: type, path: str) -> Iterator[str]:
    for kind, where in mappings(root, path):
        rows = [_row(kind, field) for field in dataclasses.fields(kind)]
        title = f"`{where}`" if where else "Top level"
        about = f"{Options.__doc__}\n\n" if kind is Options else ""
        head = "| key | value | default | |\n| --- | --- | --- | --- |\n"
        yield f"## {title}\n\n{about}{head}" + "\n".join(rows) + "\n"


def _row(kind: type, field: dataclasses.Field[Any]) -> str:
    inner = without_none(hints(kind)[field.name])
    default = _default(field)
    if required(field):
        shown = "required"
    elif default is None:
        shown = ""
    else:
        shown = f"`{json.dumps(default)}`"
    return f"| `{field.name}` | {_value(inner, field.metadata)} | {shown} | {field.metadata['doc']} |"


def _value(kind: Any, limits: Mapping[str, Any]) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return "list of mappings" if dataclasses.is_dataclass(item) else f"list of {_value(item, {})}"
    if get_origin(kind) is Mapping:
        item = get_args(kind)[1]
        return "mapping of names" + ("" if dataclasses.is_dataclass(item) else f" to {_value(item, limits)}")
    return expected(kind, limits).removeprefix("a ")


def main(arguments: list[str]) -> int:
    """Write the generated files, or check that they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m pointsman.config.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    parser.add_argument("repository", nargs="?", type=Path, default=Path())
    options = parser.parse_args(arguments)
    stale = False
    for name, text in ((SCHEMA, schema()), (REFERENCE, reference())):
        path = options.repository / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if options.check:
            print(
                f"{path} is stale: run python -m pointsman.config.reference {options.repository}",
                file=sys.stderr,
            )
            stale = True
        else:
            path.write_text(text, "utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
