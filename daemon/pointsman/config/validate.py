"""Validate a config beyond types: references between names, addresses, weights."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pointsman.config import address, kept_texts, origins, paths, rules
from pointsman.config.access import access_problems
from pointsman.config.loops import is_local, own_listener
from pointsman.config.model import DIRECT, Category, CategoryRollout, Config, ModelScore
from pointsman.config.options.server import DEFAULT_ADMIN
from pointsman.config.patterns import name_in
from pointsman.config.source_map import Places
from pointsman.config.tracing import tracing_problems
from pointsman.config.words import Keys, choose, closest, fold, listing
from pointsman.errors import Problem

# Fields of the request formats that are no place for an ask of its own.
TAKEN = frozenset({"model", "messages", "input", "prompt", "system", "instructions", "tools", "stream"})


@dataclass(frozen=True, slots=True)
class _Subject:
    """The config to validate; placeholders are not checked."""

    config: Config
    places: Places

    def problem(self, *keys: str | int, message: str, fix: str) -> Problem:
        return self.places.problem(keys, message, fix)

    def adapters(self) -> dict[str, str]:
        """Return the base model of each adapter; the first one if two claim it."""
        found: dict[str, str] = {}
        for base, model in self.config.model_config.items():
            for lora in model.loras:
                found.setdefault(lora.name, base)
        return found

    def served(self) -> list[str]:
        """Return every model name that vLLM may be asked for."""
        return [*self.config.model_config, *self.adapters()]


def validate(config: Config, places: Places) -> tuple[Problem, ...]:
    """Return all problems of the config."""
    subject = _Subject(config, places)
    checks: tuple[Callable[[_Subject], Iterator[Problem]], ...] = (
        _endpoints,
        _weights,
        _models,
        _default,
        _categories,
        _fallback,
        _families,
        _auto_name,
        _aliases,
        _listeners,
        _admin,
        _clients,
        _paths,
        _cors,
        _loops,
        _loading,
        _tools,
        _thresholds,
        _rollout,
        _rules,
        _asks,
        lambda subject: kept_texts.problems(subject.config, subject.places),
        lambda subject: access_problems(subject.config, subject.places),
        lambda subject: tracing_problems(subject.config, subject.places),
    )
    return tuple(problem for check in checks for problem in check(subject))


def _endpoints(subject: _Subject) -> Iterator[Problem]:
    endpoints = subject.config.vllm_endpoints
    if not endpoints and subject.places.known("vllm_endpoints"):
        fix = "add one with name, address and port"
        yield subject.problem("vllm_endpoints", message="no endpoint is given", fix=fix)
    yield from _names(subject, [(("vllm_endpoints", i, "name"), x.name) for i, x in enumerate(endpoints)])
    for i, endpoint in enumerate(endpoints):
        if not all(subject.places.known("vllm_endpoints", i, key) for key in ("address", "port")):
            continue
        try:
            address.check_endpoint(endpoint.address, endpoint.port)
        except ValueError as error:
            shown = "an address with credentials" if "@" in endpoint.address else f'"{endpoint.address}"'
            port = "" if endpoint.port is None else f" and port {endpoint.port}"
            message = f"expected an IP, a host name, a URL or unix:/path, found {shown}{port}"
            yield subject.problem("vllm_endpoints", i, "address", message=message, fix=str(error))


def _weights(subject: _Subject) -> Iterator[Problem]:
    config = subject.config
    if config.vllm_endpoints and not any(endpoint.weight for endpoint in config.vllm_endpoints):
        message, fix = "every endpoint has the weight 0, so none gets traffic", "give one a weight above 0"
        yield subject.problem("vllm_endpoints", 0, "weight", message=message, fix=fix)
        return
    for base in config.model_config:
        mine = config.endpoints_of(base)
        if mine and not any(endpoint.weight for endpoint in mine):
            message = f"every endpoint of {base} has the weight 0, so none gets its traffic"
            fix = "give one a weight above 0, or prefer another endpoint"
            yield subject.problem("model_config", base, "preferred_endpoints", message=message, fix=fix)


def _models(subject: _Subject) -> Iterator[Problem]:
    endpoints = [endpoint.name for endpoint in subject.config.vllm_endpoints]
    models = subject.config.model_config
    names: list[tuple[Keys, str]] = [(("model_config", base), base) for base in models]
    for base, model in models.items():
        for i, name in enumerate(model.preferred_endpoints):
            keys: Keys = ("model_config", base, "preferred_endpoints", i)
            if name not in endpoints and subject.places.known(*keys) and subject.places.known("vllm_endpoints"):
                yield subject.problem(*keys, message=f'no endpoint is named "{name}"', fix=choose(name, endpoints))
        names += [(("model_config", base, "loras", i, "name"), lora.name) for i, lora in enumerate(model.loras)]
    yield from _names(subject, names)


def _default(subject: _Subject) -> Iterator[Problem]:
    name, served = subject.config.default_model, subject.served()
    if name not in served and subject.places.known("default_model") and subject.places.known("model_config"):
        message = f'"{name}" is neither a model in model_config nor one of their loras'
        fix = choose(name, served) if served else f"add it to model_config: `{name}: {{}}`"
        yield subject.problem("default_model", message=message, fix=fix)


def _categories(subject: _Subject) -> Iterator[Problem]:
    categories = subject.config.categories
    names: list[tuple[Keys, str]] = [(("categories", i, "name"), x.name) for i, x in enumerate(categories)]
    yield from _names(subject, names, str.casefold)
    for i, category in enumerate(categories):
        yield from _category(subject, i, category)


def _category(subject: _Subject, i: int, category: Category) -> Iterator[Problem]:
    if not category.model_scores and subject.places.known("categories", i, "model_scores"):
        fix = "add an entry with model, and lora_name for an adapter"
        yield subject.problem("categories", i, "model_scores", message="no model answers this category", fix=fix)
    both = {fold(x) for x in category.labels}, {fold(x) for x in category.mmlu_categories}
    if all(both) and both[0] != both[1]:
        message = "labels and mmlu_categories mean the same but list different labels"
        yield subject.problem("categories", i, "labels", message=message, fix="keep one of the two")
    for j, entry in enumerate(category.model_scores):
        yield from _entry(subject, ("categories", i, "model_scores", j), entry)


def _entry(subject: _Subject, keys: Keys, entry: ModelScore) -> Iterator[Problem]:
    known, models, adapters = subject.places.known, subject.config.model_config, subject.adapters()
    if not known(*keys, "model") or not known("model_config"):
        return
    if entry.model not in models:
        base = adapters.get(entry.model)
        fix = f"write model: {base} and lora_name: {entry.model}" if base else choose(entry.model, models)
        message = f'the model "{entry.model}" is not defined in model_config'
        yield subject.problem(*keys, "model", message=message, fix=fix)
    elif entry.lora_name is not None and known(*keys, "lora_name") and known("model_config", entry.model, "loras"):
        available = [lora.name for lora in models[entry.model].loras]
        if entry.lora_name not in available:
            message = (
                f'lora_name "{entry.lora_name}" is not defined in model "{entry.model}" loras; '
                f"available: {listing(available)}"
            )
            near = closest(entry.lora_name, available)
            fix = f"did you mean {near}?" if near else "add it to the model's loras, or remove the key"
            yield subject.problem(*keys, "lora_name", message=message, fix=fix)


def _fallback(subject: _Subject) -> Iterator[Problem]:
    keys = ("classifier", "category_model", "fallback_category")
    name = subject.config.classifier.category_model.fallback_category
    names = [category.name for category in subject.config.categories]
    if name is not None and name not in names and subject.places.known(*keys) and subject.places.known("categories"):
        yield subject.problem(*keys, message=f'no category is named "{name}"', fix=choose(name, names))


def _families(subject: _Subject) -> Iterator[Problem]:
    for name, family in subject.config.reasoning_families.items():
        keys = ("reasoning_families", name, "parameter")
        if not family.parameter and subject.places.known(*keys):
            yield subject.problem(*keys, message="the text is empty", fix="write the key to set in a request")


def _auto_name(subject: _Subject) -> Iterator[Problem]:
    name = subject.config.auto_model_name
    if not name and subject.places.known("auto_model_name"):
        yield subject.problem("auto_model_name", message="the name is empty", fix="write a name, or remove the key")
    taken = subject.config.auto_names & set(subject.served())
    for clash in sorted(taken - {""}):
        message = f'"{clash}" requests routing but is also a model or adapter, which no client could reach'
        given = clash == name and ("auto_model_name",) in subject.places.given
        keys: Keys = ("auto_model_name",) if given else _defined(subject.config, clash)
        yield subject.problem(*keys, message=message, fix="rename one of them")


def _aliases(subject: _Subject) -> Iterator[Problem]:
    base: Keys = ("pointsman", "routing")
    routing = subject.config.pointsman.routing
    yield from _aliases_at(subject, (*base, "aliases"), routing.aliases, subject.config.auto_names)
    for key, names in routing.key_aliases.items():
        yield from _aliases_at(subject, (*base, "key_aliases", key), names, subject.config.routed_names())


def _aliases_at(subject: _Subject, keys: Keys, names: tuple[str, ...], routed: frozenset[str]) -> Iterator[Problem]:
    """Check aliases for those whose requests for the names in `routed` are routed anyway."""
    yield from _names(subject, [((*keys, i), name) for i, name in enumerate(names)])
    for i, name in enumerate(names):
        if name in routed:
            message = f'"{name}" requests routing anyway'
            yield subject.problem(*keys, i, message=message, fix="remove it")
        elif name.startswith(DIRECT):
            message = f'"{name}" would hide a model, as a name after {DIRECT} is never routed'
            yield subject.problem(*keys, i, message=message, fix=f'remove "{DIRECT}"')


def _defined(config: Config, name: str) -> Keys:
    """Return the key path where a model or adapter is defined."""
    for base, model in config.model_config.items():
        for i, lora in enumerate(model.loras):
            if lora.name == name:
                return ("model_config", base, "loras", i, "name")
    return ("model_config", name)


def _listeners(subject: _Subject) -> Iterator[Problem]:
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    if not server.listen and subject.places.known(*base, "listen"):
        yield subject.problem(*base, "listen", message="no address is given", fix='write ["127.0.0.1:8080"]')
    wanted: list[tuple[Keys, str]] = [((*base, "listen", i), text) for i, text in enumerate(server.listen)]
    if server.admin_listen is not None or server.status_listen is None:
        wanted.append(((*base, "admin_listen"), server.admin_listen or DEFAULT_ADMIN))
    if server.status_listen is not None:
        wanted.append(((*base, "status_listen"), server.status_listen))
    taken: set[address.Tcp | address.Unix] = set()
    for keys, text in wanted:
        if not subject.places.known(*keys):
            continue
        try:
            found = address.listen(text)
        except ValueError as error:
            yield subject.problem(*keys, message=f'expected an address, found "{text}"', fix=str(error))
            continue
        if found in taken and not (isinstance(found, address.Tcp) and found.port == 0):
            yield subject.problem(*keys, message=f'the address "{text}" is given twice', fix="use another port")
        taken.add(found)


def _admin(subject: _Subject) -> Iterator[Problem]:
    """Check who reaches the admin port and the Unix sockets, and by which names."""
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    with contextlib.suppress(ValueError):
        if not is_local(server.admin_listen or DEFAULT_ADMIN) and server.admin_token_file is None:
            message = f'whoever reaches "{server.admin_listen}" could change the service: no token is wanted there'
            fix = (
                "name a file with a token in admin_token_file, or write unix:/path here and this address in "
                "status_listen, which serves /metrics, /health and /ready alone"
            )
            yield subject.problem(*base, "admin_listen", message=message, fix=fix)
    if not re.fullmatch("0?[0-7]{3}", server.unix_socket_mode) and subject.places.known(*base, "unix_socket_mode"):
        message = f'expected permissions in octal, found "{server.unix_socket_mode}"'
        yield subject.problem(*base, "unix_socket_mode", message=message, fix='write "0660", or "0666" for everyone')
    for i, name in enumerate(server.allowed_hosts):
        try:
            address.check_host(name)
        except ValueError as error:
            keys: Keys = (*base, "allowed_hosts", i)
            yield subject.problem(*keys, message=f'expected a host, found "{name}"', fix=f"{error}, without a port")


def _clients(subject: _Subject) -> Iterator[Problem]:
    """Check the limits on clients."""
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    for i, text in enumerate(server.trusted_proxies):
        try:
            if text != address.UNIX_PEERS:
                address.network(text)
        except ValueError as error:
            keys: Keys = (*base, "trusted_proxies", i)
            yield subject.problem(*keys, message=f'expected a network, found "{text}"', fix=str(error))
    if server.buffered_bytes < 4 * server.max_body_bytes:
        message = (
            f"one client may hold a quarter of {server.buffered_bytes} bytes, which is less than one body of "
            f"max_body_bytes ({server.max_body_bytes})"
        )
        fix = f"write at least {4 * server.max_body_bytes}, or lower max_body_bytes"
        yield subject.problem(*base, "max_buffered_bytes", message=message, fix=fix)


def _paths(subject: _Subject) -> Iterator[Problem]:
    options = subject.config.pointsman.relay.paths
    for key, texts, parse in (("add", options.add, paths.added), ("remove", options.remove, paths.removed)):
        for i, text in enumerate(texts):
            try:
                parse(text)
            except ValueError as error:
                keys: Keys = ("pointsman", "relay", "paths", key, i)
                yield subject.problem(*keys, message=f'expected a path, found "{text}"', fix=str(error))


def _cors(subject: _Subject) -> Iterator[Problem]:
    cors = subject.config.pointsman.cors
    for key, texts, check in (
        ("origins", cors.origins, origins.check_origin),
        ("methods", cors.methods, origins.check_method),
        ("headers", cors.headers, origins.check_header),
    ):
        for i, text in enumerate(texts):
            try:
                check(text)
            except ValueError as error:
                keys: Keys = ("pointsman", "cors", key, i)
                yield subject.problem(*keys, message=f'found "{text}"', fix=str(error))
    if cors.credentials and "*" in cors.origins:
        message, fix = "with credentials, any page could act for the person who looks at it", "name the origins"
        yield subject.problem("pointsman", "cors", "credentials", message=message, fix=fix)


def _loops(subject: _Subject) -> Iterator[Problem]:
    """Check for endpoints that are our own listeners, among valid addresses only."""
    server, known = subject.config.pointsman.server, subject.places.known
    if not all(known("pointsman", "server", key) for key in ("listen", "admin_listen", "status_listen")):
        return
    for i, endpoint in enumerate(subject.config.vllm_endpoints):
        if not all(known("vllm_endpoints", i, key) for key in ("address", "port")):
            continue
        with contextlib.suppress(ValueError):
            address.check_endpoint(endpoint.address, endpoint.port)
            found = own_listener(endpoint, server.addresses)
            if found is not None:
                message = f"this service itself listens there ({found}): requests would loop endlessly"
                fix = "write vLLM's own address, or change pointsman.server.listen, admin_listen or status_listen"
                yield subject.problem("vllm_endpoints", i, "address", message=message, fix=fix)


def _loading(subject: _Subject) -> Iterator[Problem]:
    adapters = subject.config.pointsman.adapters
    if adapters.load and not adapters.poll_interval_ms and subject.places.known("pointsman", "adapters"):
        message = "adapters are loaded when a poll finds them missing, but poll_interval_ms is 0, so there are no polls"
        fix = "remove poll_interval_ms or load"
        yield subject.problem("pointsman", "adapters", "load", message=message, fix=fix)


def _tools(subject: _Subject) -> Iterator[Problem]:
    available = list(subject.adapters())
    for name in subject.config.pointsman.adapters.tools if subject.places.known("model_config") else ():
        if name not in available:
            fix = choose(name, available) if available else "remove it, or add it to the loras of its model"
            message = f'no adapter is named "{name}"'
            yield subject.problem("pointsman", "adapters", "tools", name, message=message, fix=fix)


def _thresholds(subject: _Subject) -> Iterator[Problem]:
    names = [category.name for category in subject.config.categories]
    for name in subject.config.pointsman.routing.thresholds if subject.places.known("categories") else ():
        if name not in names:
            fix = choose(name, names) if names else "remove it, or add the category"
            message = f'no category is named "{name}"'
            yield subject.problem("pointsman", "routing", "thresholds", name, message=message, fix=fix)


def _rollout(subject: _Subject) -> Iterator[Problem]:
    routing, known = subject.config.pointsman.routing, subject.places.known
    base: Keys = ("pointsman", "routing")
    names = [category.name for category in subject.config.categories]
    modes: list[tuple[Keys, str | None, float | None]] = [(base, routing.mode, routing.percent)]
    for name, own in routing.categories.items():
        keys = (*base, "categories", name)
        modes.append((keys, own.mode, own.percent))
        if name not in names and known("categories"):
            fix = choose(name, names) if names else "remove it, or add the category"
            yield subject.problem(*keys, message=f'no category is named "{name}"', fix=fix)
        yield from _canary(subject, (*keys, "canary"), name, own)
    for keys, mode, percent in modes:
        if not known(*keys, "mode") or not known(*keys, "percent"):
            continue
        if mode == "percent" and percent is None:
            yield subject.problem(*keys, "mode", message="the share is missing", fix="add `percent:` from 0 to 100")
        if mode != "percent" and percent is not None:
            message = "percent has no effect without `mode: percent` beside it"
            yield subject.problem(*keys, "percent", message=message, fix="write `mode: percent`, or remove it")


def _canary(subject: _Subject, keys: Keys, name: str, own: CategoryRollout) -> Iterator[Problem]:
    if own.canary is None or not all(map(subject.places.known, ("model_config", "categories"))):
        return
    adapter, available = own.canary.adapter, list(subject.adapters())
    if adapter not in available and subject.places.known(*keys, "adapter"):
        fix = choose(adapter, available) if available else "add it to the loras of its model"
        yield subject.problem(*keys, "adapter", message=f'no adapter is named "{adapter}"', fix=fix)
    stable = [entry.target for one in subject.config.categories if one.name == name for entry in one.model_scores]
    if adapter in stable:
        message = f'"{adapter}" is in model_scores of "{name}", so both arms would have it'
        yield subject.problem(*keys, "adapter", message=message, fix="remove it there, or try another adapter")


def _rules(subject: _Subject) -> Iterator[Problem]:
    keys: Keys = ("pointsman", "routing", "rules")
    named = [((*keys, i, "name"), rule.name) for i, rule in enumerate(subject.config.pointsman.routing.rules)]
    yield from _names(subject, named)
    yield from rules.problems(subject.config, subject.places)


def _asks(subject: _Subject) -> Iterator[Problem]:
    options = subject.config.pointsman.routing.ask
    for key, patterns in (("strip", options.strip), ("take", options.take)):
        for i, pattern in enumerate(patterns):
            keys = ("pointsman", "routing", "ask", key, i)
            if subject.places.known(*keys) and name_in(pattern) is None:
                message = f"`{pattern}` is not the name of a tag, a label or a heading"
                fix = "write `<name>`, `[name]`, `Name:` or `# Name`, of at most 60 characters; `*` stands for anything"
                yield subject.problem(*keys, message=message, fix=fix)
    field = options.body_field
    if field is not None and (not field.strip() or field in TAKEN):
        message = f"`{field}` is a field of the API, or empty"
        fix = "name a field that no API has, such as `pointsman_ask`"
        yield subject.problem("pointsman", "routing", "ask", "body_field", message=message, fix=fix)


def _names(subject: _Subject, named: Iterable[tuple[Keys, str]], key: Callable[[str], str] = str) -> Iterator[Problem]:
    """Check that names are not empty and not used twice."""
    first: dict[str, int | None] = {}
    for keys, name in named:
        if not subject.places.known(*keys):
            continue
        line = subject.places.at(*keys).line
        if not name.strip():
            yield subject.problem(*keys, message="the name is empty", fix="write a name")
        elif key(name) in first:
            message = f'the name "{name}" is already used on line {first[key(name)]}'
            yield subject.problem(*keys, message=message, fix="rename one of the two")
        first.setdefault(key(name), line)
