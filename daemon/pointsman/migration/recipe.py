"""Select the one routing to serve, if a file has several for different model names."""

from __future__ import annotations

from pointsman.config.words import listing
from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import changed, children, entries, find, table, tables, text
from pointsman.migration.note import Notes

_DEFAULT = "default"


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root without `recipes` and `entrypoints`, with the selected one as `routing`."""
    recipes = list(tables(root, "recipes"))
    chosen = _chosen(root, recipes)
    for recipe in recipes:
        if recipe is not chosen:
            message = f'the recipe "{text(recipe, "name")}"{_names(root, recipe)}: another routing is served'
            notes.dropped(recipe, message)
    if recipes and chosen is None and not _decides(root):
        names = listing(text(recipe, "name") or "" for recipe in recipes)
        notes.missing(
            root.entries["recipes"], f"choose one of {names}: keep only that one in recipes and migrate again"
        )
    routing = root.entries.get("routing")
    if chosen is not None:
        notes.changed(chosen, f'the recipe "{text(chosen, "name")}" is the routing that is served')
        merged = {**entries(chosen, "routing"), **entries(routing)}
        routing = table(routing or chosen, merged)
    made: dict[str, Node | None] = {"recipes": None, "entrypoints": None, "routing": routing}
    return changed(root, {**made, "entrypoint": _entrypoint(root, chosen)})


def _decides(root: Table) -> bool:
    return bool(children(root, "routing", "decisions") or children(root, "decisions"))


def _chosen(root: Table, recipes: list[Table]) -> Table | None:
    """Return the recipe to serve; None if the file has a routing at its top level."""
    if _decides(root):
        return None
    default = next((recipe for recipe in recipes if text(recipe, "name") == _DEFAULT), None)
    return recipes[0] if len(recipes) == 1 else default


def _names(root: Table, recipe: Table) -> str:
    found = [name for point in _points(root, recipe) for node in children(point, "model_names") if (name := text(node))]
    return f" of the model {listing(found)}" if found else ""


def _entrypoint(root: Table, chosen: Table | None) -> Node | None:
    """Return the model names that request the selected routing."""
    points = _points(root, chosen)
    return find(points[0], "model_names") if points else None


def _points(root: Table, recipe: Table | None) -> list[Table]:
    name = _DEFAULT if recipe is None else text(recipe, "name")
    return [point for point in tables(root, "entrypoints") if text(point, "recipe") == name]
