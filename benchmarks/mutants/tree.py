"""Copies of the checkout to break, so that the checkout itself stays as it is."""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = Path("daemon/pointsman")
# The packages that are mutated. The CUDA engine is left out, since only a host with a card can run it.
PACKAGES = ("routing", "proxy", "upstream", "server", "http1", "classify")
MODULES = ("app/reload.py", "api/auth.py", "api/token_budget.py", "config/client_keys.py", "config/regex.py")
LEFT_OUT = ("classify/onnx_cuda.py",)


def targets() -> list[str]:
    """The modules to mutate, by their path in the package."""
    base = ROOT / PACKAGE
    found = [str(path.relative_to(base)) for name in PACKAGES for path in (base / name).rglob("*.py")]
    return sorted(path for path in (*found, *MODULES) if path not in LEFT_OUT)


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
    compileall.compile_dir(tree / "daemon", quiet=2)
    compileall.compile_dir(tree / "tests" / "support", quiet=2)


def environment(tree: Path) -> dict[str, str]:
    """The environment for the tests in `tree`."""
    parts = ("daemon", "export", "tests", "benchmarks")
    return os.environ | {"PYTHONPATH": ":".join(str(tree / part) for part in parts)}
