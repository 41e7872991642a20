"""Keep the models that a vLLM serves, under their names in vLLM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pointsman.config.yaml_tree import Items, Node, Table
from pointsman.migration.endpoint import Endpoints
from pointsman.migration.nodes import changed, children, entries, find, items, scalar, table, tables, text
from pointsman.migration.note import Notes

_OWN = ("external_model_ids", "provider_model_id", "api_format", "access_key")
_CARD = ("tags", "context_window_size", "modality", "param_size", "capabilities", "quality_score", "description")
_NO_FAMILY = "none"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model to request from vLLM: a base model, or one of its adapters."""

    model: str
    lora: str | None = None


class Models:
    """The kept models of a file, and the meaning of each model name in it."""

    def __init__(self, root: Table, endpoints: Endpoints, notes: Notes) -> None:
        self._endpoints = endpoints
        self._notes = notes
        self._served: dict[str, str | None] = {}
        self._adapters: dict[str, ModelReference] = {}
        self.made: dict[str, Table] = {}
        self._at = root.entries.get("model_config", root)
        self._idle: set[str] = set()
        bases = {text(lora, "name"): base for base, node in entries(self._at).items() for lora in tables(node, "loras")}
        for name, node in entries(self._at).items():
            if name in bases and bases[name] != name and not children(node, "preferred_endpoints"):
                notes.changed(node, f'"{name}" is an adapter of {bases[name]}, not a model of its own')
            else:
                self._read(name, node if isinstance(node, Table) else table(node, {}))

    def busy(self, endpoints: Items) -> Items:
        """Return the endpoints without those that serve only dropped models, which are noted."""
        used = {text(one) for model in self.made.values() for one in children(model, "preferred_endpoints")}
        idle = [node for node in endpoints.items if text(node, "name") in self._idle - used]
        for node in idle:
            self._notes.dropped(node, "it serves only dropped models")
        return items(endpoints, [node for node in endpoints.items if node not in idle])

    @property
    def node(self) -> Table:
        """Return `model_config` of the result."""
        return table(self._at, self.made)

    def resolve(self, node: Node, name: str, lora: str | None = None) -> ModelReference | None:
        """Return the meaning of a name, defining it if necessary; None, with a note, for a dropped model."""
        if name not in self._served and name in self._adapters:
            return self._adapters[name]
        served = self._served.get(name, name)
        if served is None:
            return None
        if served not in self.made:
            self._notes.changed(node, f'the model "{name}" is used but not defined: added to model_config')
            self._served[name] = name
            self.made[name] = table(node, {})
        if lora is not None and lora not in self._loras(served):
            self._notes.changed(node, f'the adapter "{lora}" is used but not defined: added to the loras of {served}')
            self._add_loras(served, [table(node, {"name": scalar(node, lora)})])
        return ModelReference(served, lora)

    def _read(self, name: str, node: Table) -> None:
        preferred = children(node, "preferred_endpoints")
        migrated = [one for node_ in preferred if (one := self._endpoints.migrated.get(text(node_) or ""))]
        api = (text(node, "api_format") or "openai").lower()
        if api != "openai" or (preferred and not migrated):
            why = f"it needs the API of {api}" if api != "openai" else "none of its endpoints is kept"
            self._notes.dropped(node, f'the model "{name}": {why}')
            self._served[name] = None
            self._idle |= set(migrated)
            return
        served = self._name(name, node, [text(one) or "" for one in preferred])
        self._served[name] = served
        self._note_keys(node)
        merged = self._merged(served, node, list(dict.fromkeys(migrated)))
        self.made[served] = changed(merged, dict.fromkeys((*_OWN, *_CARD)))
        for lora in self._loras(served):
            self._adapters.setdefault(lora, ModelReference(served, lora))

    def _name(self, name: str, node: Table, preferred: Iterable[str]) -> str:
        """Return the model's name in vLLM: the external id for its endpoints' kind, or the only name given."""
        ids = entries(node, "external_model_ids")
        kinds = dict.fromkeys(self._endpoints.kinds.get(one, "vllm") for one in (*preferred, "vllm"))
        known = next((found for kind in kinds if (found := text(ids.get(kind)))), None)
        served = known or (None if ids else text(node, "provider_model_id")) or name
        if served != name:
            self._notes.changed(node, f'"{name}" is "{served}" here, its name in vLLM')
        elif ids:
            self._notes.dropped(node.entries["external_model_ids"], f'none is for vLLM: "{name}" is used')
        return served

    def _note_keys(self, node: Table) -> None:
        if text(node, "access_key"):
            message = "keys are not migrated: put it in a file and name it in pointsman.relay.api_key_file"
            self._notes.dropped(node.entries["access_key"], message)
        described = [key for key in _CARD if find(node, key) is not None]
        if described:
            message = f"{', '.join(described)}: descriptions that routing does not use"
            self._notes.dropped(node, message)

    def _merged(self, served: str, node: Table, migrated: list[str]) -> Table:
        """Return the model, merged with another one of the same name if there is one."""
        before = self.made.get(served)
        if before is not None:
            self._notes.changed(node, f'merged with the other model "{served}"')
            migrated = list(
                dict.fromkeys([*(text(x) or "" for x in children(before, "preferred_endpoints")), *migrated])
            )
        at = find(node, "preferred_endpoints") or node
        preferred = items(at, [scalar(at, name) for name in migrated]) if migrated else None
        family = None if text(node, "reasoning_family") == _NO_FAMILY else find(node, "reasoning_family")
        made = changed(node, {"preferred_endpoints": preferred, "reasoning_family": family})
        if before is None:
            return made
        loras = [*children(before, "loras"), *children(node, "loras")]
        return changed(
            before, {**made.entries, **before.entries, "preferred_endpoints": preferred} | _list(node, loras)
        )

    def _loras(self, served: str) -> list[str]:
        return [name for lora in tables(self.made[served], "loras") if (name := text(lora, "name"))]

    def _add_loras(self, served: str, loras: list[Table]) -> None:
        model = self.made[served]
        self.made[served] = changed(model, _list(model, [*children(model, "loras"), *loras]))


def _list(at: Node, loras: list[Node] | list[Table]) -> dict[str, Node | None]:
    """Return `loras` without duplicate names."""
    by_name = {text(lora, "name"): lora for lora in reversed(loras)}
    return {"loras": items(at, reversed(by_name.values())) if loras else None}
