"""Copies of the checkout to break, so that the checkout itself stays as it is."""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("daemon", "export")
# Only a host with a card can run the CUDA engine.
LEFT_OUT = ("pointsman/classify/onnx_cuda.py",)


def targets() -> dict[str, Path]:
    """Return the modules to mutate: by their path below a folder of sources, that in the checkout."""
    found = {
        str(path.relative_to(ROOT / folder)): path.relative_to(ROOT)
        for folder in SOURCES
        for path in sorted((ROOT / folder).glob("pointsman*/**/*.py"))
    }
    return {name: path for name, path in found.items() if name not in LEFT_OUT}


def files() -> list[str]:
    """Return the files that git would commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in names if (ROOT / name).is_file())


def digest() -> str:
    """Another one once the daemon or a test has changed."""
    hashed = hashlib.sha256()
    for name in files():
        if name.startswith(("daemon/", "export/", "tests/")):
            hashed.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return hashed.hexdigest()


def copy(tree: Path) -> None:
    """The checkout at `tree`, its modules compiled."""
    shutil.rmtree(tree, ignore_errors=True)
    for name in files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    for name in (*SOURCES, "tests/support"):
        compileall.compile_dir(tree / name, quiet=2)


def environment(tree: Path) -> dict[str, str]:
    """The environment for the tests in `tree`."""
    parts = (*SOURCES, "tests", "benchmarks")
    return os.environ | {"PYTHONPATH": ":".join(str(tree / part) for part in parts)}
