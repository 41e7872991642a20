"""The version of what is built: between releases, one that tells the build from them and sorts where it belongs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]
MODULE = ROOT / "daemon/pointsman/__init__.py"
DECLARED = re.compile(r'(?<=^__version__ = ")[^"]+', re.MULTILINE)


def declared() -> str:
    """The version that the sources say."""
    return DECLARED.findall(MODULE.read_text("utf-8"))[0]


def version() -> str:
    """The declared version in a clean checkout of its tag, and wherever git tells nothing, as in an sdist.

    Elsewhere it has the commit, and the commit's time as a number that grows: `0.2.0.dev20261201120000+g0123456789ab`
    before the tag of 0.2.0, `0.2.0+git20261201120000.g0123456789ab` after it.
    """
    release = declared()
    if not (ROOT / ".git").exists():
        return release
    try:
        changes = git("status", "--porcelain")
        here, before = (git("tag", f"--{which}", "HEAD").split() for which in ("points-at", "merged"))
        commit, time = git("show", "--no-patch", "--format=%H %cd", "--date=format-local:%Y%m%d%H%M%S", "HEAD").split()
    except (OSError, subprocess.CalledProcessError):
        return release
    if f"v{release}" in here and not changes:
        return release
    suffix = f"g{commit[:12]}" + (".dirty" if changes else "")
    return f"{release}+git{time}.{suffix}" if f"v{release}" in before else f"{release}.dev{time}+{suffix}"


def debian(built: str) -> str:
    """Return a version as dpkg sorts it: `~` comes before the release, and `+git` after its `+deb`."""
    return built.replace(".dev", "~dev", 1)


def git(*arguments: str) -> str:
    """Return git's output about this checkout, whoever owns it; raises OSError or CalledProcessError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"TZ": "UTC"}
    command = ["git", "--no-optional-locks", "-c", "safe.directory=*", "-C", ROOT, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


class Stamp(BuildHookInterface):
    """Writes the version of a build into the module that says it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An editable installation, which `version` tells, has the checkout's own module."""
        self._folder = tempfile.mkdtemp()
        if version != "editable":
            stamped = Path(self._folder, MODULE.name)
            stamped.write_text(DECLARED.sub(self.metadata.version, MODULE.read_text("utf-8")), "utf-8")
            module = MODULE.relative_to(ROOT if self.target_name == "sdist" else MODULE.parents[1])
            build_data["force_include"][str(stamped)] = str(module)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder)
