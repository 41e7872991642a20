"""Migrate a parsed file to a `Config`, with notes on each part of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pointsman.config.model import BUILTIN_FAMILIES, Category, Config
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, listing, show
from pointsman.config.yaml_tree import Table
from pointsman.migration import (
    category,
    classifier,
    endpoint,
    family,
    form,
    keyword_rules,
    listener,
    provider,
    recipe,
    reference,
    settings,
)
from pointsman.migration.models import Models
from pointsman.migration.nodes import changed, children
from pointsman.migration.note import Note, Notes
from pointsman.migration.walk import LenientWalker

_AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Migration:
    """The result: `config` has all supported parts; `notes` are in the order of the file."""

    config: Config
    notes: tuple[Note, ...]


def migrate(root: Table, lookup: classifier.Lookup) -> Migration:
    """Migrate a configuration of semantic-router part by part."""
    notes = Notes()
    if form.is_newer(root):
        root = settings.rewrite(provider.rewrite(recipe.rewrite(root, notes), notes), notes)
    root, labels = classifier.rewrite(listener.rewrite(root, notes), lookup, notes)
    endpoints = endpoint.rewrite(family.rewrite(root, notes), notes)
    models = Models(endpoints.root, endpoints, notes)
    default = reference.default_model(endpoints.root, models, notes)
    decided = category.from_decisions if children(root, "decisions") else category.from_scores
    root = keyword_rules.rewrite(decided(endpoints.root, labels, models, notes), notes)
    made = {"default_model": default, "model_config": models.node, "vllm_endpoints": models.busy(endpoints.made)}
    root = changed(root, {**made, "version": None})
    walker = LenientWalker(notes)
    config = _auto_name(walker.build(Config, root), notes, root)
    _note_single(config, notes, root)
    carried = list(_carried(config, walker.source_map))
    return Migration(config, tuple(sorted([*notes.written, *carried], key=lambda note: note.line or 0)))


def _auto_name(config: Config, notes: Notes, root: Table) -> Config:
    """Return the config with a routing name that is not a model: `auto` if a model has the usual name."""
    if config.auto_model_name not in config.model_config or config.auto_model_name == _AUTO:
        return config
    notes.changed(root, f'"{config.auto_model_name}" is a model here, so only the name auto requests routing')
    return replace(config, auto_model_name=_AUTO)


def _note_single(config: Config, notes: Notes, root: Table) -> None:
    """Note that nothing is routed if one model answers everything."""
    targets = {config.default_model, *(entry.target for one in config.categories for entry in one.model_scores[:1])}
    if len(targets) == 1 and config.default_model:
        notes.changed(
            root, f"{config.default_model} answers every prompt: nothing that was migrated distinguishes prompts"
        )


def _carried(config: Config, source_map: SourceMap) -> Iterator[Note]:
    """Yield a note for each part of the result that comes from the file."""
    for i, one in enumerate(config.vllm_endpoints):
        port = "" if one.port is None else f":{one.port}"
        yield _note(source_map, ("vllm_endpoints", i), f"the endpoint {one.name}, {one.address}{port}")
    for name, model in config.model_config.items():
        loras = f" with {listing(lora.name for lora in model.loras)}" if model.loras else ""
        yield _note(source_map, ("model_config", name), f"the model {name}{loras}")
    for i, one_category in enumerate(config.categories):
        yield _note(source_map, ("categories", i), _answers(one_category))
    for keys, text in _values(config):
        if keys in source_map.given:
            yield _note(source_map, keys, text)


def _answers(one: Category) -> str:
    labels = listing(one.mmlu_categories) if one.mmlu_categories else "its own label or all remaining ones, if any"
    return f'the category "{one.name}" ({labels}), answered by {listing(entry.target for entry in one.model_scores)}'


def _values(config: Config) -> Iterator[tuple[Keys, str]]:
    model, server = config.classifier.category_model, config.pointsman.server
    yield ("classifier", "category_model", "threshold"), f"the threshold {model.threshold:g}"
    if model.fallback_category is not None:
        yield (
            ("classifier", "category_model", "fallback_category"),
            f'below it the category "{model.fallback_category}"',
        )
    yield ("default_model",), f"the default model {config.default_model}"
    yield ("default_reasoning_effort",), f"the effort {config.default_reasoning_effort}"
    yield ("auto_model_name",), f'the name "{config.auto_model_name}" requests routing'
    yield ("pointsman", "server", "listen"), f"listening on {listing(server.listen)}"
    timeout = config.pointsman.relay.total_timeout_ms
    yield ("pointsman", "relay", "total_timeout_ms"), f"the response timeout {timeout} ms"
    for name in config.reasoning_families:
        same = " (same as built in)" if BUILTIN_FAMILIES.get(name) == config.reasoning_families[name] else ""
        yield ("reasoning_families", name), f"the reasoning family {name}{same}"


def _note(source_map: SourceMap, keys: Keys, text: str) -> Note:
    location = source_map.at(*keys)
    return Note("carried", show(location.keys), location.line, text)
