"""Rewrite `global`, `routing` and `signals` as top-level keys of the older format."""

from __future__ import annotations

from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import changed, children, entries, find, table, text
from pointsman.migration.note import Notes

_CLASSIFIER = ("model_catalog", "modules", "classifier", "domain")
_READ = ("auto_model_name", "auto_model_names", "include_config_models_in_list", "strategy")
_AUTO = "auto"
_NO_SIGNAL = (
    "of the signals, only domains and keywords are carried over; pointsman.routing.rules can replace some others"
)
_MODELS = "Pointsman has only one model of its own, the classifier"
_WHY = {
    "signals": _NO_SIGNAL,
    "projections": _NO_SIGNAL,
    "observability": "metrics are on pointsman.server.admin_listen, the log is configured in pointsman.log",
    "api": "the classification API is on pointsman.server.listen",
    "embeddings": _MODELS,
    "system": _MODELS,
    "modules": _MODELS,
}
_OTHER = "Pointsman has no equivalent"


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root in the older format; sections without a counterpart are noted."""
    given, router = root.entries.get("global"), find(root, "global", "router")
    domain = find(given, *_CLASSIFIER)
    made: dict[str, Node | None] = dict.fromkeys(("global", "routing", "signals", "version", "entrypoint"))
    made["auto_model_name"] = _auto_name(root, router, notes)
    made["include_config_models_in_list"] = find(router, "include_config_models_in_list")
    made["strategy"] = find(root, "routing", "strategy") or find(router, "strategy") or root.entries.get("strategy")
    made["decisions"] = find(root, "routing", "decisions") or root.entries.get("decisions")
    domains = find(root, "routing", "signals", "domains") or find(root, "signals", "domains")
    made["categories"] = domains or root.entries.get("categories")
    keywords = find(root, "routing", "signals", "keywords") or find(root, "signals", "keywords")
    made["keyword_rules"] = keywords or root.entries.get("keyword_rules")
    if domain is not None:
        made["classifier"] = table(domain, {"category_model": domain})
    _note_routing(root, notes)
    _note_global(given, notes)
    return changed(root, made)


def _auto_name(root: Table, router: Node | None, notes: Notes) -> Node | None:
    """Return the first name that requests routing, besides `auto`, which always does."""
    single = find(router, "auto_model_name") or root.entries.get("auto_model_name")
    lists = (*children(root, "entrypoint"), *children(router, "auto_model_names"))
    named = [node for node in (*([single] if single else []), *lists) if text(node) not in (None, _AUTO)]
    chosen, spare = (named[0], named[1:]) if named else (None, [])
    for node in spare:
        if chosen is not None and text(node) != text(chosen):
            notes.dropped(node, f'only one name besides auto requests routing here, and it is "{text(chosen)}"')
    return chosen


def _note_routing(root: Table, notes: Notes) -> None:
    """Note the unread parts of `routing` and `signals`, with one note for each kind of signal."""
    signals = {**entries(root, "signals"), **entries(root, "routing", "signals")}
    for key, node in signals.items():
        if key not in ("domains", "keywords"):
            notes.dropped(node, _NO_SIGNAL)
    for key, node in entries(root, "routing").items():
        if key not in ("signals", "decisions", "modelCards", "strategy"):
            notes.dropped(node, _WHY.get(key, _OTHER))


def _note_global(given: Node | None, notes: Notes) -> None:
    """Note each unread section of `global`, two levels deep."""
    for area, section in entries(given).items():
        for key, node in entries(section).items():
            if area == "router" and key in _READ:
                continue
            if (area, key) == _CLASSIFIER[:2]:
                _note_modules(node, notes)
                continue
            notes.dropped(node, _WHY.get(key, _OTHER))


def _note_modules(modules: Node, notes: Notes) -> None:
    for key, node in entries(modules).items():
        others = entries(node).items() if key == _CLASSIFIER[2] else [(key, node)]
        for name, module in others:
            if name != _CLASSIFIER[3]:
                notes.dropped(module, _MODELS)
