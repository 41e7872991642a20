"""Read the usage of an answer at the positions that its format names, however long it is, in bounded memory."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
import numpy as np
from msgspec.json import Decoder

from pointsman.formats import TOP_LEVEL, JsonPath
from pointsman.routing.body import decode, object_decoder
from pointsman.routing.json_scan import CHUNK, StructureScanner, without_escape

# A text in pieces is buffered up to this size and decoded; of a longer one, only the usage is stored.
MAX_KEPT_BYTES = 64 * 1024
MAX_USAGE_BYTES = 16 * 1024
_MAX_KEY_BYTES = 64
_DATA = b"data:"
_USAGE = b'"usage"'
_OBJECT = ord("{")
_CLOSING = np.zeros(256, dtype=np.bool_)
_CLOSING[list(b"]}")] = True
# Only a separator of members precedes the quote that begins a key.
_KEY = re.compile(rb'[{,\s]"([a-z_]+)"\s*:\s*\Z')
# No response has 10^15 tokens; a longer number would overflow the float of a Prometheus sample.
_Count = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]


class _UsageObject(msgspec.Struct):
    """A usage in OpenAI's words, or in the Responses API's and Anthropic's (whose `input_tokens` lack cached ones)."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None


_DECODER = Decoder(_UsageObject)


class UsageReader:
    """A reader of a complete answer, or of a stream by events; among several usages, the last numbers count."""

    __slots__ = ("_completion", "_prompt", "_streams", "_text", "_usage_paths")

    def __init__(self, usage_paths: tuple[JsonPath, ...] | None = None) -> None:
        """Take `usage_paths` of the usage in the events of a stream; None for an answer that is not a stream."""
        self._streams = usage_paths is not None
        self._usage_paths = usage_paths or TOP_LEVEL
        self._prompt: int | None = None
        self._completion: int | None = None
        self._text: _JsonText | None = None if self._streams else _JsonText(self._usage_paths)
        """The unfinished answer, or line of a stream."""

    def tokens(self) -> tuple[int, int] | None:
        """Return the tokens of prompt and completion, or None if not reported."""
        if not self._streams:
            self._end()
        return None if self._prompt is None or self._completion is None else (self._prompt, self._completion)

    def feed(self, data: bytes) -> None:
        """Take more of the answer, without the framing of chunks."""
        if not data:
            return
        if not self._streams:
            self._open(data)
            return
        at = 0
        if self._text is not None:
            at = data.find(b"\n") + 1
            self._text.feed(data[: at or None])
            if not at:
                return
            self._end()
            self._text = None
        while (found := data.find(_USAGE, at)) >= 0:
            end = data.find(b"\n", found)
            if end < 0:
                break
            self._take_all(_members(data[max(at, data.rfind(b"\n", at, found) + 1) : end], self._usage_paths, _DATA))
            at = end + 1
        if not data.endswith(b"\n"):
            self._open(data[max(at, data.rfind(b"\n") + 1) :])

    def _open(self, data: bytes) -> None:
        if self._text is None:
            self._text = _JsonText(self._usage_paths, _DATA)
        self._text.feed(data)

    def _end(self) -> None:
        if self._text is not None:
            self._take_all(self._text.usages())

    def _take_all(self, usages: list[bytes]) -> None:
        for one in usages:
            usage: _UsageObject | None = decode(msgspec.Raw(one), None, _DECODER)
            if usage is None:
                continue
            prompt, completion = usage.prompt_tokens, usage.completion_tokens
            if usage.input_tokens is not None:
                cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
                prompt = usage.input_tokens + cached
            if usage.output_tokens is not None:
                completion = usage.output_tokens
            self._prompt = self._prompt if prompt is None else prompt
            self._completion = self._completion if completion is None else completion


