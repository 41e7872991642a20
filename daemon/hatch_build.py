"""Compiles the modules that a request runs through to machine code, by mypyc, when a wheel is built.

The same modules run uncompiled where there is no C compiler, and in an editable install.
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

# Of the library that all compiled modules share. By default it would lie at the top, beside our packages.
GROUP = "pointsman.compiled"
MYPY = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--python-version=3.11"]


class CompileHook(BuildHookInterface[Any]):
    """`modules` in its table of pyproject.toml are the paths, below `daemon/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the compiled modules to a wheel that is not editable."""
        if version == "editable":
            return
        built = Path(tempfile.mkdtemp(prefix="pointsman-"))
        try:
            with contextlib.chdir(Path(self.root, "daemon")):
                self._compile(built)
        except CCompilerError as error:
            self.app.display_warning(f"not compiled, so a request will cost more CPU: {error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in (built / "lib").rglob("*.so"):
            build_data["force_include"][os.fspath(library)] = library.relative_to(built / "lib").as_posix()

    def _compile(self, built: Path) -> None:
        """Writes `built/lib`; raises CCompilerError where there is no compiler, or no header of Python."""
        modules = mypycify([*MYPY, *self.config["modules"]], group_name=GROUP, target_dir=os.fspath(built / "c"))
        command = build_ext(Distribution({"name": "pointsman", "ext_modules": modules}))
        command.build_lib, command.build_temp = os.fspath(built / "lib"), os.fspath(built / "tmp")
        command.ensure_finalized()
        command.run()
