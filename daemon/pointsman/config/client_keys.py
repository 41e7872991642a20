"""Read the file of client keys: JSON lines, one key each, with the secret's hash instead of the secret.

Lines, because a key is added or revoked without a change to any other; a line that begins with `#` is a comment.

A secret is 32 random bytes, so nobody finds it by trying, and a plain SHA-256 is enough. A slow hash, as passwords need
it, would take milliseconds of the event loop for each request, and anyone could cause that by sending wrong keys.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from pointsman import files
from pointsman.config.access import QueueField
from pointsman.config.decode import MAX_INTEGER
from pointsman.config.model import Config
from pointsman.config.relay import MAX_PRIORITY, PRIORITY_FIX, PRIORITY_IGNORED
from pointsman.config.secret import read_secret
from pointsman.config.words import choose
from pointsman.errors import CannotStart, Problem

MAX_KEY_FILE_BYTES = 4 * 2**20
MAX_KEYS = 10_000
EVERY_MODEL = "*"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""The name of a key, which appears in logs, in metrics and on terminals."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
COMMENT = b"#"


class KeyScope(NamedTuple):
    """The models that a key may use, None for all; `default` replaces the config's `default_model`."""

    models: frozenset[str] | None
    default: str

    def allows(self, model: str) -> bool:
        """Return whether a model, by its name in a request, may be used."""
        return self.models is None or model in self.models


