"""Rewrite the models of a category (`model_scores`, `modelRefs`) with the names of the kept models."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.config.yaml_tree import Items, Node, Table
from pointsman.migration.models import Models
from pointsman.migration.nodes import changed, find, items, scalar, text
from pointsman.migration.note import Notes


def rewrite(at: Node, references: Sequence[Node], models: Models, notes: Notes) -> Items | None:
    """Return the entries whose model is kept; None if there are none."""
    made = [one for node in references if (one := _entry(node, models, notes)) is not None]
    return items(at, made) if made else None


def default_model(root: Table, models: Models, notes: Notes) -> Node | None:
    """Return the name of the default model or adapter; None if it is dropped or missing."""
    node, name = find(root, "default_model"), text(root, "default_model")
    if node is None or name is None:
        return None
    found = models.resolve(node, name)
    if found is None:
        notes.dropped(node, f'the model "{name}" is dropped')
        return None
    return scalar(node, found.lora or found.model)


def _entry(node: Node, models: Models, notes: Notes) -> Table | None:
    name = text(node, "model")
    if not isinstance(node, Table) or name is None:
        notes.dropped(node, "it names no model")
        return None
    found = models.resolve(node, name, text(node, "lora_name"))
    if found is None:
        notes.dropped(node, f'the model "{name}" is dropped')
        return None
    score = find(node, "score") or find(node, "weight")
    lora = scalar(node, found.lora) if found.lora else None
    return changed(node, {"model": scalar(node, found.model), "lora_name": lora, "score": score, "weight": None})
