"""Check the options for the file of texts; pure."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config import regex
from pointsman.config.model import Config
from pointsman.config.regex import MAX_STEPS_IN_ALL
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys
from pointsman.errors import Problem

_LOG: Keys = ("pointsman", "log")


def problems(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the patterns that cannot be used."""
    steps = 0
    for i, pattern in enumerate(config.pointsman.log.texts_redact):
        try:
            steps += len(regex.compiled(pattern).steps)
        except ValueError as error:
            keys = (*_LOG, "texts_redact", i)
            yield source_map.problem(keys, f"the pattern cannot be used: {error}", "write it without that")
    if steps > MAX_STEPS_IN_ALL:
        message = f"the patterns are too large together: {steps:,} steps, and each takes time at each character"
        yield source_map.problem((*_LOG, "texts_redact"), message, f"make them smaller, to {MAX_STEPS_IN_ALL:,} in all")


def warnings(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the warning that texts are stored, which nobody should find out by chance."""
    name = config.pointsman.log.texts_file
    if name is not None:
        message = f"what people write is stored in {name}"
        fix = "tell them, let nobody else read it, and remove what is old: `pointsman texts delete --older-than 30d`"
        yield source_map.problem((*_LOG, "texts_file"), message, fix)
