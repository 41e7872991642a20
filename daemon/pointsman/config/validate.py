"""Validate a config beyond types, section by section, then what they say about each other."""

from __future__ import annotations

from pointsman.config import (
    access,
    adapters,
    base_model,
    category,
    cors,
    cross_checks,
    endpoint,
    log,
    relay,
    routing,
    server,
    tracing,
)
from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


def validate(config: Config, source_map: SourceMap) -> tuple[Problem, ...]:
    """Return all problems of the config."""
    options, own = config.pointsman, source_map.below("pointsman")
    return (
        *endpoint.problems(config.vllm_endpoints, source_map.below("vllm_endpoints")),
        *base_model.problems(config.model_config, source_map.below("model_config")),
        *base_model.family_problems(config.reasoning_families, source_map.below("reasoning_families")),
        *category.problems(config.categories, source_map.below("categories")),
        *server.problems(options.server, own.below("server")),
        *relay.problems(options.relay, own.below("relay")),
        *cors.problems(options.cors, own.below("cors")),
        *adapters.problems(options.adapters, own.below("adapters")),
        *routing.problems(options.routing, own.below("routing")),
        *log.problems(options.log, own.below("log")),
        *access.problems(options.access, own.below("access")),
        *tracing.problems(options.tracing, own.below("tracing")),
        *cross_checks.problems(config, source_map),
    )
