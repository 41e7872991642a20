"""Define the log, and what is kept of the texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointsman.config.options.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    level: Literal["debug", "info", "warning", "error"] = option("Least severe level that is logged.", "info")
    requests: bool = option("Log one line for each request.", True)
    texts_file: str | None = option(
        "File (relative to this one) to which classified texts are appended, with the `text_hash` of the "
        "log's lines, for `pointsman eval --replay`. It contains what users wrote; by default no text is stored.",
        None,
    )
    feedback_file: str | None = option(
        "File (relative to this one) to which the feedback of `POST /v1/feedback` is appended, with the decision that "
        "it is about, for `pointsman compare`. It contains what users wrote. With 64 MiB it is renamed to `FILE.1`, "
        "which is replaced. By default feedback is refused.",
        None,
    )
