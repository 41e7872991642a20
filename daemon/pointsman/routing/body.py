"""Read JSON bodies one level deep; pure.

`fields_at_once` reads a body of usual size and form, and `fields_in_steps` any other. Values stay views of the body, so
everything that is not edited is forwarded unchanged: number formats, escapes, unknown fields, order, white space. Only
the fields that routing reads are decoded further.
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from typing import Any, TypedDict

import msgspec
import numpy as np
from msgspec.json import Decoder

from pointsman import formats
from pointsman.errors import NestedTooDeeply, RequestError
from pointsman.long_body import Received
from pointsman.routing import json_scan
from pointsman.routing.json_scan import SPACES, ByteSpan, JsonDepthError, JsonError
from pointsman.routing.steps import Steps, finish

# msgspec reads this much at once, in at most 1.3 ms; larger bodies are scanned in steps.
AT_ONCE = 512 * 1024
# To make this number of objects of messages takes it another 0.5 ms. All objects that fit into NOT_COUNTED_BYTES take
# 1.5 ms.
MAX_OBJECTS = 8192
NOT_COUNTED_BYTES = 72 * 1024
_OBJECT = ord("{")
# Python's decoder decides about what msgspec refuses, as in vLLM. Python's decoder makes an object of everything.
JUDGED_AT_ONCE = 64 * 1024
# To find a value whose bytes are in a body more often than this, scan the body.
MAX_OCCURRENCES = 8
# A value is searched for by so many of its first bytes: with more there are fewer places, but 64 take 12 ms in 480 KB
# that were written to be slow to search.
_BEGINNING_BYTES = 64
# A body may be parsed from this far before its end, which spares a search through all of it.
TAIL_BYTES = 4096
# Before a value, these are read for its key.
_KEY_BYTES = 64
_PLAIN_KEY = re.compile(rb'(?<!\\)"([^"\\]*)"[ \t\n\r]*:\Z')

Value = msgspec.Raw
"""A JSON value, as a view of the body."""
ABSENT = msgspec.Raw()
"""The content of a message without content."""

FIELDS = (
    "model",
    *formats.FIELDS,
    "chat_template_kwargs",
    "reasoning_effort",
    "tools",
    "functions",
    "tool_choice",
)
"""The top-level fields that routing reads or edits, unless the config names others."""


_STRING = Decoder(str)
SYSTEM_ROLES = ("system", "developer")
"""Roles whose messages are prompts of the client's operator, not of a person."""


class Message(msgspec.Struct, gc=False):
    """A message: no role if it is not a string; the content is a view of the body, empty if there is none."""

    role: str | None = None
    content: Value = ABSENT


class ScannedMessage(Message, gc=False):
    """A message that was read in steps; `start` is the position of its content in the list of messages."""

    start: int = 0


_MESSAGES = list[Message]


