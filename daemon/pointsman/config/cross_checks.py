"""Check what a section of the config says about another: names that must exist, and options without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from pointsman.config import address
from pointsman.config.category import ModelScore
from pointsman.config.loops import is_local, own_listener
from pointsman.config.model import DIRECT, Config
from pointsman.config.rules import MAX_RULES
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, choose, closest, listing
from pointsman.errors import Problem

REACHABLE = (
    "is beyond the loopback: everyone who reaches it would be served with the key in pointsman.relay.api_key_file"
)
KEEP_OUT = (
    "name a file of client keys in pointsman.access.keys_file (`pointsman keys add` writes it), listen on 127.0.0.1 or "
    "a Unix socket, or say pointsman.access.allow_anonymous: true"
)
_ROUTING: Keys = ("pointsman", "routing")
_FALLBACK: Keys = ("classifier", "category_model", "fallback_category")


def problems(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems between the sections of a config."""
    yield from _weights(config, source_map)
    yield from _loops(config, source_map)
    yield from _models(config, source_map)
    yield from _entries(config, source_map)
    yield from _auto_name(config, source_map)
    yield from _aliases(config, source_map)
    yield from _adapters(config, source_map)
    yield from _categories(config, source_map)
    yield from _rules(config, source_map)
    yield from _access(config, source_map)


