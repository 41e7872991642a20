"""Check the models: their names, their endpoints, and the default."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `model_config`, `default_model` and `reasoning_families`."""
    yield from _names(subject)
    yield from _default(subject)
    yield from _families(subject)


def _names(subject: ValidatedConfig) -> Iterator[Problem]:
    endpoints = [endpoint.name for endpoint in subject.config.vllm_endpoints]
    models = subject.config.model_config
    names: list[tuple[Keys, str]] = [(("model_config", base), base) for base in models]
    for base, model in models.items():
        for i, name in enumerate(model.preferred_endpoints):
            keys: Keys = ("model_config", base, "preferred_endpoints", i)
            if name not in endpoints and subject.source_map.known(*keys) and subject.source_map.known("vllm_endpoints"):
                yield subject.problem(*keys, message=f'no endpoint is named "{name}"', fix=choose(name, endpoints))
        names += [(("model_config", base, "loras", i, "name"), lora.name) for i, lora in enumerate(model.loras)]
    yield from subject.names(names)


def _default(subject: ValidatedConfig) -> Iterator[Problem]:
    name, served = subject.config.default_model, subject.served()
    if name not in served and subject.source_map.known("default_model") and subject.source_map.known("model_config"):
        message = f'"{name}" is neither a model in model_config nor one of their loras'
        fix = choose(name, served) if served else f"add it to model_config: `{name}: {{}}`"
        yield subject.problem("default_model", message=message, fix=fix)


def _families(subject: ValidatedConfig) -> Iterator[Problem]:
    for name, family in subject.config.reasoning_families.items():
        keys = ("reasoning_families", name, "parameter")
        if not family.parameter and subject.source_map.known(*keys):
            yield subject.problem(*keys, message="the text is empty", fix="write the key to set in a request")
