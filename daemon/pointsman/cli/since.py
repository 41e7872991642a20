"""Read the times that commands are given: `90m`, `2h`, `3d` ago, or a date."""

from __future__ import annotations

import re
import time

from pointsman.errors import EvaluationError

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_AGO = re.compile(r"(\d{1,6})([mhd])")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")


def since(text: str | None, now: float, option: str = "--since") -> str:
    """Return a time in the log's form, empty for None; raises EvaluationError, which names the option."""
    if text is None:
        return ""
    if (ago := _AGO.fullmatch(text)) is not None:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - int(ago[1]) * _UNITS[ago[2]]))
    if _TIME.fullmatch(text) is not None:
        return text.replace(" ", "T")
    raise EvaluationError(f'{option}: expected `90m`, `2h`, `3d` or `2026-11-26T12:00` (UTC), found "{text}"')
