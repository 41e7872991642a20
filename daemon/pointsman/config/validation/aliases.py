"""Check the names that request routing: no model may be hidden behind one."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.model import DIRECT, Config
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `auto_model_name`, `aliases` and `key_aliases`."""
    yield from _auto_name(subject)
    yield from _aliases(subject)


def _auto_name(subject: ValidatedConfig) -> Iterator[Problem]:
    name = subject.config.auto_model_name
    if not name and subject.source_map.known("auto_model_name"):
        yield subject.problem("auto_model_name", message="the name is empty", fix="write a name, or remove the key")
    taken = subject.config.auto_names & set(subject.served())
    for clash in sorted(taken - {""}):
        message = f'"{clash}" requests routing but is also a model or adapter, which no client could reach'
        given = clash == name and ("auto_model_name",) in subject.source_map.given
        keys: Keys = ("auto_model_name",) if given else _defined(subject.config, clash)
        yield subject.problem(*keys, message=message, fix="rename one of them")


def _aliases(subject: ValidatedConfig) -> Iterator[Problem]:
    base: Keys = ("pointsman", "routing")
    routing = subject.config.pointsman.routing
    yield from _aliases_at(subject, (*base, "aliases"), routing.aliases, subject.config.auto_names)
    for key, names in routing.key_aliases.items():
        yield from _aliases_at(subject, (*base, "key_aliases", key), names, subject.config.routed_names())


def _aliases_at(
    subject: ValidatedConfig, keys: Keys, names: tuple[str, ...], routed: frozenset[str]
) -> Iterator[Problem]:
    """Check aliases for those whose requests for the names in `routed` are routed anyway."""
    yield from subject.names([((*keys, i), name) for i, name in enumerate(names)])
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
