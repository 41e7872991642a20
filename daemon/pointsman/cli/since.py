"""Read the times in commands: `90m`, `2h`, `3d` ago, or a date, and durations."""

from __future__ import annotations

import re
import time

from pointsman.config.overlay import MAX_TIMED_SECONDS, MIN_TIMED_SECONDS
from pointsman.errors import EvaluationError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO = re.compile(r"(\d{1,6})([mhd])")
_LASTING = re.compile(r"(\d{1,7})([smhd])", re.ASCII)
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


def lasting(text: str) -> int:
    """Return the duration of a mode in seconds; raises ValueError."""
    found = _LASTING.fullmatch(text)
    seconds = 0 if found is None else int(found[1]) * _UNITS[found[2]]
    if not MIN_TIMED_SECONDS <= seconds <= MAX_TIMED_SECONDS:
        raise ValueError(f'expected a time of 10s to 30d, as `90s`, `15m`, `1h` or `2d`, found "{text[:40]}"')
    return seconds
