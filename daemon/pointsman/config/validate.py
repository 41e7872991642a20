"""Validate a config beyond types, section by section."""

from __future__ import annotations

from pointsman.config.cross_checks import access_problems
from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.config.validation import (
    adapters,
    aliases,
    categories,
    cors,
    endpoints,
    log,
    models,
    relay,
    rollout,
    routing,
    server,
    tracing,
)
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.errors import Problem

SECTIONS = (endpoints, models, categories, aliases, server, relay, cors, adapters, rollout, routing)
ELSEWHERE = (log.problems, access_problems, tracing.tracing_problems)
"""Checks that are next to other functions of these options."""


def validate(config: Config, source_map: SourceMap) -> tuple[Problem, ...]:
    """Return all problems of the config."""
    subject = ValidatedConfig(config, source_map)
    found = [problem for section in SECTIONS for problem in section.problems(subject)]
    return (*found, *(problem for check in ELSEWHERE for problem in check(config, source_map)))