def _members(text: bytes, usage_paths: tuple[JsonPath, ...], prefix: bytes = b"") -> list[bytes]:
    """Return the values at the positions in a complete text."""
    if _USAGE not in text or not text.startswith(prefix):
        return []
    found = []
    for path in usage_paths:
        value: msgspec.Raw | None = msgspec.Raw(text[len(prefix) :])
        for name in path:
            value = decode(value, {}, object_decoder((name,))).get(name)
        if value is not None:
            found.append(bytes(value))
    return found


class _JsonText:
    """One JSON text that comes in pieces, after a prefix."""

    __slots__ = ("_buffer", "_prefix", "_scan", "_usage_paths")

    def __init__(self, usage_paths: tuple[JsonPath, ...], prefix: bytes = b"") -> None:
        self._usage_paths = usage_paths
        self._prefix = prefix
        self._buffer = bytearray()
        self._scan: _ObjectScanner | None = None

    def feed(self, data: bytes) -> None:
        if self._scan is not None:
            self._scan.feed(data)
            return
        self._buffer += data
        if len(self._buffer) > MAX_KEPT_BYTES:
            known = self._buffer.startswith(self._prefix)
            self._scan = _ObjectScanner(self._usage_paths if known else ())
            self._scan.feed(bytes(self._buffer[len(self._prefix) :]))
            self._buffer.clear()

    def usages(self) -> list[bytes]:
        """Return the values at the positions."""
        if self._scan is not None:
            return self._scan.found
        return _members(bytes(self._buffer), self._usage_paths, self._prefix)


class _ObjectScanner:
    """A finder of the objects at the positions in a JSON text that comes in pieces; stores only these."""

    __slots__ = ("_before", "_deepest", "_keys", "_level", "_structure", "_unread", "_usage", "_usage_paths", "found")

    def __init__(self, usage_paths: tuple[JsonPath, ...]) -> None:
        self._usage_paths = usage_paths
        self._deepest = max(map(len, usage_paths), default=0)
        self._structure = StructureScanner(brackets=True)
        self._unread = b""
        """A backslash whose character is still to come."""
        self._before = b""
        """The end of the bytes read, which may have the key of the next object."""
        self._keys: tuple[str | None, ...] = ()
        """The keys of the open objects, below the outermost; None inside an array, whose elements have no key."""
        self._usage: bytearray | None = None
        self._level = 0
        """The depth of that object, while it is open."""
        self.found: list[bytes] = []

    def feed(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            self._read(self._unread + data[at : at + CHUNK])

    def _read(self, piece: bytes) -> None:
        end = without_escape(piece)
        piece, self._unread = piece[:end], piece[end:]
        where, what, depth = self._structure.read(piece, np.frombuffer(piece, np.uint8))
        # There are few of these, whatever the values contain.
        near = (what == _OBJECT) & (depth <= self._deepest + 1) | _CLOSING[what] & (depth <= self._deepest)
        text, start = self._before + piece, len(self._before)
        begin = start
        brackets = zip(where[near].tolist(), what[near].tolist(), depth[near].tolist(), strict=True)
        for position, kind, level in brackets:
            at = start + position
            if kind == _OBJECT:
                key = _KEY.search(text, max(0, at - _MAX_KEY_BYTES), at)
                self._keys = (*self._keys[: level - 2], None if key is None else key[1].decode())
                if self._usage is None and self._keys in self._usage_paths:
                    self._usage, self._level, begin = bytearray(), level, at
            elif self._usage is not None and level < self._level:
                self._keep(text[begin : at + 1])
                self.found = [*self.found, bytes(self._usage)][-len(self._usage_paths) :]
                self._usage = None
        if self._usage is not None:
            self._keep(text[begin:])
        self._before = text[-_MAX_KEY_BYTES:]

    def _keep(self, text: bytes) -> None:
        """Store more of a usage; a truncated one is not JSON, and counts for nothing."""
        if self._usage is not None:
            self._usage += text[: MAX_USAGE_BYTES - len(self._usage)]