def warnings(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the options of a valid config that another section leaves without effect."""
    for i, category in enumerate(config.categories):
        for j, entry in enumerate(category.model_scores):
            if entry.use_reasoning and config.model_config[entry.model].reasoning_family is None:
                message = f'use_reasoning has no effect: the model "{entry.model}" has no reasoning_family'
                fix = f"set its reasoning_family to one of: {listing(config.families)}"
                where = ("categories", i, "model_scores", j, "use_reasoning")
                yield source_map.problem(where, message, fix)
    options = config.pointsman
    loras = [lora for model in config.model_config.values() for lora in model.loras]
    if options.adapters.load and all(lora.path is None for lora in loras):
        message = "no adapter has a path, so none can be loaded"
        fix = "add `path` to the entries in loras, or remove load"
        yield source_map.problem(("pointsman", "adapters", "load"), message, fix)
    for i, rule in enumerate(options.routing.rules):
        if rule.keys and options.access.keys_file is None:
            message = f'the rule "{rule.name}" can never match: without pointsman.access.keys_file no client has a key'
            fix = "remove keys, or name the file of the clients' keys"
            yield source_map.problem((*_ROUTING, "rules", i, "keys"), message, fix)
        if rule.languages and not options.classifier.language_gate:
            message = f'the rule "{rule.name}" can never match: with language_gate: false no language is found'
            fix = "remove languages, or language_gate: false"
            yield source_map.problem((*_ROUTING, "rules", i, "languages"), message, fix)
    if options.routing.key_aliases and options.access.keys_file is None:
        message = "without pointsman.access.keys_file no client has a key, so these are no aliases"
        fix = "write them into routing.aliases, or name the file of the clients' keys"
        yield source_map.problem((*_ROUTING, "key_aliases"), message, fix)


def serves_strangers(config: Config, listener: str) -> bool:
    """Return whether everyone who reaches a valid address is served with our key, without an explicit setting."""
    options = config.pointsman
    with_our_key = options.relay.api_key_file is not None
    anybody = with_our_key and options.access.keys_file is None and not options.access.allow_anonymous
    return anybody and not is_local(listener)


def _weights(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    for base in config.model_config if any(endpoint.weight for endpoint in config.vllm_endpoints) else ():
        mine = config.endpoints_of(base)
        if mine and not any(endpoint.weight for endpoint in mine):
            message = f"every endpoint of {base} has the weight 0, so none gets its traffic"
            fix = "give one a weight above 0, or prefer another endpoint"
            yield source_map.problem(("model_config", base, "preferred_endpoints"), message, fix)


def _loops(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check for endpoints that are our own listeners, among valid addresses only."""
    listeners = source_map.below("pointsman", "server")
    if not all(map(listeners.known, ("listen", "admin_listen", "status_listen"))):
        return
    for i, endpoint in enumerate(config.vllm_endpoints):
        if not all(source_map.known("vllm_endpoints", i, key) for key in ("address", "port")):
            continue
        with contextlib.suppress(ValueError):
            address.check_endpoint(endpoint.address, endpoint.port)
            found = own_listener(endpoint, config.pointsman.server.addresses)
            if found is not None:
                message = f"this service itself listens there ({found}): requests would loop endlessly"
                fix = "write vLLM's own address, or change pointsman.server.listen, admin_listen or status_listen"
                yield source_map.problem(("vllm_endpoints", i, "address"), message, fix)


def _models(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check the endpoints that models prefer, and the default model."""
    endpoints = [endpoint.name for endpoint in config.vllm_endpoints]
    for base, model in config.model_config.items():
        for i, name in enumerate(model.preferred_endpoints):
            keys: Keys = ("model_config", base, "preferred_endpoints", i)
            if name not in endpoints and source_map.known(*keys) and source_map.known("vllm_endpoints"):
                yield source_map.problem(keys, f'no endpoint is named "{name}"', choose(name, endpoints))
    name, served = config.default_model, _served(config)
    if name not in served and source_map.known("default_model") and source_map.known("model_config"):
        message = f'"{name}" is neither a model in model_config nor one of their loras'
        fix = choose(name, served) if served else f"add it to model_config: `{name}: {{}}`"
        yield source_map.problem(("default_model",), message, fix)


def _entries(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check the models and adapters of categories."""
    for i, category in enumerate(config.categories):
        for j, entry in enumerate(category.model_scores):
            yield from _entry(config, entry, source_map, ("categories", i, "model_scores", j))


def _entry(config: Config, entry: ModelScore, source_map: SourceMap, keys: Keys) -> Iterator[Problem]:
    known, models = source_map.known, config.model_config
    if not known(*keys, "model") or not known("model_config"):
        return
    if entry.model not in models:
        base = _bases(config).get(entry.model)
        fix = f"write model: {base} and lora_name: {entry.model}" if base else choose(entry.model, models)
        yield source_map.problem((*keys, "model"), f'the model "{entry.model}" is not defined in model_config', fix)
    elif entry.lora_name is not None and known(*keys, "lora_name") and known("model_config", entry.model, "loras"):
        available = [lora.name for lora in models[entry.model].loras]
        if entry.lora_name not in available:
            message = (
                f'lora_name "{entry.lora_name}" is not defined in model "{entry.model}" loras; '
                f"available: {listing(available)}"
            )
            near = closest(entry.lora_name, available)
            fix = f"did you mean {near}?" if near else "add it to the model's loras, or remove the key"
            yield source_map.problem((*keys, "lora_name"), message, fix)


def _auto_name(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    name = config.auto_model_name
    if not name and source_map.known("auto_model_name"):
        yield source_map.problem(("auto_model_name",), "the name is empty", "write a name, or remove the key")
    taken = config.auto_names & set(_served(config))
    for clash in sorted(taken - {""}):
        message = f'"{clash}" requests routing but is also a model or adapter, which no client could reach'
        given = clash == name and source_map.has("auto_model_name")
        yield source_map.problem(
            ("auto_model_name",) if given else _defined(config, clash), message, "rename one of them"
        )


def _aliases(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    routing = config.pointsman.routing
    own = source_map.below(*_ROUTING)
    yield from _aliases_of(routing.aliases, config.auto_names, own.below("aliases"))
    for key, names in routing.key_aliases.items():
        yield from _aliases_of(names, config.routed_names(), own.below("key_aliases", key))


def _aliases_of(names: tuple[str, ...], routed: frozenset[str], source_map: SourceMap) -> Iterator[Problem]:
    """Check aliases for those whose requests for the names in `routed` are routed anyway."""
    yield from source_map.names(((i,), name) for i, name in enumerate(names))
    for i, name in enumerate(names):
        if name in routed:
            yield source_map.problem((i,), f'"{name}" requests routing anyway', "remove it")
        elif name.startswith(DIRECT):
            message = f'"{name}" would hide a model, as a name after {DIRECT} is never routed'
            yield source_map.problem((i,), message, f'remove "{DIRECT}"')


def _adapters(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check the adapters that have options or are on trial."""
    options, available = config.pointsman, list(_bases(config))
    if not source_map.known("model_config"):
        return
    for name in options.adapters.tools:
        where: Keys = ("pointsman", "adapters", "tools", name)
        yield from _missing(
            name, "adapter", available, source_map, where, "remove it, or add it to the loras of its model"
        )
    for name, own in options.routing.categories.items():
        where = (*_ROUTING, "categories", name, "canary", "adapter")
        if own.canary is None or not source_map.known("categories"):
            continue
        adapter = own.canary.adapter
        if source_map.known(*where):
            yield from _missing(adapter, "adapter", available, source_map, where, "add it to the loras of its model")
        if adapter in [entry.target for one in config.categories if one.name == name for entry in one.model_scores]:
            message = f'"{adapter}" is in model_scores of "{name}", so both arms would have it'
            yield source_map.problem(where, message, "remove it there, or try another adapter")


def _categories(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check the categories that options name."""
    names = [category.name for category in config.categories]
    if not source_map.known("categories"):
        return
    fallback, where = config.classifier.category_model.fallback_category, _FALLBACK
    if fallback is not None and source_map.known(*where):
        yield from _missing(fallback, "category", names, source_map, where, choose(fallback, names))
    for key in ("categories", "thresholds"):
        for name in getattr(config.pointsman.routing, key):
            where = (*_ROUTING, key, name)
            yield from _missing(name, "category", names, source_map, where, "remove it, or add the category")


def _rules(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check the outcomes of rules."""
    adapters = list(_bases(config))
    names = {
        "category": ("category", [category.name for category in config.categories], "categories"),
        "adapter": ("adapter or model", [*adapters, *config.model_config], "model_config"),
        "never": ("adapter", adapters, "model_config"),
    }
    rules = config.pointsman.routing.rules
    for i, rule in enumerate(rules if len(rules) <= MAX_RULES else ()):
        for field, (kind, known, section) in names.items():
            name = getattr(rule, field)
            if name is not None and source_map.known(section):
                yield from _missing(name, kind, known, source_map, (*_ROUTING, "rules", i, field), "remove the rule")


def _access(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Check options that contradict client keys, and addresses at which strangers would be served."""
    options = config.pointsman
    if options.access.keys_file is not None and options.relay.forward_authorization:
        message = "with pointsman.access.keys_file the clients' keys are this service's, and vLLM never gets them"
        fix = "remove it, and name the file with vLLM's own key in api_key_file"
        yield source_map.problem(("pointsman", "relay", "forward_authorization"), message, fix)
    for i, text in enumerate(options.server.listen):
        keys: Keys = ("pointsman", "server", "listen", i)
        with contextlib.suppress(ValueError):
            if source_map.known(*keys) and serves_strangers(config, text):
                yield source_map.problem(keys, f'"{text}" {REACHABLE}', KEEP_OUT)


def _missing(
    name: str, kind: str, names: Iterable[str], source_map: SourceMap, keys: Keys, if_empty: str
) -> Iterator[Problem]:
    """Yield the problem that nothing has a name; `if_empty` is the fix where there are no names at all."""
    known = list(names)
    if name not in known:
        yield source_map.problem(keys, f'no {kind} is named "{name}"', choose(name, known) if known else if_empty)


def _bases(config: Config) -> dict[str, str]:
    """Return the base model of each adapter; the first one if two claim it."""
    found: dict[str, str] = {}
    for base, model in config.model_config.items():
        for lora in model.loras:
            found.setdefault(lora.name, base)
    return found


def _served(config: Config) -> list[str]:
    """Return every model name that vLLM may be asked for."""
    return [*config.model_config, *_bases(config)]


def _defined(config: Config, name: str) -> Keys:
    """Return the key path where a model or adapter is defined."""
    for base, model in config.model_config.items():
        for i, lora in enumerate(model.loras):
            if lora.name == name:
                return ("model_config", base, "loras", i, "name")
    return ("model_config", name)
