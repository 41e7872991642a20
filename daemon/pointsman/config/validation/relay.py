"""Check the paths that are added, removed and have a priority."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config import paths
from pointsman.config.relay import PRIORITY_FIX, PRIORITY_IGNORED
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `relay.paths`."""
    relay = subject.config.pointsman.relay
    options = relay.paths
    for key, texts, parse in (("add", options.add, paths.added), ("remove", options.remove, paths.removed)):
        for i, text in enumerate(texts):
            try:
                parse(text)
            except ValueError as error:
                keys: Keys = ("pointsman", "relay", "paths", key, i)
                yield subject.problem(*keys, message=f'expected a path, found "{text}"', fix=str(error))
    forwarded = (*map(str, (*paths.ROUTED, *paths.RELAYED)), *options.add)
    for text in options.priorities:
        keys = ("pointsman", "relay", "paths", "priorities", text)
        if text not in forwarded:
            yield subject.problem(
                *keys, message=f'expected a path to vLLM, found "{text}"', fix=choose(text, forwarded)
            )
        elif relay.scheduling_policy == "fcfs" and subject.source_map.known("pointsman", "relay", "scheduling_policy"):
            yield subject.problem(*keys, message=PRIORITY_IGNORED, fix=PRIORITY_FIX)
