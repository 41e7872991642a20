"""Rewrite `classifier`: use the named model if this host has it, or else the built-in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pointsman.config.yaml_tree import Node, Scalar, Table
from pointsman.migration.listener import set_options
from pointsman.migration.nodes import changed, entries, find, items, scalar, table, text
from pointsman.migration.note import Notes

BUILTIN = "builtin"
_KEPT = ("threshold", "fallback_category")
_OF_THE_MODEL = ("category_mapping_path", "use_modernbert", "use_mmbert_32k", "model_ref", "enabled")


@dataclass(frozen=True, slots=True)
class AvailableClassifier:
    """A classifier that Pointsman can run, with its labels."""

    model_id: str
    labels: tuple[str, ...]


Lookup = Callable[[str], AvailableClassifier | str]
"""A function that returns the artifact that a `model_id` names, or a message about what was found."""


def rewrite(root: Table, lookup: Lookup, notes: Notes) -> tuple[Table, tuple[str, ...]]:
    """Return the root with an existing classifier, and that classifier's labels."""
    model = find(root, "classifier", "category_model") or find(root, "classifier") or root
    artifact = _artifact(root, lookup, notes)
    given = entries(root, "classifier", "category_model")
    made: dict[str, Node | None] = {key: given[key] for key in _KEPT if key in given}
    made["model_id"] = scalar(find(root, "classifier", "category_model", "model_id") or model, artifact.model_id)
    _note_rest(root, notes)
    section = table(model, {"category_model": table(model, made)})
    providers = _providers(given.get("use_cpu"), notes)
    return set_options(changed(root, {"classifier": section}), {"classifier": providers}), artifact.labels


def _artifact(root: Table, lookup: Lookup, notes: Notes) -> AvailableClassifier:
    node = find(root, "classifier", "category_model", "model_id")
    wanted = text(node) or BUILTIN
    found = lookup(wanted)
    builtin = found if isinstance(found, AvailableClassifier) else lookup(BUILTIN)
    if isinstance(builtin, str):
        raise TypeError(f"the built-in classifier is missing: {builtin}")
    if isinstance(found, str) and node is not None:
        message = f"{found}: the built-in classifier is used instead; check its threshold with pointsman eval"
        notes.changed(node, message)
    elif node is None:
        notes.changed(root.entries.get("classifier", root), "no classifier is named: the built-in one is used")
    return builtin


def _note_rest(root: Table, notes: Notes) -> None:
    for key, node in entries(root, "classifier").items():
        if key != "category_model":
            notes.dropped(node, "only the domain classifier is run")
    for key, node in entries(root, "classifier", "category_model").items():
        if key in _OF_THE_MODEL:
            notes.dropped(node, "the artifact contains this information")
        elif key not in (*_KEPT, "model_id", "use_cpu"):
            notes.dropped(node, "Pointsman has no equivalent")


def _providers(use_cpu: Node | None, notes: Notes) -> Table | None:
    """Return providers for `use_cpu: false`: a GPU if there is one, or else the CPU."""
    if not isinstance(use_cpu, Scalar) or use_cpu.value is True:
        return None
    if use_cpu.value is not False:
        notes.dropped(use_cpu, f'expected true or false, found "{use_cpu.text}": the CPU is used')
        return None
    notes.changed(use_cpu, "a GPU if the host has one, else the CPU: pointsman.classifier.providers")
    return table(use_cpu, {"providers": items(use_cpu, [scalar(use_cpu, "cuda"), scalar(use_cpu, "cpu")])})
