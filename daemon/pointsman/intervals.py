"""Give the confidence interval of a share."""

from __future__ import annotations

import math

# 97.5 % quantile of the normal distribution, for two-sided 95 %.
_Z = 1.959964


def share_interval(part: int, whole: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share, also valid for few rows and near 0 and 1; (0, 1) without rows."""
    if whole == 0:
        return 0.0, 1.0
    share = part / whole
    spread = _Z**2 / whole
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / whole + spread / (4 * whole)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
