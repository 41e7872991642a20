"""Rewrite `providers` and `routing.modelCards` as `vllm_endpoints` and `model_config`."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import changed, children, entries, find, items, scalar, table, tables, text
from pointsman.migration.note import Notes

_DEFAULTS = ("default_model", "default_reasoning_effort", "reasoning_families")


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root without `providers` and `routing.modelCards`; everything else is unchanged."""
    providers = root.entries.get("providers")
    if providers is None and not children(root, "routing", "modelCards"):
        return root
    found = [(model, list(_backends(model))) for model in tables(providers, "models") if text(model, "name")]
    made: dict[str, Node | None] = {"providers": None}
    made["vllm_endpoints"] = items(providers or root, [one for _, backends in found for one in backends])
    made["model_config"] = table(find(providers, "models") or root, _models(root, found))
    for key in _DEFAULTS:
        made[key] = find(providers, "defaults", key) or find(providers, key) or root.entries.get(key)
    _note_rest(providers, notes)
    return changed(root, made)


def _note_rest(providers: Node | None, notes: Notes) -> None:
    for key, node in (*entries(providers).items(), *entries(providers, "defaults").items()):
        if key not in ("models", "defaults", *_DEFAULTS):
            notes.dropped(node, "Pointsman has no equivalent")


def _models(root: Table, found: list[tuple[Table, list[Table]]]) -> dict[str, Node | None]:
    """Return the models of the cards, then those that only have a provider."""
    made: dict[str, Node | None] = {}
    for card in tables(root, "routing", "modelCards"):
        if name := text(card, "name"):
            made[name] = changed(card, {"name": None})
    for model, backends in found:
        name = text(model, "name") or ""
        own = {"name": None, "backend_refs": None, "endpoints": None}
        preferred = items(model, [one.entries["name"] for one in backends]) if backends else None
        provider = changed(model, {**own, "preferred_endpoints": preferred})
        made[name] = changed(provider, {**entries(made.get(name)), **provider.entries})
    return made


def _backends(model: Table) -> Iterator[Table]:
    """Yield the backends of a model as entries of `vllm_endpoints`, with the port in the address."""
    refs = children(model, "backend_refs") or children(model, "endpoints")
    for i, ref in enumerate(refs):
        if not isinstance(ref, Table):
            continue
        address = find(ref, "base_url") or find(ref, "endpoint")
        suffix = "" if len(refs) == 1 else f"-{i + 1}"
        name = find(ref, "name") or scalar(ref, f"{text(model, 'name')}{suffix}")
        rest = {key: node for key, node in ref.entries.items() if key not in ("name", "endpoint", "base_url")}
        yield table(ref, {"name": name, "address": address, "protocol": scalar(ref, "http"), **rest})
