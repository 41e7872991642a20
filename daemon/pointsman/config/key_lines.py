"""Change a file of client keys: a line is added, changed or removed, and all other bytes stay. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from pointsman.config.client_keys import COMMENT, KeyEntry, decode_entry


def entries(content: bytes) -> list[KeyEntry]:
    """Return the keys in a file, without invalid lines."""
    return [entry for line in content.split(b"\n") if (entry := _entry(line)) is not None]


def added(content: bytes, entry: KeyEntry) -> bytes:
    """Return the content with another key at its end."""
    before = content if not content or content.endswith(b"\n") else content + b"\n"
    return b"%b%b\n" % (before, msgspec.json.encode(entry))


def removed(content: bytes, name: str) -> bytes:
    """Return the content without the keys of this name."""
    return _edited(content, name, lambda *_: b"")


def changed(content: bytes, name: str, edit: Callable[[KeyEntry], KeyEntry]) -> bytes:
    """Return the content with another line for the keys of this name."""
    return _edited(content, name, lambda entry, end: msgspec.json.encode(edit(entry)) + end)


def rotated(entry: KeyEntry, sha256: str, now: str) -> KeyEntry:
    """Return the key with a new secret in addition to its present one."""
    return replace(entry, sha256=sha256, former_sha256=entry.sha256, rotated=now)


def without_old(entry: KeyEntry) -> KeyEntry:
    """Return the key with only the newer of two secrets."""
    return replace(entry, former_sha256=None, rotated=None, created=entry.rotated or entry.created)


def without_new(entry: KeyEntry) -> KeyEntry:
    """Return the key with only the older of two secrets."""
    return replace(entry, sha256=entry.former_sha256 or entry.sha256, former_sha256=None, rotated=None)


def _edited(content: bytes, name: str, edit: Callable[[KeyEntry, bytes], bytes]) -> bytes:
    """Replace the key of this name; `edit` gets the key and the end of its line."""
    lines = []
    for line in content.splitlines(keepends=True):
        entry = _entry(line)
        lines.append(line if entry is None or entry.name != name else edit(entry, line[len(line.rstrip(b"\r\n")) :]))
    return b"".join(lines)


def _entry(line: bytes) -> KeyEntry | None:
    if line.startswith(COMMENT):
        return None
    try:
        return decode_entry(line)
    except ValueError:
        return None
