"""Load a config file: read, parse, build, validate. One ConfigError reports every problem of the file."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pointsman import files
from pointsman.config import semantic_router
from pointsman.config import yaml_tree as tree
from pointsman.config.decode import Walker
from pointsman.config.model import Config, TlsOptions
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


def load(path: Path) -> LoadedConfig:
    """Load a config file; raises ConfigError with all its problems."""
    return load_text(read(path), path)


def load_text(text: str, path: Path, origin: Path | None = None) -> LoadedConfig:
    """Load the text of a config file, which problems call `origin`; raises ConfigError with all of them."""
    shown = str(origin or path)
    parsed = tree.parse(text)
    newer = semantic_router.newer_form(parsed.root) if parsed.root else None
    if parsed.root is None or newer is not None:
        raise ConfigError(shown, (newer,) if newer else parsed.problems)
    rewritten = semantic_router.rewrite(parsed.root)
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
    problems = [*parsed.problems, *rewritten.problems, *built, *validate(config, source_map)]
    if problems:
        raise ConfigError(shown, in_order(problems))
    warnings = [*rewritten.warnings, *walker.warnings]
    return LoadedConfig(_anchored(config, path.resolve().parent), in_order(warnings), path, source_map)


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return the problems in the order of the file, those without a line first."""
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def _anchored(config: Config, folder: Path) -> Config:
    """Return the config with absolute file paths, so that their readers need not know its folder."""
    options = config.pointsman
    relay = replace(options.relay, api_key_file=_absolute(options.relay.api_key_file, folder))
    access = replace(options.access, keys_file=_absolute(options.access.keys_file, folder))
    log = replace(
        options.log,
        texts_file=_absolute(options.log.texts_file, folder),
        feedback_file=_absolute(options.log.feedback_file, folder),
    )
    server = replace(
        options.server,
        admin_token_file=_absolute(options.server.admin_token_file, folder),
        tls=_anchored_tls(options.server.tls, folder),
        admin_tls=_anchored_tls(options.server.admin_tls, folder),
    )
    return replace(config, pointsman=replace(options, server=server, relay=relay, access=access, log=log))


def _anchored_tls(tls: TlsOptions | None, folder: Path) -> TlsOptions | None:
    if tls is None:
        return None
    return TlsOptions(
        certificate_file=str(folder / tls.certificate_file),
        key_file=str(folder / tls.key_file),
        client_ca_file=_absolute(tls.client_ca_file, folder),
    )


def _absolute(path: str | None, folder: Path) -> str | None:
    return None if path is None else str(folder / path)


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
