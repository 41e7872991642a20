"""Records of a soak: phases, what honest clients saw, and the daemon's resources. Times are monotonic, in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

End = Literal["whole", "fallback", "error", "wrong", "cut", "closed", "refused", "hung"]
"""`fallback` is the answer of the default model instead of the adapter's; `closed` is before any answer."""
QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class HonestRequest:
    """A request as its honest client saw it."""

    at: float
    ms: float
    kind: str
    end: End
    status: int | None = None
    code: str | None = None
    """The code of an error, or the reason of a fallback."""
    again: bool = False
    """The request was sent twice: the reused connection of the first try was closed."""
    direct: bool = False
    """It was sent straight to the stand-in for vLLM."""

    def became(self, end: End, code: str | None) -> HonestRequest:
        return replace(self, end=end, code=code)

    def line(self) -> str:
        return json.dumps({"asked": asdict(self)})


@dataclass(frozen=True, slots=True)
class Lag:
    """By how much the loop of the honest clients was late."""

    at: float
    ms: float

    def line(self) -> str:
        return json.dumps({"lag": asdict(self)})


@dataclass(frozen=True, slots=True)
class Phase:
    """A time with one attack, or with none; its first `settle` seconds count for no latency."""

    name: str
    begun: float
    ended: float
    settle: float = 0.0
    lag: Mapping[str, float] = field(default_factory=dict)
    """Counts of the daemon's histogram of its event loop's lag, by upper bound in seconds."""


@dataclass(frozen=True, slots=True)
class DaemonSample:
    """The daemon's resources at one moment; `waited` is for how long its main thread was runnable without a core."""

    at: float
    resident: int
    descriptors: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class SoakEvidence:
    """All that a run has to be judged by. `attacks` counts what each attack did, by its name."""

    asked: Sequence[HonestRequest]
    direct: Sequence[HonestRequest]
    """The same requests, sent straight to the stand-in for vLLM."""
    lags: Sequence[Lag]
    phases: Sequence[Phase]
    samples: Sequence[DaemonSample]
    start: DaemonSample
    end: DaemonSample
    peak: int
    """The most bytes that were ever resident."""
    max_buffered: int
    gauges: Mapping[str, float]
    attacks: Mapping[str, Mapping[str, int]]
    dropped: int
    errors: Sequence[str] = ()
    """Lines of the log at level error, and what is no line."""


def read(file: Path) -> tuple[list[HonestRequest], list[HonestRequest], list[Lag]]:
    """Return what the honest clients wrote: requests to the daemon, direct ones, and lags."""
    found = [json.loads(line) for line in file.read_text().splitlines()]
    asked = [HonestRequest(**item["asked"]) for item in found if "asked" in item]
    through, direct = ([item for item in asked if item.direct is past] for past in (False, True))
    return through, direct, [Lag(**item["lag"]) for item in found if "lag" in item]
