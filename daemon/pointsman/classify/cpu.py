"""Read the features by which ONNX Runtime chooses its kernels from /proc/cpuinfo."""

from __future__ import annotations

import hashlib
from itertools import takewhile
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# On x86 and ARM. The model name is not enough: a hypervisor may give very different CPUs the same one.
FIELDS = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
        *("CPU implementer", "CPU architecture", "CPU part", "Features"),
    }
)
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""Flags of x86 CPUs whose int8 products are summed in 32 bits."""


def identity() -> str:
    """Return a hash of the first processor; empty if it cannot be read."""
    known = [f"{name}:{value}" for name, value in _fields() if name.strip() in FIELDS]
    return hashlib.sha256("\n".join(known).encode()).hexdigest() if known else ""


def has_vnni() -> bool:
    """Return whether the first processor is known to have VNNI; false on an ARM CPU, which has an equivalent."""
    return any(name.strip() == "flags" and not VNNI.isdisjoint(value.split()) for name, value in _fields())


def _fields() -> list[tuple[str, str]]:
    """Return the file's fields of the first processor only: a large host has hundreds."""
    try:
        with CPU_INFO.open(encoding="utf-8", errors="replace") as lines:
            first = [line.rstrip("\n").partition(":") for line in takewhile(str.strip, lines)]
    except OSError:
        return []
    return [(name, value) for name, _, value in first]
