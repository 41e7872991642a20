"""Implement `pointsman keys`: change and list the clients' keys in the file that the config names."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pwd
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.columns import columns
from pointsman.config.client_keys import EVERY_MODEL, LIMITS, MAX_KEY_FILE_BYTES, KeyEntry, digest_of, parse_keys
from pointsman.config.key_lines import added, changed, entries, removed, rotated, without_new, without_old
from pointsman.config.load import default_path, load
from pointsman.config.model import Config
from pointsman.errors import CommandFailed
from pointsman.store.rotated_file import alone

SECRET_BYTES = 32
# A prefix by which a scanner of repositories finds a secret.
PREFIX = "pm-"
# The service's user in its packages.
SERVICE_USER = "pointsman"


class KeysError(CommandFailed):
    """The keys could not be changed; the message says why."""


def run(options: argparse.Namespace) -> int:
    """Run `options.action`; return 1 without a usable file. Raises KeysError and ConfigError."""
    if (options.action != "list") is not (options.name is not None):
        options.parser.error("list takes no NAME, and every other action needs one")
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
        elif options.action == "rotate":
            _rotate(path, config, options.name, as_json=options.json)
        elif options.action == "revoke":
            _revoke(path, options.name)
        else:
            _drop(path, options.name, old=options.action == "drop-old")
    except OSError as error:
        print(f"pointsman: {path}: {error.strerror}; check path and permissions", file=sys.stderr)
        return 1
    return 0


def _add(path: Path, config: Config, options: argparse.Namespace, limits: Mapping[str, int | None]) -> None:
    secret, sha256 = _new_secret()
    entry = KeyEntry(
        name=options.name,
        sha256=sha256,
        models=options.model or [EVERY_MODEL],
        default_model=options.default_model,
        expires=options.expires,
        upstream_key_file=options.upstream_key_file,
        priority=options.priority,
        allowed_fields=tuple(options.allow_field or ()),
        created=_now(),
    )
    entry = msgspec.structs.replace(entry, **limits)
    with alone(path):
        content = _read(path)
        _replace(path, content, _checked(path, added(content, entry), config))
    _show(entry.name, secret, f"This is the key of {entry.name}; it is shown only now.", as_json=options.json)


def _rotate(path: Path, config: Config, name: str, *, as_json: bool) -> None:
    secret, sha256 = _new_secret()
    with alone(path):
        content = _read(path)
        if _the(path, content, name).former_sha256 is not None:
            raise KeysError(
                f"{name} has two secrets already; end one with `pointsman keys drop-old {name}`, or the newer one with "
                f"`pointsman keys drop-new {name}`"
            )
        after = changed(content, name, lambda entry: rotated(entry, sha256, _now()))
        _replace(path, content, _checked(path, after, config))
    until = f"the old one is valid until `pointsman keys drop-old {name}`"
    _show(name, secret, f"This is the new secret of {name}, shown only now; {until}.", as_json=as_json)


def _drop(path: Path, name: str, *, old: bool) -> None:
    with alone(path):
        content = _read(path)
        if _the(path, content, name).former_sha256 is None:
            raise KeysError(f"{name} has one secret alone; `pointsman keys revoke {name}` removes the key")
        _replace(path, content, changed(content, name, without_old if old else without_new))
    print(f"The {'old' if old else 'new'} secret of {name} is revoked; the other one stays valid.")


def _revoke(path: Path, name: str) -> None:
    with alone(path):
        content = _read(path)
        _the(path, content, name)
        _replace(path, content, removed(content, name))
    print(f"The key of {name} is revoked.")


def _new_secret() -> tuple[str, str]:
    """Return a secret and its hash."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    return secret, digest_of(secret.encode()).hex()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _the(path: Path, content: bytes, name: str) -> KeyEntry:
    for entry in entries(content):
        if entry.name == name:
            return entry
    raise KeysError(f'{path} has no key named "{name}"; `pointsman keys list` shows them')


def _checked(path: Path, content: bytes, config: Config) -> bytes:
    """Return the content, unless the service would refuse it."""
    if len(content) > MAX_KEY_FILE_BYTES:
        raise KeysError(f"{path} would be larger than {MAX_KEY_FILE_BYTES:,} bytes; remove what is not used")
    found = parse_keys(content, config, path.parent)
    if found.errors:
        raise KeysError("\n".join(problem.render(str(path)) for problem in found.errors))
    return content


def _show(name: str, secret: str, hint: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"name": name, "key": secret}))
        return
    print(secret)
    print(hint, file=sys.stderr)


def _list(path: Path, *, as_json: bool) -> None:
    found = entries(_read(path))
    if as_json:
        shown = [msgspec.to_builtins(entry) for entry in found]
        hidden = ("sha256", "former_sha256")
        listing = [
            {name: value for name, value in one.items() if name not in hidden} | {"secrets": _secrets(entry)}
            for one, entry in zip(shown, found, strict=True)
        ]
        print(json.dumps(listing, indent=2))
        return
    rows = [("name", "models", "default", "secrets", "expires", "limits", "priority", "allowed fields", "created")]
    rows += [
        (
            entry.name,
            ",".join(entry.models),
            entry.default_model or "-",
            f"{_secrets(entry)} since {entry.rotated}" if entry.rotated else str(_secrets(entry)),
            entry.expires or "-",
            ",".join(f"{name}={value}" for name in LIMITS if (value := getattr(entry, name))) or "-",
            "-" if entry.priority is None else str(entry.priority),
            ",".join(entry.allowed_fields) or "-",
            entry.created or "-",
        )
        for entry in found
    ]
    print("\n".join(columns(rows)))


def _secrets(entry: KeyEntry) -> int:
    return 1 if entry.former_sha256 is None else 2


def _read(path: Path) -> bytes:
    try:
        return files.read(path, MAX_KEY_FILE_BYTES)
    except FileNotFoundError:
        return b""


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Write the new content if the old one is still `before`: an editor takes no lock, and its changes must survive."""
    if _read(path) != before:
        raise KeysError(f"{path} was changed by another process meanwhile, and is left as that wrote it; try again")
    _write(path, after)


def _write(path: Path, content: bytes) -> None:
    """Replace the file in one step, unreadable for others; its owner stays, and is the service's user for a new one."""
    with contextlib.suppress(FileNotFoundError):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o640)
    files.write(path, content, replace=True, mode=0o600, owner=_owner(path))


def _owner(path: Path) -> tuple[int, int] | None:
    """Return the user and group that own the file; None for those of this process, which is not root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_uid, found.st_gid
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(SERVICE_USER)
        return user.pw_uid, user.pw_gid
    return None
