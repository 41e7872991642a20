"""Format shares for reports and error messages."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """Return the share in percent, rounded down, so that 100 % means all and no share looks like a limit above."""
    return f"{math.floor(share * 1000) / 10:g} %"


def points(share: float) -> str:
    """Return the difference of two shares in percentage points."""
    return f"{share * 100:.2f} points"
