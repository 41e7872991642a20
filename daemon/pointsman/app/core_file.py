"""Keep prompts and keys out of core files."""

from __future__ import annotations

import ctypes
import resource

PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Prevent a crash from writing this process's memory to a file, and users except root from reading it.

    The limit alone is not enough: if `kernel.core_pattern` names a program, such as systemd-coredump, the kernel
    ignores the limit. The flag alone is not enough either, since child processes inherit only the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control = getattr(ctypes.CDLL(None), "prctl", None)
    if control is not None:
        control(PR_SET_DUMPABLE, 0, 0, 0, 0)
