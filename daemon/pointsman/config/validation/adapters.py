"""Check the loading of adapters, and the options of each by name."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import choose
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `adapters`."""
    yield from _loading(subject)
    yield from _tools(subject)


def _loading(subject: ValidatedConfig) -> Iterator[Problem]:
    adapters = subject.config.pointsman.adapters
    if adapters.load and not adapters.poll_interval_ms and subject.source_map.known("pointsman", "adapters"):
        message = "adapters are loaded when a poll finds them missing, but poll_interval_ms is 0, so there are no polls"
        fix = "remove poll_interval_ms or load"
        yield subject.problem("pointsman", "adapters", "load", message=message, fix=fix)


def _tools(subject: ValidatedConfig) -> Iterator[Problem]:
    available = list(subject.adapters())
    for name in subject.config.pointsman.adapters.tools if subject.source_map.known("model_config") else ():
        if name not in available:
            fix = choose(name, available) if available else "remove it, or add it to the loras of its model"
            message = f'no adapter is named "{name}"'
            yield subject.problem("pointsman", "adapters", "tools", name, message=message, fix=fix)
