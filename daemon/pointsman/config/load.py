"""Load a config file: read, parse, build, validate. One ConfigError reports every problem of the file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman import files
from pointsman.config import semantic_router
from pointsman.config import yaml_tree as tree
from pointsman.config.decode import Walker
from pointsman.config.examples import with_files
from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.config.validate import validate
from pointsman.errors import ConfigError, Problem

INSTALLED = Path("/etc/pointsman/config.yaml")
LOCAL = Path("config/config.yaml")
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid config, with warnings and the locations of its values in the file."""

    config: Config
    warnings: tuple[Problem, ...]
    path: Path
    source_map: SourceMap

    @property
    def folder(self) -> Path:
        """Return the folder to which the config's relative paths refer."""
        return self.path.resolve().parent


def default_path() -> Path:
    """Return the default config file; raises ConfigError if there is none."""
    for path in (INSTALLED, LOCAL):
        if os.path.lexists(path):
            return path
    message = f"no such file, and {INSTALLED} does not exist either"
    raise _unreadable(LOCAL, message, "write one with `pointsman init --vllm URL`, or name the file to read")


def state_of(path: Path) -> Path | None:
    """Return the state directory of the service with this config file, for a command; None without one."""
    return files.service_state() if path == INSTALLED else files.state_directory()


def load(path: Path) -> LoadedConfig:
    """Load a config file; raises ConfigError with all its problems."""
    return load_text(read(path), path)


def load_text(
    text: str, path: Path, origin: Path | None = None, reads: Callable[[Path], object] = lambda _: None
) -> LoadedConfig:
    """Load the text of a config file, which problems call `origin`; raises ConfigError with all of them.

    `reads` gets each file of examples before it is read.
    """
    shown = str(origin or path)
    parsed = tree.parse(text)
    newer = semantic_router.newer_form(parsed.root) if parsed.root else None
    if parsed.root is None or newer is not None:
        raise ConfigError(shown, (newer,) if newer else parsed.problems)
    rewritten = semantic_router.rewrite_decisions(parsed.root)
    walker = Walker()
    config: Config = walker.build(Config, rewritten.root)
    source_map = walker.source_map
    if rewritten.problems:
        # A refused decision is missing from the categories: do not report its name as unknown, too.
        source_map = SourceMap(
            source_map.given, source_map.broken | {("classifier", "category_model", "fallback_category")}
        )
    # The walker sees values that the parser refused as empty: do not report them twice.
    refused = {(problem.path, problem.line) for problem in parsed.problems}
    built = [problem for problem in walker.problems if (problem.path, problem.line) not in refused]
    folder = path.resolve().parent
    categories, unread = with_files(config.categories, folder, source_map.below("categories"), reads)
    config = dataclasses.replace(config, categories=categories)
    problems = [*parsed.problems, *rewritten.problems, *built, *unread, *validate(config, source_map)]
    if problems:
        raise ConfigError(shown, in_order(problems))
    warnings = [*rewritten.warnings, *walker.warnings]
    config = dataclasses.replace(config, pointsman=_anchored(config.pointsman, folder))
    return LoadedConfig(config, in_order(warnings), path, source_map)


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return the problems in the order of the file, those without a line first."""
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def _anchored(options: Any, folder: Path) -> Any:
    """Return options with absolute file paths, so that their readers need not know the config's folder."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = _anchored(value, folder)
        elif field.metadata["file"] and value is not None:
            changed[field.name] = str(folder / value)
    return dataclasses.replace(options, **changed)


def read(path: Path) -> str:
    """Read a config file; raises ConfigError if it cannot be read."""
    return decoded(content(path), path)


def content(path: Path) -> bytes:
    """Return the content of a config file; raises ConfigError if it cannot be read."""
    try:
        return files.read(path, MAX_CONFIG_BYTES)
    except FileNotFoundError:
        raise _unreadable(path, "no such file", "check the path, or write one with `pointsman init`") from None
    except IsADirectoryError:
        raise _unreadable(path, "is a folder", "name the file in it") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})", "check path and permissions") from error


def decoded(content: bytes, path: Path) -> str:
    """Return the text of a config file; raises ConfigError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, "not UTF-8", "save the file as UTF-8", line) from error


def _unreadable(path: Path, message: str, fix: str, line: int | None = None) -> ConfigError:
    return ConfigError(str(path), (Problem(path="", line=line, message=message, fix=fix),))
