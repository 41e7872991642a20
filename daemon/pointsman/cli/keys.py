"""Implement `pointsman keys`: add, list and revoke the clients' keys in the file that the config names."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import pwd
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config.client_keys import EVERY_MODEL, LARGEST_FILE_BYTES, LIMITS, Entry, digest_of, parse_keys
from pointsman.config.key_lines import added, entries, removed
from pointsman.config.load import default_path, load
from pointsman.config.model import Config
from pointsman.errors import CommandFailed

SECRET_BYTES = 32
# A prefix by which a scanner of repositories finds a secret.
PREFIX = "pm-"
# The service's user in its packages.
SERVICE_USER = "pointsman"


class KeysError(CommandFailed):
    """The keys could not be changed; the message says why."""


def run(options: argparse.Namespace) -> int:
    """Do what `options.action` says; return 1 without a file that can be used. Raises KeysError and ConfigError."""
    if (options.action != "list") is not (options.name is not None):
        options.parser.error("add and revoke need a NAME, list takes none")
    limits = {name: getattr(options, name) for name in LIMITS}
    of_add = ("model", "default_model", "expires", "upstream_key_file", "priority", "allow_field", *LIMITS)
    if options.action != "add" and any(getattr(options, name) is not None for name in of_add):
        options.parser.error("only --config and --json are for other actions than add")
    config = load(options.config or default_path()).config
    if config.pointsman.access.keys_file is None:
        print(
            "pointsman: the config names no file: write `pointsman: {access: {keys_file: keys.jsonl}}`", file=sys.stderr
        )
        return 1
    path = Path(config.pointsman.access.keys_file).resolve()
    try:
        if options.action == "list":
            _list(path, as_json=options.json)
        elif options.action == "add":
            _add(path, config, options, limits)
        else:
            _revoke(path, options.name)
    except OSError as error:
        print(f"pointsman: {path}: {error.strerror}; check path and permissions", file=sys.stderr)
        return 1
    return 0


def _add(path: Path, config: Config, options: argparse.Namespace, limits: Mapping[str, int | None]) -> None:
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    entry = Entry(
        name=options.name,
        sha256=digest_of(secret.encode()).hex(),
        models=options.model or [EVERY_MODEL],
        default_model=options.default_model,
        expires=options.expires,
        **limits,
        upstream_key_file=options.upstream_key_file,
        priority=options.priority,
        allowed_fields=tuple(options.allow_field or ()),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    with _locked(path):
        content = _read(path)
        found = parse_keys(added(content, entry), config, path.parent)
        if found.errors:
            raise KeysError("\n".join(problem.render(str(path)) for problem in found.errors))
        _write(path, added(content, entry))
    if options.json:
        print(json.dumps({"name": entry.name, "key": secret}))
        return
    print(secret)
    print(f"This is the key of {entry.name}; it is shown only now.", file=sys.stderr)


def _revoke(path: Path, name: str) -> None:
    with _locked(path):
        content = _read(path)
        if all(entry.name != name for entry in entries(content)):
            raise KeysError(f'{path} has no key named "{name}"; `pointsman keys list` shows them')
        _write(path, removed(content, name))
    print(f"The key of {name} is revoked.")


def _list(path: Path, *, as_json: bool) -> None:
    found = entries(_read(path))
    if as_json:
        shown = [msgspec.to_builtins(entry) for entry in found]
        print(json.dumps([{name: value for name, value in one.items() if name != "sha256"} for one in shown], indent=2))
        return
    rows = [("name", "models", "default", "expires", "limits", "priority", "allowed fields", "created")]
    rows += [
        (
            entry.name,
            ",".join(entry.models),
            entry.default_model or "-",
            entry.expires or "-",
            ",".join(f"{name}={value}" for name in LIMITS if (value := getattr(entry, name))) or "-",
            "-" if entry.priority is None else str(entry.priority),
            ",".join(entry.allowed_fields) or "-",
            entry.created or "-",
        )
        for entry in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _read(path: Path) -> bytes:
    try:
        return files.read(path, LARGEST_FILE_BYTES)
    except FileNotFoundError:
        return b""


def _write(path: Path, content: bytes) -> None:
    """Replace the file in one step, unreadable for others; its owner stays, and is the service's user for a new one."""
    with contextlib.suppress(FileNotFoundError):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o640)
    files.write(path, content, replace=True, mode=0o600, owner=_owner(path))


def _owner(path: Path) -> tuple[int, int] | None:
    """Return the user and group that own the file; None for those of this process, who is not root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_uid, found.st_gid
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(SERVICE_USER)
        return user.pw_uid, user.pw_gid
    return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other commands out. The folder is locked, since the file itself is replaced by another."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
