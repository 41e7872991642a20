"""Check the models: their names, their endpoints, and the default."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.validation.subject import Subject
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem


def problems(subject: Subject) -> Iterator[Problem]:
    """Yield the problems of `model_config`, `default_model` and `reasoning_families`."""
    yield from _names(subject)
    yield from _default(subject)
    yield from _families(subject)


def _names(subject: Subject) -> Iterator[Problem]:
    endpoints = [endpoint.name for endpoint in subject.config.vllm_endpoints]
    models = subject.config.model_config
    names: list[tuple[Keys, str]] = [(("model_config", base), base) for base in models]
    for base, model in models.items():
        for i, name in enumerate(model.preferred_endpoints):
            keys: Keys = ("model_config", base, "preferred_endpoints", i)
            if name not in endpoints and subject.places.known(*keys) and subject.places.known("vllm_endpoints"):
                yield subject.problem(*keys, message=f'no endpoint is named "{name}"', fix=choose(name, endpoints))
        names += [(("model_config", base, "loras", i, "name"), lora.name) for i, lora in enumerate(model.loras)]
    yield from subject.names(names)


def _default(subject: Subject) -> Iterator[Problem]:
    name, served = subject.config.default_model, subject.served()
    if name not in served and subject.places.known("default_model") and subject.places.known("model_config"):
        message = f'"{name}" is neither a model in model_config nor one of their loras'
        fix = choose(name, served) if served else f"add it to model_config: `{name}: {{}}`"
        yield subject.problem("default_model", message=message, fix=fix)


def _families(subject: Subject) -> Iterator[Problem]:
    for name, family in subject.config.reasoning_families.items():
        keys = ("reasoning_families", name, "parameter")
        if not family.parameter and subject.places.known(*keys):
            yield subject.problem(*keys, message="the text is empty", fix="write the key to set in a request")