class BodyFields(msgspec.Struct, gc=False):
    """The requested top-level fields of a body: `data` is the body in UTF-8, which edits change.

    `body` is the bytes from the client, which differ only if they were UTF-16, UTF-32, or had a byte order mark.
    """

    body: Received
    data: Received
    values: dict[str, Value]
    """The requested fields that exist in the body."""
    messages: list[Message] | None = None
    """The messages of a body of usual size and form, read along with its fields."""
    spans: dict[str, ByteSpan] | None = None
    """The positions of the fields in `data`, if the body was read in steps."""
    priority: int | None = None
    """The operator's priority of the request, set in each edited body, or None."""

    def get(self, name: str) -> Value | None:
        """Return a value, or None if missing."""
        if name == "messages" and self.messages is not None:
            return object_decoder(("messages",)).decode(self.data)["messages"]  # type: ignore[no-any-return]
        return self.values.get(name)

    def span(self, name: str, value: Value) -> tuple[int, int]:
        """Return the start and end in `data` of the value of a field; raises NestedTooDeeply."""
        if self.spans is None:
            encoded, start = name.encode(), -1
            if len(self.data) > 2 * TAIL_BYTES:
                start = _place_in_tail(self.data, encoded, value)
            if start < 0:
                start = _only_place(self.data, encoded, value)
            if start >= 0:
                return start, start + memoryview(value).nbytes
            self.spans = _scanned(self.data, (*self.values, "messages"))
        return self.spans[name]

    def first_content_span(self, first: Message) -> tuple[int, int]:
        """Return the start and end in `data` of the content of the first message; raises NestedTooDeeply."""
        start = -1
        if self.spans is None:
            start = _only_place(self.data, b"content", first.content)
        elif isinstance(first, ScannedMessage):
            start = self.spans["messages"].start + first.start
        if start >= 0:
            return start, start + memoryview(first.content).nbytes
        begin, end = self.span("messages", self.get("messages") or ABSENT)
        return _scanned(self.data, ("content",), ByteSpan(begin + 1, end))["content"]

    @property
    def model(self) -> str | None:
        """Return the requested model, None for null and for an empty string; raises RequestError (400)."""
        value = self.get("model")
        if value is None:
            return None
        try:
            return _STRING.decode(value) or None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if not given(value):
                return None
        raise RequestError("`model` must be a string of Unicode text", status=400, code="invalid_type", param="model")


def fields_at_once(body: Received, names: tuple[str, ...] = FIELDS) -> BodyFields | None:
    """Return these fields of a body of usual size and form, or None for any other body.

    If there are not too many objects, the `messages` are decoded.
    """
    if not isinstance(body, bytes) or len(body) > AT_ONCE:
        return None
    decoded = "messages" in names and not has_many_objects(body)
    try:
        if not body.isascii():
            str(body, "utf-8")  # msgspec does not check what it skips
        found = object_decoder(names, _MESSAGES if decoded else Value).decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return BodyFields(body, body, found, found.pop("messages", None) if decoded else None)


def fields_in_steps(body: Received, names: tuple[str, ...] = FIELDS) -> Steps[BodyFields]:
    """Return these fields of any body; raises RequestError (400) if it is no JSON object or nested too deeply.

    What vLLM accepts is accepted. In a body of more than a few KiB, faults inside values are left for vLLM to report.
    """
    encoding = json.detect_encoding(body[:4])
    data = body if encoding == "utf-8" else (yield from _transcoded(body, encoding))
    if len(data) <= JUDGED_AT_ONCE:
        _judge(data)
    try:
        spans = yield from json_scan.members(data, names)
    except JsonDepthError as fault:
        raise NestedTooDeeply(f"the body is {fault}") from None
    except JsonError as fault:
        raise _invalid(f"the body is not JSON ({fault})") from None
    if spans is None:
        raise _invalid("the body is not a JSON object")
    values = {name: view(data, span) for name, span in spans.items()}
    return BodyFields(body, data, values, spans=spans)


def read_fields(body: Received, names: tuple[str, ...] = FIELDS) -> Steps[BodyFields]:
    """Return these fields, read at once if possible; raises RequestError (400) as `fields_in_steps` does."""
    return fields_at_once(body, names) or (yield from fields_in_steps(body, names))


@functools.lru_cache(64)
def object_decoder(names: tuple[str, ...], messages: Any = Value) -> Decoder[dict[str, Any]]:
    """Return a decoder of objects that reads these members as views and skips all others."""
    members = {name: messages if name == "messages" else Value for name in names}
    return Decoder(TypedDict("members", members, total=False))  # type: ignore[operator]


def _scanned(data: Received, names: tuple[str, ...], part: ByteSpan | None = None) -> dict[str, ByteSpan]:
    try:
        return finish(json_scan.members(data, names, part)) or {}
    except JsonDepthError as fault:  # msgspec may read more levels
        raise NestedTooDeeply(f"the body is {fault}") from None


