"""Check options that depend on the classifier's labels or on files outside the config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pointsman.config import base_model, category, classifier, cross_checks, endpoint, log, relay, rules, server
from pointsman.config.category import MAX_QUOTED
from pointsman.config.labels import Coverage, cover
from pointsman.config.load import LoadedConfig, in_order
from pointsman.config.words import Keys, choose, closest, fold, listing
from pointsman.errors import Problem

MIN_DESCRIPTION_WORDS = 3
# In scripts without spaces, from Thai to Tibetan and in East Asia, each character counts as a word.
_UNSPACED = "\u0e00-\u0fff\u3040-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_DESCRIBE = "describe it with `description` or `examples`, or set `model_id` to an artifact with labels"
"""The fix for a category that needs labels, if the classifier is an encoder without labels."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Problems of a config: `errors` prevent a start; `warnings` include those of loading."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def lint(
    loaded: LoadedConfig, labels: Sequence[str], *, shadow: Sequence[str] = (), describes: bool = True
) -> Findings:
    """Check a loaded config against the labels of its classifier, and whether it `describes`: gives features of texts.

    A category may list labels that only the classifier in `shadow` has: it chooses them there.
    """
    config, source_map = loaded.config, loaded.source_map
    options, own = config.pointsman, source_map.below("pointsman")
    coverage = cover(config, labels, describes=describes)
    category_model = source_map.below("classifier", "category_model")
    mapping = classifier.mapping_findings(config.classifier.category_model, loaded.folder, labels, category_model)
    ports = server.findings(options.server, own.below("server"))
    errors = [
        *_unknown(loaded, coverage, labels, shadow),
        *_doubled(loaded, coverage),
        *(() if describes else _not_described(loaded)),
        *mapping[0],
        *ports[0],
    ]
    warnings = [
        *loaded.warnings,
        *mapping[1],
        *_unreachable(loaded, coverage, labels, describes=describes),
        *_uncovered(loaded, coverage),
        *_builtin(loaded, coverage),
        *_descriptions(loaded, coverage),
        *base_model.warnings(config.model_config, config.families, source_map.below("model_config")),
        *category.warnings(config.categories, source_map.below("categories")),
        *endpoint.warnings(config.vllm_endpoints, source_map.below("vllm_endpoints")),
        *relay.warnings(options.relay, own.below("relay")),
        *ports[1],
        *rules.warnings(options.routing.rules, own.below("routing", "rules")),
        *log.warnings(options.log, own.below("log")),
        *cross_checks.warnings(config, source_map),
    ]
    return Findings(in_order(errors), in_order(warnings))


def shadow_unread(loaded: LoadedConfig, why: str) -> Problem:
    """Return the warning about a classifier in shadow that cannot be loaded."""
    message, _, fix = why.partition("; ")
    where = ("pointsman", "classifier", "shadow")
    return loaded.source_map.problem(where, f"{message}: the service starts without a classifier in shadow", fix)


def lint_shadow(loaded: LoadedConfig, labels: Sequence[str]) -> list[Problem]:
    """Return warnings about the labels of the classifier in shadow, which may differ from those of the deciding one."""
    where = ("pointsman", "classifier", "shadow")
    coverage = cover(loaded.config, labels)
    found = []
    if coverage.uncovered:
        message = f"no category covers {listing(coverage.uncovered)}, labels of the classifier in shadow"
        fix = f"add them to mmlu_categories of a category, or it sends such prompts to {loaded.config.default_model}"
        found.append(loaded.source_map.problem(where, message, fix))
    if coverage.unreachable:
        message = f"the classifier in shadow has no label for {listing(coverage.unreachable)}: it never chooses them"
        fix = f"list labels of it in mmlu_categories of each, too: {listing(labels)}"
        found.append(loaded.source_map.problem(where, message, fix))
    return found


def _category(loaded: LoadedConfig, name: str) -> Keys:
    names = [category.name for category in loaded.config.categories]
    return ("categories", names.index(name))


