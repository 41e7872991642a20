"""Define the log, and the files of texts and feedback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option
from pointsman.config.rules import pattern_problems
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    level: Literal["debug", "info", "warning", "error"] = option("Least severe level that is logged.", "info")
    requests: bool = option("Log one line for each request.", True)
    texts_file: str | None = option(
        "File (relative to this one) to which classified texts are appended, with the `text_hash` of the "
        "log's lines and what was decided, for `pointsman collect` and `replay`. It contains what users wrote; by "
        "default no text is stored.",
        None,
        file=True,
    )
    texts_file_bytes: int = option(
        "Size at which `texts_file` is renamed to `FILE.1`, and older ones to `FILE.2` and so on.",
        64 * 2**20,
        minimum=2**20,
        maximum=2**40,
    )
    texts_files: int = option("Number of older files of texts to keep.", 4, minimum=0, maximum=99)
    texts_share: float = option(
        "Share of the texts that is stored, from 0 to 1; the same texts each time.", 1.0, minimum=0, maximum=1
    )
    texts_redact: tuple[str, ...] = option(
        "Patterns, as in rules, that are replaced in the stored texts. Keys and e-mail addresses are always replaced.",
        (),
    )
    feedback_file: str | None = option(
        "File (relative to this one) to which the feedback of `POST /v1/feedback` is appended, with the decision that "
        "it is about, for `pointsman compare`. It contains what users wrote. With 64 MiB it is renamed to `FILE.1`, "
        "which is replaced. By default feedback is refused.",
        None,
        file=True,
    )


def problems(options: LogOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the patterns that cannot be used."""
    redact = source_map.below("texts_redact")
    yield from pattern_problems((((i,), pattern) for i, pattern in enumerate(options.texts_redact)), redact)


def warnings(options: LogOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the warning that texts are stored, which nobody should find out by chance."""
    if options.texts_file is not None:
        message = f"what people write is stored in {options.texts_file}"
        fix = "tell them, let nobody else read it, and remove what is old: `pointsman texts delete --older-than 30d`"
        yield source_map.problem(("texts_file",), message, fix)