def _judge(data: Received) -> None:
    """Raise RequestError if a short text is not JSON for vLLM, which reads it with this decoder."""
    try:
        json.loads(bytes(data))
    except json.JSONDecodeError as fault:
        raise _invalid(f"the body is not JSON ({fault.msg} at character {fault.pos})") from None
    except UnicodeDecodeError as fault:
        raise _invalid(f"the body is not UTF-8 (byte {fault.start})") from None
    except RecursionError:
        raise NestedTooDeeply("the body is nested too deeply") from None
    except ValueError as fault:  # an integer of thousands of digits
        raise _invalid(f"the body is not JSON ({fault})") from None


def _transcoded(body: Received, encoding: str) -> Steps[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    pieces: list[bytes] = []
    try:
        for at in range(0, len(body), json_scan.CHUNK):
            piece = decoder.decode(body[at : at + json_scan.CHUNK], at + json_scan.CHUNK >= len(body))
            pieces.append(piece.encode("utf-8", "surrogatepass"))
            yield
    except UnicodeDecodeError:
        raise _invalid(f"the body is not {encoding.upper()}, as it seems by its first bytes") from None
    return b"".join(pieces)


def model_of(fields: BodyFields) -> str | None:
    """Return the requested model, or None if there is none or it is not a string."""
    try:
        return fields.model
    except RequestError:
        return None


def has_many_objects(text: bytes) -> bool:
    """Return whether a text has more objects than may be made at once."""
    if len(text) <= NOT_COUNTED_BYTES:
        return False
    # `bytes.count` is four times slower.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _OBJECT)) > MAX_OBJECTS


def view(data: json_scan.Text, span: ByteSpan) -> Value:
    """Return a part of a body, without a copy."""
    return msgspec.Raw(memoryview(data)[span.start : span.end])


def _place_in_tail(data: Received, name: bytes, value: Value) -> int:
    """Return the position of the value of this top-level member if it is the last of its kind; -1 if it may not be.

    What follows a plain key is outside of strings. If the rest of the body is that of an object, it is at top level.
    """
    at = data.rfind(value, len(data) - TAIL_BYTES)
    key = _PLAIN_KEY.search(data[at - _KEY_BYTES : at].rstrip(SPACES)) if at >= 0 else None
    if key is None or key[1] != name:
        return -1
    try:
        object_decoder(()).decode(b'{"":' + data[at:])
    except (msgspec.MsgspecError, RecursionError):
        return -1
    return at


def _only_place(data: Received, name: bytes, value: Value) -> int:
    """Return the only position at which a member of this name may have this value; -1 if there are several."""
    begin = memoryview(value)[:_BEGINNING_BYTES]
    # All of the value is in the body. `find` would take four times as long in more than 30 KB.
    at = data.rfind(begin, 0, len(data) - memoryview(value).nbytes + len(begin))
    places = [at]
    while (at := data.rfind(begin, 0, at + len(begin) - 1)) >= 0:
        if len(places) == MAX_OCCURRENCES:
            return -1
        places.append(at)
    if len(places) > 1:
        places = [place for place in places if _may_belong_to(data, place, name)]
    return places[0] if len(places) == 1 else -1


def _may_belong_to(data: Received, at: int, name: bytes) -> bool:
    """Return whether the text before a value may be a key of this name, which can be spelled with escapes."""
    before = data[max(0, at - _KEY_BYTES) : at].rstrip(SPACES)
    key = _PLAIN_KEY.search(before)
    return not before or (before.endswith(b":") if key is None else key[1] == name)


def kind(value: Value | None) -> bytes:
    """Return the first byte of a value, which tells its type; empty if the value is missing."""
    return b"" if value is None else bytes(memoryview(value)[:1])


def decode(value: Value | None, default: Any, decoder: Decoder[Any]) -> Any:
    """Decode a value; return `default` if the value is missing or of another type."""
    if value is None:
        return default
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return default


def given(value: Value | None) -> bool:
    """Return whether a value is present and not null."""
    return value is not None and bytes(memoryview(value)[:5]) not in (b"", b"null")


def _invalid(message: str) -> RequestError:
    return RequestError(message, status=400, code="invalid_json")