class KeyLimits(NamedTuple):
    """The limits for which a key's use is counted, or None."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None


UNLIMITED = KeyLimits()
LIMITS = (*KeyLimits._fields, "max_body_bytes")
"""All limits that the file may have for a key."""


class ClientKey(msgspec.Struct, frozen=True):
    """A client's key: `digest` is the hash of its secret, `expires` in seconds since the epoch.

    `former` is the hash of the secret before, while that is valid as well. `scope` is None if the key may use any
    model, `limits` if nothing is counted, and `max_body_bytes` if the config's limit applies.
    """

    name: str
    digest: bytes
    scope: KeyScope | None = None
    expires: float = math.inf
    limits: KeyLimits | None = None
    max_body_bytes: int | None = None
    upstream: bytes = b""
    """The header line with the key for vLLM; empty if the service's own is used."""
    priority: int | None = None
    """The position in vLLM's queue; None for that of the path."""
    allowed_fields: tuple[QueueField, ...] = ()
    """The fields that the client may use, in addition to those that everyone may."""
    former: bytes | None = None
    by_former: bool = False
    """True if the client sent the older of the key's two secrets."""

    def __repr__(self) -> str:
        return f"ClientKey({self.name})"

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Return the hashes of all its secrets, the newest first."""
        return (self.digest,) if self.former is None else (self.digest, self.former)

    @property
    def restricted(self) -> bool:
        """Return whether there are models that the key may not use."""
        return self.scope is not None and self.scope.models is not None

    @property
    def identity(self) -> str:
        """Return the identity of this client, which is never the hash of a client without a key."""
        return f"key {self.name}"


class ClientKeys:
    """All keys, by the hash of their secret."""

    def __init__(self, keys: Iterable[ClientKey]) -> None:
        self._keys = tuple(keys)
        self._by_digest = {key.digest: (key.digest, key) for key in self._keys}
        for key in self._keys:
            if key.former is not None:
                self._by_digest[key.former] = key.former, msgspec.structs.replace(key, by_former=True)
        digest = os.urandom(32)
        self._nobody = digest, ClientKey("", digest)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[ClientKey]:
        return iter(self._keys)

    def find(self, secret: bytes) -> ClientKey | None:
        """Return the key with this secret, or None after the same work."""
        digest = digest_of(secret)
        found, key = self._by_digest.get(digest, self._nobody)
        return key if hmac.compare_digest(found, digest) else None


class KeyEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A line of the file."""

    name: str
    sha256: str
    models: list[str]
    default_model: str | None = None
    expires: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    max_body_bytes: int | None = None
    upstream_key_file: str | None = None
    priority: int | None = None
    allowed_fields: tuple[QueueField, ...] = ()
    created: str | None = None
    former_sha256: str | None = None
    rotated: str | None = None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of keys; `keys` lacks those in `errors`."""

    keys: ClientKeys
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rotating: tuple[KeyEntry, ...]
    """The keys with two secrets."""


def digest_of(secret: bytes) -> bytes:
    """Return the hash of a secret."""
    return hashlib.sha256(secret).digest()


def load_keys(path: Path, config: Config) -> KeyFile:
    """Read a file of keys for this config; raises OSError."""
    found = parse_keys(files.read(path, MAX_KEY_FILE_BYTES), config, path.parent)
    mode = stat.S_IMODE(path.stat().st_mode)
    return replace(found, warnings=(*_exposed(mode), *found.warnings))


def parse_keys(content: bytes, config: Config, folder: Path = Path()) -> KeyFile:
    """Read the content of such a file; relative paths in it refer to `folder`."""
    reader = _KeyFileReader(config, folder)
    for line, text in enumerate(content.split(b"\n"), start=1):
        if text.strip() and not text.startswith(COMMENT):
            reader.read(text, line)
    warnings = []
    if not reader.keys and not reader.problems:
        fix = "add one with `pointsman keys add NAME`"
        warnings.append(Problem(path="", line=None, message="there is no key, so nobody is served", fix=fix))
    return KeyFile(ClientKeys(reader.keys), tuple(reader.problems), tuple(warnings), tuple(reader.rotating))


def decode_entry(text: bytes) -> KeyEntry:
    """Decode a line; raises ValueError, which names the problem."""
    try:
        return msgspec.json.decode(text, type=KeyEntry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def expiry(text: str) -> float:
    """Return when a key expires, in seconds since the epoch: at the end of a day in UTC, or at a time with its zone.

    Raises ValueError.
    """
    if len(text) == len("2027-01-31"):
        day = datetime.datetime.combine(datetime.date.fromisoformat(text), datetime.time(), datetime.UTC)
        return (day + datetime.timedelta(days=1)).timestamp()
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.timestamp()


def models_of(config: Config) -> list[str]:
    """Return the names that a key may list."""
    return [*config.model_config, *(lora.name for model in config.model_config.values() for lora in model.loras)]


class _KeyFileReader:
    """A collector of a file's keys and all its problems."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._models = models_of(config)
        self._known = frozenset(self._models)
        self._lines: dict[str, int] = {}
        self._digests: dict[bytes, str] = {}
        self.keys: list[ClientKey] = []
        self.rotating: list[KeyEntry] = []
        self.problems: list[Problem] = []

    def read(self, text: bytes, line: int) -> None:
        before = len(self.problems)
        try:
            entry = decode_entry(text)
        except ValueError as error:
            self._problem(line, "", f"not a key ({error})", "write one JSON object a line, or remove the line")
            return
        expires = math.inf
        try:
            if entry.expires is not None:
                expires = expiry(entry.expires)
        except (ValueError, OverflowError):
            message = f'expected a day or a time, found "{entry.expires[:40] if entry.expires else ""}"'
            self._problem(line, "expires", message, "write 2027-01-31, or 2027-01-31T12:00:00+00:00")
        self._name(entry, line)
        self._hash(entry.sha256, line, "sha256", "add the key with `pointsman keys add`")
        if entry.former_sha256 is not None:
            fix = "remove it, and give a second secret with `pointsman keys rotate`"
            self._hash(entry.former_sha256, line, "former_sha256", fix)
        scope, limits, upstream = self._scope(entry, line), self._limits(entry, line), self._upstream(entry, line)
        self._priority(entry, line)
        if len(self.keys) >= MAX_KEYS:
            self._problem(line, "", f"there are more than {MAX_KEYS:,} keys", "remove those that are not used")
        if len(self.problems) > before:
            return
        digest = bytes.fromhex(entry.sha256)
        key = ClientKey(
            *(entry.name, digest, scope, expires, limits, entry.max_body_bytes, upstream),
            priority=entry.priority,
            allowed_fields=entry.allowed_fields,
            former=None if entry.former_sha256 is None else bytes.fromhex(entry.former_sha256),
        )
        self._unique(key, line)
        self.keys.append(key)
        if key.former is not None:
            self.rotating.append(entry)

    def _hash(self, text: str, line: int, field: str, fix: str) -> None:
        if not _DIGEST.fullmatch(text):
            self._problem(line, field, "expected 64 hexadecimal digits in lower case", fix)

    def _unique(self, key: ClientKey, line: int) -> None:
        if key.former == key.digest:
            fix = f"end one of the two with `pointsman keys drop-old {key.name}`"
            self._problem(line, "former_sha256", "the key has the same secret twice", fix)
        for field, digest in zip(("sha256", "former_sha256"), key.digests, strict=False):
            other = self._digests.setdefault(digest, key.name)
            if other != key.name:
                fix = f"remove one of the two, and add it anew with `pointsman keys add {key.name}`"
                self._problem(line, field, f'the key "{other}" has the same secret', fix)

    def _name(self, entry: KeyEntry, line: int) -> None:
        if not NAME.fullmatch(entry.name):
            fix = "write 1 to 64 letters, digits, `.`, `_`, `@` and `-`, a letter or digit first"
            self._problem(line, "name", "the name is not valid", fix)
            return
        first = self._lines.setdefault(entry.name, line)
        if first != line:
            message = f'the name "{entry.name}" is already used on line {first}'
            self._problem(line, "name", message, "rename one of the two, or remove it")

    def _scope(self, entry: KeyEntry, line: int) -> KeyScope | None:
        if not entry.models:
            self._problem(line, "models", "the list is empty", 'name a model, or write ["*"] for all')
        for model in entry.models:
            if model != EVERY_MODEL:
                self._check(model, line, "models")
        models = None if EVERY_MODEL in entry.models else frozenset(entry.models)
        default = entry.default_model
        if default is None:
            common = self._config.default_model
            if models is None:
                return None
            return KeyScope(models, common if common in models else next(iter(entry.models), ""))
        self._check(default, line, "default_model")
        if models is not None and default not in models:
            message = f'the key may not use its own default model "{default[:80]}"'
            self._problem(line, "default_model", message, "add it to models, or name one of those")
        return KeyScope(models, default)

    def _upstream(self, entry: KeyEntry, line: int) -> bytes:
        if entry.upstream_key_file is None:
            return b""
        try:
            secret = read_secret(str(self._folder / entry.upstream_key_file), "the file")
        except CannotStart as error:
            message, _, fix = str(error).removeprefix("the file: ").partition("; ")
            self._problem(line, "upstream_key_file", message, fix)
            return b""
        return b"Authorization: Bearer %b\r\n" % secret

    def _limits(self, entry: KeyEntry, line: int) -> KeyLimits | None:
        for name in LIMITS:
            value = getattr(entry, name)
            if value is not None and not 1 <= value <= MAX_INTEGER:
                message = f"expected a whole number of at least 1 and at most {MAX_INTEGER:,}"
                self._problem(line, name, message, "write such a number, or remove the limit")
        limits = KeyLimits(*(getattr(entry, name) for name in KeyLimits._fields))
        return None if limits == UNLIMITED else limits

    def _priority(self, entry: KeyEntry, line: int) -> None:
        if entry.priority is None:
            return
        if abs(entry.priority) > MAX_PRIORITY:
            message = f"expected a whole number of at least {-MAX_PRIORITY:,} and at most {MAX_PRIORITY:,}"
            self._problem(line, "priority", message, "write such a number; a lower one goes first")
        if self._config.pointsman.relay.scheduling_policy == "fcfs":
            self._problem(line, "priority", PRIORITY_IGNORED, PRIORITY_FIX)

    def _check(self, model: str, line: int, field: str) -> None:
        if model in self._known:
            return
        if model in self._config.auto_names:
            message = f'"{model}" is no model: it requests routing, which every key may'
            self._problem(line, field, message, "remove it, and name the models that may answer")
        else:
            message = f'"{model[:80]}" is neither a model in model_config nor one of their loras'
            self._problem(line, field, message, choose(model, self._models))

    def _problem(self, line: int, field: str, message: str, fix: str) -> None:
        self.problems.append(Problem(path=field, line=line, message=message, fix=fix))


def _exposed(mode: int) -> Iterator[Problem]:
    """Warn about a file that others can read or change; its group may read it, as the service may be a member."""
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        what = "change" if mode & (stat.S_IWOTH | stat.S_IWGRP) else "read"
        message = f"other users can {what} this file (mode {mode:04o})"
        yield Problem(path="", line=None, message=message, fix="chmod 600, with the service's user as its owner")