def _unknown(
    loaded: LoadedConfig, coverage: Coverage, labels: Sequence[str], shadow: Sequence[str]
) -> Iterator[Problem]:
    known = set(map(fold, shadow))
    for name, missing in coverage.unknown.items():
        keys = _category(loaded, name)
        category = loaded.config.categories[int(keys[1])]
        field = "mmlu_categories" if category.mmlu_categories else "labels"
        listed = category.mmlu_categories or category.labels
        for label in missing:
            if fold(label) in known:
                continue
            message = f'the classifier has no label "{label}"'
            where = (*keys, field, listed.index(label))
            yield loaded.source_map.problem(where, message, choose(label, labels) if labels else _DESCRIBE)


def _not_described(loaded: LoadedConfig) -> Iterator[Problem]:
    for i, one in enumerate(loaded.config.categories):
        if one.examples:
            message = "this classifier gives no features, so it cannot compare prompts with examples"
            fix = "export it again with this release, or use `model_id: builtin`"
            yield loaded.source_map.problem(("categories", i, "examples"), message, fix)


def _doubled(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    for label, names in coverage.doubled.items():
        message = f'the label "{label}" is covered by {listing(names)}: its probability would count for each'
        fix = "list mmlu_categories in each, so that only one has the label"
        yield loaded.source_map.problem(_category(loaded, names[1]), message, fix)


def _unreachable(
    loaded: LoadedConfig, coverage: Coverage, labels: Sequence[str], *, describes: bool
) -> Iterator[Problem]:
    ruled = {rule.category for rule in loaded.config.pointsman.routing.rules}
    for name in coverage.unreachable:
        if name in coverage.unknown or name in ruled:
            continue
        description = loaded.config.categories[int(_category(loaded, name)[1])].description
        near = _suggest(name, description, labels)
        fix = f"choose from: {listing(labels)}" if labels else _DESCRIBE
        fix = f"map it: mmlu_categories: [{listing(near)}]" if near else fix
        fix += "; or describe what it is for" if describes and labels else ""
        message = f'the category "{name}" can never be chosen: no label is left for it'
        yield loaded.source_map.problem(_category(loaded, name), message, fix)


def _suggest(name: str, description: str, labels: Sequence[str]) -> list[str]:
    """Return labels similar to the name or to a word of the description."""
    words = {name, *description.replace(",", " ").split()}
    near = {closest(word, labels) for word in words if len(word) > 3}
    near |= {label for label in labels if fold(label) in fold(description)}
    return [label for label in labels if label in near]


def _uncovered(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    if coverage.uncovered and (any(coverage.labels_of.values()) or not coverage.descriptions):
        default = loaded.config.default_model
        message = f"no category covers {listing(coverage.uncovered)}: such prompts go to {default}"
        fix = "add them to mmlu_categories of a category, or add a category named general"
        yield loaded.source_map.problem(("categories",), message, fix)


def _builtin(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    for name, labels in coverage.builtin.items():
        message = f'"{name}" is not a label of the classifier; the built-in table maps it to {listing(labels)}'
        fix = f"make it explicit: mmlu_categories: [{listing(labels)}]"
        yield loaded.source_map.problem(_category(loaded, name), message, fix)


def _descriptions(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    """Yield the described categories whose descriptions are too short, are only their names, or are another's."""
    first: dict[tuple[str, ...], str] = {}
    for name, texts in coverage.descriptions.items():
        keys = _category(loaded, name)
        names = {name, *(entry.lora_name or "" for entry in loaded.config.categories[int(keys[1])].model_scores)}
        other = first.setdefault(tuple(map(fold, texts)), name)
        if all(fold(text) in map(fold, names) or len(_WORD.findall(text)) < MIN_DESCRIPTION_WORDS for text in texts):
            message = f'{texts[0][:MAX_QUOTED]!r} hardly says what "{name}" is for'
            fix = f"describe it in a sentence, of at least {MIN_DESCRIPTION_WORDS} words that are not just its name"
        elif other != name:
            message = f'"{name}" has the same description as "{other}"'
            fix = "say of each what only this one is for"
        else:
            continue
        yield loaded.source_map.problem((*keys, "description"), message, fix)
