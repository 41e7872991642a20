"""Keep prompts and keys out of core files."""

from __future__ import annotations

import ctypes
import resource

PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Let no crash write this process's memory to a file, and nobody but root read it.

    The limit alone is not enough: where `kernel.core_pattern` names a program, such as systemd-coredump, the kernel
    ignores it. The flag alone is not enough either, since the processes that this one starts inherit only the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control = getattr(ctypes.CDLL(None), "prctl", None)
    if control is not None:
        control(PR_SET_DUMPABLE, 0, 0, 0, 0)
