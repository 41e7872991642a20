"""Change a file of client keys: a line is added or removed, and all other bytes stay. Pure."""

from __future__ import annotations

import msgspec

from pointsman.config.client_keys import COMMENT, Entry, decode_entry


def entries(content: bytes) -> list[Entry]:
    """Return the keys in a file, without lines that are none."""
    return [entry for line in content.split(b"\n") if (entry := _entry(line)) is not None]


def added(content: bytes, entry: Entry) -> bytes:
    """Return the content with another key at its end."""
    before = content if not content or content.endswith(b"\n") else content + b"\n"
    return b"%b%b\n" % (before, msgspec.json.encode(entry))


def removed(content: bytes, name: str) -> bytes:
    """Return the content without the keys of this name."""
    kept = []
    for line in content.splitlines(keepends=True):
        entry = _entry(line)
        if entry is None or entry.name != name:
            kept.append(line)
    return b"".join(kept)


def _entry(line: bytes) -> Entry | None:
    if line.startswith(COMMENT):
        return None
    try:
        return decode_entry(line)
    except ValueError:
        return None
