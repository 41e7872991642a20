"""Check options that depend on the classifier's labels or on files outside the config."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointsman import files
from pointsman.config.address import Tcp, listen
from pointsman.config.labels import Coverage, cover
from pointsman.config.load import LoadedConfig, in_order
from pointsman.config.loops import is_local
from pointsman.config.secret import others_can_read
from pointsman.config.server import DEFAULT_ADMIN
from pointsman.config.tls import BadCertificate, read_certificate
from pointsman.config.validation import log, rules
from pointsman.config.words import Keys, choose, closest, fold, listing
from pointsman.errors import Problem

MAX_MAPPING_BYTES = 1 << 20
# The beginnings of the types of message parts for which vLLM looks for a default adapter among all that it has.
_PARTS = frozenset({"audio", "image", "input", "text", "video"})


@dataclass(frozen=True, slots=True)
class Findings:
    """Problems of a config: `errors` prevent a start; `warnings` include those of loading."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def lint(loaded: LoadedConfig, labels: Sequence[str], *, shadow: Sequence[str] = ()) -> Findings:
    """Check a loaded config against the labels of its classifier.

    A category may list labels that only the classifier in `shadow` has: it chooses them there.
    """
    coverage = cover(loaded.config, labels)
    mapping_errors, mapping_warnings = _mapping(loaded, labels)
    tls_errors, tls_warnings = _certificates(loaded)
    errors = [
        *_unknown(loaded, coverage, labels, shadow),
        *_doubled(loaded, coverage),
        *mapping_errors,
        *tls_errors,
    ]
    warnings = [
        *loaded.warnings,
        *mapping_warnings,
        *_unreachable(loaded, coverage, labels),
        *_uncovered(loaded, coverage),
        *_builtin(loaded, coverage),
        *_families(loaded),
        *_unswitched(loaded),
        *_reasoning_not_given(loaded),
        *_replaced_prompts(loaded),
        *_doubled_prefix(loaded),
        *_weight(loaded),
        *_key_file(loaded),
        *_token_file(loaded),
        *_no_token(loaded),
        *tls_warnings,
        *_nothing_to_load(loaded),
        *_named_as_a_modality(loaded),
        *rules.warnings(loaded.config, loaded.source_map),
        *_key_aliases(loaded),
        *log.warnings(loaded.config, loaded.source_map),
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


def _key_aliases(loaded: LoadedConfig) -> Iterator[Problem]:
    options = loaded.config.pointsman
    if options.routing.key_aliases and options.access.keys_file is None:
        message = "without pointsman.access.keys_file no client has a key, so these are no aliases"
        fix = "write them into routing.aliases, or name the file of the clients' keys"
        yield loaded.source_map.problem(("pointsman", "routing", "key_aliases"), message, fix)


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
            yield loaded.source_map.problem(where, message, choose(label, labels))


def _doubled(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    for label, names in coverage.doubled.items():
        message = f'the label "{label}" is covered by {listing(names)}: its probability would count for each'
        fix = "list mmlu_categories in each, so that only one has the label"
        yield loaded.source_map.problem(_category(loaded, names[1]), message, fix)


def _unreachable(loaded: LoadedConfig, coverage: Coverage, labels: Sequence[str]) -> Iterator[Problem]:
    ruled = {rule.category for rule in loaded.config.pointsman.routing.rules}
    for name in coverage.unreachable:
        if name in coverage.unknown or name in ruled:
            continue
        description = loaded.config.categories[int(_category(loaded, name)[1])].description
        near = _suggest(name, description, labels)
        fix = f"map it: mmlu_categories: [{listing(near)}]" if near else f"choose from: {listing(labels)}"
        message = f'the category "{name}" can never be chosen: no label is left for it'
        yield loaded.source_map.problem(_category(loaded, name), message, fix)


def _suggest(name: str, description: str, labels: Sequence[str]) -> list[str]:
    """Return labels similar to the name or to a word of the description."""
    words = {name, *description.replace(",", " ").split()}
    near = {closest(word, labels) for word in words if len(word) > 3}
    near |= {label for label in labels if fold(label) in fold(description)}
    return [label for label in labels if label in near]


def _uncovered(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    if coverage.uncovered:
        default = loaded.config.default_model
        message = f"no category covers {listing(coverage.uncovered)}: such prompts go to {default}"
        fix = "add them to mmlu_categories of a category, or add a category named general"
        yield loaded.source_map.problem(("categories",), message, fix)


def _builtin(loaded: LoadedConfig, coverage: Coverage) -> Iterator[Problem]:
    for name, labels in coverage.builtin.items():
        message = f'"{name}" is not a label of the classifier; the built-in table maps it to {listing(labels)}'
        fix = f"make it explicit: mmlu_categories: [{listing(labels)}]"
        yield loaded.source_map.problem(_category(loaded, name), message, fix)


def _families(loaded: LoadedConfig) -> Iterator[Problem]:
    families = loaded.config.families
    for base, model in loaded.config.model_config.items():
        if model.reasoning_family is not None and model.reasoning_family not in families:
            message = f'no reasoning family is named "{model.reasoning_family}": reasoning is not changed'
            fix = f"{choose(model.reasoning_family, families)}; or define it in reasoning_families, or remove the key"
            yield loaded.source_map.problem(("model_config", base, "reasoning_family"), message, fix)


def _unswitched(loaded: LoadedConfig) -> Iterator[Problem]:
    models = loaded.config.model_config
    for i, category in enumerate(loaded.config.categories):
        for j, entry in enumerate(category.model_scores):
            if entry.use_reasoning and models[entry.model].reasoning_family is None:
                message = f'use_reasoning has no effect: the model "{entry.model}" has no reasoning_family'
                fix = f"set its reasoning_family to one of: {listing(loaded.config.families)}"
                where = ("categories", i, "model_scores", j, "use_reasoning")
                yield loaded.source_map.problem(where, message, fix)


def _reasoning_not_given(loaded: LoadedConfig) -> Iterator[Problem]:
    missing: list[Keys] = [
        ("categories", i, "model_scores", j, "use_reasoning")
        for i, category in enumerate(loaded.config.categories)
        for j in range(len(category.model_scores))
        if ("categories", i, "model_scores", j, "use_reasoning") not in loaded.source_map.given
    ]
    if missing:
        others = "" if len(missing) == 1 else f", nor in {len(missing) - 1} more entries"
        message = f"use_reasoning is not set here{others}; false is assumed, but semantic-router would refuse the file"
        yield loaded.source_map.problem(missing[0], message, "add `use_reasoning: false`")


def _replaced_prompts(loaded: LoadedConfig) -> Iterator[Problem]:
    replacing = [
        i
        for i, category in enumerate(loaded.config.categories)
        if category.system_prompt and category.system_prompt_enabled and category.system_prompt_mode == "replace"
    ]
    if replacing:
        others = "" if len(replacing) == 1 else f", and in {len(replacing) - 1} more categories"
        message = f"this category deletes the client's own system prompt (`replace`, the default){others}"
        where = ("categories", replacing[0], "system_prompt_mode")
        yield loaded.source_map.problem(where, message, "write `system_prompt_mode: insert`, which keeps it")


def _doubled_prefix(loaded: LoadedConfig) -> Iterator[Problem]:
    for i, endpoint in enumerate(loaded.config.vllm_endpoints):
        if "://" in endpoint.address and endpoint.address.rstrip("/").endswith("/v1"):
            message = "the prefix ends in /v1, but request paths already begin with it: they would go to /v1/v1/…"
            yield loaded.source_map.problem(("vllm_endpoints", i, "address"), message, "remove /v1 from the address")


def _weight(loaded: LoadedConfig) -> Iterator[Problem]:
    endpoints = loaded.config.vllm_endpoints
    if len(endpoints) == 1 and endpoints[0].weight != 1:
        message = "the weight of the only endpoint has no effect"
        yield loaded.source_map.problem(("vllm_endpoints", 0, "weight"), message, "remove it")


def _key_file(loaded: LoadedConfig) -> Iterator[Problem]:
    name, where = loaded.config.pointsman.relay.api_key_file, ("pointsman", "relay", "api_key_file")
    if name is not None and not Path(name).is_file():
        message = f"the file {name} does not exist"
        fix = "create it before the service starts, with the key in it"
        yield loaded.source_map.problem(where, message, fix)
    elif name is not None:
        yield from _readable(loaded, where, name)


def _token_file(loaded: LoadedConfig) -> Iterator[Problem]:
    name = loaded.config.pointsman.server.admin_token_file
    if name is None:
        return
    where = ("pointsman", "server", "admin_token_file")
    if not Path(name).is_file():
        fix = "create it before the service starts, with the token in it: openssl rand -hex 32"
        yield loaded.source_map.problem(where, f"the file {name} does not exist", fix)
    else:
        yield from _readable(loaded, where, name)


def _readable(loaded: LoadedConfig, where: Keys, file: str) -> Iterator[Problem]:
    """Warn about a secret that everybody can read."""
    if others_can_read(file):
        message = f"every user of this host can read {file}"
        yield loaded.source_map.problem(where, message, f"chmod 640 {file}, with the group of the service's user")


def _no_token(loaded: LoadedConfig) -> Iterator[Problem]:
    server = loaded.config.pointsman.server
    if (
        server.admin_listen is not None
        and server.admin_token_file is None
        and isinstance(listen(server.admin_listen), Tcp)
    ):
        message = f"every user of this host can change the service at {server.admin_listen}: the port requires no token"
        fix = (
            "name a file with a token in admin_token_file, or write unix:/path here, and this address in status_listen "
            "for Prometheus"
        )
        yield loaded.source_map.problem(("pointsman", "server", "admin_listen"), message, fix)


def _certificates(loaded: LoadedConfig) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and warnings about the certificates of the ports."""
    server = loaded.config.pointsman.server
    errors, warnings = [], []
    for key, options in (("tls", server.tls), ("admin_tls", server.admin_tls)):
        if options is None:
            continue
        where = ("pointsman", "server", key)
        try:
            trouble = read_certificate(options).trouble(time.time())
        except BadCertificate as error:
            errors.append(loaded.source_map.problem((*where, error.option), error.message, error.fix))
            continue
        if trouble is not None:
            warnings.append(loaded.source_map.problem((*where, "certificate_file"), *trouble))
        warnings += _readable(loaded, (*where, "key_file"), options.key_file)
    if not is_local(server.admin_listen or DEFAULT_ADMIN) and server.admin_tls is None:
        message = f"the token is sent to {server.admin_listen} without encryption, so anyone on the way can read it"
        fix = "set admin_tls, or listen at a loopback address or a Unix socket"
        warnings.append(loaded.source_map.problem(("pointsman", "server", "admin_listen"), message, fix))
    return errors, warnings


def _nothing_to_load(loaded: LoadedConfig) -> Iterator[Problem]:
    loras = [lora for model in loaded.config.model_config.values() for lora in model.loras]
    if loaded.config.pointsman.adapters.load and all(lora.path is None for lora in loras):
        message = "no adapter has a path, so none can be loaded"
        fix = "add `path` to the entries in loras, or remove load"
        yield loaded.source_map.problem(("pointsman", "adapters", "load"), message, fix)


def _named_as_a_modality(loaded: LoadedConfig) -> Iterator[Problem]:
    for base, model in loaded.config.model_config.items():
        for index, lora in enumerate(model.loras):
            if lora.name in _PARTS:
                message = (
                    f'vLLM takes "{lora.name}" for one of its --default-mm-loras: in chats with such parts it answers '
                    f"for {base}, but not for another adapter that was chosen"
                )
                fix = "load it under another name, unless that is meant"
                yield loaded.source_map.problem(("model_config", base, "loras", index, "name"), message, fix)


def _mapping(loaded: LoadedConfig, labels: Sequence[str]) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and warnings about `category_mapping_path`."""
    name = loaded.config.classifier.category_model.category_mapping_path
    where = ("classifier", "category_model", "category_mapping_path")
    if name is None:
        return [], []
    path = loaded.folder / name
    fix = "remove the key: the classifier's artifact has its own labels"
    try:
        said = _read_mapping(files.read(path, MAX_MAPPING_BYTES))
    except FileNotFoundError:
        return [], [loaded.source_map.problem(where, f"the file {path} does not exist, and none is needed", fix)]
    except OSError as error:
        return [loaded.source_map.problem(where, f"{path} cannot be read ({error.strerror})", fix)], []
    except (ValueError, RecursionError):
        message = f'{path} is not of the form {{"category_to_idx": {{"LABEL": 0, …}}}}'
        return [loaded.source_map.problem(where, message, fix)], []
    if said == list(labels):
        return [], []
    message = f"{path} differs from the classifier's labels, or lists them in another order: {listing(said)}"
    return [loaded.source_map.problem(where, message, f"{fix}: {listing(labels)}")], []


def _read_mapping(text: bytes) -> list[str]:
    """Return the labels by index; raises ValueError for any other format."""
    content = json.loads(text)
    index = content.get("category_to_idx") if isinstance(content, dict) else None
    if not isinstance(index, dict) or not all(isinstance(value, int) for value in index.values()):
        raise ValueError("no mapping of labels to numbers")
    labels = sorted(index, key=lambda label: int(index[label]))
    if [index[label] for label in labels] != list(range(len(labels))):
        raise ValueError("the numbers are not 0 and up")
    return labels
