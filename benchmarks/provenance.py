"""Record the provenance of a result: machine, versions, commit, time."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pointsman.classify.cores import CGROUPS, OWN_CGROUP, usable_cores

PACKAGES = (
    "pointsman",
    "aiohttp",
    "msgspec",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "py3langid",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "uvloop",
)
CPU_FIELDS = {"model name": "cpu", "cpu family": "family", "model": "model", "stepping": "stepping"}
"""The name alone does not identify a CPU: a cloud host calls each generation "AMD EPYC", and one is twice as fast."""
DECISIVE = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
)
"""The flags on which the speed of matrix products depends."""
FOLLOWS = ("benchmarks/results", "docs")
"""Folders written from measurements: the result before this one does not make a checkout dirty."""


def provenance() -> dict[str, Any]:
    """Return the head of every result file."""
    installed = {found.name: found.version for found in importlib.metadata.distributions()}
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).parents[1]),
        "machine": {
            **cpu(Path("/proc/cpuinfo").read_text()),
            "cores": os.cpu_count(),
            "usable_cores": usable_cores(),
            "cpu_max": _cpu_max(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
        },
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in PACKAGES if name in installed},
    }


def commit(root: Path) -> str:
    """Return the commit that is measured, with `-dirty` if the checkout has changes; empty without git or commits."""
    if not shutil.which("git"):
        return ""
    found = _git(root, "rev-parse", "--short", "HEAD")
    if not _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{path}" for path in FOLLOWS)):
        return found
    print("the checkout has changes: the result says -dirty, and belongs to no commit", file=sys.stderr)
    return f"{found}-dirty"


def commit_of(file: Path) -> str:
    """Return the commit of the checkout that has this file; empty if none has."""
    if not shutil.which("git") or not _git(file.parent, "ls-files", "--", file.name):
        return ""
    return commit(Path(_git(file.parent, "rev-parse", "--show-toplevel")))


def cpu(cpuinfo: str) -> dict[str, Any]:
    """Return what tells one CPU from another: its name, family, model, stepping, and the flags that count."""
    first = cpuinfo.partition("\n\n")[0]
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    flags = set((lines.get("flags") or lines.get("Features", "")).split())
    found: dict[str, Any] = {name: lines[key] for key, name in CPU_FIELDS.items() if key in lines}
    return {"cpu": platform.machine()} | found | {"flags": [flag for flag in DECISIVE if flag in flags]}


def processor(machine: dict[str, Any]) -> str:
    """Return the cores and the CPU of a result in words; results of release 0.1 have only the CPU's name."""
    detail = ", ".join(f"{key} {machine[key]}" for key in ("family", "model", "stepping") if key in machine)
    quota = machine.get("cpu_max", "max")
    limited = "" if quota.startswith("max") else f", cpu.max {quota}"
    return f"{machine['cores']} cores of {machine['cpu']}{detail and f' ({detail})'}{limited}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu_max() -> str:
    """Return the quota and the period of this process's own cgroup; those above it count in `usable_cores`, too."""
    own = next((line[3:] for line in OWN_CGROUP.read_text().splitlines() if line.startswith("0::")), "/")
    try:
        return (CGROUPS / own.lstrip("/") / "cpu.max").read_text().strip()
    except OSError:
        return "max"
