"""Compiles the modules that every request runs through, by mypyc, when a wheel is built.

The same modules run as they are where there is no C compiler, and in an editable install.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

# The code of all modules is in one library, so that they call each other directly.
LIBRARY = "pointsman.compiled"
MYPY = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--python-version=3.11"]


class CompileHook(BuildHookInterface[Any]):
    """`modules` in its table of pyproject.toml are the paths, below `daemon/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="pointsman-")
        built = Path(self._folder.name)
        try:
            with contextlib.chdir(Path(self.root, "daemon")):
                self._compile(built)
        except CCompilerError as error:
            self.app.display_warning(f"not compiled, so that a request costs more CPU: {error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in (built / "lib").rglob("*.so"):
            build_data["force_include"][os.fspath(library)] = library.relative_to(built / "lib").as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()

    def _compile(self, built: Path) -> None:
        """Fills `built/lib`; raises CCompilerError where there is no compiler, or Python's headers are missing."""
        modules = mypycify([*MYPY, *self.config["modules"]], group_name=LIBRARY, target_dir=os.fspath(built / "c"))
        command = build_ext(Distribution({"name": "pointsman", "ext_modules": modules}))
        command.build_lib, command.build_temp = os.fspath(built / "lib"), os.fspath(built / "tmp")
        command.ensure_finalized()
        command.run()
